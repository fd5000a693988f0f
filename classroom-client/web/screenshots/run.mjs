// `make screenshots`: pictures of every page in both languages, from a lesson that is really given
// on an installation of its own. They are in target/screenshots/{language}/{light,dark}.
//
// `node screenshots/run.mjs zh-CN` takes those of one language.

import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { closeBrowsers, launch, ROOT, startStack } from "../e2e/harness.mjs";
import { drawCameras } from "./drawn.mjs";
import { tour } from "./tour.mjs";
import { WORDS } from "./words.mjs";

const OUT = join(ROOT, "target/screenshots");

const named = process.argv.slice(2);
const failures = [];
let taken = 0;

for (const [lang, words] of Object.entries(WORDS)) {
  if (named.length > 0 && !named.includes(lang)) continue;
  const out = join(OUT, lang);
  await rm(out, { recursive: true, force: true });
  for (const scheme of ["light", "dark"]) await mkdir(join(out, scheme), { recursive: true });
  const stack = await startStack((data) => called(words.schools, data));
  try {
    const cameras = await drawCameras(await launch(), stack.data);
    await tour({ stack, lang, words, cameras, shoot: camera(out) });
  } finally {
    await closeBrowsers();
    await stack.stop();
  }
}
console.log(`${taken} pictures in ${OUT}`);
for (const failure of failures) console.log(`FAIL  ${failure}`);
process.exitCode = failures.length === 0 && taken > 0 ? 0 : 1;

/** Takes pictures of pages into `out`: in light colours, and in dark ones where it is said. */
function camera(out) {
  return async (page, name, { dark = false, whole = false } = {}) => {
    for (const scheme of dark ? ["light", "dark"] : ["light"]) {
      await page.emulateMedia({ colorScheme: scheme });
      try {
        const path = join(out, scheme, `${name}.png`);
        await page.screenshot({ path, fullPage: whole, animations: "disabled" });
        taken += 1;
      } catch (error) {
        failures.push(`${name}, ${scheme}: ${error.message.split("\n")[0]}`);
      }
    }
    await page.emulateMedia({ colorScheme: "light" });
  };
}

/** The installation's configuration, with schools called as in the language of the pictures. */
async function called(schools, data) {
  const configs = join(data, "configs");
  await cp(join(ROOT, "configs"), configs, { recursive: true });
  const file = join(configs, "campus.toml");
  const table = Object.entries(schools).map(([id, name]) => `${id} = ${JSON.stringify(name)}`);
  const before = await readFile(file, "utf8");
  const named = before.replace(
    /^\[schools\]\n(?:[\w-]+ = .*\n)*/m,
    `[schools]\n${table.join("\n")}\n`,
  );
  await writeFile(file, named);
  return ["--configs", configs];
}
