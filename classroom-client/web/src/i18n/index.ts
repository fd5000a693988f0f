// The sentences every page may need, in the language of the page. What only some need: `section`.

import { en } from "./en.ts";
import { section } from "./section.ts";
import { type Dictionary, zh } from "./zh.ts";

export { initLang, lang, pickLang, setLang } from "./language.ts";

export const t = section<Dictionary>(zh, en);
