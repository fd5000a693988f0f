// One click and a question is open: answer sheets for what stands on the slides or the board, and
// the polls that are asked every day.

import type { quizDeskWords } from "../../../i18n/sections/quiz-desk.ts";
import { letter } from "../../../lesson/results.ts";
import type { Item, MemberCommand, QuizKind } from "../../../protocol/words.ts";

type Words = ReturnType<typeof quizDeskWords.peek>;

export interface Sheet {
  id: string;
  label: string;
  item: Item;
}

function letters(count: number, prompt: string): Item {
  const choices = Array.from({ length: count }, (_, index) => letter(index));
  return { prompt, kind: "single", choices };
}

/** Sheets for a question everybody sees elsewhere. */
export function sheets(words: Words): Sheet[] {
  const prompt = words.sheetPrompt;
  const { templates } = words;
  return [
    { id: "abcd", label: "A B C D", item: letters(4, prompt) },
    { id: "abc", label: "A B C", item: letters(3, prompt) },
    { id: "truth", label: templates.truth, item: { prompt, kind: "true-false" } },
    { id: "number", label: templates.number, item: { prompt, kind: "number" } },
    { id: "text", label: templates.text, item: { prompt, kind: "text" } },
  ];
}

export function polls(words: Words): Sheet[] {
  const { ready, pace } = words.pollTemplates;
  return [
    { id: "ready", label: ready, item: { prompt: ready, kind: "single", choices: words.ready } },
    { id: "pace", label: pace, item: { prompt: pace, kind: "single", choices: words.pace } },
    { id: "abcd", label: "A B C D", item: letters(4, words.sheetPrompt) },
  ];
}

/** The command that opens a sheet; `seconds` 0 is without a limit. */
export function openingSheet(kind: QuizKind, { item }: Sheet, seconds: number): MemberCommand {
  const command = { do: "open-quiz", kind, items: [item] } as const;
  return seconds > 0 ? { ...command, items: [item], seconds } : { ...command, items: [item] };
}
