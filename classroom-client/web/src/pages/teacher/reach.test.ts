import type { ComponentChildren, VNode } from "preact";
import { afterEach, describe, expect, it } from "vitest";
import { lang } from "../../i18n/index.ts";
import { member } from "../../protocol/samples.ts";
import type { SchoolRung } from "../../protocol/words.ts";
import { Reach, reachOf } from "./reach.tsx";

function rung(over: Partial<SchoolRung>): SchoolRung {
  const slides = { rung: "slides", reason: "line", sinceMs: 60_000 } as const;
  return { school: "school-03", node: "node-03", ...slides, ...over };
}

/** What is read on the tile, and what a pointer over it says. */
function shown(over: Partial<SchoolRung>): { text: string; title: string } | null {
  const tile = Reach({ rung: rung(over), forMs: (one) => 185_000 - one.sinceMs });
  if (!tile) return null;
  const { children, title } = tile.props as { children: ComponentChildren[]; title: string };
  const text = children.filter((child): child is string => typeof child === "string").join("");
  return { text, title };
}

afterEach(() => {
  lang.value = "zh-CN";
});

describe("what reaches a classroom", () => {
  it("is said in both languages, with the reason and for how long", () => {
    lang.value = "zh-CN";
    expect(shown({})?.text).toBe("幻灯片和声音");
    expect(shown({})?.title).toBe("学校的线路目前只能传这么多 · 已 02:05");
    lang.value = "en";
    expect(shown({})?.text).toBe("slides and sound");
    expect(shown({ rung: "sound", reason: "cap" })).toEqual({
      text: "sound only",
      title: "The school allows lessons no more of its line · for 02:05",
    });
    expect(shown({ rung: "reduced", reason: "settling" })?.text).toBe("smaller pictures and sound");
  });

  it("is not spoken of where it is everything", () => {
    expect(shown({ rung: "full", reason: "whole" })).toBeNull();
    expect(Reach({ rung: undefined, forMs: () => 0 })).toBeNull();
  });

  it("is marked on the tile for whoever looks for it", () => {
    const tile = Reach({ rung: rung({}), forMs: () => 0 }) as VNode<Record<string, string>>;
    expect(tile.props["data-testid"]).toBe("reach-school-03");
    expect(tile.props["data-rung"]).toBe("slides");
  });

  it("is that of the classroom's own node where the school has several", () => {
    const room = { ...member("room", "classroom"), school: "school-03", node: "node-b" };
    const [a, b] = [rung({ node: "node-a" }), rung({ node: "node-b", rung: "sound" })];
    expect(reachOf([a, b], room)).toBe(b);
    expect(reachOf([a], room)).toBe(a);
    expect(reachOf([rung({ school: "school-04" })], room)).toBeUndefined();
  });
});
