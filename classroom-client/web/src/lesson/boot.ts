// What every lesson page does first: read the address, settle the language.

import { initLang } from "../i18n/index.ts";
import { type Entry, readEntry } from "./entry.ts";

export function boot(): Entry {
  const entry = readEntry();
  initLang(entry.lang);
  return entry;
}
