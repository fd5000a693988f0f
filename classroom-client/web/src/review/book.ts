// Where an observer's notes and sheet are kept: with the lesson while it goes on, with the
// recording beside a replay (`replay.ts`).

import type { ReadonlySignal } from "@preact/signals";
import type { Score } from "../protocol/interactions.ts";
import type { NoteLine } from "./notes.ts";

/** The longest note that is taken, in characters. */
export const NOTE_MOST = 1000;

export interface ShownNote extends NoteLine {
  key: string;
  /** Not where it is kept yet. */
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
  /** The sheet as it was handed in. */
  readonly submitted: ReadonlySignal<Score[] | undefined>;
  readonly sheetWaits: ReadonlySignal<boolean>;
  /** Hands the sheet in. */
  submit(sheet: Score[]): void;
}

/** What is written so far: the first letter sets its time. */
export function drafted(before: Draft, text: string, nowMs: number): Draft {
  return { text, atMs: text.trim() === "" ? undefined : (before.atMs ?? nowMs) };
}
