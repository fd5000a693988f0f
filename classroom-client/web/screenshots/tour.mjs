// The lesson of the pictures: what happens in it, and when a picture is taken of whom.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { byId, launch, plays, until, visit } from "../e2e/harness.mjs";
import { drawSlides } from "./drawn.mjs";
import { AFAR, CAMPUS, office, present, sign, VILLAGE } from "./people.mjs";

const DESK = [1440, 900];
const PHONE = [390, 844];
const SCREEN = [1920, 1080];
const LESSON = "math";

const says = (page, id, text) => byId(page, id).filter({ hasText: text }).first().waitFor();
const gone = (page, id) => byId(page, id).waitFor({ state: "detached" });
const check = (page, id) => byId(page, id).check({ force: true });

/** Waits until the slide shown is drawn. */
async function drawn(page) {
  await page.waitForFunction(() => {
    const slide = document.querySelector('[data-testid="slide"]');
    return slide?.complete && slide.naturalWidth > 0;
  });
}

/** Chromium's stand-in devices are called by their files; a teacher's are called by their makers. */
function namesDevices(page) {
  return page.addInitScript(() => {
    const NAMES = { videoinput: "USB Camera", audioinput: "USB Microphone" };
    const label = Object.getOwnPropertyDescriptor(MediaDeviceInfo.prototype, "label");
    Object.defineProperty(InputDeviceInfo.prototype, "label", {
      get() {
        return label.get.call(this) && (NAMES[this.kind] ?? label.get.call(this));
      },
    });
  });
}

export async function tour(given) {
  const { stack, words } = given;
  const { links } = stack;
  await office(links, "POST", "/api/lessons", {
    id: LESSON,
    title: words.title,
    subject: words.subject,
    grade: words.grade,
    teacher: words.teacher,
    campus: CAMPUS,
    schools: [VILLAGE, AFAR],
    schoolNames: words.schools,
  });
  const link = async (base, page, member) => {
    const lesson = page === "timetable" || page === "patrol" ? undefined : LESSON;
    const token = await sign(links, { ...member, lesson });
    const path = lesson ? `${page}/${lesson}` : page;
    return `${base}/${path}#token=${token}&lang=${given.lang}`;
  };
  const open = async (browser, name, base, page, member, size) => {
    const address = await link(base, page, member);
    return visit(browser, name, address, { size, lang: given.lang, before: namesDevices });
  };
  const cast = { ...given, links, open };
  await planning(cast);
  const lesson = await begin(cast);
  await hands(cast, lesson);
  await slides(cast, lesson);
  await rollCall(cast, lesson);
  await questions(cast, lesson);
  await quiz(cast, lesson);
  await together(cast, lesson);
  await board(cast, lesson);
  await looking(cast, lesson);
  await after(cast, lesson);
}

/** Pages around a lesson: the code, the timetable. */
async function planning({ links, lang, words, open, shoot }) {
  const browser = await launch();
  for (const [name, size] of [
    ["index", DESK],
    ["index-phone", PHONE],
  ]) {
    const page = await visit(browser, name, `${links.campus}/#lang=${lang}`, { size, lang });
    await byId(page, "join-code").waitFor();
    await shoot(page, name, { dark: true });
    await page.context().close();
  }
  const morning = new Date();
  morning.setDate(morning.getDate() + 1);
  morning.setHours(8, 0, 0, 0);
  for (const [n, [id, title, teacher, subject, grade]] of words.lessons.entries()) {
    await office(links, "POST", "/api/lessons", {
      id,
      title,
      teacher,
      subject,
      grade,
      campus: CAMPUS,
      schools: n === 1 ? [VILLAGE, AFAR] : [VILLAGE],
      plannedStartMs: morning.getTime() + n * 55 * 60_000,
      plannedMinutes: 45,
    });
  }
  const ops = { id: "ops", name: "ops", role: "operator", school: CAMPUS };
  const desk = await open(browser, "timetable", links.campus, "timetable", ops, DESK);
  await byId(desk, `planned-${words.lessons[0][0]}`).waitFor();
  await shoot(desk, "timetable", { dark: true, whole: true });
  await byId(desk, "add-lesson").locator("summary").click();
  await shoot(desk, "timetable-form", { whole: true });
  await desk.context().close();
}

