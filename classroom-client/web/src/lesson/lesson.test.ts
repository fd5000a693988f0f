import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Shown } from "../media/slots.ts";
import { emptyState, member } from "../protocol/samples.ts";
import { type LessonState, type TrackId, VOICES } from "../protocol/words.ts";
import { fragmentOf, holderOf, lessonOf, pageOfRole, readEntry, withToken } from "./entry.ts";
import { wantedByClass, wantedByTeacher } from "./wanted.ts";

describe("an address", () => {
  it("names the lesson in its path", () => {
    expect(lessonOf("/teacher/math-302")).toBe("math-302");
    expect(lessonOf("/teacher/")).toBe("");
    expect(lessonOf("/library")).toBe("");
    expect(lessonOf("/teacher/%E0%A4%A")).toBe("");
  });

  it("gets the token into its fragment, beside what is there", () => {
    vi.stubGlobal("location", new URL("http://campus/student/math"));
    expect(withToken("/library?recording=r#lesson=math", { token: "a.b-c" })).toBe(
      "http://campus/library?recording=r#lesson=math&token=a.b-c",
    );
    expect(fragmentOf("#token=a.b-c&lang=en").get("lang")).toBe("en");
    vi.unstubAllGlobals();
  });

  it("belongs to a role", () => {
    expect(pageOfRole("teacher")).toBe("teacher");
    expect(pageOfRole("classroom")).toBe("classroom");
    expect(pageOfRole("observer")).toBe("observer");
    expect(pageOfRole("operator")).toBe("student");
  });
});

