// The teacher's tools, each by its key or its button on the real page, each seen on the screens
// it is for: a student's phone, a classroom's screen, the assistant's phone beside it.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  accessibility,
  aimed,
  byId,
  cuttable,
  expect,
  launch,
  plays,
  test,
  until,
  visit,
} from "./harness.mjs";
import { pdfOf } from "./pdf.mjs";

const STUDENT = "wang";
const ROOM = "class-301";
const SCHOOL = "school-01";
const PHONE = [360, 740];
/** Answers are at the teacher's within this (what must hold). */
const RESULT_WITHIN_MS = 1000;

const QUESTIONS = `# 顶点小测

1. 抛物线 y = (x − 1)² + 2 的顶点在哪里？
A. (1, 2)
B. (−1, 2)
C. (1, −2)
答案：A

2. 它开口向上
答案：对

3. 少一个选项
A. 只有一个
`;

const says = (page, id, text) => byId(page, id).filter({ hasText: text }).first().waitFor();
const gone = (page, id) => byId(page, id).waitFor({ state: "detached" });

/** Takes back what a notice says. Others may stand there, and it comes after what it tells of. */
const undo = (page, what) =>
  page.locator(".notice").filter({ hasText: what }).locator('[data-testid="undo"]').click();

/** Opens a tool by its key, and checks what it shows. */
async function open(teacher, key, panel) {
  await teacher.keyboard.press(key);
  await byId(teacher, panel).waitFor();
  await accessibility(teacher);
}

