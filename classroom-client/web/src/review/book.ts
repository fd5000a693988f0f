// Where an observer's notes and sheet are kept: with the lesson while it goes on, on this device
// beside a replay.

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Score } from "../protocol/interactions.ts";
import { inOrder, type NoteLine } from "./notes.ts";
import { readSheet } from "./sheet.ts";

/** The longest note the lesson takes, in characters, and the most of them. */
export const NOTE_MOST = 1000;
const NOTES_MOST = 500;

export interface ShownNote extends NoteLine {
  key: string;
  /** Not with the lesson yet. */
  waits: boolean;
}

export interface Draft {
  text: string;
  /** When its first letter was written. */
  atMs: number | undefined;
}

export interface Book {
  /** In the order of the lesson. */
  readonly notes: ReadonlySignal<readonly ShownNote[]>;
  readonly draft: ReadonlySignal<Draft>;
  write(text: string, nowMs: number): void;
  /** Takes the note that is written. */
  note(nowMs: number): void;
  /** The sheet as it is being filled in; `undefined` until something was changed. */
  readonly sheet: ReadonlySignal<Score[] | undefined>;
  fill(sheet: Score[] | undefined): void;
  /** The sheet as the lesson has it. */
  readonly submitted: ReadonlySignal<Score[] | undefined>;
  readonly sheetWaits: ReadonlySignal<boolean>;
  /** Hands the sheet in, where there is somebody to take it. */
  submit?(sheet: Score[]): void;
}

/** What is written so far: the first letter sets its time. */
export function drafted(before: Draft, text: string, nowMs: number): Draft {
  return { text, atMs: text.trim() === "" ? undefined : (before.atMs ?? nowMs) };
}

/** What goes along from the lesson to its replay. */
export interface Kept {
  notes: NoteLine[];
  sheet?: Score[] | undefined;
}

/** More than this is too long for an address; it stays with the lesson. */
const CARRIED_MOST = 12_000;

/** Notes and sheet as a text for the address of the replay; empty when they are too long. */
export function carried({ notes, sheet }: Kept): string {
  if (notes.length === 0 && !sheet) return "";
  const text = JSON.stringify({ notes: notes.map(({ atMs, text: said }) => [atMs, said]), sheet });
  return text.length <= CARRIED_MOST ? text : "";
}

/** What {@link carried} wrote, or a store kept; nothing of anything else. */
export function readKept(text: string | null): Kept {
  try {
    const { notes, sheet } = JSON.parse(text ?? "") as { notes?: unknown; sheet?: unknown };
    const lines = (Array.isArray(notes) ? notes : []).flatMap((note: unknown): NoteLine[] => {
      const [atMs, said] = Array.isArray(note) ? note : [];
      const good = Number.isFinite(atMs) && typeof said === "string" && said !== "";
      return good ? [{ atMs: Number(atMs), text: said.slice(0, NOTE_MOST) }] : [];
    });
    return {
      notes: lines.slice(0, NOTES_MOST),
      sheet: sheet === undefined ? undefined : readSheet(JSON.stringify(sheet)),
    };
  } catch {
    return { notes: [] };
  }
}

/** Notes on a recording, kept in this browser. */
export class DeviceBook implements Book {
  readonly draft = signal<Draft>({ text: "", atMs: undefined });
  readonly sheet = signal<Score[] | undefined>(undefined);
  readonly submitted = signal(undefined);
  readonly sheetWaits = signal(false);
  readonly #lines = signal<readonly NoteLine[]>([]);
  readonly notes = computed((): ShownNote[] =>
    inOrder(this.#lines.value).map(({ atMs, text }, at) => ({
      key: `${atMs}-${at}`,
      atMs,
      text,
      waits: false,
    })),
  );
  readonly #store: Pick<Storage, "getItem" | "setItem">;
  readonly #key: string;

  /** `brought` comes from the lesson itself and is taken in once. */
  constructor(store: Pick<Storage, "getItem" | "setItem">, recording: string, brought: Kept) {
    this.#store = store;
    this.#key = `cloudschool.review:${recording}`;
    const kept = readKept(store.getItem(this.#key));
    const known = new Set(kept.notes.map(({ atMs, text }) => `${atMs} ${text}`));
    const fresh = brought.notes.filter(({ atMs, text }) => !known.has(`${atMs} ${text}`));
    this.#lines.value = [...kept.notes, ...fresh].slice(0, NOTES_MOST);
    this.sheet.value = kept.sheet ?? brought.sheet;
    if (fresh.length > 0 || brought.sheet) this.#keep();
  }

  write(text: string, nowMs: number): void {
    this.draft.value = drafted(this.draft.peek(), text, nowMs);
  }

  note(nowMs: number): void {
    const { text, atMs } = this.draft.peek();
    const said = text.trim().slice(0, NOTE_MOST);
    if (said === "" || this.#lines.peek().length >= NOTES_MOST) return;
    this.#lines.value = [...this.#lines.peek(), { atMs: Math.round(atMs ?? nowMs), text: said }];
    this.draft.value = { text: "", atMs: undefined };
    this.#keep();
  }

  fill(sheet: Score[] | undefined): void {
    this.sheet.value = sheet;
    this.#keep();
  }

  #keep(): void {
    const notes = this.#lines.peek().map(({ atMs, text }) => [atMs, text]);
    this.#store.setItem(this.#key, JSON.stringify({ notes, sheet: this.sheet.peek() }));
  }
}
