// Questions from a file: CSV from a spreadsheet, or plain text as a teacher would type it.
//
// Text: a line `# title` if wished, then questions with an empty line between them:
//
//     1. 抛物线的顶点在哪里?
//     A. 原点
//     B. (1, 2)
//     答案: B
//
// Without choices the answer says the kind: 对/错 (true/false), a number (`3.14 ±0.01`), else a
// short text. `答案: A, C` of a question with choices asks for several. No answer: none is right.
//
// docs/question-files.md has all of it. CSV: a first line of names, in either language, in any order: 题目 prompt, A, B, C …, 答案
// answer, and, where wished, 题型 kind, 误差 tolerance.

import type { Answer, Item, ItemKind } from "../../../protocol/words.ts";
import { parseCsv } from "./csv.ts";
import { LIMITS } from "./limits.ts";

export type ImportProblem = "no-prompt" | "one-choice" | "bad-answer" | "too-long" | "too-many";

export interface Imported {
  title: string;
  items: Item[];
  /** What was left out, by the line it begins at. */
  problems: { line: number; problem: ImportProblem }[];
}

/** One question as found, before it is known to make sense. */
interface Raw {
  line: number;
  prompt: string;
  choices: string[];
  answer: string;
  kind: ItemKind | undefined;
  tolerance: number | undefined;
}

const KINDS: Record<string, ItemKind> = {
  单选: "single",
  单选题: "single",
  single: "single",
  多选: "multiple",
  多选题: "multiple",
  multiple: "multiple",
  判断: "true-false",
  判断题: "true-false",
  "true-false": "true-false",
  "true/false": "true-false",
  数字: "number",
  填数: "number",
  number: "number",
  简答: "text",
  填空: "text",
  填空题: "text",
  text: "text",
};

const TRUE = new Set(["对", "正确", "是", "√", "t", "true", "yes"]);
const FALSE = new Set(["错", "错误", "否", "×", "f", "false", "no"]);

/** Bytes of a file as text: UTF-8, else as Chinese spreadsheets write. */
export function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("gb18030").decode(bytes);
  }
}

export function importQuestions(text: string): Imported {
  const clean = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  const table = asTable(clean);
  const { title, raws } = table ? { title: "", raws: table } : asText(clean);
  const imported: Imported = { title: title.slice(0, LIMITS.title), items: [], problems: [] };
  for (const raw of raws) {
    const made = imported.items.length < LIMITS.items ? itemOf(raw) : "too-many";
    if (typeof made === "string") imported.problems.push({ line: raw.line, problem: made });
    else imported.items.push(made);
  }
  return imported;
}

const NAMES: Record<string, keyof Raw> = {
  题目: "prompt",
  题干: "prompt",
  问题: "prompt",
  prompt: "prompt",
  question: "prompt",
  答案: "answer",
  正确答案: "answer",
  answer: "answer",
  correct: "answer",
  题型: "kind",
  类型: "kind",
  kind: "kind",
  type: "kind",
  误差: "tolerance",
  tolerance: "tolerance",
};

/** The rows of a table, when the first line names its columns. */
function asTable(text: string): Raw[] | undefined {
  const [head, ...rows] = parseCsv(text);
  const names = head?.fields.map((name) => name.trim().toLowerCase()) ?? [];
  const columns = names.map((name) => NAMES[name]);
  if (names.length < 2 || !columns.includes("prompt")) return undefined;
  const isChoice = names.map((name) => /^(选项|choice|option)?\s*[a-j]$/.test(name));
  return rows.flatMap(({ line, fields }): Raw[] => {
    const cell = (of: keyof Raw) => fields[columns.indexOf(of)]?.trim() ?? "";
    const choices = fields.filter((_, i) => isChoice[i]).map((field) => field.trim());
    if (fields.every((field) => field.trim() === "")) return [];
    const tolerance = columns.includes("tolerance") ? numberOf(cell("tolerance")) : undefined;
    return [
      {
        line,
        prompt: cell("prompt"),
        choices: choices.filter(Boolean),
        answer: columns.includes("answer") ? cell("answer") : "",
        kind: columns.includes("kind") ? KINDS[cell("kind").toLowerCase()] : undefined,
        tolerance,
      },
    ];
  });
}