/** Everybody comes in; the lesson begins. */
async function begin({ links, words, open, cameras, shoot }) {
  const { people } = words;
  const at = (camera) => launch({ camera: cameras[camera] });
  const teacher = await open(
    await at("teacher"),
    "teacher",
    links.campus,
    "teacher",
    { id: "li", name: words.teacher, role: "teacher", school: CAMPUS },
    DESK,
  );
  await plays(teacher, "own-camera");
  await byId(teacher, "line-verdict").and(teacher.locator(".tone-good")).waitFor();
  await byId(teacher, "try-voice").click();
  await byId(teacher, "voice-way").waitFor();
  await teacher.locator('[data-testid="try-voice"]:enabled').waitFor();
  await shoot(teacher, "teacher-check", { dark: true });
  await byId(teacher, "enter").click();
  await byId(teacher, "teacher").waitFor();
  await shoot(teacher, "teacher-alone");
  const room = async (id, camera, base, school) =>
    open(
      await at(camera),
      id,
      base,
      "classroom",
      { id, name: people[id], role: "classroom", school },
      SCREEN,
    );
  const screen = await room("class-301", "room-301", links.school, VILLAGE);
  await byId(screen, "main-video").waitFor();
  await plays(screen, "main-video");
  await shoot(screen, "classroom-waiting");
  await room("class-302", "room-302", links.campus, AFAR);
  await room("host", "host", links.campus, CAMPUS);
  const home = await at("home");
  const student = await open(
    home,
    "student",
    links.campus,
    "student",
    { id: "wang", name: people.wang, role: "student", school: CAMPUS },
    PHONE,
  );
  const helper = await open(
    home,
    "assistant",
    links.school,
    "assistant",
    { id: "zhao", name: people.zhao, role: "assistant", school: VILLAGE },
    PHONE,
  );
  const observer = await open(
    home,
    "observer",
    links.campus,
    "observer",
    { id: "sun", name: people.sun, role: "observer", school: CAMPUS },
    DESK,
  );
  await plays(student, "main-video");
  await shoot(student, "student-waiting");
  await byId(teacher, "tool-start").click();
  await byId(teacher, "recording-dot").waitFor();
  const class_ = {};
  for (const [id, school] of [
    ["chen", CAMPUS],
    ["liu", VILLAGE],
    ["zhou", AFAR],
  ]) {
    const member = { id, name: people[id], role: "student", school, lesson: LESSON };
    const base = school === VILLAGE ? links.school : links.campus;
    class_[id] = await present(home, base, LESSON, await sign(links, member));
  }
  for (const id of ["class-301", "class-302", "host"]) await plays(teacher, `room-video-${id}`);
  return { teacher, screen, student, helper, observer, class_, home };
}