describe("entering", () => {
  let replaced: string[];
  const visit = (address: string) => vi.stubGlobal("location", new URL(address));

  beforeEach(() => {
    replaced = [];
    const kept = new Map<string, string>();
    vi.stubGlobal("sessionStorage", {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => kept.set(key, value),
    });
    vi.stubGlobal("history", {
      replaceState: (_state: unknown, _title: string, url: string) => replaced.push(url),
    });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it("takes the token out of sight and keeps it for a reload of this page alone", () => {
    visit("http://campus/teacher/math#token=t&lang=en");
    expect(readEntry()).toEqual({ lesson: "math", token: "t", lang: "en" });
    expect(replaced).toEqual(["/teacher/math#lang=en"]);
    visit("http://campus/teacher/math#lang=en");
    expect(readEntry().token).toBe("t");
    visit("http://campus/student/math");
    expect(readEntry().token).toBe("");
  });
});

describe("what is watched", () => {
  function state(stage: string[], muted: string[], ...tracks: TrackId[]): LessonState {
    const members = [
      member("li", "teacher"),
      member("room", "classroom", "school-01"),
      member("other", "classroom", "school-02"),
      member("wang", "student"),
    ];
    return {
      ...emptyState(),
      stage,
      muted,
      members: Object.fromEntries(members.map((one) => [one.id, one])),
      tracks: Object.fromEntries(
        tracks.map((track) => [track, { track, codec: "h264", node: "campus" }]),
      ),
    };
  }
  const all: TrackId[] = [
    "li/camera",
    "li/microphone",
    "li/screen",
    "li/screen-audio",
    "room/camera",
    "room/microphone",
    "other/camera",
    "other/microphone",
    "wang/camera",
    "wang/microphone",
  ];
  const sorted = (tracks: Shown[]) => [...tracks].sort();

  it("by the teacher: the classrooms, and who is on stage", () => {
    expect(sorted(wantedByTeacher(state([], [], ...all), "li"))).toEqual([
      ...VOICES,
      "other/camera",
      "room/camera",
    ]);
    const stage = wantedByTeacher(state(["wang", "room"], ["other"], ...all), "li");
    expect(sorted(stage)).toEqual([...VOICES, "other/camera", "room/camera", "wang/camera"]);
  });

  it("by a teacher of many: no more than fit, those with a hand up first", () => {
    const rooms = Array.from({ length: 30 }, (_, i) => member(`r${10 + i}`, "classroom"));
    const many: LessonState = {
      ...state([], []),
      members: Object.fromEntries(rooms.map((one) => [one.id, one])),
      tracks: Object.fromEntries(
        rooms.flatMap(({ id }) =>
          (["camera", "microphone"] as const).map((source) => {
            const track: TrackId = `${id}/${source}`;
            return [track, { track, codec: "opus" as const, node: "campus" }];
          }),
        ),
      ),
      hands: [{ member: "r39", atMs: 1 }],
    };
    const wanted = wantedByTeacher(many, "li");
    expect(wanted.filter((track) => track.endsWith("/camera"))).toHaveLength(12);
    expect(wanted.filter((track) => !track.endsWith("/camera"))).toEqual(VOICES);
    expect(wanted).toContain("r39/camera");
  });

  it("by a class: the teacher, the stage and the loudest, never itself", () => {
    expect(sorted(wantedByClass(state([], [], ...all), "room", "all"))).toEqual([
      "li/camera",
      "li/microphone",
      "li/screen",
      "li/screen-audio",
      ...VOICES,
    ]);
    const stage = wantedByClass(state(["room", "other"], ["other"], ...all), "room", "all");
    expect(stage).toContain("other/camera");
    expect(stage).not.toContain("other/microphone");
    expect(stage.some((track) => track.startsWith("room/"))).toBe(false);
  });

  it("without a voice of the class while only oneself, the teacher and the muted have one", () => {
    const own = state([], ["other"], "li/microphone", "wang/microphone", "other/microphone");
    expect(wantedByClass(own, "wang", "none")).toEqual(["li/microphone"]);
    expect(wantedByClass(own, "room", "none")).toEqual(["li/microphone", ...VOICES]);
    expect(wantedByTeacher(own, "li")).toEqual(VOICES);
  });

  it("with sound only: no picture", () => {
    expect(wantedByClass(state(["other"], [], ...all), "wang", "none")).toEqual([
      "li/microphone",
      "li/screen-audio",
      ...VOICES,
    ]);
  });

  it("by who saves data: the large picture alone", () => {
    expect(wantedByClass(state(["other"], [], ...all), "wang", "one")).toEqual([
      "li/microphone",
      "li/screen-audio",
      ...VOICES,
      "li/screen",
    ]);
  });

  it("in a group: the group, and the teacher unless with another", () => {
    const groups = [
      { id: "g1", name: "1", members: ["wang", "room"] },
      { id: "g2", name: "2", members: ["other"] },
    ];
    const grouped = { ...state([], [], ...all), groups: { groups, visiting: {} } };
    const heard = wantedByClass(grouped, "wang", "none");
    expect(heard).toEqual(["li/microphone", "li/screen-audio", "room/microphone"]);
    expect(wantedByClass(grouped, "wang", "all")).toContain("room/camera");
    const elsewhere = { ...grouped, groups: { groups, visiting: { li: "g2" } } };
    expect(wantedByClass(elsewhere, "wang", "none")).toEqual(["room/microphone"]);
    expect(wantedByClass(elsewhere, "other", "none")).toContain("li/microphone");
  });

  it("is only what is published", () => {
    expect(wantedByClass(state([], [], "li/camera"), "wang", "all")).toEqual(["li/camera"]);
  });
});

describe("a token", () => {
  const token = (claims: object) =>
    `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;

  it("says who holds it", () => {
    expect(holderOf(token({ sub: "ops", role: "operator", name: "运维" }))).toEqual({
      member: "ops",
      role: "operator",
    });
    expect(holderOf(token({ role: "classroom", lesson: "m" }))).toEqual({
      member: "",
      role: "classroom",
      lesson: "m",
    });
  });

  it("that is none says nothing", () => {
    for (const bad of ["", "a.b.c", token({}), "x.bnVsbA.y"]) expect(holderOf(bad)).toBeUndefined();
  });
});
