import { describe, expect, it, vi } from "vitest";
import { HttpProblem } from "../http/problem.ts";
import type { Score } from "../protocol/interactions.ts";
import { type KeptBook, type KeptNote, ReplayBook, type Shelf } from "./replay.ts";

function store() {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
}

/** A library that may be away, or refuse. */
class Library implements Shelf {
  notes: KeptNote[] = [];
  scores: Score[] | undefined;
  fails: Error | undefined;

  async read(): Promise<KeptBook> {
    if (this.fails) throw this.fails;
    return { notes: [...this.notes], ...(this.scores ? { sheet: this.scores } : {}) };
  }

  async note(note: KeptNote): Promise<void> {
    if (this.fails) throw this.fails;
    this.notes = [...this.notes.filter(({ id }) => id !== note.id), note];
  }

  async sheet(sheet: Score[]): Promise<void> {
    if (this.fails) throw this.fails;
    this.scores = sheet;
  }
}

const sheet = [{ criterion: "Aims", points: 9, of: 10 }];
const told = (book: ReplayBook) => book.notes.value.map(({ text, waits }) => [text, waits]);

describe("an observer's book beside a replay", () => {
  it("has what was noted in the lesson, and is seen again from another browser", async () => {
    const library = new Library();
    library.notes = [{ id: "live", atMs: 5_000, text: "导入" }];
    const book = new ReplayBook(store(), "r", library, () => undefined);
    book.write("看", 1_000);
    book.write("看板书", 7_000);
    book.note(9_000);
    book.submit(sheet);
    await vi.waitFor(() => expect(book.submitted.value).toEqual(sheet));
    expect(told(book)).toEqual([
      ["看板书", false],
      ["导入", false],
    ]);
    expect(library.notes[1]?.id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    const elsewhere = new ReplayBook(store(), "r", library, () => undefined);
    await vi.waitFor(() => expect(elsewhere.submitted.value).toEqual(sheet));
    expect(elsewhere.notes.value.map(({ atMs, text }) => [atMs, text])).toEqual([
      [1_000, "看板书"],
      [5_000, "导入"],
    ]);
  });

  it("keeps what the library has not taken over a reload, and sends it when it is back", async () => {
    vi.useFakeTimers();
    try {
      const [library, place] = [new Library(), store()];
      library.fails = new TypeError("no line");
      const book = new ReplayBook(place, "r", library, () => undefined);
      book.write("等一等", 3_000);
      book.note(3_000);
      book.fill(sheet);
      book.submit(sheet);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(told(book)).toEqual([["等一等", true]]);
      book.close();
      const again = new ReplayBook(place, "r", library, () => undefined);
      expect(told(again)).toEqual([["等一等", true]]);
      expect([again.sheetWaits.value, again.sheet.value]).toEqual([true, sheet]);
      library.fails = undefined;
      await vi.advanceTimersByTimeAsync(20_000);
      expect(told(again)).toEqual([["等一等", false]]);
      expect([again.sheetWaits.value, again.submitted.value]).toEqual([false, sheet]);
      expect(library.notes).toHaveLength(1);
      again.fill(undefined);
      expect(place.kept.size).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it("says what is refused for good, and goes on with the next", async () => {
    const [library, said] = [new Library(), [] as string[]];
    const book = new ReplayBook(store(), "r", library, (sentence) => said.push(sentence));
    await vi.waitFor(() => expect(library.notes).toEqual([]));
    library.note = async () => {
      throw new HttpProblem(507, "一个录像最多记 500 条。");
    };
    book.write("太多", 1);
    book.note(1);
    book.submit(sheet);
    await vi.waitFor(() => expect(book.submitted.value).toEqual(sheet));
    expect(said).toEqual(["一个录像最多记 500 条。"]);
    expect(told(book)).toEqual([]);
  });

  it("reads nothing of what is not its own", () => {
    for (const text of ["", "[]", "3", '{"notes":[[1],{"id":3},null],"sheet":7}']) {
      const place = store();
      place.setItem("cloudschool.review:r", text);
      const book = new ReplayBook(place, "r", new Library(), () => undefined);
      expect([book.notes.value, book.sheet.value]).toEqual([[], undefined]);
      book.close();
    }
  });
});