async function hands({ words, shoot }, { teacher, screen, student, helper, observer, class_ }) {
  await class_.liu.ask({ do: "raise-hand" });
  await byId(student, "hand").click();
  await class_.zhou.ask({ do: "react", reaction: "understood" });
  await class_.chen.ask({ do: "react", reaction: "not-understood" });
  for (let n = 1; n <= 3; n += 1) {
    await byId(helper, "hands-more").click();
    await says(helper, "hands-count", String(n));
  }
  await byId(teacher, "hand-wang").waitFor();
  await says(teacher, "room-hand-class-301", "4");
  await byId(teacher, "chat-mode-all").check({ force: true });
  await class_.chen.ask({ do: "say", text: words.chat[0], to: "all" });
  await byId(teacher, "chat-text").fill(words.chat[1]);
  await byId(teacher, "chat-send").click();
  await says(teacher, "teacher", words.chat[1]);
  await class_.chen.ask({ do: "say", text: words.chat[2], to: "all" });
  await says(teacher, "teacher", words.chat[2]);
  await shoot(teacher, "teacher-live", { dark: true });
  await shoot(screen, "classroom-live", { dark: true });
  await shoot(student, "student-live", { dark: true });
  await shoot(helper, "assistant", { dark: true });
  await shoot(observer, "observer", { dark: true });
  await byId(teacher, "tab-members").click();
  await byId(teacher, "student-wang").waitFor();
  await shoot(teacher, "teacher-members", { dark: true });
  await byId(teacher, "lock").click();
  await byId(teacher, "locked-badge").waitFor();
  await byId(teacher, "remove-zhou").click();
  await byId(teacher, "remove-dialog").waitFor();
  await shoot(teacher, "teacher-remove");
  await teacher.keyboard.press("Escape");
  await byId(teacher, "lock").click();
  await gone(teacher, "locked-badge");
  await byId(teacher, `school-${CAMPUS}`).click();
  await byId(teacher, "school-dialog").waitFor();
  await shoot(teacher, "teacher-school");
  await teacher.keyboard.press("Escape");
  await byId(teacher, "settings").click();
  await byId(teacher, "devices-dialog").waitFor();
  await shoot(teacher, "teacher-settings");
  await teacher.keyboard.press("Escape");
  await byId(teacher, "tab-chat").click();
  await byId(teacher, "call-class-302").click();
  await screen
    .locator('[data-testid="stage-class-302"]')
    .waitFor()
    .catch(() => undefined);
  await plays(teacher, "big-video");
  await shoot(teacher, "teacher-stage");
  await shoot(screen, "classroom-stage");
  await byId(teacher, "clear-stage").click();
  await teacher.locator('[data-testid="big-picture"][data-shows="own-camera"]').waitFor();
}

async function slides({ stack, words, shoot }, { teacher, screen, student, observer, home }) {
  await byId(teacher, "middle-slides").click();
  await byId(teacher, "no-slides").waitFor();
  await shoot(teacher, "teacher-slides-empty");
  const file = join(stack.data, "slides.pdf");
  await writeFile(file, await drawSlides(home, words.slides));
  await byId(teacher, "slides-file").setInputFiles(file);
  await byId(teacher, "slide").waitFor();
  await teacher.keyboard.press("ArrowRight");
  for (const page of [teacher, screen, student, observer]) {
    await page.locator('[data-testid="slides"][data-page="2"]').waitFor();
    await drawn(page);
  }
  await plays(screen, "teacher-video");
  await gone(teacher, "undo");
  const box = await byId(teacher, "slide").boundingBox();
  await teacher.mouse.move(box.x + box.width * 0.275, box.y + box.height * 0.68);
  const pointer = byId(screen, "slide-pointer");
  await until(
    "the pointer is there",
    async () => (await pointer.getAttribute("data-on")) === "true",
  );
  await shoot(screen, "classroom-slides", { dark: true });
  await shoot(teacher, "teacher-slides", { dark: true });
  await shoot(student, "student-slides", { dark: true });
  await shoot(observer, "observer-slides");
}

async function rollCall({ shoot }, { teacher, screen, student, helper, class_ }) {
  await teacher.keyboard.press("r");
  await byId(teacher, "panel-roll-call").waitFor();
  await shoot(teacher, "teacher-roll-call-before");
  await byId(teacher, "roll-call-start").click();
  await byId(screen, "roll-call").waitFor();
  await byId(student, "here").waitFor();
  await shoot(student, "student-roll-call");
  await byId(student, "here").click();
  await class_.liu.ask({ do: "answer-roll-call" });
  await byId(helper, "expected").fill("40");
  await byId(helper, "present").fill("38");
  await shoot(helper, "assistant-roll-call");
  await byId(helper, "report").click();
  await says(teacher, `room-class-301`, "38");
  await shoot(screen, "classroom-roll-call");
  await shoot(teacher, "teacher-roll-call", { dark: true });
  await check(teacher, "roll-call-tab-attendance");
  await shoot(teacher, "teacher-attendance");
  await check(teacher, "roll-call-tab-call").catch(() => undefined);
  await byId(teacher, "roll-call-close").click();
  await gone(student, "roll-call");
  await teacher.keyboard.press("Escape");
}

