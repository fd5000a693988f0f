import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { authorOf, clientId, newKey } from "./author.ts";
import { Reader, Writer } from "./bytes.ts";
import { BoardDocument, FIRST_PAGE, slideSurface } from "./document.ts";
import { type Element, type Ink, type Point, pack, thinned, unpack } from "./elements.ts";
import { type BoardFrame, decodeFrame, encodeFrame } from "./frames.ts";
import { touches } from "./hit.ts";
import { BoardLink, type BoardSocket, type Keep } from "./link.ts";
import { admits } from "./open.ts";
import { pdf } from "./pdf.ts";
import { BOTH } from "./words.ts";

const stroke = (z = 1, at = 0): Ink => ({
  kind: "ink",
  z,
  colour: 1,
  width: 0,
  marker: false,
  points: [
    { x: at, y: 0 },
    { x: at + 10, y: 10 },
  ],
});

/** Board documents that hear of each other at once. */
function joined(...boards: BoardDocument[]): void {
  for (const board of boards) {
    board.onUpdate((update) => {
      for (const other of boards) if (other !== board) other.apply(update);
    });
  }
}

describe("who drew what", () => {
  it("is in a client id as the nodes read it", () => {
    // The same as in protocol/src/board.rs.
    expect(authorOf("li")).toBe(1_163_079);
    expect(Math.floor(clientId("li", 0xffffffff) / 2 ** 32)).toBe(1_163_079);
    expect(clientId("li", 0xffffffff)).toBeLessThan(2 ** 53);
    expect(newKey(35)).toMatch(/^z\.[0-9a-z]+$/);
  });
});

describe("bytes", () => {
  it("are read as they were written", () => {
    const numbers = [0, 127, 128, 300, 2 ** 31, 2 ** 53 - 1];
    const out = new Writer();
    for (const number of numbers) out.var(number);
    out.signed(-1).signed(64).text("板书").bytes(new Uint8Array(200));
    const reader = new Reader(out.done());
    expect(numbers.map(() => reader.var())).toEqual(numbers);
    expect([reader.signed(), reader.signed(), reader.text()]).toEqual([-1, 64, "板书"]);
    expect(reader.bytes()).toHaveLength(200);
    expect(reader.left).toBe(0);
  });

  it("that are not there are no frame", () => {
    const frames: BoardFrame[] = [
      { type: "open", vector: Uint8Array.of(0) },
      { type: "change", n: 300, update: Uint8Array.of(0, 0) },
      { type: "taken", n: 3 },
      { type: "refused", n: 1, code: "board-full", sentence: "板书已满。" },
      { type: "ink", member: "wang", data: Uint8Array.of(1) },
      { type: "close" },
    ];
    for (const frame of frames) {
      const bytes = encodeFrame(frame);
      expect(decodeFrame(bytes)).toEqual(frame);
      if (bytes.length > 1) expect(decodeFrame(bytes.subarray(0, -1))).toBeUndefined();
    }
    expect(encodeFrame({ type: "change", n: 300, update: Uint8Array.of(0, 0) })).toEqual(
      Uint8Array.of(2, 0xac, 2, 2, 0, 0),
    );
    expect(decodeFrame(Uint8Array.of(99))).toBeUndefined();
  });
});

