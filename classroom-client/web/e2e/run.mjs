// The browser tests: `npm run e2e`. Needs the programs built (CLOUDSCHOOL_BIN_DIR, else
// target/debug) with the web client in them, and Debian's chromium.

import { access } from "./access.mjs";
import { afterwards } from "./afterwards.mjs";
import { appliance, configured, missing } from "./appliance.mjs";
import { classroom } from "./class.mjs";
import { desk } from "./desk.mjs";
import { entering } from "./entering.mjs";
import { firefox, missing as withoutFirefox } from "./firefox.mjs";
import { firstLoad } from "./first-load.mjs";
import {
  closeBrowsers,
  complaints,
  expect,
  launch,
  skip,
  startStack,
  summary,
  test,
} from "./harness.mjs";
import { interactions } from "./interactions.mjs";
import { lesson } from "./lesson.mjs";
import { narrowing } from "./narrowing.mjs";
import { inside, isInside } from "./network.mjs";
import { office } from "./office.mjs";
import { slides } from "./slides.mjs";
import { wholeLesson } from "./whole-lesson.mjs";

/** Runs a part of the tests on an installation of its own. */
async function installed(part) {
  let stack;
  await test("campus, school, recorder and analytics start", async () => {
    stack = await startStack(part.prepare);
  });
  if (!stack) return;
  try {
    await part.run(stack);
  } finally {
    await closeBrowsers();
    await stack.stop();
  }
}

async function oneLesson({ links }) {
  const browser = await launch();
  await entering(browser, links);
  const closing = await lesson(browser, links);
  if (closing) await afterwards(browser, links, closing);
}

/** By name: what runs, how its installation is prepared, why it can't be tried here, and whether
 * it has a network of its own. */
const PARTS = {
  lesson: { run: oneLesson },
  interactions: { run: interactions },
  class: { run: classroom },
  slides: { run: slides },
  office: { run: office },
  desk: { run: desk },
  narrowing: { run: ({ links, data }) => narrowing(links, data) },
  "whole-lesson": { run: wholeLesson },
  access: { run: access },
  "first-load": { run: firstLoad },
  firefox: { run: firefox, missing: withoutFirefox, apart: true },
  appliance: { run: ({ links, data }) => appliance(links, data), prepare: configured, missing },
};

// All, or those named: `npm run e2e -- narrowing`.
const named = process.argv.slice(2);
for (const [name, part] of Object.entries(PARTS)) {
  if (named.length > 0 && !named.includes(name)) continue;
  const why = part.missing?.();
  if (why) skip(name, why);
  else if (part.apart && !isInside()) {
    await test(`${name}, in a network of its own`, async () => {
      expect(await inside(name), "it failed there");
    });
  } else await installed(part);
}
await test("no page had an error of its own", async () => {
  expect(complaints.length === 0, complaints.join("\n"));
});
process.exitCode = summary() ? 0 : 1;
