// A quiz or poll that is being prepared: what keeps it from being opened, the command that
// opens it, and where it is kept between lessons (this browser).

import { choicesOf } from "../../../lesson/results.ts";
import type { Answer, Item, ItemKind, MemberCommand, QuizKind } from "../../../protocol/words.ts";
import { LIMITS } from "./limits.ts";

export interface Draft {
  id: string;
  kind: QuizKind;
  title: string;
  items: Item[];
  /** Without, it is open until the teacher closes it. */
  seconds?: number | undefined;
  changedMs: number;
}

/** What is wrong with an item. */
export type ItemProblem = "prompt" | "choices" | "choice-empty" | "too-long";

export function emptyItem(kind: ItemKind): Item {
  const item: Item = { prompt: "", kind };
  return kind === "single" || kind === "multiple" ? { ...item, choices: ["", ""] } : item;
}

export function newDraft(kind: QuizKind, nowMs: number): Draft {
  return {
    id: crypto.randomUUID(),
    kind,
    title: "",
    items: [emptyItem("single")],
    changedMs: nowMs,
  };
}

/** The item as another kind, with what of it still makes sense. */
export function asKind(item: Item, kind: ItemKind): Item {
  if (kind === item.kind) return item;
  const next = { ...emptyItem(kind), prompt: item.prompt };
  if (next.choices && item.choices) next.choices = item.choices;
  const correct = convert(item.correct, kind);
  return correct ? { ...next, correct } : next;
}

function convert(correct: Answer | undefined, kind: ItemKind): Answer | undefined {
  if (!correct) return undefined;
  if (kind === "multiple" && "choice" in correct) return { choices: [correct.choice] };
  if (kind === "single" && "choices" in correct) {
    const [first] = correct.choices;
    return first === undefined ? undefined : { choice: first };
  }
  return undefined;
}

/** The item without its `index`th choice; what is right moves along. */
export function withoutChoice(item: Item, index: number): Item {
  const choices = (item.choices ?? []).filter((_, i) => i !== index);
  const moved = (choice: number) => (choice > index ? choice - 1 : choice);
  const { correct, ...rest } = item;
  if (!correct) return { ...rest, choices };
  if ("choice" in correct) {
    return correct.choice === index
      ? { ...rest, choices }
      : { ...rest, choices, correct: { choice: moved(correct.choice) } };
  }
  if (!("choices" in correct)) return { ...item, choices };
  const left = correct.choices.filter((choice) => choice !== index).map(moved);
  return left.length > 0 ? { ...rest, choices, correct: { choices: left } } : { ...rest, choices };
}

/** Marks the `index`th choice as right, or no more. */
export function toggleRight(item: Item, index: number): Item {
  const { correct, ...rest } = item;
  if (item.kind === "multiple") {
    const before = correct && "choices" in correct ? correct.choices : [];
    const after = before.includes(index)
      ? before.filter((choice) => choice !== index)
      : [...before, index].sort((a, b) => a - b);
    return after.length > 0 ? { ...rest, correct: { choices: after } } : rest;
  }
  const answer: Answer = item.kind === "true-false" ? { truth: index === 0 } : { choice: index };
  const same = JSON.stringify(correct) === JSON.stringify(answer);
  return same ? rest : { ...rest, correct: answer };
}

/** Whether the `index`th choice is marked as right. */
export function marksRight(item: Item, index: number): boolean {
  const { correct } = item;
  if (!correct) return false;
  if ("choices" in correct) return correct.choices.includes(index);
  if ("truth" in correct) return correct.truth === (index === 0);
  return "choice" in correct && correct.choice === index;
}

export function problemOf(item: Item): ItemProblem | undefined {
  const prompt = item.prompt.trim();
  if (prompt === "") return "prompt";
  if (prompt.length > LIMITS.prompt) return "too-long";
  if (item.kind !== "single" && item.kind !== "multiple") return undefined;
  if (choicesOf(item) < 2) return "choices";
  if (item.choices?.some((choice) => choice.trim() === "")) return "choice-empty";
  return item.choices?.some((choice) => choice.length > LIMITS.choice) ? "too-long" : undefined;
}

/** The command that opens a draft without problems. */
export function opening(draft: Draft): MemberCommand {
  const title = draft.title.trim().slice(0, LIMITS.title);
  return {
    do: "open-quiz",
    kind: draft.kind,
    ...(title ? { title } : {}),
    items: draft.items.map((item) => sent(item, draft.kind)),
    ...(draft.seconds === undefined ? {} : { seconds: draft.seconds }),
  };
}

function sent(item: Item, kind: QuizKind): Item {
  const { correct, tolerance, choices, ...rest } = item;
  const clean: Item = { ...rest, prompt: item.prompt.trim() };
  if (choices && choicesOf(item) > 0) clean.choices = choices.map((choice) => choice.trim());
  if (kind === "poll" || !correct) return clean;
  if ("text" in correct && correct.text.trim() === "") return clean;
  clean.correct = correct;
  if (item.kind === "number" && tolerance !== undefined) clean.tolerance = tolerance;
  return clean;
}

const KEY = "cloudschool.drafts";
/** The oldest go first. */
const MOST_DRAFTS = 30;

export type DraftStore = Pick<Storage, "getItem" | "setItem">;

/** Kept drafts, the newest first. */
export function loadDrafts(store: DraftStore): Draft[] {
  try {
    const kept: unknown = JSON.parse(store.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? (kept as Draft[]).filter((one) => Array.isArray(one?.items)) : [];
  } catch {
    return [];
  }
}

export function saveDraft(store: DraftStore, draft: Draft): Draft[] {
  const others = loadDrafts(store).filter(({ id }) => id !== draft.id);
  return write(store, [draft, ...others]);
}

export function removeDraft(store: DraftStore, id: string): Draft[] {
  return write(
    store,
    loadDrafts(store).filter((draft) => draft.id !== id),
  );
}

function write(store: DraftStore, drafts: Draft[]): Draft[] {
  const kept = drafts.slice(0, MOST_DRAFTS);
  try {
    store.setItem(KEY, JSON.stringify(kept));
  } catch {
    // A full or forbidden store: the draft is kept as long as the page is open.
  }
  return kept;
}
