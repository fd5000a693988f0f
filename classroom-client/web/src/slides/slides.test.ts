import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HttpProblem } from "../http/problem.ts";
import type { RenderedPage } from "./pdf.ts";
import { PointerTeller, RANGE, spotOf } from "./pointer.tsx";
import { clipBytes, MAX_PAGE_TEXT, readText, textAsset, tidy, titleOf } from "./text.ts";
import { DeckUpload, MAX_PAGES, MAX_TITLE, type Means, type UploadState } from "./upload.ts";

const file = (name: string) => new File(["%PDF-1.7"], name);

/** A file of pages that are text, and a node that keeps what it is given. */
class Desk implements Means {
  kept: string[] = [];
  rendered: number[] = [];
  closed = 0;
  refuse: ((body: string) => Error | undefined) | undefined;
  gate: Promise<void> | undefined;

  constructor(
    readonly texts: readonly string[],
    readonly error?: Error,
  ) {}

  async open() {
    if (this.error) throw this.error;
    return {
      count: this.texts.length,
      render: async (number: number): Promise<RenderedPage> => {
        await this.gate;
        this.rendered.push(number);
        const text = this.texts[number - 1] ?? "";
        const full = new Blob([`full ${number} `.repeat(10)]);
        return { full, small: new Blob([`small ${number}`]), width: 1920, height: 1080, text };
      },
      close: () => {
        this.closed += 1;
      },
    };
  }

  async put(blob: Blob) {
    const body = await blob.text();
    const error = this.refuse?.(body);
    if (error) throw error;
    this.kept.push(body);
    return `id of ${body.slice(0, 8).trim()}`;
  }

  async wait() {}
}

async function ends(upload: DeckUpload): Promise<UploadState> {
  const on = new Set(["reading", "working"]);
  return vi.waitFor(() => {
    const state = upload.state.value;
    if (on.has(state.at)) throw new Error(`still ${state.at}`);
    return state;
  });
}

describe("a file that becomes slides", () => {
  it("is handed up page by page, with its text, and then a deck", async () => {
    const desk = new Desk(["抛物线", ""]);
    const upload = new DeckUpload(file("二次函数.PDF"), desk);
    const state = await ends(upload);
    if (state.at !== "done") throw new Error(state.at);
    expect(state.deck.title).toBe("二次函数");
    expect(state.deck.pages).toEqual([
      { asset: "id of full 1 f", small: "id of small 1", width: 1920, height: 1080 },
      { asset: "id of full 2 f", small: "id of small 2", width: 1920, height: 1080 },
    ]);
    expect(JSON.parse(desk.kept.at(-1) ?? "")).toEqual({
      cloudschool: "deck-text/1",
      pages: ["抛物线", ""],
    });
    expect(state.deck.text).toBeDefined();
    expect(desk.closed).toBe(1);
  });

  it("has no text asset where there is no text", async () => {
    const desk = new Desk(["", " "]);
    const state = await ends(new DeckUpload(file("scan.pdf"), desk));
    if (state.at !== "done") throw new Error(state.at);
    expect(state.deck.text).toBeUndefined();
    expect(desk.kept).toHaveLength(4);
  });

  it("tries a page that failed again by itself, and goes on from it when asked", async () => {
    const desk = new Desk(["a", "b", "c"]);
    let failures = 5;
    desk.refuse = (body) =>
      body.startsWith("full 2") && failures-- > 0 ? new TypeError("Failed to fetch") : undefined;
    const upload = new DeckUpload(file("a.pdf"), desk);
    expect(await ends(upload)).toEqual({ at: "failed", page: 2, done: 1, of: 3 });
    upload.resume();
    await vi.waitFor(() => expect(upload.state.value.at).toBe("done"));
    expect(desk.rendered).toEqual([1, 2, 2, 3]);
    expect(desk.kept.filter((body) => body.startsWith("full 1"))).toHaveLength(1);
  });

  it("says the node's reason and does not insist where insisting is of no use", async () => {
    const desk = new Desk(["a"]);
    let asked = 0;
    desk.refuse = () => {
      asked += 1;
      return new HttpProblem(413, "这个文件太大。");
    };
    const state = await ends(new DeckUpload(file("a.pdf"), desk));
    expect(state).toEqual({ at: "failed", page: 1, done: 0, of: 1, why: "这个文件太大。" });
    expect(asked).toBe(1);
  });

  it("stops when it is cancelled, and makes no deck", async () => {
    const desk = new Desk(["a", "b"]);
    let go = () => {};
    desk.gate = new Promise((open) => {
      go = open;
    });
    const upload = new DeckUpload(file("a.pdf"), desk);
    await vi.waitFor(() => expect(upload.state.value.at).toBe("working"));
    upload.cancel();
    go();
    await vi.waitFor(() => expect(desk.closed).toBe(1));
    expect(upload.state.value).toEqual({ at: "cancelled" });
    expect(desk.rendered.length).toBeLessThan(2);
  });

  it("is refused with its reason when it is none, locked or too long", async () => {
    const of = async (desk: Desk) => ends(new DeckUpload(file("a.pdf"), desk));
    const locked = Object.assign(new Error("locked"), { why: "locked" });
    expect(await of(new Desk([], new Error("?")))).toEqual({ at: "unreadable", why: "not-pdf" });
    expect(await of(new Desk([], locked))).toEqual({ at: "unreadable", why: "locked" });
    const long = new Desk(Array.from({ length: MAX_PAGES + 1 }, () => ""));
    expect(await of(long)).toEqual({ at: "unreadable", why: "too-many-pages" });
    const upload = new DeckUpload(file(`${"长".repeat(300)}.pdf`), new Desk([""]));
    expect([...upload.title]).toHaveLength(MAX_TITLE);
  });
});

