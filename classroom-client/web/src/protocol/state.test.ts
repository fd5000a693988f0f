import { describe, expect, it } from "vitest";
import { emptyState, event, info, member } from "./samples.ts";
import { applyEvent, membersOf, teacherOf } from "./state.ts";
import type { EventBody, LessonEvent, LessonState } from "./words.ts";

function lessonWith(...bodies: EventBody[]): LessonState {
  let state = emptyState();
  for (const body of bodies) {
    state = applyEvent(state, event(state.seq + 1, body));
  }
  return state;
}

const li = member("li", "teacher");
const room = member("room", "classroom", "school-01");
const wang = member("wang", "student");
const joined = [li, room, wang].map((one): EventBody => ({ type: "member.joined", member: one }));

describe("a lesson's state", () => {
  it("goes from open over live to archived", () => {
    const opened = lessonWith({ type: "lesson.opened", info: { ...info, title: "新课" } });
    expect(opened).toMatchObject({ phase: "open", seq: 1, info: { title: "新课" } });
    const live = lessonWith(...joined, { type: "lesson.started", by: "li", session: "s" });
    expect(live).toMatchObject({ phase: "live", session: "s", startedMs: 4000 });
    const ended = lessonWith(
      ...joined,
      { type: "lesson.started", by: "li", session: "s" },
      { type: "hand.raised", member: "wang" },
      { type: "stage.called", member: "room", by: "li" },
      { type: "lesson.ended", by: "li" },
    );
    expect(ended).toMatchObject({ phase: "ended", endedMs: 7000, hands: [], stage: [] });
    const archived = applyEvent(
      ended,
      event(8, { type: "lesson.archived", recording: "http://r/library", durationMs: 1 }),
    );
    expect(archived).toMatchObject({ phase: "archived", recording: "http://r/library" });
  });

  it("keeps who was taken out until it is let in, and whether the door is locked", () => {
    const out = { member: "wang", name: "wang", school: "campus", by: "li" };
    const state = lessonWith(
      ...joined,
      { type: "member.left", member: "wang", reason: "removed" },
      { type: "member.removed", ...out },
      { type: "lesson.locked", locked: true, by: "li" },
    );
    expect(state.members).not.toHaveProperty("wang");
    expect(state.removed).toEqual({
      wang: { name: "wang", school: "campus", by: "li", atMs: 5000 },
    });
    expect(state.locked).toBe(true);
    const again = [
      event(7, { type: "member.let-in", member: "wang", by: "li" }),
      event(8, { type: "lesson.locked", locked: false, by: "li" }),
    ].reduce(applyEvent, state);
    expect(again).toMatchObject({ removed: {}, locked: false });
  });

  it("puts a hand it hears of late where it has waited, and none up after the end", () => {
    const state = lessonWith(...joined, { type: "hand.raised", member: "room" });
    const late = event(5, { type: "hand.raised", member: "wang" }, 3500);
    const hands = [
      { member: "wang", atMs: 3500 },
      { member: "room", atMs: 4000 },
    ];
    expect(applyEvent(state, late)).toMatchObject({ hands });
    const ended = lessonWith(...joined, { type: "lesson.ended", by: "li" });
    expect(applyEvent(ended, late)).toMatchObject({ seq: 5, hands: [] });
    const called = event(5, { type: "stage.called", member: "wang", by: "li" });
    expect(applyEvent(ended, called)).toMatchObject({ seq: 5, stage: [] });
  });

  it("keeps hands in the order they went up, and a call takes one down", () => {
    const state = lessonWith(
      ...joined,
      { type: "hand.raised", member: "room" },
      { type: "hand.raised", member: "wang" },
    );
    expect(state.hands).toEqual([
      { member: "room", atMs: 4000 },
      { member: "wang", atMs: 5000 },
    ]);
    const called = applyEvent(state, event(6, { type: "stage.called", member: "room", by: "li" }));
    expect(called).toMatchObject({ hands: [{ member: "wang" }], stage: ["room"] });
    const again = applyEvent(called, event(7, { type: "stage.called", member: "room", by: "li" }));
    expect(again).toMatchObject({ stage: ["room"] });
    const left = applyEvent(again, event(8, { type: "stage.left", member: "room", by: "li" }));
    expect(left).toMatchObject({ stage: [] });
    const lowered = applyEvent(
      left,
      event(9, { type: "hand.lowered", member: "wang", by: "wang" }),
    );
    expect(lowered).toMatchObject({ hands: [] });
  });

  it("forgets all of a member that left, but not that it was muted", () => {
    const state = lessonWith(
      ...joined,
      { type: "track.published", track: "room/camera", codec: "h264", node: "school-01" },
      { type: "track.published", track: "li/camera", codec: "h264", node: "campus" },
      { type: "hand.raised", member: "room" },
      { type: "stage.called", member: "room", by: "li" },
      { type: "member.muted", member: "room", muted: true, by: "li" },
      { type: "member.left", member: "room", reason: "lost" },
    );
    expect(Object.keys(state.members)).toEqual(["li", "wang"]);
    expect(state).toMatchObject({ hands: [], stage: [], muted: ["room"] });
    expect(Object.keys(state.tracks)).toEqual(["li/camera"]);
  });

  it("follows tracks and microphones closed and reopened", () => {
    const state = lessonWith(
      { type: "track.published", track: "li/camera", codec: "vp8", node: "campus" },
      { type: "track.unpublished", track: "li/camera" },
      { type: "member.muted", member: "room", muted: true, by: "li" },
      { type: "member.muted", member: "room", muted: true, by: "li" },
    );
    expect(state.tracks).toEqual({});
    expect(state.muted).toEqual(["room"]);
    const open = applyEvent(
      state,
      event(5, { type: "member.muted", member: "room", muted: false, by: "li" }),
    );
    expect(open).toMatchObject({ muted: [] });
  });

  it("takes a replay, numbers that skip, and counts events it does not know", () => {
    const state = lessonWith(...joined);
    expect(applyEvent(state, event(2, { type: "hand.raised", member: "wang" }))).toBe(state);
    expect(applyEvent(state, event(9, { type: "hand.raised", member: "wang" }))).toMatchObject({
      seq: 9,
      hands: [{ member: "wang" }],
    });
    const unknown = { ...event(4, { type: "lesson.ended", by: "li" }), type: "moon.seen" };
    expect(applyEvent(state, unknown as unknown as LessonEvent)).toEqual({ ...state, seq: 4 });
  });

  it("is never changed in place", () => {
    const state = lessonWith(...joined);
    const before = structuredClone(state);
    applyEvent(state, event(4, { type: "member.left", member: "wang", reason: "left" }));
    expect(state).toEqual(before);
  });

  it("finds the teacher, and members of a role by school", () => {
    const state = lessonWith(...joined, {
      type: "member.joined",
      member: member("a-room", "classroom", "school-02"),
    });
    expect(teacherOf(state)?.id).toBe("li");
    expect(membersOf(state, "classroom").map((one) => one.id)).toEqual(["room", "a-room"]);
  });
});
