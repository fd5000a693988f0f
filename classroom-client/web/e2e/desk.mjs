// The teacher's desk beside the lesson's course: the check before it, a second camera, who is
// taken out and the locked door; and an observer's notes, from the lesson to its replay.

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

  await test("an observer's notes go along to the recording, and more are taken there", async () => {
    await byId(observer, "note-text").fill(NOTE);
    await byId(observer, "note-add").click();
    await observer.locator('.note[data-waits="false"]').filter({ hasText: NOTE }).waitFor();
    await teacher.keyboard.press("e");
    await byId(teacher, "end-confirm").click();
    await byId(observer, "recording").click();
    const notes = byId(observer, "note-list");
    await notes.filter({ hasText: NOTE }).waitFor();
    expect(!observer.url().includes(encodeURIComponent(NOTE)), "the notes stay in the address");
    await observer.waitForFunction(
      () => document.querySelector('[data-testid="player"]')?.currentTime > 2,
    );
    await byId(observer, "note-text").fill(REPLAY_NOTE);
    await byId(observer, "note-add").click();
    await notes.filter({ hasText: REPLAY_NOTE }).waitFor();
    await accessibility(observer);
    await byId(observer, "tab-sheet").click();
    await byId(observer, "points-0").fill("9");
    await accessibility(observer);
    await observer.reload();
    await notes.filter({ hasText: REPLAY_NOTE }).waitFor();
    await byId(observer, "tab-sheet").click();
    expect((await byId(observer, "points-0").inputValue()) === "9", "the sheet was not kept");
  });
}
