// What a quiz or a poll came to, counted from the answers a page knows of: in all, and by
// school. Pure, and for every page that shows results. Nobody is ranked.

import type { Answer, Item, LessonState, Quiz } from "../protocol/words.ts";

/** Of short answers as many different ones are shown. */
const MOST_WORDS = 12;

export interface Count {
  answered: number;
  /** Per choice; of true or false: true first; empty where answers are written. */
  counts: number[];
  /** How many are right; `undefined` where nothing is right or wrong. */
  right: number | undefined;
}

export interface SchoolCount extends Count {
  school: string;
  /** Who could answer, as far as is known. */
  of: number;
}

export interface ItemResult extends Count {
  of: number;
  /** In the order of the lesson's list of schools; only schools that have someone. */
  schools: SchoolCount[];
  /** What was written, the most frequent first. */
  words: { text: string; times: number }[];
}

/** How many choices an item has to count by; 0 where answers are written. */
export function choicesOf(item: Item): number {
  if (item.kind === "true-false") return 2;
  return item.kind === "single" || item.kind === "multiple" ? (item.choices?.length ?? 0) : 0;
}

/** A, B, C … for a choice. */
export function letter(index: number): string {
  return String.fromCharCode(65 + index);
}

/** As answers in words are compared: without regard to width, case and outer spaces. */
export function folded(text: string): string {
  return text.normalize("NFKC").trim().toLowerCase();
}

/** Whether an answer is right; `undefined` where the item has no right one. */
export function isRight(item: Item, answer: Answer): boolean | undefined {
  const { correct } = item;
  if (correct === undefined) return undefined;
  if ("choice" in correct) return "choice" in answer && answer.choice === correct.choice;
  if ("truth" in correct) return "truth" in answer && answer.truth === correct.truth;
  if ("text" in correct) return "text" in answer && folded(answer.text) === folded(correct.text);
  if ("number" in correct) {
    if (!("number" in answer)) return false;
    return Math.abs(answer.number - correct.number) <= (item.tolerance ?? 0);
  }
  if (!("choices" in answer)) return false;
  return sorted(answer.choices).join() === sorted(correct.choices).join();
}

const sorted = (choices: readonly number[]) => [...choices].sort((a, b) => a - b);

/** Which choices an answer counts for. */
function chosen(answer: Answer): number[] {
  if ("choice" in answer) return [answer.choice];
  if ("choices" in answer) return answer.choices;
  return "truth" in answer ? [answer.truth ? 0 : 1] : [];
}

function written(answer: Answer): string | undefined {
  if ("text" in answer) return answer.text.trim();
  return "number" in answer ? String(answer.number) : undefined;
}

/** Who could answer at a school: devices, or the heads counted at the last roll call if more. */
export function classSize(state: LessonState, school: string): number {
  const heads = Object.values(state.rollCall?.counted ?? {})
    .filter((one) => one.school === school)
    .reduce((sum, one) => sum + one.present, 0);
  return Math.max(presence(state).students.get(school) ?? 0, heads);
}

interface Presence {
  schools: readonly string[];
  students: ReadonlyMap<string, number>;
}

/** Counted once for as long as nobody comes or goes. */
const counted = new WeakMap<LessonState["members"], Presence>();

function presence({ members }: LessonState): Presence {
  let found = counted.get(members);
  if (!found) {
    const students = new Map<string, number>();
    const schools = new Set<string>();
    for (const { role, school } of Object.values(members)) {
      schools.add(school);
      if (role === "student") students.set(school, (students.get(school) ?? 0) + 1);
    }
    found = { schools: [...schools].sort(), students };
    counted.set(members, found);
  }
  return found;
}

/** The campus first, then the schools as the lesson lists them, then any others. */
export function schoolsOf(state: LessonState): string[] {
  const { campus, schools } = state.info;
  return [...new Set([campus, ...schools, ...presence(state).schools])];
}

/** What the `index`th item came to so far. */
export function resultOf(state: LessonState, quiz: Quiz, index: number): ItemResult {
  const item = quiz.items[index];
  const choices = item ? choicesOf(item) : 0;
  const bySchool = new Map<string, SchoolCount>();
  const at = (school: string) => {
    let count = bySchool.get(school);
    if (!count) {
      const right = item?.correct === undefined ? undefined : 0;
      const counts = Array.from({ length: choices }, () => 0);
      count = { school, answered: 0, counts, right, of: classSize(state, school) };
      bySchool.set(school, count);
    }
    return count;
  };
  const words = new Map<string, { text: string; times: number }>();
  for (const [member, answers] of Object.entries(quiz.answers)) {
    const answer = answers[index]?.answer;
    const school = state.members[member]?.school ?? state.attendance[member]?.school;
    if (!item || !answer || school === undefined) continue;
    const count = at(school);
    count.answered += 1;
    for (const choice of chosen(answer)) add(count.counts, choice, 1);
    if (count.right !== undefined && isRight(item, answer)) count.right += 1;
    const text = written(answer);
    if (text === undefined) continue;
    const same = words.get(folded(text)) ?? { text, times: 0 };
    same.times += 1;
    words.set(folded(text), same);
  }
  for (const { school, items } of Object.values(quiz.counts)) {
    const counted = items[index];
    if (!item || !counted) continue;
    const count = at(school);
    // A hand may go up for several choices; then the most for one is the least who took part.
    const heads =
      item.kind === "multiple" ? Math.max(0, ...counted) : counted.reduce((a, b) => a + b, 0);
    count.answered += heads;
    counted.forEach((n, choice) => {
      add(count.counts, choice, n);
    });
    if (count.right !== undefined && item.correct) count.right += handsRight(item.correct, counted);
  }
  for (const school of schoolsOf(state)) if (classSize(state, school) > 0) at(school);
  const schools = schoolsOf(state).flatMap((school) => bySchool.get(school) ?? []);
  const whole = { answered: 0, of: 0, counts: Array.from({ length: choices }, () => 0) };
  let right: number | undefined;
  for (const one of schools) {
    whole.answered += one.answered;
    whole.of += Math.max(one.of, one.answered);
    one.counts.forEach((n, choice) => {
      add(whole.counts, choice, n);
    });
    if (one.right !== undefined) right = (right ?? 0) + one.right;
  }
  return {
    ...whole,
    right,
    schools,
    words: [...words.values()].sort((a, b) => b.times - a.times).slice(0, MOST_WORDS),
  };
}

function add(counts: number[], choice: number, n: number): void {
  const before = counts[choice];
  if (before !== undefined) counts[choice] = before + n;
}

/** Of a show of hands: who raised it for the right one. Of several choices nobody can tell. */
function handsRight(correct: Answer, counted: readonly number[]): number {
  if ("choice" in correct) return counted[correct.choice] ?? 0;
  return "truth" in correct ? (counted[correct.truth ? 0 : 1] ?? 0) : 0;
}
