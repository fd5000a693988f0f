import { describe, expect, it } from "vitest";
import { askAgain, carriedOut, Outbox } from "./outbox.ts";
import { emptyState } from "./samples.ts";
import type { MemberCommand } from "./words.ts";

function store() {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
}

const say: MemberCommand = { do: "say", text: "你好", to: "all" };
const answer: MemberCommand = { do: "answer-quiz", quiz: "z", item: 1, answer: { truth: true } };

describe("what waits", () => {
  it("outlives a reload where somebody took care over it, and no longer than a lesson", () => {
    const kept = store();
    const outbox = new Outbox(kept, "k");
    outbox.save([
      { command: say, atMs: 1000 },
      { command: { do: "raise-hand" }, atMs: 1000 },
      { command: answer, atMs: 2000 },
    ]);
    expect(outbox.load(3000).map(({ command }) => command)).toEqual([say, answer]);
    expect(outbox.load(1000 + 60 * 60_000)).toHaveLength(1);
    outbox.save([]);
    expect(kept.kept.size).toBe(0);
  });

  it("is kept in the page alone where the browser forbids more", () => {
    const full = {
      ...store(),
      setItem: () => {
        throw new Error("full");
      },
    };
    const outbox = new Outbox(full, "k");
    expect(() => outbox.save([{ command: say, atMs: 1 }])).not.toThrow();
    const broken = store();
    broken.kept.set("k", "{");
    expect(new Outbox(broken, "k").load(1)).toEqual([]);
    expect(new Outbox(undefined, "k").load(1)).toEqual([]);
  });

  it("is asked again after haste or a campus that is away, but not what means only now", () => {
    expect(askAgain(say, "too-fast")).toBeGreaterThan(1000);
    expect(askAgain(say, "campus-away")).toBeGreaterThan(0);
    expect(askAgain({ do: "buzz", buzzer: "b" }, "campus-away")).toBeUndefined();
    expect(askAgain(say, "chat-off")).toBeUndefined();
  });
});

describe("what was carried out", () => {
  it("is found in the lesson by what it left there", () => {
    const state = emptyState();
    state.chat.messages.push({ id: "m", member: "wang", text: "你好", to: "all", atMs: 10_000 });
    expect(carriedOut(state, "wang", say, 9000)).toBe(true);
    expect(carriedOut(state, "zhao", say, 9000)).toBe(false);
    expect(carriedOut(state, "wang", say, 60_000)).toBe(false);
    expect(carriedOut(state, "wang", { ...say, to: "teacher" }, 9000)).toBe(false);

    expect(carriedOut(state, "wang", answer, 0)).toBe(false);
    const given = { answer: { truth: false }, atMs: 1 };
    const quiz = { id: "z", kind: "quiz", items: [], openedMs: 0, counts: {} } as const;
    state.quiz = { ...quiz, items: [], answers: { wang: [given, null] } };
    expect(carriedOut(state, "wang", answer, 0)).toBe(false);
    expect(carriedOut(state, "wang", { ...answer, item: 0 }, 0)).toBe(true);

    state.rollCall = { id: "r", openedMs: 1, answered: { wang: 5000 }, counted: {} };
    expect(carriedOut(state, "wang", { do: "answer-roll-call" }, 4000)).toBe(true);
    expect(carriedOut(state, "wang", { do: "answer-roll-call" }, 60_000)).toBe(false);
    expect(carriedOut(state, "wang", { do: "raise-hand" }, 0)).toBe(false);
  });
});
