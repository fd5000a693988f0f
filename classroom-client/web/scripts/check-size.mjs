// Adds up what a student's browser loads before the lesson shows, as it crosses the line
// (gzip), and fails the build when it is more than a village school's line should carry.
import { readFileSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT_KB = 120;
/** Where the build is: `dist`, or as `vite build --outDir` was told. */
const dist = process.argv[2]
  ? pathToFileURL(`${resolve(process.argv[2])}/`)
  : new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));

// It is for here only: everything in dist is embedded in the programs.
rmSync(new URL(".vite", dist), { recursive: true });

const files = new Set(["student.html"]);
function add(key) {
  const chunk = manifest[key];
  if (files.has(chunk.file)) return;
  files.add(chunk.file);
  for (const css of chunk.css ?? []) files.add(css);
  for (const imported of chunk.imports ?? []) add(imported);
}
add("student.html");

let total = 0;
for (const file of files) total += gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
const kb = total / 1000;
console.log(
  `student page, first load: ${kb.toFixed(1)} kB gzipped in ${files.size} files (limit ${LIMIT_KB} kB)`,
);
if (kb > LIMIT_KB) process.exit(1);
