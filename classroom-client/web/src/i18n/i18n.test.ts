import { describe, expect, it } from "vitest";
import { en } from "./en.ts";
import { clock, percent } from "./format.ts";
import { pickLang } from "./index.ts";
import { zh } from "./zh.ts";

/** All sentences of a dictionary; those with blanks are filled with samples. */
function sentences(words: object, path = ""): [string, string][] {
  return Object.entries(words).flatMap(([key, value]): [string, string][] => {
    const name = `${path}.${key}`;
    if (typeof value === "string") return [[name, value]];
    if (typeof value === "function") {
      const filled: unknown = value(...Array.from({ length: value.length }, () => 3));
      return typeof filled === "string" ? [[name, filled]] : sentences(filled as object, name);
    }
    return sentences(value as object, name);
  });
}

interface Section {
  zh: object;
  en: object;
}

/** Each file of `sections/`, and the sentences all pages share. */
const sections = Object.entries({
  shared: { zh, en },
  ...import.meta.glob<Section>("./sections/*.ts", { eager: true }),
}).map(([name, one]) => ({ name, zh: sentences(one.zh), en: sentences(one.en) }));

const HAN = /\p{Script=Han}/u;

describe.each(sections)("the two languages of $name", ({ zh, en }) => {
  it("say the same things", () => {
    expect(en.map(([name]) => name)).toEqual(zh.map(([name]) => name));
  });

  it("leave nothing empty and nothing in the other language", () => {
    for (const [name, text] of [...zh, ...en]) expect(text.trim(), name).not.toBe("");
    const foreign = en.filter(([name, text]) => HAN.test(text) && name !== ".otherLanguage");
    expect(foreign).toEqual([]);
    const untranslated = zh.filter(
      ([name, text]) =>
        !HAN.test(text) && ![".lang", ".otherLanguage", ".common.colon"].includes(name),
    );
    expect(untranslated.map(([name]) => name)).toEqual([]);
  });
});

describe("the language of a page", () => {
  it("is Chinese unless English is wished for first", () => {
    expect(pickLang(null, undefined)).toBe("zh-CN");
    expect(pickLang("en")).toBe("en");
    expect(pickLang(null, "en-GB")).toBe("en");
    expect(pickLang("zh-CN", "en")).toBe("zh-CN");
    expect(pickLang("fr")).toBe("zh-CN");
  });
});

describe("figures", () => {
  it("are short", () => {
    expect(clock(0)).toBe("00:00");
    expect(clock(192_900)).toBe("03:12");
    expect(clock(3_792_000)).toBe("1:03:12");
    expect(clock(-5)).toBe("00:00");
    expect(percent(0.8667)).toBe("87%");
  });
});
