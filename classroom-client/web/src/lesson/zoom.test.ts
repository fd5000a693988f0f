import { describe, expect, it } from "vitest";
import { MOST, panned, pinched, tapped, WHOLE, zoomedAt } from "./zoom.ts";

const box = { width: 300, height: 200 };

describe("a picture under two fingers", () => {
  it("grows around where the fingers are", () => {
    const zoom = pinched(
      WHOLE,
      [
        { x: 100, y: 100 },
        { x: 200, y: 100 },
      ],
      [
        { x: 50, y: 100 },
        { x: 250, y: 100 },
      ],
      box,
    );
    expect(zoom).toEqual({ scale: 2, x: -150, y: -100 });
  });

  it("is never smaller than its box nor larger than makes sense", () => {
    expect(zoomedAt(WHOLE, 0.2, { x: 10, y: 10 }, box)).toEqual(WHOLE);
    expect(zoomedAt(WHOLE, 99, { x: 0, y: 0 }, box).scale).toBe(MOST);
  });

  it("leaves no part of its box empty when it is moved", () => {
    const twice = zoomedAt(WHOLE, 2, { x: 150, y: 100 }, box);
    expect(panned(twice, 9999, 9999, box)).toEqual({ scale: 2, x: 0, y: 0 });
    expect(panned(twice, -9999, -9999, box)).toEqual({ scale: 2, x: -300, y: -200 });
    expect(panned(WHOLE, 50, -50, box)).toEqual(WHOLE);
  });

  it("is larger after a double tap, and whole after another", () => {
    const larger = tapped(WHOLE, { x: 0, y: 0 }, box);
    expect(larger.scale).toBe(2);
    expect(tapped(larger, { x: 40, y: 40 }, box)).toEqual(WHOLE);
  });
});
