// Keeps a board in step with the node: sends what is drawn here until the node has it on its
// disk, takes in what others draw, and after a break goes on where it was. What the node has not
// answered is kept in this browser too, so that a reload loses no stroke.

import { signal } from "@preact/signals";
import * as Y from "yjs";
import { Reader, Writer } from "./bytes.ts";
import type { BoardDocument } from "./document.ts";
import { type Colour, type Point, packPoints, unpackPoints, type Width } from "./elements.ts";
import { decodeFrame, encodeFrame } from "./frames.ts";

/** What the link needs of a lesson socket. */
export interface BoardSocket {
  /** Sends if the page is joined; says whether it did. */
  sendBytes(bytes: Uint8Array<ArrayBuffer>): boolean;
  /** Bytes that wait to leave this machine. */
  readonly buffered: number;
  onBytes(listener: (bytes: Uint8Array) => void): () => void;
  onWelcome(listener: () => void): () => void;
  /** Whether the page is joined now. */
  readonly joined: boolean;
}

/** Where what the node has not answered is kept over a reload. */
export interface Keep {
  load(): Uint8Array | undefined;
  save(bytes: Uint8Array | undefined): void;
}

/** A stroke that somebody is drawing. */
export interface LiveInk {
  member: string;
  surface: string;
  colour: Colour;
  width: Width;
  marker: boolean;
  points: Point[];
  /** By this machine's clock. */
  at: number;
}

/** Changes sent at once after a break: well under the node's bound of one. */
const SENT_AT_ONCE = 24 * 1024;
/** A change refused for coming too fast is sent again after this. */
const SLOWER_MS = 1000;
/** And so often in a row, before the board is taken as the node has it. */
const AGAIN = 8;
/** What waits is written to the browser's storage at most so often. */
const KEEP_EVERY_MS = 400;
/** A stroke under way is told of so often. */
const INK_EVERY_MS = 66;
/** Each telling has the points since a few tellings ago: one may be left out. */
const INK_POINTS = 64;
/** And more bytes than this waiting mean that the line has no room for it. */
const INK_BUFFERED = 16 * 1024;

interface Change {
  n: number;
  update: Uint8Array;
}

/** What of a link those that draw a board need. */
export type BoardLine = Pick<BoardLink, "waiting" | "away" | "refusal" | "live" | "ink" | "forget">;

export class BoardLink {
  /** Whether everything the node had at the time has come once. */
  readonly ready = signal(false);
  /** Changes the node has not answered yet. */
  readonly waiting = signal(0);
  /** The line to the node is down: what waits goes when it is back. */
  readonly away = signal(false);
  /** The node's sentence when it refused something; what was refused is off the board again. */
  readonly refusal = signal<string | undefined>(undefined);
  /** Strokes that others are drawing, by member. */
  readonly live = signal<ReadonlyMap<string, LiveInk>>(new Map());

  readonly board: BoardDocument;
  readonly #socket: BoardSocket;
  readonly #keep: Keep | undefined;
  readonly #stops: (() => void)[];
  #pending: Change[] = [];
  #next = 1;
  #pieces: Uint8Array[] = [];
  #open = false;
  #slower: ReturnType<typeof setTimeout> | undefined;
  #keeping: ReturnType<typeof setTimeout> | undefined;
  #inkAt = 0;
  /** Times in a row that something was to be sent again. */
  #again = 0;

