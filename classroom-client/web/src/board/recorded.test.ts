import { expect, it } from "vitest";
import { BoardDocument } from "./document.ts";
import { RecordedBoard, readChanges } from "./recorded.ts";

/** A record as nodes write it; the checksum is theirs. */
function record(atMs: number, update: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + update.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, update.length);
  view.setBigUint64(8, BigInt(atMs));
  bytes.set(update, 16);
  return bytes;
}

function journal() {
  const teacher = new BoardDocument("li", "teacher");
  const records: Uint8Array[] = [];
  let now = 1_000;
  teacher.onUpdate((update) => records.push(record(now, update)));
  const text = (said: string, at: number) => {
    now = at;
    const look = { colour: 0, width: 1 } as const;
    return teacher.add("p1", { kind: "text", z: 1, ...look, at: { x: 1, y: 2 }, text: said });
  };
  const first = text("a", 1_000);
  text("b", 2_000);
  now = 3_000;
  teacher.erase("p1", [first]);
  return new Uint8Array(records.flatMap((one) => [...one]));
}

it("a recorded board is at every time what it was, forwards and back", () => {
  const recorded = new RecordedBoard(readChanges(journal()), async () => "");
  const said = (ms: number) => {
    recorded.show(ms);
    const elements = recorded.board.document.elements("p1");
    return [...elements.values()].map((one) => (one.kind === "text" ? one.text : one.kind)).sort();
  };
  expect(said(999)).toEqual([]);
  expect(said(1_500)).toEqual(["a"]);
  expect(said(2_000)).toEqual(["a", "b"]);
  expect(said(9_000)).toEqual(["b"]);
  expect(said(2_500)).toEqual(["a", "b"]);
  expect(said(0)).toEqual([]);
});

it("what a power cut left unfinished ends the changes, and late ones are in their place", () => {
  const whole = journal();
  expect(readChanges(whole)).toHaveLength(3);
  expect(readChanges(whole.subarray(0, whole.length - 1))).toHaveLength(2);
  expect(readChanges(new Uint8Array(15))).toEqual([]);
  const late = new Uint8Array([...record(9, new Uint8Array([1])), ...record(4, new Uint8Array())]);
  expect(readChanges(late).map((change) => change.atMs)).toEqual([4, 9]);
});
