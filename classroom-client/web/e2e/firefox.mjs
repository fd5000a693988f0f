// Firefox as Debian has it: a teacher and a student take part in a lesson with it, at the node of
// a school of their own, beside a classroom in Chromium at another. Debian's Firefox has no H.264
// before it has fetched a plugin, so its teacher sends VP8; a picture that is sent as H.264 it
// can't show until then. It sends no media over loopback, so all of this is in a network of its own.

import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  attend,
  byId,
  expect,
  hearsClass,
  keep,
  launch,
  moves,
  PATIENCE_MS,
  published,
  sounds,
  test,
  visit,
} from "./harness.mjs";
import { tokenFor } from "./members.mjs";
import { ADDRESS, refused } from "./network.mjs";
import { pdfOf } from "./pdf.mjs";
import { startSchool } from "./school.mjs";
import { MEMBERS, openLesson } from "./whole/crew.mjs";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
const TEACHER = MEMBERS.teacher.id;
const STUDENT = MEMBERS.far.id;

/** Fake camera and microphone without asking, and sound without a touch. */
const SETTINGS = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.autoplay.default": 0,
  "intl.accept_languages": "zh-CN",
  // It is only to be looked at: nothing is fetched beside what pages ask for.
  "app.update.enabled": false,
  "media.gmp-manager.updateEnabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
};

/** Why it can't be tried here; nothing where it can. */
export function missing() {
  if (!existsSync(FIREFOX)) {
    return `there is no ${FIREFOX}: \`make setup-tests\` installs Debian's firefox-esr`;
  }
  return refused();
}

async function launchFirefox() {
  const { default: puppeteer } = await import("puppeteer-core");
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: SETTINGS,
    timeout: PATIENCE_MS,
    protocolTimeout: 2 * PATIENCE_MS,
  });
  keep(browser);
  return browser;
}

/** Opens `url` as another person's browser would. */
async function open(browser, name, url, [width, height]) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  attend(name, page);
  await page.setViewport({ width, height });
  await page.goto(url);
  return page;
}

const at = (id) => `[data-testid="${id}"]`;
const there = (page, id) => page.waitForSelector(at(id));
/** A window behind others is hardly given frames, and both clicking and looking wait for those. */
async function click(page, id) {
  const element = await page.waitForSelector(`${at(id)}:enabled`);
  await page.bringToFront();
  await element.click();
}
const OFTEN = { polling: 100 };

/** Waits until a video element has shown five pictures more, not only received them. */
async function shows(page, id) {
  const video = await page.waitForSelector(`video${at(id)}`);
  await video.evaluate(
    (element) =>
      new Promise((resolve) => {
        let left = 5;
        const shown = () => {
          left -= 1;
          if (left === 0) resolve();
          else element.requestVideoFrameCallback(shown);
        };
        element.requestVideoFrameCallback(shown);
      }),
  );
}

export async function firefox(stack) {
  const school = await startSchool(stack, "school-02", ADDRESS);
  try {
    await inLesson(stack.links, school.url, join(stack.data, "slides.pdf"));
  } finally {
    await school.stop();
  }
}

/** `file` is where a PDF may be written. */
async function inLesson(links, node, file) {
  let browser;
  let teacher;
  let student;
  const { lesson } = await openLesson(links, [links.campus, links.school, node]);
  /** The page of one of them, at a node. */
  const pageOf = async (who, at = node) => {
    const token = await tokenFor(links, { ...MEMBERS[who], lesson });
    return `${at}/${MEMBERS[who].role}/${lesson}#token=${token}`;
  };

  const begun =
    await test("a teacher comes in with Firefox, and sends what it can: VP8", async () => {
      browser = await launchFirefox();
      teacher = await open(browser, "teacher in Firefox", await pageOf("teacher"), [1280, 800]);
      await shows(teacher, "own-camera");
      await click(teacher, "enter");
      await there(teacher, "teacher");
      await teacher.keyboard.press("b");
      await there(teacher, "recording-dot");
      await teacher.waitForFunction(async () => {
        const { published: all } = await window.__cloudschool.stats();
        return all.some(({ kind, framesEncoded }) => kind === "video" && framesEncoded > 10);
      });
      const { codec } = await published(teacher, "camera", "video");
      expect(codec === "video/VP8", `the camera is sent as ${codec}`);
      return await browser.version();
    });
  if (!begun) return;

  await test("a student in Firefox sees and hears the teacher", async () => {
    const from = performance.now();
    student = await open(browser, "student in Firefox", await pageOf("far"), [360, 740]);
    await there(student, "student");
    const { width, height } = await moves(student, `${TEACHER}/camera`);
    await shows(student, "main-video");
    await sounds(student, `${TEACHER}/microphone`);
    return `${width}×${height}, ${((performance.now() - from) / 1000).toFixed(1)} s after it was asked for`;
  });

  await test("a classroom in Chromium and the teacher in Firefox: each is there for the other", async () => {
    const chromium = await launch({ fps: 10 });
    const room = await visit(chromium, "classroom", await pageOf("room1", links.school), {
      size: [1280, 720],
    });
    await moves(room, `${TEACHER}/camera`);
    await there(teacher, "room-class-301");
    await hearsClass(teacher);
    await room.keyboard.press("h");
    await there(teacher, "hand-class-301");
    await byId(room, "status").waitFor();
  });

  await test("a hand, a quiz and a word of a student in Firefox", async () => {
    await click(student, "hand");
    await there(teacher, `hand-${STUDENT}`);
    await teacher.keyboard.press("t");
    await click(teacher, "sheet-abcd");
    await there(student, "pick-B");
    await click(student, "pick-B");
    await teacher.waitForSelector(`${at("bar-1")}[data-count="1"]`);
    await student.waitForSelector(`${at("item-0")} [data-standing="counted"]`);
    await teacher.keyboard.press("Escape");
    await click(student, "chat");
    await there(student, "chat-text");
    await student.type(at("chat-text"), "听得见");
    await click(student, "chat-send");
    await teacher.waitForFunction(
      () => document.querySelector(".side .chat-said")?.textContent.includes("听得见"),
      OFTEN,
    );
  });

  await test("the board in Firefox: a stroke of the teacher's is on the student's page", async () => {
    await teacher.keyboard.press("w");
    const surface = await there(teacher, "board-surface");
    await there(student, "board-surface");
    const { x, y, width, height } = await surface.boundingBox();
    await teacher.mouse.move(x + width / 4, y + height / 4);
    await teacher.mouse.down();
    await teacher.mouse.move(x + width / 2, y + height / 2, { steps: 8 });
    await teacher.mouse.up();
    for (const page of [teacher, student]) {
      await page.waitForSelector(`${at("board-surface")}[data-count="1"]`);
    }
  });

  await test("slides that are made in Firefox are on the student's page", async () => {
    await writeFile(file, pdfOf(["抛物线", "对称轴"]));
    await teacher.keyboard.press("k");
    const input = await there(teacher, "slides-file");
    await input.uploadFile(file);
    const drawn = async (number) => {
      const picture = await student.waitForSelector(`${at("slide")}[data-page="${number}"]`);
      await student.waitForFunction((img) => img.complete && img.naturalWidth > 0, OFTEN, picture);
    };
    await drawn(1);
    await click(teacher, "slides-next");
    await drawn(2);
  });

  await test("the end is the end in Firefox too", async () => {
    await click(teacher, "tool-end");
    await click(teacher, "end-confirm");
    for (const page of [teacher, student]) await there(page, "closing");
  });
}
