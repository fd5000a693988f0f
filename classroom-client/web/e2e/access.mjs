// Everything without a pointer, and for eyes of all kinds: the teacher's tools and the class's
// answers by keys alone, every control of every page within reach of Tab, and each page looked at
// by axe in light and dark.

import { accessibility, byId, expect, launch, plays, test, visit } from "./harness.mjs";
import { press, tabTo, walk } from "./keys.mjs";
import { tokenFor } from "./members.mjs";
import { pdfOf } from "./pdf.mjs";

const STUDENT = "wang";
const PHONE = [360, 740];

/** As axe sees a page, by day and by night. */
async function bothWays(page) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await accessibility(page);
  }
}

const gone = (page, id) => byId(page, id).waitFor({ state: "detached" });

export async function access({ links }) {
  const browser = await launch({ fps: 10 });
  let teacher;
  let student;
  let room;
  let helper;
  let observer;

  const begun =
    await test("a teacher checks the devices, comes in and begins by keys alone", async () => {
      teacher = await visit(browser, "teacher", links.teacher);
      await plays(teacher, "own-camera");
      const count = await walk(teacher);
      await bothWays(teacher);
      await press(teacher, "enter");
      await byId(teacher, "teacher").waitFor();
      await teacher.keyboard.press("b");
      await byId(teacher, "recording-dot").waitFor();
      student = await visit(browser, "student", links.student, { size: PHONE });
      room = await visit(browser, "classroom", links.classroom, { size: [1920, 1080] });
      helper = await visit(browser, "assistant", links.assistant, { size: PHONE });
      observer = await visit(browser, "observer", links.observer);
      await byId(teacher, "room-class-301").waitFor();
      await plays(student, "main-video");
      return `${count} controls of the device check`;
    });
  if (!begun) return;

  await test("Tab leads to everything on the teacher's page, and one sees where one is", async () => {
    const count = await walk(teacher);
    await bothWays(teacher);
    return `${count} controls`;
  });

  await test("each tool opens by its key, is walked through by Tab, and closes by Esc", async () => {
    const tools = await teacher
      .locator(".tools .tool[aria-expanded]")
      .evaluateAll((all) => all.map((one) => one.getAttribute("aria-keyshortcuts")));
    expect(tools.length > 8, `there are ${tools.length} tools with panels`);
    let count = 0;
    for (const key of tools) {
      await teacher.keyboard.press(key.toLowerCase());
      await teacher.locator("section.panel").waitFor();
      count += await walk(teacher, "section.panel");
      await bothWays(teacher);
      await teacher.keyboard.press("Escape");
      await teacher.locator("section.panel").waitFor({ state: "detached" });
    }
    return `${tools.length} tools, ${count} controls`;
  });

  await test("a hand: raised by a key or by Tab, called by a key, declined by Esc", async () => {
    await press(student, "hand");
    await byId(teacher, `hand-${STUDENT}`).waitFor();
    await byId(student, "hand").filter({ hasText: "放下" }).waitFor();
    await student.keyboard.press("h");
    await gone(teacher, `hand-${STUDENT}`);
    await byId(student, "hand").filter({ hasText: "举手" }).waitFor();
    await student.keyboard.press("h");
    await byId(teacher, `hand-${STUDENT}`).waitFor();
    await walk(teacher, ".side-hands");
    await teacher.keyboard.press("1");
    await byId(student, "called-dialog").waitFor();
    await walk(student);
    await bothWays(student);
    await student.keyboard.press("Escape");
    await gone(student, "called-dialog");
    await gone(teacher, `hand-${STUDENT}`);
  });

  await test("a roll call, from its opening to its close", async () => {
    await teacher.keyboard.press("r");
    await press(teacher, "roll-call-start");
    await press(student, "here");
    await byId(student, "roll-call").locator(".card-done").waitFor();
    await byId(room, "here").waitFor();
    await walk(room);
    await bothWays(room);
    await room.keyboard.press("r");
    await press(helper, "present");
    await helper.keyboard.press("ControlOrMeta+a");
    await helper.keyboard.type("38");
    await press(helper, "report");
    await byId(teacher, "roll-call-school-01").filter({ hasText: "38" }).waitFor();
    await walk(teacher, "section.panel");
    await bothWays(teacher);
    await press(teacher, "roll-call-close");
    await gone(student, "roll-call");
    await teacher.keyboard.press("Escape");
    await gone(teacher, "panel-roll-call");
  });

  await test("a poll, from its opening to its result on every screen", async () => {
    await teacher.keyboard.press("p");
    await press(teacher, "sheet-abcd");
    await press(student, "pick-B");
    await teacher.locator('[data-testid="bar-1"][data-count="1"]').waitFor();
    await walk(helper);
    await bothWays(helper);
    await walk(teacher, "section.panel");
    await bothWays(teacher);
    await press(teacher, "quiz-reveal");
    await byId(student, "result").first().waitFor();
    await byId(room, "result").first().waitFor();
    await bothWays(student);
    await press(student, "put-away");
    await teacher.keyboard.press("Escape");
    await gone(teacher, "panel-poll");
  });

  await test("chat and the list of members", async () => {
    await tabTo(teacher, "tab-chat");
    await teacher.keyboard.press("ArrowRight");
    await byId(teacher, `student-${STUDENT}`).waitFor();
    await walk(teacher, ".side-tabs");
    await bothWays(teacher);
    await teacher.keyboard.press("ArrowLeft");
    await tabTo(teacher, "chat-mode");
    await teacher.keyboard.press("ArrowRight");
    await byId(teacher, "chat-mode-all").and(teacher.locator(":checked")).waitFor();
    await tabTo(teacher, "chat-text");
    await teacher.keyboard.type("看黑板");
    await teacher.keyboard.press("Enter");
    await byId(student, "chat").locator(".unread").waitFor();
    await tabTo(student, "hand");
    await student.keyboard.press("c");
    await byId(student, "chat-sheet").getByText("看黑板").waitFor();
    await walk(student);
    await bothWays(student);
    await student.keyboard.press("Escape");
    await gone(student, "chat-sheet");
  });

  await test("words on the board: a page of it written without a pointer", async () => {
    await tabTo(teacher, "middle-board");
    await teacher.keyboard.press("w");
    await byId(teacher, "board-surface").waitFor();
    await walk(teacher, ".stage-area");
    await bothWays(teacher);
    await press(teacher, "board-text");
    await press(teacher, "board-surface");
    await teacher.keyboard.type("顶点 (1, 2)");
    await teacher.keyboard.press("Escape");
    await byId(teacher, "board-surface").and(teacher.locator(":focus")).waitFor();
    for (const page of [teacher, student, room]) {
      await page.locator('[data-testid="board-surface"][data-count="1"]').waitFor();
    }
    await bothWays(student);
  });

  await test("slides take the board's place, and are turned by keys", async () => {
    await tabTo(teacher, "middle-slides");
    await teacher.keyboard.press("k");
    await byId(teacher, "no-slides").waitFor();
    await walk(teacher, ".stage-area");
    // The browser's own chooser is a window of its own, with keys of its own.
    await byId(teacher, "slides-file").setInputFiles({
      name: "a.pdf",
      mimeType: "application/pdf",
      buffer: pdfOf(["一", "二"]),
    });
    const shows = (page, number) =>
      page.locator(`[data-testid="slides"][data-page="${number}"]`).waitFor();
    await shows(student, 1);
    await walk(teacher, ".stage-area");
    await bothWays(teacher);
    await tabTo(teacher, "slides-next");
    await teacher.keyboard.press("PageDown");
    for (const page of [teacher, student, room]) await shows(page, 2);
    await bothWays(student);
    await press(teacher, "slides-close");
    await gone(student, "slides");
  });

  await test("student, classroom, assistant and observer: all of each page within reach", async () => {
    const counts = [];
    for (const page of [student, room, helper, observer]) {
      counts.push(await walk(page));
      await bothWays(page);
    }
    await tabTo(student, "hand");
    await student.keyboard.press("r");
    await byId(student, "react-sheet").waitFor();
    await walk(student);
    await student.keyboard.press("Escape");
    await gone(student, "react-sheet");
    await press(student, "more");
    await byId(student, "more-sheet").waitFor();
    await walk(student);
    await bothWays(student);
    await student.keyboard.press("Escape");
    await press(helper, "support");
    await byId(helper, "support-sheet").waitFor();
    await walk(helper);
    await bothWays(helper);
    await helper.keyboard.press("Escape");
    await press(observer, "tab-sheet");
    await byId(observer, "sheet").waitFor();
    await walk(observer);
    await bothWays(observer);
    return `${counts.join(", ")} controls`;
  });

  await test("the office's pages, and who looks on: all of each within reach", async () => {
    const operator = await tokenFor(links, { id: "ops", role: "operator", school: "campus" });
    const pages = {
      index: [`${links.campus}/`, "index"],
      timetable: [links.timetable, "timetable"],
      patrol: [links.patrol, `glance-${links.lesson}`],
      library: [links.library, "library"],
      report: [links.report, "report"],
      operator: [`${links.campus}/student/${links.lesson}#token=${operator}`, "student"],
    };
    const counts = [];
    for (const [name, [url, id]] of Object.entries(pages)) {
      const page = await visit(browser, name, url);
      await byId(page, id).waitFor();
      try {
        if (name === "timetable") {
          await press(page, "add-lesson");
          await byId(page, "save-lesson").waitFor();
          await press(page, "import-sheet");
          await byId(page, "sheet-file").waitFor({ state: "attached" });
        }
        counts.push(`${name} ${await walk(page)}`);
        await bothWays(page);
      } catch (error) {
        error.message = `${name}: ${error.message}`;
        throw error;
      }
      if (name === "operator") await gone(page, "hand");
      await page.context().close();
    }
    return counts.join(", ");
  });

  await test("the end is asked for and confirmed by keys", async () => {
    await tabTo(teacher, "tool-end");
    await teacher.keyboard.press("e");
    await byId(teacher, "end-dialog").waitFor();
    await walk(teacher);
    await bothWays(teacher);
    await press(teacher, "end-confirm");
    for (const page of [teacher, student, room, helper, observer]) {
      await byId(page, "closing").waitFor();
    }
    await walk(teacher);
    for (const page of [teacher, student, room]) await bothWays(page);
  });
}
