import { describe, expect, it } from "vitest";
import type { Item, Quiz } from "../../protocol/interactions.ts";
import {
  countable,
  isOpen,
  isRight,
  letterOf,
  readNumber,
  sayAnswer,
  severalOf,
  sharesOf,
} from "./rules.ts";

const words = { yes: "对", no: "错" };

describe("a number typed", () => {
  it("is read as people write it", () => {
    expect(readNumber(" 3.5 ")).toBe(3.5);
    expect(readNumber("－１２")).toBe(-12);
    expect(readNumber("−7")).toBe(-7);
    expect(readNumber("1,234")).toBe(1234);
    expect(readNumber("2e3")).toBe(2000);
  });

  it("is none when it is no number", () => {
    for (const typed of ["", "三", "1..2", "0x10", "1e999", "--1", "Infinity"]) {
      expect(readNumber(typed), typed).toBeUndefined();
    }
  });
});

describe("several choices", () => {
  it("are an answer in order, each once", () => {
    expect(severalOf([2, 0, 2])).toEqual({ choices: [0, 2] });
    expect(severalOf([])).toBeUndefined();
  });
});

describe("an answer", () => {
  it("is said in letters", () => {
    expect(letterOf(3)).toBe("D");
    expect(sayAnswer({ choices: [0, 2] }, words)).toBe("A C");
    expect(sayAnswer({ truth: false }, words)).toBe("错");
    expect(sayAnswer({ number: -0.5 }, words)).toBe("-0.5");
  });

  it("is right as the nodes have it", () => {
    expect(isRight({ choice: 1 }, { choice: 1 })).toBe(true);
    expect(isRight({ choices: [0, 1] }, { choices: [0] })).toBe(false);
    expect(isRight({ number: 3.1 }, { number: 3 }, 0.2)).toBe(true);
    expect(isRight({ number: 3.1 }, { number: 3 })).toBe(false);
    expect(isRight({ text: " ＡBC " }, { text: "abc" })).toBe(true);
    expect(isRight({ truth: true }, { choice: 0 })).toBe(false);
  });
});

describe("a show of hands", () => {
  it("is counted for each choice, and for nothing that is written", () => {
    const item = (kind: Item["kind"], choices?: string[]): Item =>
      choices ? { prompt: "?", kind, choices } : { prompt: "?", kind };
    expect(countable(item("single", ["x", "y"]), words)).toEqual(["A", "B"]);
    expect(countable(item("true-false"), words)).toEqual(["对", "错"]);
    expect(countable(item("number"), words)).toBeUndefined();
  });
});

describe("a quiz", () => {
  const quiz: Quiz = {
    id: "q",
    kind: "quiz",
    items: [],
    openedMs: 0,
    closesMs: 100,
    answers: {},
    counts: {},
  };

  it("takes answers until it closes or its time is over", () => {
    expect(isOpen(quiz, 99)).toBe(true);
    expect(isOpen(quiz, 100)).toBe(false);
    expect(isOpen({ ...quiz, closedMs: 50 }, 60)).toBe(false);
    expect(isOpen({ ...quiz, tallies: [] }, 60)).toBe(false);
  });
});

describe("a result", () => {
  it("has the share of each choice and marks the right ones", () => {
    const item: Item = { prompt: "?", kind: "single", choices: ["x", "y"] };
    const shares = sharesOf(item, { answered: 4, counts: [1, 3], correct: { choice: 1 } }, words);
    expect(shares.map(({ share, correct }) => [share, correct])).toEqual([
      [0.25, false],
      [0.75, true],
    ]);
  });

  it("of nobody has no shares to divide by", () => {
    const item: Item = { prompt: "?", kind: "true-false" };
    const shares = sharesOf(
      item,
      { answered: 0, counts: [0, 0], correct: { truth: false } },
      words,
    );
    expect(shares.map(({ share }) => share)).toEqual([0, 0]);
    expect(shares.map(({ correct }) => correct)).toEqual([false, true]);
  });
});
