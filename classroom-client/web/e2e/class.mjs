// A class in a lesson: a student's phone, a classroom's screen, the assistant's phone beside it
// and an observer, each a real page; what the teacher asks comes from a lesson socket of its own.

import { readFile } from "node:fs/promises";
import { accessibility, byId, cuttable, expect, launch, test, until, visit } from "./harness.mjs";

const STUDENT = "wang";
const ROOM = "class-301";
const HELPER = "zhao";
const PHONE = [360, 740];

/** What an observer writes and no pupil may ever be sent. */
const NOTE = "导入自然，问题有梯度";
const LATE_NOTE = "断网时也能记";

const ITEMS = [
  {
    prompt: "抛物线 y = x² − 2x + 3 的顶点在哪里？",
    kind: "single",
    choices: ["(−1, 2)", "(1, 2)", "(1, −2)"],
    correct: { choice: 1 },
  },
  { prompt: "它和 y 轴交于多少？", kind: "number", correct: { number: 3 } },
];

/**
 * The teacher as a lesson socket alone, in a page of the campus: says what is asked, and keeps
 * every event it is told.
 */
async function teaching(browser, links) {
  const [, token] = links.teacher.split("#token=");
  const page = await visit(browser, "teacher's socket", `${links.campus}/`);
  await page.evaluate(
    ([path, secret]) =>
      new Promise((resolve, reject) => {
        const ws = new WebSocket(path.replace(/^http/, "ws"));
        const teacher = { events: [], answers: new Map(), next: 1, ws };
        window.__teacher = teacher;
        ws.onopen = () => ws.send(JSON.stringify({ type: "join", token: secret, lang: "zh-CN" }));
        ws.onerror = () => reject(new Error("no lesson socket"));
        ws.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type === "welcome") resolve();
          else if (message.type === "event") teacher.events.push(message.event);
          else if (message.id > 0) {
            teacher.answers.get(message.id)?.(message);
            teacher.answers.delete(message.id);
          }
        };
      }),
    [`${links.campus}/lessons/${links.lesson}/socket`, token],
  );
  return {
    /** Asks something; fails with the sentence it is refused with. */
    async ask(command) {
      const answer = await page.evaluate(
        (wish) =>
          new Promise((resolve) => {
            const { answers, ws } = window.__teacher;
            const id = window.__teacher.next++;
            answers.set(id, resolve);
            ws.send(JSON.stringify({ type: "command", id, command: wish }));
          }),
        command,
      );
      expect(answer.type === "done", `${command.do}: ${JSON.stringify(answer)}`);
    },
    /** Waits until the teacher heard of such an event; gives it. */
    hears(what, right) {
      return until(`the teacher hears of ${what}`, async () => {
        const events = await page.evaluate(() => window.__teacher.events);
        return events.find((event) => event.type === what && right(event));
      });
    },
    /** How often such an event was heard of. */
    async times(what, right) {
      const events = await page.evaluate(() => window.__teacher.events);
      return events.filter((event) => event.type === what && right(event)).length;
    },
  };
}

/** Everything a page is sent on its lesson socket. */
function told(page) {
  const frames = [];
  page.on("websocket", (ws) => {
    ws.on("framereceived", ({ payload }) => frames.push(String(payload)));
  });
  return { includes: (text) => frames.some((frame) => frame.includes(text)) };
}

/** Waits until an element says `text`. */
function says(page, id, text) {
  return byId(page, id).filter({ hasText: text }).first().waitFor();
}