  constructor(board: BoardDocument, socket: BoardSocket, keep?: Keep) {
    this.board = board;
    this.#socket = socket;
    this.#keep = keep;
    const kept = keep?.load();
    if (kept) {
      board.apply(kept);
      this.#pending.push({ n: this.#next++, update: kept });
      this.waiting.value = 1;
    }
    this.#stops = [
      board.onUpdate((update) => this.#drawn(update)),
      socket.onBytes((bytes) => this.#heard(bytes)),
      socket.onWelcome(() => this.#joined()),
    ];
    if (socket.joined) this.#joined();
  }

  /** The board is shown no more. What waits is still kept in the browser. */
  close(): void {
    for (const stop of this.#stops) stop();
    clearTimeout(this.#slower);
    this.keepNow();
    if (this.#open) this.#socket.sendBytes(encodeFrame({ type: "close" }));
  }

  #joined(): void {
    this.#open = true;
    this.away.value = false;
    this.#pieces = [];
    this.live.value = new Map();
    this.#socket.sendBytes(encodeFrame({ type: "open", vector: this.board.vector() }));
    this.#sendPending();
  }

  #drawn(update: Uint8Array): void {
    const change = { n: this.#next++, update };
    this.#pending.push(change);
    this.waiting.value = this.#pending.length;
    if (this.#open && this.#slower === undefined) this.#send(change);
    this.#keepSoon();
  }

  #send(change: Change): void {
    if (this.#socket.sendBytes(encodeFrame({ type: "change", ...change }))) return;
    this.#open = false;
    this.away.value = true;
  }

  /**
   * Sends all that waits, small changes together, each as a new number: what the node still
   * says of the old ones means nothing.
   */
  #sendPending(): void {
    const together: Change[] = [];
    let group: Change[] = [];
    let size = 0;
    const flush = () => {
      if (group.length > 0)
        together.push({ n: this.#next++, update: merged(group.map((one) => one.update)) });
      group = [];
      size = 0;
    };
    for (const change of this.#pending) {
      if (size + change.update.length > SENT_AT_ONCE) flush();
      group.push(change);
      size += change.update.length;
    }
    flush();
    this.#pending = together;
    this.waiting.value = together.length;
    for (const change of together) this.#send(change);
  }

  #heard(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    switch (frame?.type) {
      case "change":
        this.#pieces.push(frame.update.slice());
        if (frame.n === 0) this.#changed();
        return;
      case "taken":
        this.#answered(frame.n);
        return;
      case "refused":
        this.#refused(frame.n, frame.code, frame.sentence);
        return;
      case "ink":
        this.#others(frame.member, frame.data);
        return;
    }
  }

  #changed(): void {
    const whole = new Writer();
    for (const piece of this.#pieces) whole.raw(piece);
    this.#pieces = [];
    this.board.apply(whole.done());
    this.ready.value = true;
  }

  #answered(n: number): void {
    this.#again = 0;
    this.#pending = this.#pending.filter((change) => change.n !== n);
    this.waiting.value = this.#pending.length;
    this.#keepSoon();
  }

  #refused(n: number, code: string, sentence: string): void {
    if (!this.#pending.some((change) => change.n === n)) return;
    if ((code === "board-too-fast" || code === "storage") && this.#again < AGAIN) {
      // Nothing is wrong with it: it goes again, with all after it, a little later.
      this.#slower ??= setTimeout(() => {
        this.#slower = undefined;
        this.#again += 1;
        if (this.#open) this.#sendPending();
      }, SLOWER_MS);
      return;
    }
    // What came after it builds on it. The page takes the board as the node has it.
    this.#again = 0;
    this.#pending = [];
    this.waiting.value = 0;
    this.refusal.value = sentence;
    this.keepNow();
    this.board.reset();
    this.#joined();
  }

  /** Tells others of a stroke that is being drawn; with no points, that it is no more. */
  ink(surface: string, look: { colour: Colour; width: Width; marker: boolean }, points: Point[]) {
    const now = performance.now();
    if (points.length > 0 && now - this.#inkAt < INK_EVERY_MS) return;
    if (!this.#open || this.#socket.buffered > INK_BUFFERED) return;
    this.#inkAt = now;
    const from = Math.max(0, points.length - INK_POINTS);
    const out = new Writer().text(surface).byte(look.colour).byte(look.width);
    out.byte(look.marker ? 1 : 0).var(from);
    packPoints(out, points.slice(from), false);
    this.#socket.sendBytes(encodeFrame({ type: "ink", member: "", data: out.done() }));
  }

  #others(member: string, data: Uint8Array): void {
    const live = new Map(this.live.peek());
    const ink = readInk(member, data, live.get(member));
    if (ink) live.set(member, ink);
    else live.delete(member);
    this.live.value = live;
  }

  /** Forgets strokes under way of which nothing was heard for a while. */
  forget(before: number): void {
    const live = [...this.live.peek()].filter(([, ink]) => ink.at >= before);
    if (live.length < this.live.peek().size) this.live.value = new Map(live);
  }

  #keepSoon(): void {
    this.#keeping ??= setTimeout(() => this.keepNow(), KEEP_EVERY_MS);
  }

  /** Writes what waits to the browser's storage. */
  keepNow(): void {
    clearTimeout(this.#keeping);
    this.#keeping = undefined;
    const waiting = this.#pending.map((change) => change.update);
    this.#keep?.save(waiting.length > 0 ? merged(waiting) : undefined);
  }
}

function merged(updates: Uint8Array[]): Uint8Array {
  const [only] = updates;
  return updates.length === 1 && only ? only : Y.mergeUpdates(updates);
}

function readInk(member: string, data: Uint8Array, known?: LiveInk): LiveInk | undefined {
  try {
    const reader = new Reader(data);
    const surface = reader.text();
    const look = [reader.byte(), reader.byte(), reader.byte()];
    const from = reader.var();
    const points = unpackPoints(reader, false);
    if (points.length === 0) return undefined;
    const same = known?.surface === surface && from > 0 ? known.points.slice(0, from) : [];
    return {
      member,
      surface,
      colour: (look[0] ?? 0) as Colour,
      width: (look[1] ?? 0) as Width,
      marker: look[2] === 1,
      points: [...same, ...points],
      at: performance.now(),
    };
  } catch {
    return undefined;
  }
}

/** Keeps what waits in the browser's storage, under a name of the member and the lesson's run. */
export function keepInBrowser(name: string): Keep {
  const key = `cloudschool.board.${name}`;
  return {
    load() {
      try {
        const text = localStorage.getItem(key);
        return text ? Uint8Array.from(atob(text), (char) => char.charCodeAt(0)) : undefined;
      } catch {
        return undefined;
      }
    },
    save(bytes) {
      try {
        if (!bytes) localStorage.removeItem(key);
        else
          localStorage.setItem(
            key,
            btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join("")),
          );
      } catch {
        // No room, or storage is off: the node gets it all the same, unless the page is closed.
      }
    },
  };
}
