// Sentences that only some pages need stand in `sections/`, one file a part of the product with
// both languages in it, so that no page loads another's. A file there is
//
//     export const zh = { title: "测验" };
//     export const en: typeof zh = { title: "Quiz" };
//     export const quizWords = section(zh, en);
//
// and a component reads `quizWords.value.title`. A sentence missing in English, or one too many,
// is a type error; the tests of this folder look through every file there.

import { computed, type ReadonlySignal } from "@preact/signals";
import { lang } from "./language.ts";

export function section<Words>(zh: Words, en: NoInfer<Words>): ReadonlySignal<Words> {
  return computed(() => (lang.value === "en" ? en : zh));
}
