import { describe, expect, it } from "vitest";
import { emptyState, member } from "../protocol/samples.ts";
import { mayWrite } from "./showing.tsx";

describe("who has the board's tools on a page of the class", () => {
  const student = member("wang", "student");
  const room = member("room", "classroom", "school-01");
  const may = (boardWriters: "teacher" | "stage" | "classrooms" | "everyone", stage: string[]) => {
    const state = { ...emptyState(), boardWriters, stage };
    return [mayWrite(state, student), mayWrite(state, room)];
  };

  it("is as the teacher chose", () => {
    expect(may("teacher", ["wang", "room"])).toEqual([false, false]);
    expect(may("stage", ["wang"])).toEqual([true, false]);
    expect(may("classrooms", [])).toEqual([false, true]);
    expect(may("classrooms", ["wang"])).toEqual([true, true]);
    expect(may("everyone", [])).toEqual([true, true]);
  });
});
