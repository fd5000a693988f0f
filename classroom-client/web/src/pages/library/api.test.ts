import { expect, it } from "vitest";
import { chapterAt } from "./api.ts";

it("the chapter that runs is the last that has begun", () => {
  const chapters = [
    { startMs: 1000, title: "a" },
    { startMs: 5000, title: "b" },
  ];
  expect([0, 1000, 4999, 9000].map((ms) => chapterAt(chapters, ms))).toEqual([-1, 0, 0, 1]);
});