describe("elements", () => {
  const all: Element[] = [
    stroke(7),
    { ...stroke(), marker: true, points: [{ x: 1.25, y: -3.5, pressure: 1 }] },
    { kind: "rect", z: 2, colour: 3, width: 2, from: { x: 1, y: 2 }, to: { x: 3, y: 4 } },
    { kind: "arrow", z: 2, colour: 0, width: 1, from: { x: 1, y: 2 }, to: { x: 3, y: 4 } },
    { kind: "text", z: 3, colour: 5, width: 1, at: { x: 9, y: 9 }, text: "y = x²" },
    {
      kind: "image",
      z: 4,
      at: { x: 0, y: 0 },
      size: { width: 8, height: 6 },
      asset: "a".repeat(64),
    },
  ];

  it.each(all)("are read as they were written: $kind", (element) => {
    expect(unpack(pack(element))).toEqual(element);
  });

  it("that others spoiled are not there", () => {
    const spoiled: unknown[] = [
      null,
      "text",
      new Uint8Array(),
      Uint8Array.of(1, 2),
      Uint8Array.of(1, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f),
      { k: "rect" },
      { k: "text", z: 1, b: [0, 0], t: 5 },
      { k: "image", z: 1, b: [0, 0, 4, 4], a: "https://elsewhere.example/x.png" },
      { k: "script", z: 1, b: [0, 0, 1, 1] },
      { k: "rect", z: Number.NaN, b: [0, 0, 1, 1] },
    ];
    for (const value of spoiled) expect(unpack(value)).toBeUndefined();
    const far = unpack({ k: "line", z: 1, b: [1e300, "x", 0, 0] });
    expect(far).toMatchObject({ from: { x: 100_000, y: 0 } });
  });

  it("take little room: a stroke of fifty points is some hundred bytes", () => {
    const points = Array.from({ length: 50 }, (_, n) => ({ x: n * 6, y: 200 * Math.sin(n / 5) }));
    const packed = pack({ ...stroke(), points });
    expect(packed).toBeInstanceOf(Uint8Array);
    expect((packed as Uint8Array).length).toBeLessThan(150);
  });

  it("lose no shape when points are left out", () => {
    const points: Point[] = Array.from({ length: 400 }, (_, n) => ({
      x: n,
      y: 100 * Math.sin(n / 40),
    }));
    const fewer = thinned(points);
    expect(fewer.length).toBeLessThan(120);
    expect([fewer[0], fewer.at(-1)]).toEqual([points[0], points.at(-1)]);
    const line: Ink = { ...stroke(), points: fewer };
    for (const point of points) expect(touches(line, point, 0)).toBe(true);
  });
});

describe("an eraser", () => {
  it("touches a stroke between its points, and a shape at its outline only", () => {
    const long: Ink = {
      ...stroke(),
      points: [
        { x: 0, y: 0 },
        { x: 400, y: 0 },
      ],
    };
    expect(touches(long, { x: 200, y: 10 }, 14)).toBe(true);
    expect(touches(long, { x: 200, y: 40 }, 14)).toBe(false);
    const box: Element = {
      kind: "rect",
      z: 1,
      colour: 0,
      width: 0,
      from: { x: 0, y: 0 },
      to: { x: 300, y: 300 },
    };
    expect(touches(box, { x: 0, y: 150 }, 14)).toBe(true);
    expect(touches(box, { x: 150, y: 150 }, 14)).toBe(false);
  });
});

describe("a board document", () => {
  it("shows everyone what each draws, in the order it lies", () => {
    const [li, wang] = [new BoardDocument("li", "teacher"), new BoardDocument("wang", "student")];
    joined(li, wang);
    const changes: string[][] = [];
    wang.onChange("p1", ({ added }) => changes.push(added));
    const key = li.add("p1", stroke(li.nextZ("p1")));
    wang.add("p1", stroke(wang.nextZ("p1")));
    expect(changes.flat()).toContain(key);
    expect([...wang.elements("p1").values()].map((one) => one.z)).toEqual([1, 2]);
    expect(li.elements("p1")).toEqual(wang.elements("p1"));
    expect(li.elements(slideSurface("deck", 2)).size).toBe(0);
  });

  it("lets one erase one's own, and who leads everything", () => {
    const [li, wang] = [new BoardDocument("li", "teacher"), new BoardDocument("wang", "student")];
    joined(li, wang);
    const hers = li.add("p1", stroke());
    const his = wang.add("p1", stroke());
    wang.erase("p1", [hers, his]);
    expect([...wang.elements("p1").keys()]).toEqual([hers]);
    const again = wang.add("p1", stroke());
    li.erase("p1", [again, hers]);
    expect(wang.elements("p1").size).toBe(0);
  });

  it("takes back one's own last change, and nobody else's", () => {
    const [li, wang] = [new BoardDocument("li", "teacher"), new BoardDocument("wang", "student")];
    joined(li, wang);
    const hers = li.add("p1", stroke());
    const his = wang.add("p1", stroke());
    li.undo();
    expect([...wang.elements("p1").keys()]).toEqual([his]);
    expect(wang.canUndo).toBe(true);
    li.redo();
    expect(wang.elements("p1").has(hers)).toBe(true);
    li.erase("p1", [hers]);
    li.undo();
    expect(wang.elements("p1").get(hers)).toEqual(stroke());
  });

  it("has pages that who leads adds and turns", () => {
    const [li, wang] = [new BoardDocument("li", "teacher"), new BoardDocument("wang", "student")];
    joined(li, wang);
    expect([wang.pages(), wang.shownPage()]).toEqual([[FIRST_PAGE], FIRST_PAGE]);
    let told = 0;
    wang.onArranged(() => {
      told += 1;
    });
    const second = li.addPage();
    expect([wang.pages(), wang.shownPage()]).toEqual([[FIRST_PAGE, second], second]);
    li.turnTo(FIRST_PAGE);
    expect(wang.shownPage()).toBe(FIRST_PAGE);
    expect(told).toBeGreaterThan(0);
  });

  it("is the same after everyone was apart and everything came twice, in another order", () => {
    const boards = ["a", "b", "c"].map((name) => new BoardDocument(name, "student"));
    const said: Uint8Array[] = [];
    for (const board of boards) board.onUpdate((update) => said.push(update));
    for (let n = 0; n < 30; n++) {
      const board = boards[n % 3];
      const key = board?.add("p1", stroke(n + 1, n));
      if (n % 5 === 0 && key) board?.erase("p1", [key]);
    }
    for (const board of boards) {
      for (const update of [...said.toReversed(), ...said]) board.apply(update);
    }
    const [a, b, c] = boards.map((board) => [...board.elements("p1").keys()].sort());
    expect(a).toHaveLength(24);
    expect([b, c]).toEqual([a, a]);
  });
});

