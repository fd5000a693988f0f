import { describe, expect, it } from "vitest";
import type { Quiz } from "../../protocol/interactions.ts";
import { ownAnswers } from "./answers.ts";

const quiz: Quiz = {
  id: "q1",
  kind: "quiz",
  items: [],
  openedMs: 0,
  answers: { wang: [null, { answer: { choice: 2 }, atMs: 5 }] },
  counts: {},
};

describe("a member's own answers", () => {
  it("are those the lesson has, before what this page remembers", () => {
    const given = { q1: { 1: { answer: { choice: 0 }, standing: "sent" as const } } };
    expect(ownAnswers(quiz, "wang", given, [])).toEqual({
      1: { answer: { choice: 2 }, standing: "counted" },
    });
  });

  it("show what waits for the line, also on a page that was loaded anew", () => {
    const command = { do: "answer-quiz", quiz: "q1", item: 0, answer: { truth: true } } as const;
    const other = { ...command, quiz: "q0" };
    const waiting = [
      { id: 1, command },
      { id: 2, command: other },
    ];
    expect(ownAnswers(quiz, "zhao", {}, waiting)).toEqual({
      0: { answer: { truth: true }, standing: "waits" },
    });
  });

  it("of an earlier quiz are none of this one", () => {
    const given = { q0: { 0: { answer: { choice: 0 }, standing: "sent" as const } } };
    expect(ownAnswers(quiz, "zhao", given, [])).toEqual({});
  });
});
