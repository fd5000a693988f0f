import { describe, expect, it } from "vitest";
import { headCount } from "./attendance.tsx";

const pupils = [
  { id: "1", name: "a" },
  { id: "2", name: "b" },
  { id: "7", name: "c" },
];

describe("what is reported of a class", () => {
  it("is who is ticked on the list, by number and never by name", () => {
    const command = headCount(3, 3, pupils, new Set(["7", "1", "9"]));
    expect(command).toEqual({
      do: "count-roll-call",
      present: 2,
      expected: 3,
      ticked: ["1", "7"],
    });
  });

  it("is what was counted where nothing is ticked", () => {
    expect(headCount(38, 40, pupils, new Set())).toEqual({
      do: "count-roll-call",
      present: 38,
      expected: 40,
    });
    expect(headCount(38, 0, [], new Set())).toEqual({ do: "count-roll-call", present: 38 });
  });
});
