import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

/** Colours of a stylesheet's `:root` blocks, in order; later ones win. */
function colours(...blocks: (string | undefined)[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const block of blocks) {
    for (const [, name, value] of (block ?? "").matchAll(/--([a-z-]+):\s*(#[0-9a-f]{3,6})\b/g)) {
      if (name && value) found.set(name, value);
    }
  }
  return found;
}

function luminance(colour: string): number {
  const channel = (from: number) => {
    const value = Number.parseInt(colour.slice(from, from + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

function contrast(a: string, b: string): number {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
const tokens = read("./tokens.css");
const [light, dark] = tokens.split("@media (prefers-color-scheme: dark)");
const looks = {
  light: colours(light),
  dark: colours(light, dark),
  classroom: colours(light, read("../pages/classroom/classroom.css")),
};

/** Text, and what it stands on: WCAG AA wants 4.5. */
const TEXT: [string, string][] = [
  ["ink", "paper"],
  ["ink", "surface"],
  ["ink", "sunken"],
  ["ink", "accent-soft"],
  ["ink", "bad-soft"],
  ["ink-soft", "paper"],
  ["ink-soft", "surface"],
  ["accent", "paper"],
  ["accent", "surface"],
  ["accent", "accent-soft"],
  ["on-accent", "accent"],
  ["on-accent", "accent-strong"],
  ["good", "paper"],
  ["good", "surface"],
  ["caution", "paper"],
  ["caution", "surface"],
  ["caution", "caution-soft"],
  ["bad", "paper"],
  ["bad", "surface"],
  ["bad", "bad-soft"],
  ["on-bad", "bad"],
  ["live", "paper"],
  ["paper", "ink"],
  ["on-stage", "stage"],
  ["on-stage-soft", "stage"],
];

/** What marks a control or a meter: 3. */
const SHAPES: [string, string][] = [
  ["edge-strong", "surface"],
  ["edge-strong", "paper"],
  ["level", "sunken"],
];

describe.each(Object.entries(looks))("the %s look", (_name, colour) => {
  const of = (name: string) => {
    const value = colour.get(name);
    if (!value) throw new Error(`no --${name}`);
    return value;
  };

  it.each(TEXT)("has %s readable on %s", (text, ground) => {
    expect(contrast(of(text), of(ground))).toBeGreaterThanOrEqual(4.5);
  });

  it.each(SHAPES)("has %s told apart from %s", (shape, ground) => {
    expect(contrast(of(shape), of(ground))).toBeGreaterThanOrEqual(3);
  });
});
