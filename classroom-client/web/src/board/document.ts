// The board of a lesson as its pages share it: one Yjs document. Root maps hold entries that are
// values, and nothing nests (`protocol/src/board/update.rs` has the rules nodes check):
//
//   e/{page}            what is drawn on a board page, by key
//   e/s/{deck}/{page}   what is drawn on a page of slides
//   pages               the board's pages: { n: place }
//   view                which page is shown: { page, at }, by who leads
//
// Nothing here knows a socket or a screen.

import * as Y from "yjs";
import type { Role } from "../protocol/words.ts";
import { authorOf, clientId, newKey } from "./author.ts";
import { type Element, pack, unpack } from "./elements.ts";

/** Marks changes that came from the node. */
export const REMOTE = Symbol("remote");

/** The page a board begins with; it needs no entry. */
export const FIRST_PAGE = "p1";

/** The name of a board page's surface. */
export function pageSurface(page: string): string {
  return page;
}

/** The name of the surface over a page of slides. */
export function slideSurface(deck: string, page: number): string {
  return `s/${deck}/${page}`;
}

interface Surface {
  map: Y.Map<unknown>;
  elements: Map<string, Element>;
  listeners: Set<(change: SurfaceChange) => void>;
}

/** What has changed on a surface. */
export interface SurfaceChange {
  /** Keys of elements that are new, and lie above all others. */
  added: string[];
  /** Something else changed: draw it all anew. */
  redraw: boolean;
}

export class BoardDocument {
  /** Who writes here. */
  readonly member: string;
  readonly role: Role;
  readonly #author: number;
  #doc: Y.Doc;
  #undo: Y.UndoManager;
  readonly #surfaces = new Map<string, Surface>();
  readonly #arranged = new Set<() => void>();
  readonly #updates = new Set<(update: Uint8Array) => void>();

