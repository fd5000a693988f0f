import { describe, expect, it } from "vitest";
import { countOf, MOST_NAMES, Roster, readNames } from "./roster.ts";

describe("a roster", () => {
  it("is one name a line, numbered", () => {
    expect(readNames(" 小明 \n\n小 红\r\n", [])).toEqual([
      { id: "1", name: "小明" },
      { id: "2", name: "小 红" },
    ]);
  });

  it("keeps the numbers of who stays, and gives none twice", () => {
    const before = readNames("a\nb\nc", []);
    expect(readNames("c\nd\na", before)).toEqual([
      { id: "3", name: "c" },
      { id: "4", name: "d" },
      { id: "1", name: "a" },
    ]);
  });

  it("takes two of one name for two", () => {
    const twins = readNames("李\n李", []);
    expect(twins.map(({ id }) => id)).toEqual(["1", "2"]);
    expect(readNames("李\n李", twins)).toEqual(twins);
  });

  it("is no longer than can be reported", () => {
    const typed = Array.from({ length: 500 }, (_, i) => `n${i}`).join("\n");
    expect(readNames(typed, [])).toHaveLength(MOST_NAMES);
  });

  it("is kept for its class alone, and read with care", () => {
    const kept = new Map<string, string>();
    const store = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
    const roster = new Roster(store, "school-01", "301");
    roster.save(readNames("a", []));
    expect(roster.load()).toEqual([{ id: "1", name: "a" }]);
    expect(new Roster(store, "school-01", "302").load()).toEqual([]);
    for (const key of kept.keys()) kept.set(key, '[{"id":1},{"id":"2","name":"b"},5]');
    expect(roster.load()).toEqual([{ id: "2", name: "b" }]);
    for (const key of kept.keys()) kept.set(key, "{");
    expect(roster.load()).toEqual([]);
    roster.save([]);
    expect(kept.size).toBe(0);
  });
});

describe("a count", () => {
  it("stays within what a classroom can be", () => {
    expect(countOf("３８")).toBe(38);
    expect(countOf(-1)).toBe(0);
    expect(countOf("x")).toBe(0);
    expect(countOf(9999)).toBe(200);
  });
});
