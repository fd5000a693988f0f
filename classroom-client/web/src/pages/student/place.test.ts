import { describe, expect, it } from "vitest";
import { moved, readPlace, START } from "./place.ts";

describe("a tile on the page", () => {
  it("never leaves it", () => {
    expect(moved(START, 0.5, -1)).toEqual({ x: 1, y: 0 });
    expect(moved({ x: 0.2, y: 0.5 }, -0.1, 0.25)).toEqual({ x: 0.1, y: 0.75 });
  });

  it("is found again where it was put, and nowhere else", () => {
    expect(readPlace('{"x":0.25,"y":0.5}')).toEqual({ x: 0.25, y: 0.5 });
    expect(readPlace('{"x":9,"y":-1}')).toEqual({ x: 1, y: 0 });
    for (const text of [null, "", "null", "[]", '{"x":"a","y":1}']) {
      expect(readPlace(text)).toBeUndefined();
    }
  });
});
