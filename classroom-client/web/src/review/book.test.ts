import { describe, expect, it } from "vitest";
import { carried, DeviceBook, readKept } from "./book.ts";

function store() {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
}

const sheet = [{ criterion: "Aims", points: 9, of: 10 }];

describe("an observer's book beside a replay", () => {
  it("keeps notes by the moment they were begun, over a reload", () => {
    const place = store();
    const book = new DeviceBook(place, "r", { notes: [] });
    book.write("看", 5000);
    book.write("看板书", 7000);
    book.note(9000);
    book.write("前面的", 1000);
    book.note(1000);
    const again = new DeviceBook(place, "r", { notes: [] });
    expect(again.notes.value.map(({ atMs, text }) => [atMs, text])).toEqual([
      [1000, "前面的"],
      [5000, "看板书"],
    ]);
    expect(new DeviceBook(place, "other", { notes: [] }).notes.value).toEqual([]);
  });

  it("takes what was noted in the lesson, once, and a sheet where there is none", () => {
    const place = store();
    const brought = { notes: [{ atMs: 1, text: "导入" }], sheet };
    new DeviceBook(place, "r", brought).fill([{ criterion: "Own", points: 1, of: 10 }]);
    const again = new DeviceBook(place, "r", brought);
    expect(again.notes.value).toHaveLength(1);
    expect(again.sheet.value?.[0]?.criterion).toBe("Own");
  });

  it("is carried in an address, and not when it is too long for one", () => {
    const kept = { notes: [{ atMs: 1, text: "导入" }], sheet };
    expect(readKept(carried(kept))).toEqual(kept);
    expect(carried({ notes: [] })).toBe("");
    const long = Array.from({ length: 40 }, (_, atMs) => ({ atMs, text: "长".repeat(900) }));
    expect(carried({ notes: long })).toBe("");
  });

  it("reads nothing of what is not its own", () => {
    for (const text of [null, "", "[]", "3", '{"notes":[[1],["x","y"],[2,""]]}']) {
      expect(readKept(text).notes).toEqual([]);
    }
  });
});
