// What the browser tests stand on: the installation of four real processes, Chromium with
// fake devices, and a count of what passed.

import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
export const BIN_DIR = process.env.CLOUDSCHOOL_BIN_DIR ?? join(ROOT, "target/debug");
export const LOADTEST = join(BIN_DIR, "loadtest");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/**
 * A built web client (`vite build --outDir …`) to show in place of the one in the programs:
 * for work on the pages without building the programs anew.
 */
const PAGES = process.env.CLOUDSCHOOL_PAGES;

/** The installation must be up within this; a debug build takes a few seconds. */
const UP_WITHIN_MS = 60_000;
/** How long anything awaited in a page may take on a busy machine with two cores. */
export const PATIENCE_MS = 30_000;

/** Nothing stays behind, however this ends. */
const installations = new Set();
process.once("exit", () => {
  for (const child of installations) child.kill("SIGTERM");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"]) {
  process.once(signal, () => process.exit(1));
}

/**
 * Starts campus, school, recorder and analytics. Resolves when all are ready. `prepare` is given
 * the data directory before, and gives more arguments for `loadtest up`.
 */
export async function startStack(prepare = async () => []) {
  const data = await mkdtemp(join(tmpdir(), "cloudschool-e2e-"));
  const more = await prepare(data);
  const child = spawn(LOADTEST, ["up", "--json", "--data", data, "--ports", "free", ...more], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? code));
    child.once("error", (error) => resolve(error.message));
  });
  installations.add(child);
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
    installations.delete(child);
    await rm(data, { recursive: true, force: true });
  };
  const links = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", (line) => {
      try {
        resolve(JSON.parse(line));
      } catch {
        reject(new Error(`not the links: ${line}`));
      }
    });
    exited.then((how) => reject(new Error(`the installation ended at start: ${how}`)));
    setTimeout(() => reject(new Error("the installation is not up in time")), UP_WITHIN_MS).unref();
  });
  try {
    return { links: await links, data, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const COMMON = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--allow-loopback-in-peer-connection",
  // Pages put in place by the test count as from the internet, and may not call loopback.
  `--disable-features=WebRtcHideLocalIpsWithMdns${PAGES ? ",LocalNetworkAccessChecks" : ""}`,
];
/** Frames a second of the test picture: they keep the machine free for four processes and three pages. */
const FPS = 25;

const launched = [];

/**
 * A browser whose camera and microphone are Chromium's test picture and beep. `deny` refuses
 * them; `autoplay: false` keeps sound back until the page is touched, as browsers of people do;
 * `camera` is a file to show in place of the test picture, which has `fps` frames a second.
 * There are so many `cameras`; without `udp` the browser is in a network that lets none out.
 */
export async function launch({
  deny = false,
  autoplay = true,
  camera,
  fps = FPS,
  cameras = 1,
  udp = true,
} = {}) {
  const permission = [
    `--use-fake-device-for-media-stream=device-count=${cameras},fps=${fps}`,
    deny ? "--deny-permission-prompts" : "--use-fake-ui-for-media-stream",
    ...(camera ? [`--use-file-for-fake-video-capture=${camera}`] : []),
  ];
  const policy = autoplay ? "no-user-gesture-required" : "document-user-activation-required";
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      ...COMMON,
      ...permission,
      `--autoplay-policy=${policy}`,
      ...(udp ? [] : ["--webrtc-ip-handling-policy=disable_non_proxied_udp"]),
    ],
  });
  keep(browser);
  return browser;
}

/** Sees to it that a browser is closed with the others. */
export function keep(browser) {
  launched.push(browser);
}

export async function closeBrowsers() {
  for (const browser of launched.splice(0)) await browser.close();
}

/**
 * A camera's picture that costs what a real one does, where Chromium's test picture is hardly
 * more than its background: with a little grain it takes the 2 Mbit/s it may, and more grain
 * would make the browser send it smaller. 1280×720, over and over.
 */
export async function grainyCamera(dir) {
  const file = join(dir, "camera.mjpeg");
  const picture = "testsrc2=size=1280x720:rate=25:duration=6,noise=alls=4:allf=t";
  const ffmpeg = ["-loglevel", "error", "-y", "-f", "lavfi", "-i", picture, "-q:v", "4", file];
  await promisify(execFile)("ffmpeg", ffmpeg);
  return file;
}

/** Pages open now, by name: what they show is kept when a test fails. */
const pages = new Map();
const KEPT = join(ROOT, "target/e2e");

/** What a failed test leaves behind: a picture of every page, and what each says of itself. */
async function evidence() {
  await mkdir(KEPT, { recursive: true });
  const said = [];
  for (const [name, page] of pages) {
    if (page.isClosed()) continue;
    const file = join(KEPT, `${name.replaceAll(" ", "-")}.png`);
    await page.screenshot({ path: file }).catch(() => undefined);
    const state = await page
      .evaluate(async () => {
        const { __cloudschool: own } = window;
        if (!own) return null;
        const { link, media, phase, seq } = own;
        return { link, media, phase, seq, ...(await own.stats()) };
      })
      .catch((error) => error.message);
    said.push(`${name}: ${page.url()} ${file}\n  ${JSON.stringify(state)}`);
  }
  return said.join("\n");
}

/** What pages complained about that nothing here asked for. */
export const complaints = [];

/** Opens `url` in a context of its own, as another person's browser. */
export async function visit(
  browser,
  name,
  url,
  { size = [1280, 800], lang = "zh-CN", before } = {},
) {
  const [width, height] = size;
  const context = await browser.newContext({ viewport: { width, height }, locale: lang });
  const page = await context.newPage();
  attend(name, page);
  if (PAGES) await context.route(/^http:/, servePages);
  if (before) await before(page);
  await page.goto(url);
  return page;
}

