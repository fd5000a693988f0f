// The binary messages of the lesson socket about the board, as `protocol/src/board.rs` has them.

import { Reader, Writer } from "./bytes.ts";

export type BoardFrame =
  /** To the node: the board is shown from now on; this is what the page has. */
  | { type: "open"; vector: Uint8Array }
  /** To the node: change number `n`. From it: a piece of a change, 0 for the last piece. */
  | { type: "change"; n: number; update: Uint8Array }
  /** From the node: change `n` is on its disk. */
  | { type: "taken"; n: number }
  /** From the node: change `n` was refused. */
  | { type: "refused"; n: number; code: string; sentence: string }
  /** Either way: a stroke that is being drawn. */
  | { type: "ink"; member: string; data: Uint8Array }
  /** To the node: the board is shown no more. */
  | { type: "close" };

const OPEN = 1;
const CHANGE = 2;
const TAKEN = 3;
const REFUSED = 4;
const INK = 5;
const CLOSE = 6;

export function encodeFrame(frame: BoardFrame): Uint8Array<ArrayBuffer> {
  const out = new Writer();
  switch (frame.type) {
    case "open":
      return out.byte(OPEN).bytes(frame.vector).done();
    case "change":
      return out.byte(CHANGE).var(frame.n).bytes(frame.update).done();
    case "taken":
      return out.byte(TAKEN).var(frame.n).done();
    case "refused":
      return out.byte(REFUSED).var(frame.n).text(frame.code).text(frame.sentence).done();
    case "ink":
      return out.byte(INK).text(frame.member).bytes(frame.data).done();
    case "close":
      return out.byte(CLOSE).done();
  }
}

/** Reads a message; `undefined` for one this page does not know. */
export function decodeFrame(bytes: Uint8Array): BoardFrame | undefined {
  try {
    const reader = new Reader(bytes);
    switch (reader.byte()) {
      case OPEN:
        return { type: "open", vector: reader.bytes() };
      case CHANGE:
        return { type: "change", n: reader.var(), update: reader.bytes() };
      case TAKEN:
        return { type: "taken", n: reader.var() };
      case REFUSED: {
        const n = reader.var();
        return { type: "refused", n, code: reader.text(), sentence: reader.text() };
      }
      case INK:
        return { type: "ink", member: reader.text(), data: reader.bytes() };
      case CLOSE:
        return { type: "close" };
    }
  } catch {
    // Shorter than it says.
  }
  return undefined;
}