describe("a page's text", () => {
  it("is cut at a whole character and has no line breaks", async () => {
    expect(clipBytes("课件", 4)).toBe("课");
    expect(clipBytes("课件", 6)).toBe("课件");
    expect(clipBytes("a😀", 4)).toBe("a");
    expect(tidy(" 抛物\n\t线\u0000 y = x² ")).toBe("抛物 线 y = x²");
    expect(titleOf(["  ", "二次函数", "y"])).toBe("二次函数");
    expect(titleOf(["", " "])).toBeUndefined();
    const asset = await textAsset(["课".repeat(3000)]).text();
    const [page] = readText(JSON.parse(asset));
    expect(new TextEncoder().encode(page).length).toBeLessThanOrEqual(MAX_PAGE_TEXT);
    expect(asset.startsWith('{"cloudschool":"deck-text/1",')).toBe(true);
  });

  it("is none when the asset is something else", () => {
    for (const other of [null, 1, [], { pages: ["a"] }, { cloudschool: "deck-text/1" }]) {
      expect(readText(other)).toEqual([]);
    }
  });
});

describe("the teacher's pointer", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is where it is on the page, whatever the page's size here", () => {
    const page = { left: 100, top: 50, width: 400, height: 200 };
    expect(spotOf({ clientX: 300, clientY: 150 }, page)).toEqual({ x: RANGE / 2, y: RANGE / 2 });
    expect(spotOf({ clientX: 99, clientY: 150 }, page)).toBeUndefined();
    expect(spotOf({ clientX: 300, clientY: 251 }, page)).toBeUndefined();
    expect(spotOf({ clientX: 300, clientY: 150 }, { ...page, width: 0 })).toBeUndefined();
  });

  it("is told of ten times a second at most, and of its last move always", () => {
    const told: unknown[] = [];
    const teller = new PointerTeller((at) => told.push(at?.x));
    for (let x = 0; x <= 50; x += 1) teller.move({ x, y: 0 });
    expect(told).toEqual([0]);
    vi.advanceTimersByTime(100);
    expect(told).toEqual([0, 50]);
    vi.advanceTimersByTime(1000);
    expect(told).toEqual([0, 50]);
    teller.move(undefined);
    expect(told).toEqual([0, 50, undefined]);
  });
});
