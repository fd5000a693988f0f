import { describe, expect, it } from "vitest";
import type { Item } from "../../../protocol/words.ts";
import {
  asKind,
  type Draft,
  emptyItem,
  loadDrafts,
  marksRight,
  opening,
  problemOf,
  removeDraft,
  saveDraft,
  toggleRight,
  withoutChoice,
} from "./draft.ts";

const item: Item = {
  prompt: "?",
  kind: "single",
  choices: ["a", "b", "c"],
  correct: { choice: 1 },
};
const draft: Draft = { id: "1", kind: "quiz", title: " 小测 ", items: [item], changedMs: 1 };

function store() {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
}

describe("a draft", () => {
  it("says what keeps an item from being asked", () => {
    expect(problemOf(item)).toBeUndefined();
    expect(problemOf(emptyItem("single"))).toBe("prompt");
    expect(problemOf({ ...emptyItem("single"), prompt: "?" })).toBe("choice-empty");
    expect(problemOf({ prompt: "?", kind: "single", choices: ["a"] })).toBe("choices");
    expect(problemOf({ prompt: "?".repeat(501), kind: "text" })).toBe("too-long");
    expect(problemOf({ prompt: "?", kind: "number" })).toBeUndefined();
  });

  it("keeps of an item what makes sense for another kind", () => {
    expect(asKind(item, "multiple")).toEqual({
      ...item,
      kind: "multiple",
      correct: { choices: [1] },
    });
    expect(asKind(asKind(item, "multiple"), "single")).toEqual(item);
    expect(asKind(item, "number")).toEqual({ prompt: "?", kind: "number" });
  });

  it("marks what is right, and moves it along when a choice goes", () => {
    expect(marksRight(toggleRight(item, 2), 2)).toBe(true);
    expect(toggleRight(item, 1)).toEqual({ prompt: "?", kind: "single", choices: ["a", "b", "c"] });
    expect(withoutChoice(item, 0)).toMatchObject({ choices: ["b", "c"], correct: { choice: 0 } });
    expect(withoutChoice(item, 1).correct).toBeUndefined();
    const several = toggleRight(asKind(item, "multiple"), 2);
    expect(several.correct).toEqual({ choices: [1, 2] });
    expect(withoutChoice(several, 1).correct).toEqual({ choices: [1] });
    const truth = toggleRight({ prompt: "?", kind: "true-false" }, 1);
    expect(truth.correct).toEqual({ truth: false });
    expect(marksRight(truth, 1)).toBe(true);
  });

  it("is opened without what a poll may not have", () => {
    expect(opening({ ...draft, seconds: 60 })).toEqual({
      do: "open-quiz",
      kind: "quiz",
      title: "小测",
      items: [item],
      seconds: 60,
    });
    const poll = opening({ ...draft, kind: "poll", title: "" });
    expect(poll).toEqual({
      do: "open-quiz",
      kind: "poll",
      items: [{ prompt: "?", kind: "single", choices: ["a", "b", "c"] }],
    });
  });

  it("is kept in this browser, the newest first, and no more than fit", () => {
    const kept = store();
    saveDraft(kept, draft);
    saveDraft(kept, { ...draft, id: "2" });
    expect(saveDraft(kept, draft).map(({ id }) => id)).toEqual(["1", "2"]);
    expect(removeDraft(kept, "1").map(({ id }) => id)).toEqual(["2"]);
    for (let i = 0; i < 40; i += 1) saveDraft(kept, { ...draft, id: `n${i}` });
    expect(loadDrafts(kept)).toHaveLength(30);
    kept.setItem("cloudschool.drafts", "no JSON");
    expect(loadDrafts(kept)).toEqual([]);
  });
});