/** A node's end of the socket, driven by the test. */
class Line implements BoardSocket {
  joined = true;
  buffered = 0;
  sent: BoardFrame[] = [];
  #hear: ((bytes: Uint8Array) => void) | undefined;
  #welcome: (() => void) | undefined;

  sendBytes(bytes: Uint8Array): boolean {
    const frame = decodeFrame(bytes);
    if (this.joined && frame) this.sent.push(frame);
    return this.joined;
  }
  onBytes(listener: (bytes: Uint8Array) => void) {
    this.#hear = listener;
    return () => undefined;
  }
  onWelcome(listener: () => void) {
    this.#welcome = listener;
    return () => undefined;
  }
  say(frame: BoardFrame): void {
    this.#hear?.(encodeFrame(frame));
  }
  back(): void {
    this.joined = true;
    this.sent = [];
    this.#welcome?.();
  }
  get changes() {
    return this.sent.filter((frame) => frame.type === "change");
  }
}

class Shelf implements Keep {
  bytes: Uint8Array | undefined;
  load() {
    return this.bytes;
  }
  save(bytes: Uint8Array | undefined) {
    this.bytes = bytes;
  }
}

describe("the link to the node", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const open = (keep?: Keep) => {
    const line = new Line();
    const board = new BoardDocument("wang", "student");
    return { line, board, link: new BoardLink(board, line, keep) };
  };

  it("says what the page has and takes in what comes in pieces", () => {
    const { line, board, link } = open();
    expect(line.sent.map((frame) => frame.type)).toEqual(["open"]);
    const other = new BoardDocument("li", "teacher");
    other.add("p1", stroke());
    const whole = other.whole();
    line.say({ type: "change", n: 1, update: whole.subarray(0, 10) });
    expect(board.elements("p1").size).toBe(0);
    line.say({ type: "change", n: 0, update: whole.subarray(10) });
    expect(board.elements("p1").size).toBe(1);
    expect(link.ready.value).toBe(true);
    expect(line.changes).toEqual([]);
  });

  it("sends again after a break what was not answered, small changes together", () => {
    const { line, board, link } = open();
    board.add("p1", stroke(1));
    const first = line.changes[0];
    line.say({ type: "taken", n: first?.n ?? 0 });
    line.joined = false;
    board.add("p1", stroke(2));
    board.add("p1", stroke(3));
    expect([link.waiting.value, link.away.value]).toEqual([2, true]);
    line.back();
    expect(line.sent.map((frame) => frame.type)).toEqual(["open", "change"]);
    const copy = new BoardDocument("zhao", "student");
    copy.apply(first?.update ?? new Uint8Array());
    copy.apply(line.changes[0]?.update ?? new Uint8Array());
    expect(copy.elements("p1").size).toBe(3);
    line.say({ type: "taken", n: line.changes[0]?.n ?? 0 });
    expect(link.waiting.value).toBe(0);
  });

  it("keeps what waits over a reload of the page", () => {
    const shelf = new Shelf();
    const { line, board } = open(shelf);
    line.joined = false;
    board.add("p1", stroke());
    vi.advanceTimersByTime(500);
    expect(shelf.bytes).toBeDefined();
    const after = open(shelf);
    expect(after.board.elements("p1").size).toBe(1);
    expect(after.line.changes).toHaveLength(1);
    after.line.say({ type: "taken", n: after.line.changes[0]?.n ?? 0 });
    vi.advanceTimersByTime(500);
    expect(shelf.bytes).toBeUndefined();
  });

  it("takes the board as the node has it when a change is refused", () => {
    const { line, board, link } = open();
    board.add("p1", stroke());
    const n = line.changes[0]?.n ?? 0;
    line.say({ type: "refused", n, code: "board-read-only", sentence: "现在不能在板书上书写。" });
    expect(board.elements("p1").size).toBe(0);
    expect(link.refusal.value).toBe("现在不能在板书上书写。");
    expect(link.waiting.value).toBe(0);
    expect(line.sent.at(-1)?.type).toBe("open");
    board.add("p1", stroke());
    expect(board.elements("p1").size).toBe(1);
    expect(line.changes.at(-1)?.n).toBeGreaterThan(n);
  });

  it("sends again, and loses nothing, when it was only too fast", () => {
    const { line, board, link } = open();
    board.add("p1", stroke(1));
    board.add("p1", stroke(2));
    for (const { n } of line.changes) {
      line.say({ type: "refused", n, code: "board-too-fast", sentence: "" });
    }
    line.sent = [];
    vi.advanceTimersByTime(1100);
    expect(line.changes).toHaveLength(1);
    expect(board.elements("p1").size).toBe(2);
    line.say({ type: "taken", n: line.changes[0]?.n ?? 0 });
    expect([link.waiting.value, link.refusal.value]).toEqual([0, undefined]);
  });

  it("shows strokes that others are drawing until they are done", () => {
    const { line, link } = open();
    const other = open();
    const look = { colour: 1 as const, width: 0 as const, marker: false };
    const points = Array.from({ length: 100 }, (_, n) => ({ x: n, y: n }));
    vi.advanceTimersByTime(100);
    other.link.ink("p1", look, points.slice(0, 60));
    vi.advanceTimersByTime(100);
    other.link.ink("p1", look, points);
    const inks = other.line.sent.filter((frame) => frame.type === "ink");
    expect(inks).toHaveLength(2);
    for (const ink of inks) line.say({ ...ink, member: "zhao" });
    expect(link.live.value.get("zhao")?.points).toHaveLength(100);
    vi.advanceTimersByTime(100);
    other.link.ink("p1", look, []);
    const over = other.line.sent.at(-1);
    if (over?.type === "ink") line.say({ ...over, member: "zhao" });
    expect(link.live.value.size).toBe(0);
  });
});

