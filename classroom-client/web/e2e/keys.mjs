// A page without a pointer: where Tab leads, whether one sees where one is, and how to get to what
// one wants.

import { byId, expect } from "./harness.mjs";

/** More than any page or panel has to be walked through. */
const MOST = 250;

/**
 * In the page: everything within `root` that can be operated now, and that Tab has not led to yet.
 * Of radio buttons in a group Tab leads to one, arrow keys to the others; so with the tabs of a
 * list. The page may change meanwhile: what counts is what is there.
 */
function unreached(root) {
  window.__reached ??= new WeakSet();
  const modal = document.querySelector("dialog:modal");
  const within = document.querySelector(root) ?? document.body;
  const can = "a[href], button, input, select, textarea, summary, [tabindex], video[controls]";
  const groups = new Set();
  const named = (one) =>
    one.dataset.testid ?? one.getAttribute("aria-label") ?? `${one.localName} ${one.textContent}`;
  const left = [...(modal ?? within).querySelectorAll(can)].filter((one) => {
    if (window.__reached.has(one)) return false;
    if (one.tabIndex < 0 || one.disabled || one.closest("[inert], fieldset:disabled")) return false;
    if (!one.checkVisibility({ visibilityProperty: true })) return false;
    if (one.type !== "radio") return true;
    const others = [...document.querySelectorAll(`input[name="${CSS.escape(one.name)}"]`)];
    if (others.some(({ checked }) => checked)) return one.checked;
    const first = !groups.has(one.name);
    groups.add(one.name);
    return first;
  });
  return left.map((one) => named(one).trim().slice(0, 60));
}

/** In the page: what within `root` has the focus for the first time, and whether one sees that. */
function focused(root) {
  const one = document.activeElement;
  const within = document.querySelector(root) ?? document.body;
  if (!one || one === within || !within.contains(one) || window.__reached.has(one))
    return undefined;
  window.__reached.add(one);
  const boxes = [one, one.labels?.[0], one.parentElement].filter(Boolean);
  const ringed = boxes.some((box) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(box);
    return outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 1;
  });
  // A control may be drawn by its label.
  const shown = boxes.find((box) => box.getBoundingClientRect().width > 4) ?? one;
  const { x, y, width, height } = shown.getBoundingClientRect();
  const [across, down] = [x + width / 2, y + height / 2];
  const inside = across >= 0 && down >= 0 && across <= innerWidth && down <= innerHeight;
  const top = document.elementFromPoint(across, down);
  const over = top && !shown.contains(top) && !top.contains(shown);
  const name = one.dataset.testid ?? one.getAttribute("aria-label") ?? one.textContent;
  return { name, ringed, inside, over: over ? top.outerHTML.slice(0, 80) : "" };
}

/**
 * Presses Tab until everything within `root` had the focus; says how much that is. Fails when
 * something never gets it, when one does not see where it is, or when that is out of sight or
 * under something else.
 */
export async function walk(page, root = "body") {
  // A notice goes by itself, and takes its button along.
  await page.locator(".notice").first().waitFor({ state: "detached" });
  await page.evaluate(() => {
    window.__reached = new WeakSet();
  });
  const count = (await page.evaluate(unreached, root)).length;
  expect(count > 0, `there is nothing to operate within ${root}`);
  const faults = new Set();
  for (let n = 0; n < MOST; n += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(focused, root);
    if (!at) continue;
    if (!at.ringed) faults.add(`one does not see that ${at.name} has the focus`);
    if (!at.inside) faults.add(`${at.name} has the focus out of sight`);
    if (at.over) faults.add(`${at.name} has the focus under ${at.over}`);
    if ((await page.evaluate(unreached, root)).length === 0) break;
  }
  for (const name of await page.evaluate(unreached, root))
    faults.add(`Tab does not lead to ${name}`);
  expect(faults.size === 0, `within ${root}: ${[...faults].join("; ")}`);
  return count;
}

/** Presses Tab until what has this id has the focus. */
export async function tabTo(page, testId) {
  await byId(page, testId).first().waitFor();
  for (let n = 0; n < MOST; n += 1) {
    const there = await page.evaluate(
      (id) => document.activeElement?.closest(`[data-testid="${id}"]`) !== null,
      testId,
    );
    if (there) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not lead to ${testId}`);
}

/** Goes there by Tab and presses it. */
export async function press(page, testId, key = "Enter") {
  await tabTo(page, testId);
  await page.keyboard.press(key);
}
