import { describe, expect, it } from "vitest";
import type { Layout } from "../protocol/interactions.ts";
import { emptyState, member } from "../protocol/samples.ts";
import type { LessonState, TrackId } from "../protocol/words.ts";
import { MOST_IN_GRID, sceneOf } from "./scene.ts";

const MEMBERS = [
  member("li", "teacher"),
  member("r1", "classroom", "school-01"),
  member("r2", "classroom", "school-02"),
  member("wang", "student"),
];

function lesson(layout: Layout, tracks: TrackId[], more: Partial<LessonState> = {}): LessonState {
  return {
    ...emptyState(),
    members: Object.fromEntries(MEMBERS.map((one) => [one.id, one])),
    tracks: Object.fromEntries(
      tracks.map((track) => [track, { track, codec: "h264", node: "campus" }]),
    ),
    view: { layout, auto: false },
    ...more,
  };
}

const deck = { id: "d", title: "t", pages: [{ asset: "a", width: 4, height: 3 }] };
const slides = { deck, page: 1 } as unknown as NonNullable<LessonState["slides"]>;
const faces: TrackId[] = ["li/camera", "r1/camera", "r2/camera", "wang/camera"];

describe("what a class sees by itself", () => {
  it("is a shared screen, else slides, else the teacher", () => {
    const all = [...faces, "li/screen"] as TrackId[];
    expect(sceneOf(lesson("auto", all, { slides }), "r1")).toEqual({
      big: { show: "screen", member: "li" },
      beside: ["li"],
    });
    expect(sceneOf(lesson("auto", faces, { slides }), "r1").big).toEqual({ show: "slides" });
    expect(sceneOf(lesson("auto", faces), "r1")).toEqual({
      big: { show: "camera", member: "li" },
      beside: [],
    });
    expect(sceneOf(lesson("auto", []), "r1").big).toEqual({ show: "nobody" });
  });

  it("has who is on stage beside it, never itself", () => {
    expect(sceneOf(lesson("auto", faces, { stage: ["r1", "wang"] }), "r1").beside).toEqual([
      "wang",
    ]);
  });
});

describe("what is directed", () => {
  it("is shown", () => {
    const at = (layout: Layout, more: Partial<LessonState> = {}) =>
      sceneOf(lesson(layout, faces, { slides, ...more }), "r1");
    expect(at("teacher").big).toEqual({ show: "camera", member: "li" });
    expect(at("slides")).toEqual({ big: { show: "slides" }, beside: [] });
    expect(at("slides-teacher")).toEqual({ big: { show: "slides" }, beside: ["li"] });
    expect(at("board")).toEqual({ big: { show: "board" }, beside: ["li"] });
    expect(at("grid")).toEqual({ big: { show: "grid", members: ["r2"] }, beside: ["li"] });
    expect(at("stage", { stage: ["wang", "r2"] })).toEqual({
      big: { show: "camera", member: "wang" },
      beside: ["li", "r2"],
    });
    const focused = {
      stage: ["wang"],
      view: { layout: "stage", focus: "r2", auto: true },
    } as const;
    expect(at("stage", { ...focused, stage: ["wang"] }).big).toEqual({
      show: "camera",
      member: "r2",
    });
  });

  it("gives way to what is there when it is not", () => {
    const there = { show: "camera", member: "li" };
    for (const layout of ["slides", "screen", "stage"] as const) {
      expect(sceneOf(lesson(layout, ["li/camera"]), "r1").big, layout).toEqual(there);
    }
    expect(sceneOf(lesson("grid", ["li/camera"]), "r1").big).toEqual(there);
  });

  it("shows no more schools than can be told apart", () => {
    const rooms = Array.from({ length: 40 }, (_, i) => member(`x${10 + i}`, "classroom"));
    const state: LessonState = {
      ...lesson(
        "grid",
        rooms.map(({ id }): TrackId => `${id}/camera`),
      ),
      members: Object.fromEntries(rooms.map((one) => [one.id, one])),
    };
    const { big } = sceneOf(state, "wang");
    expect(big.show === "grid" && big.members).toHaveLength(MOST_IN_GRID);
  });
});