async function questions({ words, shoot }, { teacher, screen, student, helper }) {
  await teacher.keyboard.press("q");
  await byId(teacher, "question-text").fill(words.question);
  await teacher.keyboard.press("Enter");
  await byId(screen, "question").waitFor();
  await byId(student, "question").waitFor();
  await shoot(teacher, "teacher-question");
  await shoot(screen, "classroom-question");
  await shoot(student, "student-question");
  await shoot(helper, "assistant-question");
  await byId(teacher, "question-close").click();
  await teacher.keyboard.press("Escape");
  await teacher.keyboard.press("d");
  await byId(teacher, "panel-pick").waitFor();
  await check(teacher, "pick-among-students");
  await byId(teacher, "pick-start").click();
  await byId(screen, "picked").waitFor();
  await shoot(teacher, "teacher-pick");
  await shoot(screen, "classroom-picked");
  await teacher.keyboard.press("Escape");
}

async function quiz({ stack, words, shoot }, { teacher, screen, student, helper, class_ }) {
  await teacher.keyboard.press("t");
  await byId(teacher, "panel-quiz").waitFor();
  await shoot(teacher, "teacher-quiz-empty");
  const file = join(stack.data, "questions.txt");
  await writeFile(file, words.questions);
  await byId(teacher, "draft-file").setInputFiles(file);
  await byId(teacher, "quiz-editor").waitFor();
  await shoot(teacher, "teacher-quiz-editor", { dark: true });
  await byId(teacher, "editor-save").click();
  await byId(teacher, "editor-start").click();
  await byId(student, "item-0").waitFor();
  await byId(student, "pick-A").click();
  const { quiz: asked } = await class_.chen.last("quiz.opened");
  const answer = (choice) => ({ do: "answer-quiz", quiz: asked.id, item: 0, answer: { choice } });
  await class_.chen.ask(answer(0));
  await class_.liu.ask(answer(1));
  for (const [n, count] of [24, 9, 4, 1].entries()) {
    await byId(helper, `count-0-${n}`).fill(String(count));
  }
  await shoot(helper, "assistant-quiz", { dark: true });
  await shoot(screen, "classroom-quiz", { dark: true });
  await byId(helper, "count-0-send").click();
  await shoot(student, "student-quiz", { dark: true });
  await byId(teacher, "results").waitFor();
  await shoot(teacher, "teacher-quiz-results", { dark: true });
  await byId(teacher, "quiz-close").click();
  await byId(teacher, "quiz-reveal").click();
  await byId(screen, "result").first().waitFor();
  await byId(student, "verdict").first().waitFor();
  await shoot(screen, "classroom-quiz-result");
  await shoot(student, "student-quiz-result", { whole: true });
  await byId(student, "put-away").click();
  await teacher.keyboard.press("Escape");
  await teacher.keyboard.press("p");
  await byId(teacher, "panel-poll").waitFor();
  await shoot(teacher, "teacher-poll");
  await teacher.keyboard.press("Escape");
  await teacher.keyboard.press("x");
  await byId(teacher, "buzzer-start").click();
  await byId(student, "buzz").waitFor();
  await shoot(student, "student-buzzer");
  await byId(student, "buzz").click();
  await byId(screen, "buzzer").waitFor();
  await screen.keyboard.press("Space");
  await byId(screen, "buzz-rank").waitFor();
  await shoot(screen, "classroom-buzzer");
  await shoot(teacher, "teacher-buzzer");
  await byId(teacher, "buzzer-close").click();
  await teacher.keyboard.press("Escape");
}