/** Has an eye on a page: what it shows is kept when a test fails, and what it complains about. */
export function attend(name, page) {
  page.setDefaultTimeout(PATIENCE_MS);
  pages.set(name, page);
  page.on("pageerror", (error) => complaints.push(`${name}: ${error.message}`));
  page.on("console", (message) => {
    // A refused request is logged by the browser itself; pages say those in their own words.
    const expected = /Failed to load resource|WebSocket connection/.test(message.text());
    if (message.type() === "error" && !expected) complaints.push(`${name}: ${message.text()}`);
  });
}

function servePages(route) {
  const { pathname } = new URL(route.request().url());
  const page =
    /^\/(?:(teacher|classroom|student|assistant|observer|library|report|timetable|patrol)(?:\/[^/]*)?)?$/.exec(
      pathname,
    );
  if (page) return route.fulfill({ path: join(PAGES, `${page[1] ?? "index"}.html`) });
  const asset = /^\/(assets\/|favicon)/.test(pathname);
  return asset ? route.fulfill({ path: join(PAGES, pathname) }) : route.fallback();
}

export const byId = (page, id) => page.locator(`[data-testid="${id}"]`);

/** Waits for `look` to give something true, and gives it. */
export async function until(what, look, within = PATIENCE_MS) {
  const end = Date.now() + within;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`${what}: not within ${within / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The page's own count of a track it watches. */
export async function watched(page, track) {
  const { watched: all } = await page.evaluate(() => window.__cloudschool.stats());
  return all.find((one) => one.track === track);
}

/** The page's own count of what it publishes; of a picture in several sizes the largest. */
export async function published(page, source, kind) {
  const layers = await publishedLayers(page, source, kind);
  return layers.at(-1);
}

/** The page's own count of each size it publishes, the smallest first. */
export async function publishedLayers(page, source, kind) {
  const { published: all } = await page.evaluate(() => window.__cloudschool.stats());
  return all
    .filter((one) => one.source === source && one.kind === kind)
    .sort((a, b) => a.width - b.width);
}

/** Waits until a picture moves: ten more frames decoded than at first sight. */
export async function moves(page, track) {
  const first = await until(`${track} is seen`, async () => {
    const stats = await watched(page, track);
    return stats?.framesDecoded > 0 && stats;
  });
  return until(`${track} moves`, async () => {
    const stats = await watched(page, track);
    return stats?.framesDecoded >= first.framesDecoded + 10 && stats;
  });
}

/** Waits until a sound is heard: its energy grows. */
export async function sounds(page, track) {
  return until(`${track} is heard`, async () => {
    const stats = await watched(page, track);
    return stats?.audioEnergy > 0 && stats;
  });
}

/** Waits until a voice of the class is heard: on one of its lines the energy grows. */
export async function hearsClass(page) {
  const energy = async () => {
    const { watched: all } = await page.evaluate(() => window.__cloudschool.stats());
    const voices = all.filter((one) => one.track.startsWith("loudest/"));
    return voices.reduce((sum, one) => sum + one.audioEnergy, 0);
  };
  const before = await energy();
  return until("a voice of the class is heard", async () => (await energy()) > before);
}

/** Lets a test cut and mend a page's lesson socket. */
export function cuttable() {
  let cut = false;
  const open = new Set();
  return {
    async before(page) {
      await page.routeWebSocket(/\/socket$/, (ws) => {
        if (cut) {
          void ws.close();
          return;
        }
        ws.connectToServer();
        open.add(ws);
      });
    },
    async cut() {
      cut = true;
      for (const ws of open) await ws.close();
      open.clear();
    },
    mend() {
      cut = false;
    },
  };
}

/** Waits until a video element shows moving pictures, not only receives them. */
export async function plays(page, testId) {
  await page.waitForFunction((id) => {
    const video = document.querySelector(`video[data-testid="${id}"]`);
    return video && video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 5;
  }, testId);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds wrong with a page as it is. */
export async function accessibility(page) {
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { violations: found } = await window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    });
    return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  });
  if (violations.length > 0) throw new Error(violations.join("\n"));
}

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

/** How much longer than aimed at something may take here before it is a fault. */
const SLOWER = 8;

/**
 * Says how long something took, beside what is aimed at. A machine that does much else meanwhile is
 * no measure of it, so only what takes many times as long fails.
 */
export function aimed(took, aim) {
  expect(took < SLOWER * aim, `it took ${took.toFixed(0)} ms, and ${aim} ms are aimed at`);
  return `${took.toFixed(0)} ms, ${took < aim ? "within" : "over"} the ${aim} ms aimed at`;
}

let passed = 0;
let failed = 0;

/** Says that a test can't be tried here, and why. */
export function skip(name, why) {
  console.log(`skip  ${name}: ${why}`);
}

/** Runs one test. Gives false when it failed, so that what builds on it can be left out. */
export async function test(name, run) {
  const begun = performance.now();
  try {
    const figures = await run();
    const took = ((performance.now() - begun) / 1000).toFixed(1);
    passed += 1;
    console.log(`ok    ${name} (${took} s${figures ? `; ${figures}` : ""})`);
    return true;
  } catch (error) {
    failed += 1;
    const text = `${error?.stack ?? error}\n${await evidence()}`;
    console.log(`FAIL  ${name}\n      ${text.replaceAll("\n", "\n      ")}`);
    return false;
  }
}

/** The last line, and whether all passed. */
export function summary() {
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}
