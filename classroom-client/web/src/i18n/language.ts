// The language of the page: what the link says, else what was chosen before, else what the
// browser prefers, else Chinese.

import { effect, signal } from "@preact/signals";
import type { Lang } from "../protocol/words.ts";

const CHOICE_KEY = "cloudschool.lang";

export function pickLang(...wishes: readonly (string | null | undefined)[]): Lang {
  const wish = wishes.find((one) => one)?.toLowerCase();
  return wish?.startsWith("en") ? "en" : "zh-CN";
}

export const lang = signal<Lang>("zh-CN");

export function setLang(next: Lang): void {
  lang.value = next;
  localStorage.setItem(CHOICE_KEY, next);
}

/** Settles the language; `wish` is what the link asked for. */
export function initLang(wish: string | null): void {
  if (wish) setLang(pickLang(wish));
  else lang.value = pickLang(localStorage.getItem(CHOICE_KEY), navigator.language);
  effect(() => {
    document.documentElement.lang = lang.value;
  });
}