/** Chat, groups, timer, praise, chapters, layouts. */
async function together({ words, shoot }, { teacher, screen, student, helper, class_ }) {
  await byId(student, "chat").click();
  await byId(student, "chat-sheet").waitFor();
  await shoot(student, "student-chat");
  await student.keyboard.press("Escape");
  await byId(student, "react").click();
  await shoot(student, "student-reactions");
  await student.keyboard.press("Escape");
  await byId(student, "more").click();
  await shoot(student, "student-more", { dark: true });
  await student.keyboard.press("Escape");
  await teacher.keyboard.press("g");
  await byId(teacher, "panel-groups").waitFor();
  await check(teacher, "groups-by-random");
  await byId(teacher, "groups-count").fill("2");
  await shoot(teacher, "teacher-groups-before");
  await byId(teacher, "groups-start").click();
  await byId(student, "group").waitFor();
  await shoot(teacher, "teacher-groups");
  await teacher.keyboard.press("Escape");
  await teacher.keyboard.press("c");
  await byId(teacher, "panel-timer").waitFor();
  await shoot(teacher, "teacher-timer");
  await byId(teacher, "timer-300").click();
  await byId(student, "timer").waitFor();
  await byId(screen, "timer").waitFor();
  await shoot(student, "student-group");
  await shoot(screen, "classroom-group");
  await byId(teacher, "timer-stop").click();
  await teacher.keyboard.press("Escape");
  await teacher.keyboard.press("g");
  await byId(teacher, "groups-close").click();
  await byId(teacher, "groups-end-confirm").click();
  await teacher.keyboard.press("Escape");
  await gone(student, "group");
  await teacher.keyboard.press("h");
  await byId(teacher, "panel-praise").waitFor();
  await byId(teacher, "praise-who-wang").click();
  await shoot(teacher, "teacher-praise");
  await byId(teacher, "praise-give").click();
  await teacher.keyboard.press("Escape");
  await teacher.keyboard.press("n");
  await byId(teacher, "chapter-title").fill(words.chapter);
  await byId(teacher, "chapter-mark").click();
  await says(teacher, "chapters", words.chapter);
  await shoot(teacher, "teacher-chapters");
  await teacher.keyboard.press("Escape");
  await teacher.keyboard.press("l");
  await byId(teacher, "panel-layout").waitFor();
  await shoot(teacher, "teacher-layout");
  await byId(teacher, "layout-grid").click();
  await byId(screen, "grid").waitFor();
  await teacher.keyboard.press("Escape");
  await shoot(screen, "classroom-grid");
  await byId(helper, "roster").click();
  await byId(helper, "roster-names").fill(words.roster);
  await shoot(helper, "assistant-roster-typed");
  await byId(helper, "roster-save").click();
  await shoot(helper, "assistant-roster").catch(() => undefined);
  await helper.keyboard.press("Escape");
  await byId(helper, "support").click();
  await shoot(helper, "assistant-support");
  await helper.keyboard.press("Escape");
  await byId(student, "audio-only").click();
  await byId(student, "sound-only").waitFor();
  await shoot(student, "student-sound-only");
  await byId(student, "audio-only").click();
  await byId(teacher, "middle-slides").click();
  await class_.chen.ask({ do: "raise-hand" });
  await byId(teacher, "call-hand-chen").click();
  await byId(teacher, "call-hand-wang").click();
  await byId(student, "called-dialog").waitFor();
  await shoot(student, "student-called");
  await byId(student, "consent-both").click();
  await byId(student, "own-video").waitFor();
  await plays(student, "own-video");
  await shoot(student, "student-on-stage");
  await byId(teacher, "clear-stage").click();
}

async function board({ shoot }, { teacher, screen, student }) {
  await teacher.keyboard.press("w");
  await byId(teacher, "board-surface").waitFor();
  await byId(screen, "board").waitFor();
  const box = await byId(teacher, "board-surface").boundingBox();
  const at = (x, y) => [box.x + box.width * x, box.y + box.height * y];
  const stroke = async (points) => {
    await teacher.mouse.move(...at(...points[0]));
    await teacher.mouse.down();
    for (const point of points.slice(1)) await teacher.mouse.move(...at(...point));
    await teacher.mouse.up();
  };
  const parabola = Array.from({ length: 33 }, (_, n) => {
    const x = (n - 16) / 16;
    return [0.38 + x * 0.2, 0.66 - x * x * 0.44];
  });
  await stroke([
    [0.12, 0.72],
    [0.3, 0.72],
    [0.5, 0.721],
    [0.66, 0.72],
    [0.64, 0.7],
  ]);
  await stroke([
    [0.38, 0.84],
    [0.38, 0.6],
    [0.38, 0.3],
    [0.38, 0.12],
    [0.37, 0.15],
  ]);
  await byId(teacher, "board-colour-blue")
    .click()
    .catch(() => undefined);
  await stroke(parabola);
  await shoot(teacher, "teacher-board", { dark: true });
  await byId(student, "board-surface").waitFor();
  await shoot(screen, "classroom-board");
  await shoot(student, "student-board");
  await byId(teacher, "middle-pictures").click();
  await gone(screen, "board");
}