export async function interactions({ links, data }) {
  const browser = await launch();
  const line = cuttable();
  let teacher;
  let student;
  let room;
  let helper;

  const begun = await test("a teacher and a class are in a lesson that has begun", async () => {
    teacher = await visit(browser, "teacher", links.teacher, { before: line.before });
    await plays(teacher, "own-camera");
    await byId(teacher, "enter").click();
    await byId(teacher, "teacher").waitFor();
    await teacher.keyboard.press("b");
    await byId(teacher, "recording-dot").waitFor();
    student = await visit(browser, "student", links.student, { size: PHONE });
    room = await visit(browser, "classroom", links.classroom, { size: [1920, 1080] });
    helper = await visit(browser, "assistant", links.assistant, { size: PHONE });
    await byId(teacher, `room-${ROOM}`).waitFor();
    await byId(teacher, "tab-members").click();
    await byId(teacher, `student-${STUDENT}`).waitFor();
    await accessibility(teacher);
  });
  if (!begun) return;

  await test("every tool has its key on it, and Esc leads back to the lesson", async () => {
    const tools = await teacher.locator(".tools .tool").evaluateAll((all) =>
      all.map((tool) => ({
        key: tool.getAttribute("aria-keyshortcuts"),
        hint: tool.querySelector("kbd")?.textContent,
        panel: tool.getAttribute("aria-expanded") !== null,
      })),
    );
    expect(
      tools.every(({ key, hint }) => key && key === hint),
      JSON.stringify(tools),
    );
    const keys = tools.map(({ key }) => key);
    expect(new Set(keys).size === keys.length, `two tools share a key: ${keys}`);
    for (const { key } of tools.filter(({ panel }) => panel)) {
      await teacher.keyboard.press(key.toLowerCase());
      const panel = teacher.locator("section.panel");
      await panel.waitFor();
      await accessibility(teacher);
      await teacher.keyboard.press("Escape");
      await panel.waitFor({ state: "detached" });
    }
    return `${tools.length} tools`;
  });

  await test("a roll call: who is there is counted by school, heads beside devices", async () => {
    await open(teacher, "r", "panel-roll-call");
    await byId(teacher, "roll-call-start").click();
    await byId(student, "here").click();
    await says(teacher, "roll-call-campus", "1 / 1");
    await byId(room, "roll-call").waitFor();
    await byId(helper, "expected").fill("40");
    await byId(helper, "present").fill("38");
    await byId(helper, "report").click();
    await says(teacher, `roll-call-${SCHOOL}`, "38/40");
    await says(teacher, `room-${ROOM}`, "38/40");
    await byId(teacher, "running-roll-call").waitFor();
    await byId(teacher, "roll-call-close").click();
    await gone(student, "roll-call");
    await gone(teacher, "running-roll-call");
    await byId(teacher, "roll-call-tab-attendance").check({ force: true });
    await says(teacher, "attendance", "王");
    await accessibility(teacher);
    await teacher.keyboard.press("Escape");
  });

  await test("a question: the wait runs to the first hand, a call is its answer", async () => {
    await open(teacher, "q", "panel-question");
    await byId(teacher, "question-text").fill("为什么顶点在对称轴上？");
    await teacher.keyboard.press("Enter");
    await says(student, "question", "对称轴");
    await says(room, "question", "对称轴");
    await byId(student, "hand").click();
    await byId(teacher, `hand-${STUDENT}`).waitFor();
    await teacher.locator('[data-testid="panel-question"]').getByText("第一只手").waitFor();
    await byId(teacher, `call-hand-${STUDENT}`).click();
    await says(teacher, "question-answered", "王同学");
    await byId(student, "consent-none").click();
    await byId(teacher, "question-close").click();
    await gone(student, "question");
    await teacher.keyboard.press("Escape");
  });

  await test("hands of a classroom are counted, and its school is called up as one", async () => {
    for (let n = 1; n <= 7; n += 1) {
      await byId(helper, "hands-more").click();
      await says(helper, "hands-count", String(n));
    }
    await says(teacher, "hands", "7 手");
    await says(teacher, `room-hand-${ROOM}`, "7 手");
    await accessibility(teacher);
    await byId(teacher, `call-school-${SCHOOL}`).click();
    await teacher.locator(`[data-testid="big-picture"][data-shows="${ROOM}"]`).waitFor();
    await room.locator(".room-screen-stage").waitFor();
    await until("the hands are down", async () => {
      return (await byId(teacher, "hand-count").innerText()) === "0";
    });
    await byId(teacher, "clear-stage").click();
    await room.locator(".room-screen-stage").waitFor({ state: "detached" });
  });

  await test("a pick says among how many and how often asked, and calls up", async () => {
    await open(teacher, "d", "panel-pick");
    await byId(teacher, "pick-among-students").check({ force: true });
    await byId(teacher, "pick-start").click();
    await teacher.locator(`[data-testid="picked"][data-member="${STUDENT}"]`).waitFor();
    await says(teacher, "picked", "被问过 1 次");
    await byId(student, "picked").waitFor();
    await says(room, "picked", "王同学");
    await accessibility(teacher);
    await byId(teacher, "picked-call").click();
    await byId(student, "consent-none").click();
    await teacher.keyboard.press("Escape");
  });

  await test("a quiz from a file: edited, opened, answered, shown by school, revealed", async () => {
    const file = join(data, "questions.txt");
    await writeFile(file, QUESTIONS);
    await open(teacher, "t", "panel-quiz");
    await byId(teacher, "draft-file").setInputFiles(file);
    await byId(teacher, "quiz-editor").waitFor();
    await accessibility(teacher);
    expect(
      (await byId(teacher, "editor-title").inputValue()) === "顶点小测",
      "the title was not read",
    );
    expect(
      (await byId(teacher, "item-kind-1").inputValue()) === "true-false",
      "the second question's kind was not seen",
    );
    await byId(teacher, "editor-save").click();
    await byId(teacher, "editor-start").click();
    await byId(student, "item-0").waitFor();
    await says(room, "quiz", "顶点在哪里");
    const at = performance.now();
    await byId(student, "pick-A").click();
    await teacher.locator('[data-testid="bar-0"][data-count="1"]').waitFor();
    const took = performance.now() - at;
    for (const [choice, count] of [20, 12, 6].entries()) {
      await byId(helper, `count-0-${choice}`).fill(String(count));
    }
    await byId(helper, "count-0-send").click();
    await teacher.locator('[data-testid="bar-0"][data-count="21"]').waitFor();
    await says(teacher, `results-${SCHOOL}`, "38 / 38");
    await says(teacher, "results-right", "21");
    expect((await byId(student, "result").count()) === 0, "the class saw it before the reveal");
    await accessibility(teacher);
    await byId(teacher, "quiz-close").click();
    await byId(teacher, "running-quiz").filter({ hasText: "等待公布" }).waitFor();
    await byId(teacher, "quiz-reveal").click();
    await byId(student, "verdict").first().filter({ hasText: "答对了" }).waitFor();
    await byId(room, "result").first().waitFor();
    await gone(teacher, "running-quiz");
    await accessibility(teacher);
    await byId(teacher, "quiz-new").click();
    await says(teacher, "drafts", "顶点小测");
    await teacher.keyboard.press("Escape");
    await byId(student, "put-away").click();
    return `the answer was there after ${aimed(took, RESULT_WITHIN_MS)}`;
  });

  await test("a poll in one click, with an answer sheet for what is on the board", async () => {
    await open(teacher, "p", "panel-poll");
    await byId(teacher, "sheet-abcd").click();
    await byId(student, "pick-C").click();
    await teacher.locator('[data-testid="bar-2"][data-count="1"]').waitFor();
    expect((await byId(teacher, "results-right").count()) === 0, "a poll knew a right answer");
    await byId(teacher, "quiz-reveal").click();
    await byId(student, "result").first().waitFor();
    await teacher.keyboard.press("Escape");
    await byId(student, "put-away").click();
  });

  await test("the buzzer: who pressed first is first on every screen", async () => {
    await open(teacher, "x", "panel-buzzer");
    await byId(teacher, "buzzer-start").click();
    await byId(student, "buzz").click();
    await byId(teacher, `press-${STUDENT}`).waitFor();
    await byId(room, "buzz").waitFor();
    await room.keyboard.press("Space");
    const order = await until("both are there", async () => {
      const all = await byId(teacher, "presses")
        .locator("li")
        .evaluateAll((items) => items.map((item) => item.getAttribute("data-testid")));
      return all.length === 2 && all.join();
    });
    expect(order === `press-${STUDENT},press-${ROOM}`, `the order is ${order}`);
    await says(room, "buzz-rank", "2");
    await accessibility(teacher);
    await byId(teacher, "buzzer-close").click();
    await teacher.keyboard.press("Escape");
  });

  await test("chat: its mode is the teacher's, a message is removed, a child silenced and let again", async () => {
    await byId(teacher, "tab-chat").click();
    await byId(teacher, "chat-mode-all").check({ force: true });
    await byId(student, "chat").click();
    const markup = "<b>第二题</b>怎么做？";
    await byId(student, "chat-text").and(student.locator(":enabled")).fill(markup);
    await byId(student, "chat-send").click();
    const message = teacher.locator(".side .chat-said").filter({ hasText: markup });
    await message.waitFor();
    await accessibility(teacher);
    await byId(teacher, "chat-text").fill("看板书");
    await byId(teacher, "chat-send").click();
    await byId(student, "chat-sheet").getByText("看板书").waitFor();
    await message.locator('[data-testid^="silence-"]').click();
    await byId(student, "chat-text").waitFor({ state: "detached" });
    await undo(teacher, "已禁言");
    await byId(student, "chat-text").waitFor();
    await message.locator('[data-testid^="remove-"]').click();
    await message.waitFor({ state: "detached" });
    await byId(student, "chat-sheet").getByText(markup).waitFor({ state: "detached" });
    await byId(teacher, "chat-mode-off").check({ force: true });
    await byId(student, "chat-text").waitFor({ state: "detached" });
    await student.keyboard.press("Escape");
  });

  await test("what a teacher writes while the line is away waits, and is said once", async () => {
    await byId(teacher, "chat-mode-all").check({ force: true });
    await byId(teacher, "chat-text").waitFor();
    await line.cut();
    await byId(teacher, "banner").waitFor();
    await byId(teacher, "chat-text").fill("我马上回来");
    await byId(teacher, "chat-send").click();
    await byId(teacher, "chat-waiting").waitFor();
    line.mend();
    await gone(teacher, "chat-waiting");
    const said = teacher.locator(".side .chat-said").filter({ hasText: "我马上回来" });
    await said.waitFor();
    expect((await said.count()) === 1, "it was said twice");
  });

  await test("whether it was understood is shown by share, and cleared", async () => {
    await byId(student, "react").click();
    await byId(student, "react-not-understood").click();
    await says(teacher, "pulse", "没听懂 1");
    await accessibility(teacher);
    await byId(teacher, "clear-reactions").click();
    await gone(teacher, "pulse");
  });

  await test("groups: opened, walked into, a child moved, ended after asking", async () => {
    await open(teacher, "g", "panel-groups");
    await byId(teacher, "groups-by-random").check({ force: true });
    await byId(teacher, "groups-count").fill("2");
    await byId(teacher, "groups-start").click();
    await byId(student, "group").waitFor();
    await byId(teacher, "groups").locator("li").nth(1).waitFor();
    await accessibility(teacher);
    await byId(teacher, "visit-第 1 组").click();
    await byId(teacher, "groups").getByText("你在这个组").waitFor();
    await byId(teacher, `move-${STUDENT}`).selectOption("");
    await gone(student, "group");
    await byId(teacher, "groups-close").click();
    await byId(teacher, "groups-end").waitFor();
    await accessibility(teacher);
    await byId(teacher, "groups-end-confirm").click();
    await gone(teacher, "running-groups");
    await teacher.keyboard.press("Escape");
  });

  await test("a timer runs on every screen; stopping it can be undone", async () => {
    await open(teacher, "c", "panel-timer");
    await byId(teacher, "timer-300").click();
    await byId(student, "timer").waitFor();
    await byId(room, "timer").waitFor();
    await byId(teacher, "timer-stop").click();
    await gone(student, "timer");
    await undo(teacher, "已停止计时");
    await byId(student, "timer").waitFor();
    await byId(teacher, "timer-stop").click();
    await gone(student, "timer");
    await teacher.keyboard.press("Escape");
  });

  await test("praise and a chapter are kept with the lesson", async () => {
    await open(teacher, "h", "panel-praise");
    await byId(teacher, `praise-who-${STUDENT}`).click();
    await byId(teacher, "praise-give").click();
    await says(teacher, "praised", "王同学");
    await teacher.keyboard.press("Escape");
    await open(teacher, "n", "panel-chapters");
    await byId(teacher, "chapter-title").fill("例题讲解");
    await byId(teacher, "chapter-mark").click();
    await says(teacher, "chapters", "例题讲解");
    await teacher.keyboard.press("Escape");
  });

  await test("what stands in the middle is what the class sees: board, pictures, all schools", async () => {
    await teacher.keyboard.press("w");
    await teacher.locator('[data-testid="stage-area"][data-middle="board"]').waitFor();
    for (const page of [teacher, student, room]) await byId(page, "board").waitFor();
    await accessibility(teacher);
    await byId(teacher, "middle-pictures").click();
    for (const page of [teacher, student, room]) await gone(page, "board");
    await open(teacher, "l", "panel-layout");
    await byId(teacher, "layout-grid").click();
    await byId(student, "grid").waitFor();
    await teacher.locator('[data-testid="layout-grid"][aria-pressed="true"]').waitFor();
    await byId(teacher, "layout-auto").click();
    await gone(student, "grid");
    await teacher.keyboard.press("Escape");
  });

  await test("slides: a PDF is shown on every screen, turned in step, and put away", async () => {
    const file = join(data, "slides.pdf");
    await writeFile(file, pdfOf(["一", "二", "三"]));
    await teacher.keyboard.press("k");
    await byId(teacher, "no-slides").waitFor();
    await accessibility(teacher);
    await byId(teacher, "slides-file").setInputFiles(file);
    const showing = (page, number) =>
      page.locator(`[data-testid="slides"][data-page="${number}"]`).waitFor();
    for (const page of [teacher, student, room]) await showing(page, 1);
    await accessibility(teacher);
    await byId(teacher, "slides-next").click();
    for (const page of [teacher, student, room]) await showing(page, 2);
    await byId(teacher, "middle-pictures").click();
    await gone(student, "slides");
    await byId(teacher, "middle-slides").click();
    for (const page of [teacher, student, room]) await showing(page, 2);
    await byId(teacher, "slides-close").click();
    for (const page of [teacher, student, room]) await gone(page, "slides");
  });

  await test("a school's students are one click deeper", async () => {
    await byId(teacher, "school-campus").click();
    await byId(teacher, "school-dialog").waitFor();
    await byId(teacher, "school-students").locator(`[data-testid="student-${STUDENT}"]`).waitFor();
    await accessibility(teacher);
    await teacher.keyboard.press("Escape");
    await gone(teacher, "school-dialog");
  });

  await test("what an assistant program proposes is the teacher's to take or leave", async () => {
    const [, token] = links.assistant.split("#token=");
    const program = await visit(browser, "assistant program", `${links.school}/`);
    await program.evaluate(
      ([url, secret, commands]) =>
        new Promise((resolve, reject) => {
          const ws = new WebSocket(url.replace(/^http/, "ws"));
          const send = (message) => ws.send(JSON.stringify(message));
          let left = commands.length;
          ws.onopen = () => send({ type: "join", token: secret, lang: "en" });
          ws.onerror = () => reject(new Error("no lesson socket"));
          ws.onmessage = ({ data: text }) => {
            const message = JSON.parse(text);
            if (message.type === "welcome") {
              commands.forEach((command, n) => {
                send({ type: "command", id: n + 1, command });
              });
            }
            if (message.type === "refused" || message.type === "failed") reject(new Error(text));
            if (message.type === "done") left -= 1;
            if (left === 0) resolve();
          };
        }),
      [
        `${links.school}/lessons/${links.lesson}/socket`,
        token,
        [
          { do: "propose", proposal: { kind: "chapter", title: "导入新课", atMs: Date.now() } },
          {
            do: "propose",
            proposal: { kind: "quiz", title: "小测", items: [{ prompt: "开口?", kind: "text" }] },
          },
        ],
      ],
    );
    await byId(teacher, "running-chapters").click();
    const proposals = byId(teacher, "proposals").locator("li");
    await proposals.nth(1).waitFor();
    await accessibility(teacher);
    const of = (title) => proposals.filter({ hasText: title });
    await of("导入新课").locator('[data-testid^="accept-"]').click();
    await says(teacher, "chapters", "导入新课");
    await of("小测").locator('[data-testid^="decline-"]').click();
    await gone(teacher, "proposals");
    await gone(teacher, "running-chapters");
    await teacher.keyboard.press("Escape");
  });
}
