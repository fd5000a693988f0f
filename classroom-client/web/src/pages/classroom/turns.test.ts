import { describe, expect, it } from "vitest";
import type { Quiz } from "../../protocol/interactions.ts";
import { emptyState, member } from "../../protocol/samples.ts";
import type { LessonState } from "../../protocol/words.ts";
import { nextItem, RESULT_MS, turnOf } from "./turns.ts";

const me = member("room", "classroom", "school-01");
const item = { prompt: "?", kind: "single" as const, choices: ["x", "y"] };
const quiz: Quiz = {
  id: "q",
  kind: "quiz",
  items: [item, item],
  openedMs: 0,
  closesMs: 60_000,
  answers: {},
  counts: {},
};
const lesson = (more: Partial<LessonState>): LessonState => ({ ...emptyState(), ...more });
const question = { id: "?", askedMs: 0, answered: [] };

describe("the classroom's screen", () => {
  it("shows nothing over the lesson when nothing is asked", () => {
    expect(turnOf(lesson({}), me, 0, undefined)).toBeUndefined();
  });

  it("puts a name that was picked before all, and not for long", () => {
    const picked = { member: "wang", atMs: 1000, among: 9, asked: 0 };
    const state = lesson({ picked, question, quiz });
    expect(turnOf(state, me, 2000, undefined)?.show).toBe("picked");
    expect(turnOf(state, me, 10_000, undefined)?.show).toBe("quiz");
  });

  it("lets go of a name as soon as something is asked", () => {
    const picked = { member: "wang", atMs: 1000, among: 9, asked: 0 };
    const state = lesson({ picked, quiz: { ...quiz, openedMs: 1500 } });
    expect(turnOf(state, me, 2000, undefined)?.show).toBe("quiz");
  });

  it("says who was quickest until it was read, or something else is asked", () => {
    const buzzer = { id: "b", openedMs: 0, closedMs: 1000, presses: [] };
    expect(turnOf(lesson({ buzzer }), me, 8_000, undefined)?.show).toBe("buzzer");
    expect(turnOf(lesson({ buzzer }), me, 9_500, undefined)).toBeUndefined();
    const next = { ...question, askedMs: 2000 };
    expect(turnOf(lesson({ buzzer, question: next }), me, 3000, undefined)?.show).toBe("question");
  });

  it("shows what was opened at once, though its own clock is behind", () => {
    const buzzer = { id: "b", openedMs: 1500, presses: [] };
    expect(turnOf(lesson({ buzzer }), me, 1000, undefined)?.show).toBe("buzzer");
    const late = lesson({ quiz: { ...quiz, openedMs: 1500 } });
    expect(turnOf(late, me, 1000, undefined)?.show).toBe("quiz");
  });

  it("shows a quiz while it is open, and its wait for the result, and then the question", () => {
    const state = lesson({ quiz, question });
    expect(turnOf(state, me, 59_000, undefined)).toMatchObject({ part: "open", item: 0 });
    expect(turnOf(state, me, 61_000, undefined)).toMatchObject({ part: "closed" });
    expect(turnOf(state, me, 60_000 + 5 * 60_000, undefined)?.show).toBe("question");
  });

  it("follows the items as they are counted in its own school", () => {
    const counts = {
      helper: { school: "school-01", items: [[1, 2]] },
      other: { school: "school-02", items: [null, [0, 0]] },
    };
    expect(nextItem(lesson({}), { ...quiz, counts }, "school-01")).toBe(1);
    expect(nextItem(lesson({}), { ...quiz, counts }, "school-02")).toBe(0);
    expect(nextItem(lesson({}), { ...quiz, counts }, "school-03")).toBe(0);
  });

  it("shows each item of a result in turn, and gives the screen back", () => {
    const state = lesson({ quiz: { ...quiz, tallies: [{ answered: 1 }, { answered: 1 }] } });
    const at = (ms: number) => turnOf(state, me, 1_000_000 + ms, 1_000_000);
    expect(at(0)).toMatchObject({ part: "result", item: 0 });
    expect(at(RESULT_MS)).toMatchObject({ item: 1 });
    expect(at(2 * RESULT_MS)).toMatchObject({ item: 0 });
    expect(at(6 * RESULT_MS)).toBeUndefined();
  });
});