export async function classroom({ links }) {
  const browser = await launch();
  const line = cuttable();
  const watcherLine = cuttable();
  let teacher;
  let student;
  let studentHears;
  let room;
  let helper;
  let observer;

  const begun = await test("student, classroom, assistant and observer come in", async () => {
    teacher = await teaching(browser, links);
    student = await visit(browser, "student", links.student, {
      size: PHONE,
      before: async (page) => {
        studentHears = told(page);
        await line.before(page);
      },
    });
    room = await visit(browser, "classroom", links.classroom, { size: [1920, 1080] });
    helper = await visit(browser, "assistant", links.assistant, { size: PHONE });
    observer = await visit(browser, "observer", links.observer, {
      size: [1280, 800],
      before: watcherLine.before,
    });
    await byId(student, "student").waitFor();
    await byId(room, "classroom").waitFor();
    await byId(helper, "assistant").waitFor();
    await byId(observer, "observer").waitFor();
    await teacher.ask({ do: "start" });
    for (const [page, id] of [
      [student, "student"],
      [room, "classroom"],
      [helper, "assistant"],
      [observer, "observer"],
    ]) {
      await page.locator(`[data-testid="${id}"][data-phase="live"]`).waitFor();
      await accessibility(page);
    }
  });
  if (!begun) return;

  await test("a roll call: the student answers, the assistant reports heads", async () => {
    await teacher.ask({ do: "open-roll-call", seconds: 120 });
    await byId(student, "here").click();
    await byId(student, "roll-call").locator(".card-done").waitFor();
    await teacher.hears("roll-call.answered", ({ member }) => member === STUDENT);
    await byId(room, "roll-call").waitFor();
    await byId(helper, "expected").fill("40");
    await byId(helper, "present").fill("37");
    await byId(helper, "present-more").click();
    await byId(helper, "report").click();
    await byId(helper, "reported").waitFor();
    const { present, expected } = await teacher.hears(
      "roll-call.counted",
      ({ member }) => member === HELPER,
    );
    expect(present === 38 && expected === 40, `${present} of ${expected} were reported`);
    await says(room, "roll-call", "38 / 40");
    await teacher.ask({ do: "close-roll-call" });
    await byId(student, "roll-call").waitFor({ state: "detached" });
    await byId(room, "roll-call").waitFor({ state: "detached" });
  });

  await test("hands counted by the assistant are the teacher's and the room's", async () => {
    for (const n of [1, 2, 3]) {
      await byId(helper, "hands-more").click();
      await byId(helper, "hands-count").filter({ hasText: n }).waitFor();
    }
    await teacher.hears("hands.counted", ({ member, count }) => member === HELPER && count === 3);
    await says(room, "note", "3");
    await byId(helper, "hands-clear").click();
    await teacher.hears("hands.counted", ({ count }) => count === 0);
  });

  await test("a question stands on every screen, and who is picked is called by name", async () => {
    await teacher.ask({ do: "ask-question", text: "为什么顶点在对称轴上？" });
    await says(student, "question", "对称轴");
    await says(room, "question", "对称轴");
    await teacher.ask({ do: "pick", among: "students" });
    await byId(student, "picked").waitFor();
    await says(room, "picked", "王同学");
    await teacher.ask({ do: "close-question" });
    await byId(student, "question").waitFor({ state: "detached" });
  });

  await test("a quiz: the phone answers, the room shows it, the assistant counts hands", async () => {
    await teacher.ask({ do: "open-quiz", kind: "quiz", title: "顶点", items: ITEMS, seconds: 600 });
    await byId(student, "item-0").waitFor();
    await says(room, "quiz", "顶点在哪里");
    await accessibility(student);
    await accessibility(room);
    await byId(student, "pick-A").click();
    await student.locator('[data-testid="item-0"] [data-standing="counted"]').waitFor();
    await teacher.hears("quiz.answered", ({ member, item }) => member === STUDENT && item === 0);
    for (const [choice, count] of [12, 20, 6].entries()) {
      await byId(helper, `count-0-${choice}`).fill(String(count));
    }
    await accessibility(helper);
    await byId(helper, "count-0-send").click();
    await helper.locator('[data-testid="count-0-standing"][data-standing="counted"]').waitFor();
    const { counts } = await teacher.hears("quiz.counted", ({ member }) => member === HELPER);
    expect(counts.join() === "12,20,6", `counted as ${counts}`);
    // The room goes on to what is not counted yet.
    await says(room, "quiz", "y 轴");
  });

  await test("an answer given while the line is away outlives a reload, and counts once", async () => {
    await line.cut();
    await byId(student, "banner").waitFor();
    await byId(student, "typed").fill("３");
    await byId(student, "submit").click();
    await student.locator('[data-testid="item-1"] [data-standing="waits"]').waitFor();
    await accessibility(student);
    await student.reload();
    await byId(student, "stop-unreachable").waitFor();
    line.mend();
    await student.locator('[data-testid="item-1"] [data-standing="counted"]').waitFor();
    const mine = ({ member, item }) => member === STUDENT && item === 1;
    const { answer } = await teacher.hears("quiz.answered", mine);
    expect(answer.number === 3, `answered ${JSON.stringify(answer)}`);
    expect((await teacher.times("quiz.answered", mine)) === 1, "it was counted twice");
  });

  await test("right and wrong are told to the child alone, and only after the reveal", async () => {
    expect(!studentHears.includes('"correct"'), "the student's page knew what is right");
    await teacher.ask({ do: "reveal-quiz", quiz: await quizOf(teacher) });
    await byId(student, "verdict").first().filter({ hasText: "再想一想" }).waitFor();
    await byId(student, "verdict").last().filter({ hasText: "答对了" }).waitFor();
    await byId(student, "result").first().waitFor();
    await says(room, "result", "正确答案");
    await accessibility(student);
    await accessibility(room);
    await byId(student, "put-away").click();
    await byId(student, "quiz").waitFor({ state: "detached" });
  });

  await test("the buzzer tells its place to who pressed", async () => {
    await teacher.ask({ do: "open-buzzer" });
    await byId(room, "buzzer").waitFor();
    await room.keyboard.press("Space");
    await byId(room, "buzz-rank").filter({ hasText: "1" }).waitFor();
    await byId(student, "buzz").click();
    await says(student, "buzz-rank", "2");
    const { buzzer } = await teacher.hears("buzzer.opened", () => true);
    await teacher.ask({ do: "close-buzzer", buzzer });
  });

  await test("chat shows what was written as it was written, and help is called for", async () => {
    await teacher.ask({ do: "set-chat", mode: "all" });
    const markup = "<img src=x onerror=alert(1)>看第二页";
    await teacher.ask({ do: "say", text: markup, to: "all" });
    await byId(student, "chat").locator(".unread").waitFor();
    await byId(student, "chat").click();
    await byId(student, "chat-sheet").getByText(markup).waitFor();
    await byId(student, "chat-text").fill("收到");
    await byId(student, "chat-send").click();
    await teacher.hears("chat.said", ({ member, text }) => member === STUDENT && text === "收到");
    await accessibility(student);
    await student.keyboard.press("Escape");
    await byId(student, "chat-sheet").waitFor({ state: "detached" });
    await byId(helper, "support").click();
    await byId(helper, "problem-picture").click();
    await accessibility(helper);
    await byId(helper, "support-send").click();
    await teacher.hears(
      "chat.said",
      ({ member, to, text }) =>
        member === HELPER && to === "teacher" && text.includes("看不到画面"),
    );
  });

  await test("the assistant shuts and opens the classroom's microphone", async () => {
    const word = byId(room, "microphone-word");
    await byId(helper, `mute-${ROOM}`).click();
    await word.and(room.locator(":disabled")).waitFor();
    await byId(helper, `mute-${ROOM}`).click();
    await word.and(room.locator(":enabled")).waitFor();
  });

  await test("a reaction, a group and a timer reach who they are for", async () => {
    await byId(student, "react").click();
    await accessibility(student);
    await byId(student, "react-understood").click();
    await teacher.hears("reaction.given", ({ member }) => member === STUDENT);
    await teacher.ask({
      do: "open-groups",
      groups: [{ name: "一", members: [STUDENT, ROOM] }],
      seconds: 600,
    });
    await says(student, "group", "三年级一班");
    await says(room, "note", "王同学");
    await teacher.ask({ do: "start-timer", seconds: 300, title: "讨论" });
    await says(student, "timer", "讨论");
    await byId(room, "timer").waitFor();
    await accessibility(student);
    await accessibility(room);
    await teacher.ask({ do: "close-groups" });
    await teacher.ask({ do: "stop-timer" });
    await byId(student, "group").waitFor({ state: "detached" });
  });

  await test("the view that is directed is what the screens show", async () => {
    await teacher.ask({ do: "direct", layout: "board" });
    for (const page of [student, room, observer]) await byId(page, "board").waitFor();
    for (const page of [student, room]) await accessibility(page);
    await teacher.ask({ do: "direct", layout: "auto" });
    for (const page of [student, room]) await byId(page, "board").waitFor({ state: "detached" });
  });

  await test("who leaves the screen for a moment says so, and comes back", async () => {
    await byId(student, "more").click();
    await accessibility(student);
    await byId(student, "pictures-one").check();
    await byId(student, "away").click();
    await student.keyboard.press("Escape");
    await byId(student, "away-card").waitFor();
    await teacher.hears("member.away", ({ member, away }) => member === STUDENT && away);
    await byId(student, "back").click();
    await byId(student, "away-card").waitFor({ state: "detached" });
  });

  await test("an observer's notes and sheet are kept over an outage, and no pupil hears of them", async () => {
    await byId(observer, "note-text").fill(NOTE);
    await byId(observer, "note-add").click();
    await observer.locator('.note[data-waits="false"]').filter({ hasText: NOTE }).waitFor();
    await watcherLine.cut();
    await byId(observer, "banner").waitFor();
    await byId(observer, "note-text").fill(LATE_NOTE);
    await byId(observer, "note-add").click();
    await observer.locator('.note[data-waits="true"]').filter({ hasText: LATE_NOTE }).waitFor();
    await accessibility(observer);
    watcherLine.mend();
    await observer.locator('.note[data-waits="false"]').filter({ hasText: LATE_NOTE }).waitFor();
    const [download] = await Promise.all([
      observer.waitForEvent("download"),
      byId(observer, "note-export").click(),
    ]);
    const csv = await readFile(await download.path(), "utf8");
    expect(csv.startsWith("\ufeff") && csv.includes(NOTE) && csv.includes(LATE_NOTE), csv);
    await byId(observer, "tab-sheet").click();
    await byId(observer, "points-0").fill("9");
    await byId(observer, "sheet-submit").click();
    await observer.locator('[data-testid="sheet-standing"][data-standing="counted"]').waitFor();
    await accessibility(observer);
    // The student has by now been told all that was said after it.
    await teacher.ask({ do: "say", text: "最后一句", to: "all" });
    await until("the student hears the last word", async () => studentHears.includes("最后一句"));
    for (const secret of [NOTE, LATE_NOTE, '"sun"', "孙老师"]) {
      expect(!studentHears.includes(secret), `the student's page was sent ${secret}`);
    }
  });

  await test("the roster stays on the assistant's phone, names are not sent", async () => {
    await byId(helper, "roster").click();
    await byId(helper, "roster-names").fill("小明\n小红\n小刚");
    await byId(helper, "roster-save").click();
    await helper.reload();
    await teacher.ask({ do: "open-roll-call" });
    await byId(helper, "roster").click();
    await byId(helper, "pupil-1").click();
    await byId(helper, "pupil-3").click();
    await accessibility(helper);
    await helper.keyboard.press("Escape");
    await byId(helper, "report").click();
    const counted = await teacher.hears("roll-call.counted", ({ ticked }) => ticked !== undefined);
    expect(counted.ticked.join() === "1,3" && counted.present === 2, JSON.stringify(counted));
    expect(!JSON.stringify(counted).includes("小"), "a name was sent");
  });

  await test("the end leads everyone out", async () => {
    await teacher.ask({ do: "end" });
    for (const page of [student, room, helper, observer]) await byId(page, "closing").waitFor();
  });
}

async function quizOf(teacher) {
  const { quiz } = await teacher.hears("quiz.opened", () => true);
  return quiz.id;
}
