// The teacher's desk beside the lesson's course: the check before it, a second camera, who is
// taken out and the locked door; and an observer's notes, from the lesson to its replay.

import { readFile } from "node:fs/promises";
import {
  accessibility,
  byId,
  expect,
  launch,
  moves,
  plays,
  published,
  test,
  until,
  visit,
} from "./harness.mjs";

const STUDENT = "wang";
const TEACHER = "li";
const PHONE = [360, 740];
const NOTE = "导入自然，问题有梯度";
const REPLAY_NOTE = "这里可以再慢一点";
const LATE_NOTE = "小结由学生来说更好";

/** The line's verdict, once there is one. */
async function verdict(page) {
  const line = page.locator('[data-testid="line-verdict"][data-verdict]');
  await line.waitFor();
  return { is: await line.getAttribute("data-verdict"), by: await line.getAttribute("data-by") };
}

export async function desk({ links }) {
  const browser = await launch({ cameras: 3 });
  let teacher;
  let student;
  let observer;

  await test("where a network lets no UDP out, the check says what will work", async () => {
    const narrow = await launch({ udp: false });
    const page = await visit(narrow, "without UDP", links.teacher);
    const { is, by } = await verdict(page);
    expect(by === "tcp", `media goes by ${by}`);
    // A slow machine may find the line's round trip worse than the lack of UDP.
    expect(is === "tcp" || is === "poor", `the verdict is ${is}`);
    await accessibility(page);
    await page.context().close();
  });

  const begun = await test("the check hears one's voice through the node", async () => {
    teacher = await visit(browser, "teacher", links.teacher);
    await plays(teacher, "own-camera");
    const { by } = await verdict(teacher);
    expect(by === "udp", `media goes by ${by}`);
    await byId(teacher, "try-voice").click();
    await teacher.locator('[data-testid="voice-way"][data-way="node"]').waitFor();
    await teacher.locator('[data-testid="try-voice"]:enabled').waitFor();
    await teacher.locator('[data-testid="line-verdict"][data-losing]').waitFor();
    await accessibility(teacher);
    await byId(teacher, "enter").click();
    await byId(teacher, "teacher").waitFor();
    await teacher.keyboard.press("b");
    await byId(teacher, "recording-dot").waitFor();
    student = await visit(browser, "student", links.student, { size: PHONE });
    observer = await visit(browser, "observer", links.observer);
    await moves(student, `${TEACHER}/camera`);
  });
  if (!begun) return;

  await test("a second camera is shown to the class, and the first stays", async () => {
    await teacher.keyboard.press("z");
    await byId(teacher, "panel-document").waitFor();
    await accessibility(teacher);
    // The second of Chromium's cameras measures depth, which nobody encodes.
    await byId(teacher, "document-camera").selectOption({ label: "fake_device_2" });
    await byId(teacher, "document-start").click();
    await plays(teacher, "document-video");
    await moves(student, `${TEACHER}/screen`);
    await moves(student, `${TEACHER}/camera`);
    const { width } = await published(teacher, "screen", "video");
    await accessibility(teacher);
    await byId(teacher, "document-stop").click();
    await byId(teacher, "document-video").waitFor({ state: "detached" });
    await teacher.keyboard.press("Escape");
    return `${width} pixels wide`;
  });

  await test("blackboard mode keeps the picture's size and all its layers", async () => {
    const layers = async () => {
      const { published: all } = await teacher.evaluate(() => window.__cloudschool.stats());
      return all.filter(({ source, kind }) => source === "camera" && kind === "video").length;
    };
    const before = await layers();
    await byId(teacher, "settings").click();
    await byId(teacher, "board-mode").check();
    await accessibility(teacher);
    await teacher.keyboard.press("Escape");
    const sent = await published(teacher, "camera", "video");
    const now = await until("pictures go on", async () => {
      const stats = await published(teacher, "camera", "video");
      return stats.framesEncoded > sent.framesEncoded + 10 && stats;
    });
    // A busy machine may have made it smaller before.
    expect(now.width >= sent.width, `it shrank from ${sent.width} to ${now.width}`);
    expect((await layers()) >= before, "a layer is missing");
    await byId(teacher, "settings").click();
    await byId(teacher, "board-mode").uncheck();
    await teacher.keyboard.press("Escape");
  });

  await test("who is taken out is told so and stays out until let in", async () => {
    await byId(teacher, "tab-members").click();
    await byId(teacher, `remove-${STUDENT}`).click();
    await byId(teacher, "remove-dialog").waitFor();
    await accessibility(teacher);
    await byId(teacher, "remove-confirm").click();
    await byId(student, "stop-removed").waitFor();
    await accessibility(student);
    await byId(teacher, `student-${STUDENT}`).waitFor({ state: "detached" });
    await student.reload();
    await student.locator(".stop-said").waitFor();
    await byId(teacher, `let-in-${STUDENT}`).click();
    await byId(teacher, "removed").waitFor({ state: "detached" });
    await student.reload();
    await byId(student, "student").waitFor();
    await byId(teacher, `student-${STUDENT}`).waitFor();
  });

  await test("a locked door is said where the teacher looks, and opens by its key", async () => {
    await teacher.locator("body").click({ position: { x: 2, y: 2 } });
    await teacher.keyboard.press("o");
    await byId(teacher, "locked-badge").waitFor();
    await accessibility(teacher);
    await teacher.keyboard.press("o");
    await byId(teacher, "locked-badge").waitFor({ state: "detached" });
  });

  await test("an observer's notes are kept with the recording, for any browser", async () => {
    await byId(observer, "note-text").fill(NOTE);
    await byId(observer, "note-add").click();
    await observer.locator('.note[data-waits="false"]').filter({ hasText: NOTE }).waitFor();
    await teacher.keyboard.press("e");
    await byId(teacher, "end-confirm").click();
    await byId(observer, "recording").click();
    const kept = (page, text) =>
      page.locator('.note[data-waits="false"]').filter({ hasText: text }).waitFor();
    await kept(observer, NOTE);
    await observer.waitForFunction(
      () => document.querySelector('[data-testid="player"]')?.currentTime > 2,
    );
    await byId(observer, "note-text").fill(REPLAY_NOTE);
    await byId(observer, "note-add").click();
    await kept(observer, REPLAY_NOTE);
    await accessibility(observer);
    await byId(observer, "tab-sheet").click();
    await byId(observer, "points-0").fill("9");
    await byId(observer, "sheet-submit").click();
    await observer.locator('[data-testid="sheet-standing"][data-standing="counted"]').waitFor();
    await accessibility(observer);

    // Another computer, another day: the same observer, nothing in the browser.
    const [, token] = links.observer.split("#token=");
    const address = `${observer.url()}#token=${token}&lang=en`;
    const elsewhere = await visit(await launch(), "observer elsewhere", address);
    await kept(elsewhere, NOTE);
    await kept(elsewhere, REPLAY_NOTE);
    const saved = elsewhere.waitForEvent("download");
    await byId(elsewhere, "note-export").click();
    const table = await readFile(await (await saved).path(), "utf8");
    expect(table.includes(NOTE) && table.includes(REPLAY_NOTE), `exported was ${table}`);
    await accessibility(elsewhere);
    await byId(elsewhere, "tab-sheet").click();
    expect((await byId(elsewhere, "points-0").inputValue()) === "9", "the sheet was not kept");

    // What the library did not get waits, and goes when it is back.
    await elsewhere.route("**/review/notes/*", (route) => route.abort());
    await byId(elsewhere, "tab-notes").click();
    await byId(elsewhere, "note-text").fill(LATE_NOTE);
    await byId(elsewhere, "note-add").click();
    const waits = elsewhere.locator('.note[data-waits="true"]').filter({ hasText: LATE_NOTE });
    await waits.waitFor();
    await elsewhere.reload();
    await waits.waitFor();
    await elsewhere.unroute("**/review/notes/*");
    await kept(elsewhere, LATE_NOTE);
    await observer.reload();
    await kept(observer, LATE_NOTE);
  });
}
