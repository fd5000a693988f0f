// Numbers and times for people.

import type { Lang } from "../protocol/words.ts";

/** `3:12`, or `1:03:12` from an hour on. */
export function clock(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(total % 60)}`
    : `${two(minutes)}:${two(total % 60)}`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

export function dateTime(ms: number, lang: Lang): string {
  return new Date(ms).toLocaleString(lang, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hour12: false,
  });
}

export function timeOfDay(ms: number, lang: Lang): string {
  return new Date(ms).toLocaleTimeString(lang, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  });
}

/** Names in a row, with what stands between them in the language. */
export function listed(names: readonly string[], lang: string): string {
  return names.join(lang === "en" ? ", " : "、");
}
