// The browser tests: `npm run e2e`. Needs the programs built (CLOUDSCHOOL_BIN_DIR, else
// target/debug) with the web client in them, and Debian's chromium.

import { afterwards } from "./afterwards.mjs";
import { entering } from "./entering.mjs";
import {
  closeBrowsers,
  complaints,
  expect,
  launch,
  startStack,
  summary,
  test,
} from "./harness.mjs";
import { lesson } from "./lesson.mjs";
import { narrowing } from "./narrowing.mjs";

/** Runs a part of the tests on an installation of its own. */
async function installed(part) {
  let stack;
  await test("campus, school, recorder and analytics start", async () => {
    stack = await startStack();
  });
  if (!stack) return;
  try {
    await part(stack);
  } finally {
    await closeBrowsers();
    await stack.stop();
  }
}

const PARTS = {
  async lesson({ links }) {
    const browser = await launch();
    await entering(browser, links);
    const closing = await lesson(browser, links);
    if (closing) await afterwards(browser, links, closing);
  },
  narrowing: ({ links, data }) => narrowing(links, data),
};

// All, or those named: `npm run e2e -- narrowing`.
const named = process.argv.slice(2);
for (const [name, part] of Object.entries(PARTS)) {
  if (named.length === 0 || named.includes(name)) await installed(part);
}
await test("no page had an error of its own", async () => {
  expect(complaints.length === 0, complaints.join("\n"));
});
process.exitCode = summary() ? 0 : 1;
