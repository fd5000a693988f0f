import { describe, expect, it } from "vitest";
import { cell, inOrder, table } from "./notes.ts";
import {
  defaultSheet,
  MOST_ROWS,
  readSheet,
  sameSheet,
  submittable,
  total,
  withRow,
} from "./sheet.ts";

describe("notes as a table", () => {
  it("quote what would break a line or a cell", () => {
    expect(cell('他说"好", 然后')).toBe('"他说""好"", 然后"');
    expect(cell("two\nlines")).toBe('"two\nlines"');
    expect(cell("plain")).toBe("plain");
  });

  it("never become a formula", () => {
    expect(cell("=1+1")).toBe("'=1+1");
    expect(cell("@SUM(A1)")).toBe("'@SUM(A1)");
    expect(cell('-1,"x"')).toBe('"\'-1,""x"""');
  });

  it("say that they are UTF-8 and end each line as spreadsheets want it", () => {
    expect(
      table([
        ["时间", "记录"],
        ["03:12", "a"],
      ]),
    ).toBe("\ufeff时间,记录\r\n03:12,a\r\n");
  });

  it("are in the order of the lesson", () => {
    const notes = [
      { atMs: 2, text: "b" },
      { atMs: 1, text: "a" },
    ];
    expect(inOrder(notes).map(({ text }) => text)).toEqual(["a", "b"]);
    expect(notes[0]?.text).toBe("b");
  });
});

describe("a scoring sheet", () => {
  const sheet = defaultSheet({ aims: "目标", result: "效果" });

  it("begins with every criterion, no points given", () => {
    expect(sheet).toHaveLength(2);
    expect(total(sheet)).toEqual({ points: 0, of: 20 });
  });

  it("gives no more points than there are, and no fewer than none", () => {
    expect(withRow(sheet, 0, { points: 12 })[0]?.points).toBe(10);
    expect(withRow(sheet, 0, { points: -3 })[0]?.points).toBe(0);
    expect(withRow(sheet, 0, { points: Number.NaN })[0]?.points).toBe(0);
    const smaller = withRow(withRow(sheet, 0, { points: 9 }), 0, { of: 5 });
    expect(smaller[0]).toEqual({ criterion: "目标", points: 5, of: 5 });
    expect(withRow(sheet, 1, { of: 0 })[1]?.of).toBe(1);
  });

  it("is the same as another with the same lines, however they are written", () => {
    expect(sameSheet(sheet, [{ of: 10, points: 0, criterion: "目标" }, ...sheet.slice(1)])).toBe(
      true,
    );
    expect(sameSheet(sheet, withRow(sheet, 0, { points: 1 }))).toBe(false);
    expect(sameSheet(sheet, sheet.slice(1))).toBe(false);
  });

  it("is submitted without lines that say nothing", () => {
    expect(submittable([...sheet, { criterion: "  ", points: 1, of: 5 }])).toEqual(sheet);
  });

  it("is kept, and read with care", () => {
    expect(readSheet(JSON.stringify(sheet))).toEqual(sheet);
    expect(readSheet('[{"criterion":1},null,{"criterion":"x","points":1,"of":2}]')).toEqual([
      { criterion: "x", points: 1, of: 2 },
    ]);
    for (const text of [null, "", "{}", "{"]) expect(readSheet(text)).toBeUndefined();
    const long = JSON.stringify(Array.from({ length: 99 }, () => sheet[0]));
    expect(readSheet(long)).toHaveLength(MOST_ROWS);
  });
});
