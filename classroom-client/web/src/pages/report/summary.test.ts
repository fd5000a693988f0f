import { describe, expect, it } from "vitest";
import { runsOf } from "./summary.ts";

describe("an S–T sequence", () => {
  it("is drawn by runs", () => {
    expect(runsOf("TTSTTT")).toEqual([
      { letter: "T", from: 0, length: 2 },
      { letter: "S", from: 2, length: 1 },
      { letter: "T", from: 3, length: 3 },
    ]);
    expect(runsOf("")).toEqual([]);
  });
});
