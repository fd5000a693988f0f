import { describe, expect, it } from "vitest";
import { emptyState, member } from "../protocol/samples.ts";
import type { Answer, Item, LessonState, Quiz } from "../protocol/words.ts";
import { isRight, resultOf, schoolsOf } from "./results.ts";

const single: Item = {
  prompt: "?",
  kind: "single",
  choices: ["甲", "乙", "丙"],
  correct: { choice: 1 },
};

function lesson(): LessonState {
  const people = [
    member("li", "teacher"),
    member("wang", "student"),
    member("zhao", "student", "school-01"),
    member("qian", "student", "school-01"),
    member("room", "classroom", "school-02"),
  ];
  return {
    ...emptyState(),
    members: Object.fromEntries(people.map((one) => [one.id, one])),
    rollCall: {
      id: "r",
      openedMs: 0,
      answered: {},
      counted: { room: { school: "school-02", present: 38 } },
    },
  };
}

function quiz(items: Item[], answers: Record<string, Answer>): Quiz {
  return {
    id: "q",
    kind: "quiz",
    items,
    openedMs: 0,
    answers: Object.fromEntries(
      Object.entries(answers).map(([who, answer]) => [who, [{ answer, atMs: 1 }]]),
    ),
    counts: {},
  };
}

describe("what a quiz came to", () => {
  it("is counted in all and by school, shows of hands included", () => {
    const one = quiz([single], { wang: { choice: 1 }, zhao: { choice: 0 } });
    one.counts = { room: { school: "school-02", items: [[5, 20, 6]] } };
    const result = resultOf(lesson(), one, 0);
    expect(result).toMatchObject({ answered: 33, of: 41, counts: [6, 21, 6], right: 21 });
    expect(result.schools).toEqual([
      { school: "campus", answered: 1, of: 1, counts: [0, 1, 0], right: 1 },
      { school: "school-01", answered: 1, of: 2, counts: [1, 0, 0], right: 0 },
      { school: "school-02", answered: 31, of: 38, counts: [5, 20, 6], right: 20 },
    ]);
  });

  it("lists schools that have not answered yet, and none that nobody is at", () => {
    const { schools } = resultOf(lesson(), quiz([single], {}), 0);
    expect(schools.map(({ school, answered }) => [school, answered])).toEqual([
      ["campus", 0],
      ["school-01", 0],
      ["school-02", 0],
    ]);
    expect(schoolsOf(lesson())).toEqual(["campus", "school-01", "school-02"]);
  });

  it("counts who left since at the school it was at", () => {
    const state = lesson();
    const { zhao: _, ...members } = state.members;
    state.members = members;
    const came = { name: "赵", role: "student", school: "school-01", joinedMs: 0, awayMs: 0 };
    state.attendance = { zhao: { ...came, late: false } };
    const result = resultOf(state, quiz([single], { zhao: { choice: 1 } }), 0);
    expect(result).toMatchObject({ answered: 1, right: 1 });
  });

  it("has no right and wrong where nothing is right, and counts words the same way", () => {
    const text: Item = { prompt: "?", kind: "text" };
    const answers: Record<string, Answer> = {
      wang: { text: "顶点 " },
      zhao: { text: "ＡＢ" },
      qian: { text: "ab" },
    };
    const result = resultOf(lesson(), quiz([text], answers), 0);
    expect(result).toMatchObject({ answered: 3, counts: [], right: undefined });
    expect(result.words).toEqual([
      { text: "ＡＢ", times: 2 },
      { text: "顶点", times: 1 },
    ]);
  });

  it("takes of several hands a child the most for one choice as who took part", () => {
    const several: Item = { ...single, kind: "multiple", correct: { choices: [0, 2] } };
    const one = quiz([several], { wang: { choices: [2, 0] } });
    one.counts = { room: { school: "school-02", items: [[10, 3, 12]] } };
    const result = resultOf(lesson(), one, 0);
    expect(result).toMatchObject({ answered: 13, counts: [11, 3, 13], right: 1 });
  });
});

describe("an answer", () => {
  it("is right as the node finds it right", () => {
    const number: Item = {
      prompt: "?",
      kind: "number",
      correct: { number: 3.14 },
      tolerance: 0.01,
    };
    expect(isRight(number, { number: 3.145 })).toBe(true);
    expect(isRight(number, { number: 3.2 })).toBe(false);
    const text: Item = { prompt: "?", kind: "text", correct: { text: "Ｙ = 2" } };
    expect(isRight(text, { text: " y = 2 " })).toBe(true);
    const truth: Item = { prompt: "?", kind: "true-false", correct: { truth: false } };
    expect(isRight(truth, { truth: false })).toBe(true);
    expect(isRight(truth, { choice: 1 })).toBe(false);
    expect(isRight({ prompt: "?", kind: "text" }, { text: "x" })).toBeUndefined();
  });
});
