// A board that was recorded: its changes with their times (`docs/board.md`, “On the disk”), and
// the board as it was at any of them. Nobody writes on it, and it knows no node.

import { signal } from "@preact/signals";
import * as Y from "yjs";
import { BoardDocument } from "./document.ts";
import type { BoardLine } from "./link.ts";
import type { OpenBoard } from "./open.ts";

export { slideSurface } from "./document.ts";
export { BoardOverlay, BoardView } from "./view.tsx";

export interface Change {
  /** Milliseconds since the Unix epoch. */
  atMs: number;
  update: Uint8Array;
}

/** Length, checksum and time of a record. */
const HEAD = 4 + 4 + 8;

/** The changes in the order of their times, up to one that is unfinished. */
export function readChanges(bytes: Uint8Array): Change[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const changes: Change[] = [];
  let at = 0;
  while (bytes.length - at >= HEAD) {
    const length = view.getUint32(at);
    if (bytes.length - at - HEAD < length) break;
    const atMs = Number(view.getBigUint64(at + 8));
    changes.push({ atMs, update: bytes.subarray(at + HEAD, at + HEAD + length) });
    at += HEAD + length;
  }
  return changes.sort((a, b) => a.atMs - b.atMs);
}

/** Strokes under way and what waits to be sent: of a recording there is nothing of either. */
class NoLine implements BoardLine {
  readonly waiting = signal(0);
  readonly away = signal(false);
  readonly refusal = signal(undefined);
  readonly live = signal(new Map());
  ink(): void {}
  forget(): void {}
}

export class RecordedBoard {
  readonly board: OpenBoard;
  readonly #document = new BoardDocument("", "observer");
  readonly #changes: readonly Change[];
  /** How many of them the document has. */
  #applied = 0;

  /** `pictureOf` leads to the pictures on it. */
  constructor(changes: readonly Change[], pictureOf: (asset: string) => Promise<string>) {
    this.#changes = changes;
    this.board = {
      document: this.#document,
      link: new NoLine(),
      lesson: "",
      token: "",
      pictureOf,
      writers: signal("teacher"),
      mayWrite: signal(false),
      nameOf: (member) => member,
      setWriters: async () => undefined,
    };
  }

  /** Brings the board to where it was at `ms` since the Unix epoch. */
  show(ms: number): void {
    const after = this.#changes.findIndex((change) => change.atMs > ms);
    const until = after < 0 ? this.#changes.length : after;
    if (until < this.#applied) {
      this.#document.reset();
      this.#applied = 0;
    }
    const next = this.#changes.slice(this.#applied, until).map((change) => change.update);
    this.#applied = until;
    if (next.length > 0) this.#document.apply(Y.mergeUpdates(next));
  }
}