/** Who looks on: an observer, an office. */
async function looking({ links, words, open, shoot }, { observer, home, class_ }) {
  await byId(observer, "note-text").fill(words.note);
  await byId(observer, "note-add").click();
  await observer.locator('.note[data-waits="false"]').first().waitFor();
  await byId(observer, "note-text").fill(words.laterNote);
  await byId(observer, "note-add").click();
  await observer.locator('.note[data-waits="false"]').nth(1).waitFor();
  await shoot(observer, "observer-notes");
  await byId(observer, "tab-sheet").click();
  await byId(observer, "points-0").fill("9");
  await shoot(observer, "observer-sheet", { dark: true });
  await class_.chen.leave();
  const ops = { id: "ops", name: "ops", role: "operator", school: CAMPUS };
  const wall = await open(home, "patrol", links.campus, "patrol", ops, SCREEN);
  await byId(wall, `glance-${LESSON}`).waitFor();
  const picture = byId(wall, `picture-${LESSON}`);
  await until(
    "the wall's picture",
    async () => Number(await picture.getAttribute("data-drawn")) > 0,
  );
  await shoot(wall, "patrol", { dark: true });
  await wall.context().close();
}

async function after(
  { links, lang, words, shoot },
  { teacher, screen, student, helper, observer, home },
) {
  await teacher.keyboard.press("e");
  await byId(teacher, "end-dialog").waitFor();
  await shoot(teacher, "teacher-end");
  await byId(teacher, "end-confirm").click();
  for (const page of [teacher, screen, student, helper, observer]) {
    await byId(page, "closing").waitFor();
  }
  await byId(teacher, "recording").waitFor();
  await byId(student, "recording").waitFor();
  await shoot(teacher, "teacher-closing");
  await shoot(screen, "classroom-closing");
  await shoot(student, "student-closing", { dark: true });
  await byId(observer, "recording").click();
  await byId(observer, "note-list").waitFor();
  await observer.waitForFunction(
    () => document.querySelector('[data-testid="player"]')?.currentTime > 2,
  );
  await shoot(observer, "observer-replay", { dark: true });
  const reader = { id: "li", name: words.teacher, role: "teacher", school: CAMPUS };
  const token = await sign(links, reader);
  const library = await visit(
    home,
    "library",
    `${links.recorder}/library#token=${token}&lang=${lang}`,
    { size: DESK, lang },
  );
  await library.locator(".recording-card img").first().waitFor();
  await library.waitForFunction(
    () => document.querySelector(".recording-card img")?.naturalWidth > 0,
  );
  await shoot(library, "library", { dark: true });
  await byId(library, "search").fill("zzz");
  await byId(library, "library-empty").waitFor();
  await shoot(library, "library-empty");
  await byId(teacher, "recording").click();
  await byId(teacher, "player").waitFor();
  await teacher.waitForFunction(
    () => document.querySelector('[data-testid="player"]')?.currentTime > 2,
  );
  await shoot(teacher, "player", { dark: true, whole: true });
  const report = await visit(
    home,
    "report",
    `${links.analytics}/report/${LESSON}#token=${token}&lang=${lang}`,
    { size: DESK, lang },
  );
  await byId(report, "report").waitFor();
  await shoot(report, "report", { dark: true, whole: true });
  const refused = await visit(
    home,
    "refused",
    `${links.campus}/student/${LESSON}#token=a.b.c&lang=${lang}`,
    { size: PHONE, lang },
  );
  await refused.locator(".stop").first().waitFor();
  await shoot(refused, "student-refused");
}