  constructor(member: string, role: Role) {
    this.member = member;
    this.role = role;
    this.#author = authorOf(member);
    [this.#doc, this.#undo] = this.#fresh();
  }

  #fresh(): [Y.Doc, Y.UndoManager] {
    const doc = new Y.Doc();
    doc.clientID = clientId(this.member);
    const undo = new Y.UndoManager([], {
      doc,
      trackedOrigins: new Set([this]),
      captureTimeout: 0,
    });
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== REMOTE) for (const listener of this.#updates) listener(update);
    });
    const arranged = () => {
      for (const listener of this.#arranged) listener();
    };
    doc.getMap("pages").observe(arranged);
    doc.getMap("view").observe(arranged);
    return [doc, undo];
  }

  /** Forgets everything, also what only this page knows of: the node has it differently. */
  reset(): void {
    this.#undo.destroy();
    this.#doc.destroy();
    [this.#doc, this.#undo] = this.#fresh();
    for (const [name, surface] of this.#surfaces) {
      Object.assign(surface, this.#bind(name, surface.listeners));
      for (const listener of surface.listeners) listener({ added: [], redraw: true });
    }
    for (const listener of this.#arranged) listener();
  }

  /** What this page has, for the node. */
  vector(): Uint8Array {
    return Y.encodeStateVector(this.#doc);
  }

  /** The whole board. */
  whole(): Uint8Array {
    return Y.encodeStateAsUpdate(this.#doc);
  }

  /** Takes in what came from the node, or with another origin what was kept of this page's own. */
  apply(update: Uint8Array, origin: unknown = REMOTE): void {
    Y.applyUpdate(this.#doc, update, origin);
  }

  /** Calls `listener` with each change made here. Returns how to stop that. */
  onUpdate(listener: (update: Uint8Array) => void): () => void {
    this.#updates.add(listener);
    return () => this.#updates.delete(listener);
  }

  /** What is on a surface, by key. */
  elements(surface: string): ReadonlyMap<string, Element> {
    return this.#surface(surface).elements;
  }

  /** Calls `listener` when a surface changes. Returns how to stop that. */
  onChange(surface: string, listener: (change: SurfaceChange) => void): () => void {
    const { listeners } = this.#surface(surface);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  #surface(name: string): Surface {
    const known = this.#surfaces.get(name);
    if (known) return known;
    const surface = this.#bind(name, new Set());
    this.#surfaces.set(name, surface);
    return surface;
  }

  #bind(name: string, listeners: Surface["listeners"]): Surface {
    const map = this.#doc.getMap(`e/${name}`);
    this.#undo.addToScope(map);
    const elements = new Map<string, Element>();
    for (const [key, value] of map) {
      const element = unpack(value);
      if (element) elements.set(key, element);
    }
    const surface: Surface = { map, elements, listeners };
    map.observe((event) => {
      const change = follow(surface.elements, map, event.keysChanged);
      for (const listener of listeners) listener(change);
    });
    return surface;
  }

  /** One above everything on the surface. */
  nextZ(surface: string): number {
    let z = 0;
    for (const element of this.#surface(surface).elements.values()) z = Math.max(z, element.z);
    return z + 1;
  }

  /** Puts something on a surface and gives its key. */
  add(surface: string, element: Element): string {
    const key = newKey(this.#author);
    this.set(surface, key, element);
    return key;
  }

  /** Puts something in the place of what has that key. */
  set(surface: string, key: string, element: Element): void {
    const { map } = this.#surface(surface);
    this.#doc.transact(() => map.set(key, pack(element)), this);
  }

  /** Whether this member may erase or change it. */
  mayChange(key: string): boolean {
    return this.arranges || key.startsWith(`${this.#author.toString(36)}.`);
  }

  /** Takes things off a surface: those this member may. */
  erase(surface: string, keys: Iterable<string>): void {
    const { map } = this.#surface(surface);
    const gone = [...keys].filter((key) => map.has(key) && this.mayChange(key));
    if (gone.length === 0) return;
    this.#doc.transact(() => {
      for (const key of gone) map.delete(key);
    }, this);
  }

  /** Takes back the last thing this page did on any surface. */
  undo(): void {
    this.#undo.undo();
  }

  redo(): void {
    this.#undo.redo();
  }

  get canUndo(): boolean {
    return this.#undo.undoStack.length > 0;
  }

  get canRedo(): boolean {
    return this.#undo.redoStack.length > 0;
  }

  /** Whether this member turns and adds pages, and changes what others drew. */
  get arranges(): boolean {
    return this.role === "teacher" || this.role === "assistant";
  }

  /** The board's pages in their order. */
  pages(): string[] {
    const places = new Map([[FIRST_PAGE, 1]]);
    for (const [id, value] of this.#doc.getMap<unknown>("pages")) {
      const n = (value as { n?: unknown } | null)?.n;
      if (typeof n === "number" && /^[\w-]{1,32}$/.test(id)) places.set(id, n);
    }
    return [...places].sort(([a, an], [b, bn]) => an - bn || (a < b ? -1 : 1)).map(([id]) => id);
  }

  /** The page that everyone is shown: the one last turned to. */
  shownPage(): string {
    const pages = this.pages();
    let [page, latest] = [FIRST_PAGE, Number.NEGATIVE_INFINITY];
    for (const [, value] of this.#doc.getMap<unknown>("view")) {
      const view = value as { page?: unknown; at?: unknown } | null;
      if (typeof view?.at !== "number" || typeof view.page !== "string") continue;
      if (view.at > latest && pages.includes(view.page)) [page, latest] = [view.page, view.at];
    }
    return page;
  }

  /** Adds a page after the last one, turns to it and gives its name. */
  addPage(): string {
    const map = this.#doc.getMap<unknown>("pages");
    const places = [...map.values()].map((value) => (value as { n?: number } | null)?.n ?? 0);
    const page = `p${newKey(this.#author).split(".")[1]}`;
    this.#doc.transact(() => map.set(page, { n: Math.max(1, ...places) + 1 }), this);
    this.turnTo(page);
    return page;
  }

  /** Shows everyone another page. */
  turnTo(page: string): void {
    const at = Math.max(Date.now(), this.#latestTurn() + 1);
    this.#doc.transact(() => this.#doc.getMap("view").set(this.member, { page, at }), this);
  }

  #latestTurn(): number {
    const turns = [...this.#doc.getMap<unknown>("view").values()];
    return Math.max(0, ...turns.map((value) => (value as { at?: number } | null)?.at ?? 0));
  }

  /** Calls `listener` when pages are added or turned. Returns how to stop that. */
  onArranged(listener: () => void): () => void {
    this.#arranged.add(listener);
    return () => this.#arranged.delete(listener);
  }
}

/** Brings `elements` in line with the map, and says how to draw the difference. */
function follow(
  elements: Map<string, Element>,
  map: Y.Map<unknown>,
  keys: Iterable<string>,
): SurfaceChange {
  const change: SurfaceChange = { added: [], redraw: false };
  let top = 0;
  for (const element of elements.values()) top = Math.max(top, element.z);
  const fresh: [string, Element][] = [];
  for (const key of keys) {
    const element = map.has(key) ? unpack(map.get(key)) : undefined;
    if (element && !elements.has(key)) {
      fresh.push([key, element]);
      continue;
    }
    if (element) elements.set(key, element);
    else if (!elements.delete(key)) continue;
    change.redraw = true;
  }
  for (const [key, element] of fresh.sort(([, a], [, b]) => a.z - b.z)) {
    elements.set(key, element);
    change.added.push(key);
    if (element.z < top) change.redraw = true;
  }
  return change;
}