const CHOICE = /^\s*[（(]?([A-Ja-jＡ-Ｊ])\s*[.、．:：)）]\s*(.*)$/;
const ANSWER = /^\s*[【[]?(?:答案|正确答案|answer)[】\]]?\s*[:：]?\s*(.*)$/i;
const NUMBERED = /^\s*(?:\d+\s*[.、．)）]|第\s*\d+\s*题[.、．:：]?|[Qq]\d+\s*[.:：])\s*/;

function asText(text: string): { title: string; raws: Raw[] } {
  let title = "";
  const raws: Raw[] = [];
  let raw: Raw | undefined;
  const lines = text.split("\n");
  lines.forEach((whole, index) => {
    const line = whole.trim();
    if (line === "") {
      raw = undefined;
      return;
    }
    const heading = /^#+\s*(.*)$/.exec(line);
    if (heading && raws.length === 0) {
      title = heading[1] ?? "";
      return;
    }
    const answer = raw && ANSWER.exec(line);
    const choice = raw && CHOICE.exec(line);
    // Where lines follow each other closely, a number begins the next question.
    const next = raw && NUMBERED.test(line) && (raw.choices.length > 0 || raw.answer !== "");
    if (raw && !next && answer) raw.answer = (answer[1] ?? "").trim();
    else if (raw && !next && choice) raw.choices.push((choice[2] ?? "").trim());
    else if (raw && !next && raw.choices.length === 0) raw.prompt += `\n${line}`;
    else {
      const prompt = line.replace(NUMBERED, "");
      raw = {
        line: index + 1,
        prompt,
        choices: [],
        answer: "",
        kind: undefined,
        tolerance: undefined,
      };
      raws.push(raw);
    }
  });
  return { title, raws };
}

function numberOf(text: string): number | undefined {
  const number = Number(text.normalize("NFKC").replaceAll(",", ""));
  return text.trim() !== "" && Number.isFinite(number) ? number : undefined;
}

function itemOf(raw: Raw): Item | ImportProblem {
  const prompt = raw.prompt.trim();
  if (prompt === "") return "no-prompt";
  const long = prompt.length > LIMITS.prompt || raw.answer.length > LIMITS.text;
  if (long || raw.choices.some((choice) => choice.length > LIMITS.choice)) return "too-long";
  if (raw.choices.length > 0 && raw.kind !== "text" && raw.kind !== "number") {
    return withChoices(raw, prompt);
  }
  return withoutChoices(raw, prompt);
}

function withChoices(raw: Raw, prompt: string): Item | ImportProblem {
  const { choices } = raw;
  if (choices.length < 2) return "one-choice";
  if (choices.length > LIMITS.choices) return "too-many";
  const named = raw.answer
    .normalize("NFKC")
    .toUpperCase()
    .replace(/[^A-Z]/g, "");
  const indices = [...new Set([...named].map((one) => one.charCodeAt(0) - 65))].sort(
    (a, b) => a - b,
  );
  if (raw.answer !== "" && (indices.length === 0 || indices.some((i) => i >= choices.length))) {
    return "bad-answer";
  }
  const several = raw.kind === "multiple" || (raw.kind !== "single" && indices.length > 1);
  const [first] = indices;
  if (!several && indices.length > 1) return "bad-answer";
  const correct: Answer | undefined =
    first === undefined ? undefined : several ? { choices: indices } : { choice: first };
  return { prompt, kind: several ? "multiple" : "single", choices, ...(correct && { correct }) };
}

function withoutChoices(raw: Raw, prompt: string): Item | ImportProblem {
  const { answer } = raw;
  if (answer === "")
    return { prompt, kind: raw.kind && !needsChoices(raw.kind) ? raw.kind : "text" };
  const word = answer.toLowerCase();
  if (
    raw.kind === "true-false" ||
    (raw.kind === undefined && (TRUE.has(word) || FALSE.has(word)))
  ) {
    if (!TRUE.has(word) && !FALSE.has(word)) return "bad-answer";
    return { prompt, kind: "true-false", correct: { truth: TRUE.has(word) } };
  }
  const [value = "", within = ""] = answer.split(/±|\+\/?-/);
  const number = numberOf(value);
  if (raw.kind === "number" && number === undefined) return "bad-answer";
  if (number !== undefined && raw.kind !== "text") {
    const tolerance = raw.tolerance ?? numberOf(within);
    const item: Item = { prompt, kind: "number", correct: { number } };
    return tolerance === undefined ? item : { ...item, tolerance: Math.abs(tolerance) };
  }
  return { prompt, kind: "text", correct: { text: answer } };
}

function needsChoices(kind: ItemKind): boolean {
  return kind === "single" || kind === "multiple";
}
