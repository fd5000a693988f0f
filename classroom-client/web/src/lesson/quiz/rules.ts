// What an answer to an item is, what it reads like, and whether it is right. Pure.

import type { Answer, Item, Quiz, Tally } from "../../protocol/interactions.ts";

/** As many as an item may have choices. */
const LETTERS = "ABCDEFGHIJ";

export function letterOf(choice: number): string {
  return LETTERS[choice] ?? String(choice + 1);
}

/** The longest short text the lesson takes. */
export const TEXT_MOST = 200;

/** A number as people type it, full-width digits, signs and commas included. */
export function readNumber(typed: string): number | undefined {
  const plain = typed
    .normalize("NFKC")
    .trim()
    .replace("−", "-")
    .replace(/(\d),(?=\d{3}\b)/g, "$1");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) return undefined;
  const value = Number(plain);
  return Number.isFinite(value) ? value : undefined;
}

/** The answer to `several` choices: in order, each once; none is no answer. */
export function severalOf(chosen: Iterable<number>): Answer | undefined {
  const choices = [...new Set(chosen)].sort((a, b) => a - b);
  return choices.length > 0 ? { choices } : undefined;
}

export interface AnswerWords {
  yes: string;
  no: string;
}

/** An answer as it is said: letters for choices. */
export function sayAnswer(answer: Answer, words: AnswerWords): string {
  if ("choice" in answer) return letterOf(answer.choice);
  if ("choices" in answer) return answer.choices.map(letterOf).join(" ");
  if ("truth" in answer) return answer.truth ? words.yes : words.no;
  if ("number" in answer) return String(answer.number);
  return answer.text;
}

function folded(text: string): string {
  return text.normalize("NFKC").trim().toLowerCase();
}

/** Whether an answer is right, by the rules of the nodes. */
export function isRight(answer: Answer, correct: Answer, tolerance = 0): boolean {
  if ("number" in answer && "number" in correct) {
    return Math.abs(answer.number - correct.number) <= tolerance;
  }
  if ("text" in answer && "text" in correct) return folded(answer.text) === folded(correct.text);
  if ("choices" in answer && "choices" in correct) {
    return answer.choices.join() === correct.choices.join();
  }
  if ("choice" in answer && "choice" in correct) return answer.choice === correct.choice;
  return "truth" in answer && "truth" in correct && answer.truth === correct.truth;
}

/** Whether hands can be counted for an item, and for what: `undefined` where they can't. */
export function countable(item: Item, words: AnswerWords): string[] | undefined {
  switch (item.kind) {
    case "single":
    case "multiple":
      return (item.choices ?? []).map((_, choice) => letterOf(choice));
    case "true-false":
      return [words.yes, words.no];
    default:
      return undefined;
  }
}

/** Whether answers are taken at `nowMs` of the node's clock. */
export function isOpen(quiz: Quiz, nowMs: number): boolean {
  return (
    quiz.closedMs === undefined &&
    quiz.tallies === undefined &&
    (quiz.closesMs === undefined || nowMs < quiz.closesMs)
  );
}

/** A choice's share of a result. */
export interface Share {
  label: string;
  text: string;
  count: number;
  /** 0…1 of all who answered. */
  share: number;
  correct: boolean;
}

/** How a revealed item was answered, by choice; empty where it has none. */
export function sharesOf(item: Item, tally: Tally, words: AnswerWords): Share[] {
  const labels = countable(item, words);
  if (!labels || !tally.counts) return [];
  const { correct } = tally;
  const isCorrect = (choice: number) => {
    if (!correct) return false;
    if ("choice" in correct) return correct.choice === choice;
    if ("choices" in correct) return correct.choices.includes(choice);
    return "truth" in correct && correct.truth === (choice === 0);
  };
  return labels.map((label, choice) => {
    const count = tally.counts?.[choice] ?? 0;
    return {
      label,
      text: item.choices?.[choice] ?? "",
      count,
      share: tally.answered > 0 ? Math.min(1, count / tally.answered) : 0,
      correct: isCorrect(choice),
    };
  });
}
