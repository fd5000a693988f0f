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

let stack;
await test("campus, school, recorder and analytics start", async () => {
  stack = await startStack();
});
if (stack) {
  const browser = await launch();
  try {
    await entering(browser, stack.links);
    const closing = await lesson(browser, stack.links);
    if (closing) await afterwards(browser, stack.links, closing);
    await test("no page had an error of its own", async () => {
      expect(complaints.length === 0, complaints.join("\n"));
    });
  } finally {
    await closeBrowsers();
    await stack.stop();
  }
}
process.exitCode = summary() ? 0 : 1;