describe("who may write", () => {
  it("is the same as the nodes say", () => {
    const may = (role: Parameters<typeof admits>[1], onStage: boolean) =>
      (["teacher", "stage", "classrooms", "everyone"] as const).map((writers) =>
        admits(writers, role, onStage),
      );
    expect(may("teacher", false)).toEqual([true, true, true, true]);
    expect(may("student", false)).toEqual([false, false, false, true]);
    expect(may("student", true)).toEqual([false, true, true, true]);
    expect(may("classroom", false)).toEqual([false, false, true, true]);
    expect(may("assistant", true)).toEqual([false, true, true, true]);
    expect(may("observer", true)).toEqual([false, false, false, false]);
  });
});

describe("an export", () => {
  it("is a PDF whose table says where each object begins", () => {
    const jpeg = Uint8Array.of(0xff, 0xd8, 0xff, 0xd9);
    const bytes = pdf([
      { jpeg, width: 3200, height: 1800 },
      { jpeg, width: 3200, height: 1800 },
    ]);
    const text = String.fromCharCode(...bytes);
    const table = Number(/startxref\n(\d+)/.exec(text)?.[1]);
    expect(text.slice(table, table + 4)).toBe("xref");
    const offsets = [...text.slice(table).matchAll(/^(\d{10}) 00000 n/gm)].map((m) => Number(m[1]));
    expect(offsets).toHaveLength(8);
    offsets.forEach((offset, n) => {
      expect(text.slice(offset)).toMatch(new RegExp(`^${n + 1} 0 obj`));
    });
    expect(text).toContain("/Count 2");
    expect(text).toContain("/MediaBox [0 0 842 474]");
  });
});

describe("the words", () => {
  it("are there in both languages", () => {
    const shape = (words: object): string[] =>
      Object.entries(words).flatMap(([key, value]) =>
        typeof value === "object" ? shape(value).map((rest) => `${key}.${rest}`) : [key],
      );
    expect(shape(BOTH.en)).toEqual(shape(BOTH.zh));
  });
});
