// What the teacher asks of the class, and how it answers: on phones, on the screens of rooms, and
// counted by the assistant for a class without devices.

import { byId, expect, hearsClass, moves, until } from "../harness.mjs";
import { CLASS, FAR_SCHOOL, idOf, nameOf, ROOMS, STUDENTS, says } from "./crew.mjs";

const [TEACHER, ROOM1, ROOM2, HELPER] = ["teacher", "room1", "room2", "helper"].map(idOf);
const [HOME, NEAR, FAR] = STUDENTS.map(idOf);
const QUESTION = "为什么顶点在对称轴上？";

const QUESTIONS = `# 顶点小测

1. 抛物线 y = (x − 1)² + 2 的顶点在哪里？
A. (1, 2)
B. (−1, 2)
C. (1, −2)
答案：A
`;

export async function rollCall(crew, ledger) {
  const { teacher, room1, helper } = crew.pages;
  await teacher.keyboard.press("r");
  await byId(teacher, "roll-call-start").click();
  await crew.on(STUDENTS, (page) => byId(page, "here").click());
  await byId(room1, "here").waitFor();
  await room1.keyboard.press("r");
  await byId(helper, "expected").fill("40");
  await byId(helper, "present").fill("38");
  await byId(helper, "report").click();
  await crew.on(STUDENTS, (page) => byId(page, "roll-call").locator(".card-done").waitFor());
  await crew.say(["room1"], "roll-call", "已签到");
  await crew.say(["room2"], "roll-call", "38 / 40");
  await crew.show(["helper"], "reported");
  await says(teacher, "roll-call-campus", "1 / 1");
  await says(teacher, "roll-call-school-01", "2 / 2");
  await says(teacher, "roll-call-school-02", "1 / 3");
  await says(teacher, "roll-call-school-02", "38/40");
  await says(teacher, `room-${ROOM2}`, "38/40");
  await byId(teacher, "roll-call-close").click();
  await crew.gone(CLASS, "roll-call");
  await crew.gone(["teacher"], "running-roll-call");
  await teacher.keyboard.press("Escape");
  ledger.did(`roll-call.opened ${TEACHER}`, `roll-call.closed ${TEACHER}`);
  ledger.did(...[HOME, NEAR, FAR, ROOM1].map((id) => `roll-call.answered ${id}`));
  ledger.did(`roll-call.counted ${HELPER} 38/40`);
}

export async function question(crew, ledger) {
  const { teacher } = crew.pages;
  await teacher.keyboard.press("q");
  await byId(teacher, "question-text").fill(QUESTION);
  await teacher.keyboard.press("Enter");
  await crew.say(CLASS, "question", QUESTION);
  await teacher.keyboard.press("Escape");
  ledger.did(`question.asked ${QUESTION}`);
}

export async function hands(crew, ledger) {
  const { teacher, room1, helper, home, far } = crew.pages;
  await byId(far, "hand").click();
  await byId(teacher, `hand-${FAR}`).waitFor();
  await byId(home, "hand").click();
  await byId(teacher, `hand-${HOME}`).waitFor();
  await room1.keyboard.press("h");
  await byId(teacher, `hand-${ROOM1}`).waitFor();
  for (const n of [1, 2, 3]) {
    await byId(helper, "hands-more").click();
    await says(helper, "hands-count", String(n));
  }
  await crew.say(["room2"], "note", "3");
  await crew.say(["room1"], "note", "举手");
  await crew.say(["far"], "says", "第 1 位");
  await crew.say(["home"], "says", "第 2 位");
  await says(teacher, "hands", `${FAR_SCHOOL} 4 手`);
  await says(teacher, `room-hand-${ROOM2}`, "4 手");
  for (const [place, id] of [FAR, HOME, ROOM1].entries()) {
    const shown = byId(teacher, `hand-${id}`).locator(".hand-place");
    await until(`${id} is number ${place + 1}`, async () => {
      return (await shown.innerText()) === String(place + 1);
    });
  }
  expect((await byId(teacher, "hand-count").innerText()) === "6", "not every hand is counted");
  ledger.did(...[FAR, HOME, ROOM1].map((id) => `hand.raised ${id}`));
  ledger.did(...[1, 2, 3].map((n) => `hands.counted ${HELPER} ${n}`));

  // The first in line answers the question: agreed to, then seen and heard by everyone.
  await byId(teacher, `call-hand-${FAR}`).click();
  await byId(far, "consent-both").click();
  const seeing = ["teacher", "room1", "room2", "home", "observer"];
  await crew.on(seeing, (page) => moves(page, `${FAR}/camera`));
  await crew.on(["room1", "home"], hearsClass);
  await teacher.locator(`[data-testid="big-picture"][data-shows="${FAR}"]`).waitFor();
  await crew.gone(["teacher"], `hand-${FAR}`);
  await byId(far, "leave-stage").click();
  await teacher.locator('[data-testid="big-picture"][data-shows="own-camera"]').waitFor();
  await teacher.keyboard.press("q");
  await says(teacher, "question-answered", nameOf("far"));
  await byId(teacher, "question-close").click();
  await crew.gone(CLASS, "question");
  await teacher.keyboard.press("Escape");
  ledger.did(`stage.called ${FAR}`, `question.answered ${FAR}`, `stage.left ${FAR}`);
  ledger.did("question.closed");

  await byId(teacher, `lower-${HOME}`).click();
  await crew.gone(["teacher"], `hand-${HOME}`);
  await room1.keyboard.press("h");
  await crew.gone(["teacher"], `hand-${ROOM1}`);
  ledger.did(`hand.lowered ${HOME} by ${TEACHER}`, `hand.lowered ${ROOM1} by ${ROOM1}`);
}

export async function stage(crew, ledger) {
  const { teacher, room2 } = crew.pages;
  await byId(teacher, "call-school-school-02").click();
  await teacher.locator(`[data-testid="big-picture"][data-shows="${ROOM2}"]`).waitFor();
  await room2.locator(".room-screen-stage").waitFor();
  await crew.say(["helper"], "hands-count", "0");
  await crew.on(["room1", "home", "near", "far", "observer"], (page) =>
    moves(page, `${ROOM2}/camera`),
  );
  await crew.on(["room1", "home", "observer"], hearsClass);
  await byId(teacher, "clear-stage").click();
  await room2.locator(".room-screen-stage").waitFor({ state: "detached" });
  await teacher.locator('[data-testid="big-picture"][data-shows="own-camera"]').waitFor();
  ledger.did(`stage.called ${ROOM2}`, `stage.left ${ROOM2}`);
}

/** Reports a show of hands at the assistant's. */
export async function count(helper, counts) {
  for (const [choice, hands] of counts.entries()) {
    await byId(helper, `count-0-${choice}`).fill(String(hands));
  }
  await byId(helper, "count-0-send").click();
  await helper.locator('[data-testid="count-0-standing"][data-standing="counted"]').waitFor();
}

/** Waits until the teacher's page counts so many for each choice. */
export async function bars(teacher, counts) {
  for (const [choice, many] of counts.entries()) {
    await teacher.locator(`[data-testid="bar-${choice}"][data-count="${many}"]`).waitFor();
  }
}

export async function quiz(crew, ledger) {
  const { teacher, helper, home, near, far } = crew.pages;
  await teacher.keyboard.press("t");
  await byId(teacher, "draft-file").setInputFiles({
    name: "questions.txt",
    mimeType: "text/plain",
    buffer: Buffer.from(QUESTIONS),
  });
  await byId(teacher, "editor-start").click();
  await crew.show(STUDENTS, "item-0");
  await crew.say(ROOMS, "quiz", "顶点在哪里");
  await byId(home, "pick-A").click();
  await byId(near, "pick-B").click();
  await byId(far, "pick-A").click();
  await crew.on(STUDENTS, (page) =>
    page.locator('[data-testid="item-0"] [data-standing="counted"]').waitFor(),
  );
  await count(helper, [20, 12, 6]);
  await bars(teacher, [22, 13, 6]);
  await says(teacher, "results-school-02", "39 /");
  await says(teacher, "results-right", "22");
  for (const page of [home, near, far]) {
    expect((await byId(page, "result").count()) === 0, "the class saw it before the reveal");
  }
  await byId(teacher, "quiz-close").click();
  await byId(teacher, "quiz-reveal").click();
  await crew.say(["home", "far"], "verdict", "答对了");
  await crew.say(["near"], "verdict", "再想一想");
  await crew.show([...ROOMS, ...STUDENTS], "result");
  await crew.gone(["teacher"], "running-quiz");
  await teacher.keyboard.press("Escape");
  await crew.on(STUDENTS, (page) => byId(page, "put-away").click());
  ledger.did("quiz.opened quiz", "quiz.closed", "quiz.revealed");
  for (const [id, choice] of [
    [HOME, 0],
    [NEAR, 1],
    [FAR, 0],
  ]) {
    ledger.did(`quiz.answered ${id} 0 ${JSON.stringify({ choice })}`);
  }
  ledger.did(`quiz.counted ${HELPER} 0 20 12 6`);
}

export async function buzzer(crew, ledger) {
  const { teacher, room1, near, far } = crew.pages;
  await teacher.keyboard.press("x");
  await byId(teacher, "buzzer-start").click();
  await crew.show([...ROOMS, ...STUDENTS], "buzzer");
  await byId(near, "buzz").click();
  await byId(teacher, `press-${NEAR}`).waitFor();
  await byId(far, "buzz").click();
  await byId(teacher, `press-${FAR}`).waitFor();
  await room1.keyboard.press("Space");
  await byId(teacher, `press-${ROOM1}`).waitFor();
  const order = await byId(teacher, "presses")
    .locator("li")
    .evaluateAll((items) => items.map((item) => item.getAttribute("data-testid")));
  const right = [NEAR, FAR, ROOM1].map((id) => `press-${id}`);
  expect(order.join() === right.join(), `the order is ${order}`);
  await crew.say(["near"], "buzz-rank", "你最快");
  await crew.say(["far"], "buzz-rank", "第 2 个");
  await crew.say(["room1"], "buzz-rank", "第 3 个");
  await crew.say(["room2"], "buzz-rank", nameOf("near"));
  await byId(teacher, "buzzer-close").click();
  await crew.gone(["home"], "buzzer");
  await teacher.keyboard.press("Escape");
  ledger.did("buzzer.opened", "buzzer.closed");
  ledger.did(...[NEAR, FAR, ROOM1].map((id, at) => `buzzer.pressed ${id} ${at + 1}`));
}

export async function poll(crew, ledger) {
  const { teacher, helper, home, near } = crew.pages;
  await teacher.keyboard.press("p");
  await byId(teacher, "sheet-abcd").click();
  await crew.show([...STUDENTS, ...ROOMS], "quiz");
  await byId(home, "pick-C").click();
  await byId(near, "pick-B").click();
  await count(helper, [5, 10, 15, 8]);
  await bars(teacher, [5, 11, 16, 8]);
  expect((await byId(teacher, "results-right").count()) === 0, "a poll knew a right answer");
  await byId(teacher, "quiz-reveal").click();
  await crew.show([...STUDENTS, ...ROOMS], "result");
  await teacher.keyboard.press("Escape");
  await crew.on(STUDENTS, (page) => byId(page, "put-away").click());
  ledger.did("quiz.opened poll", "quiz.closed", "quiz.revealed");
  ledger.did(`quiz.answered ${HOME} 0 {"choice":2}`, `quiz.answered ${NEAR} 0 {"choice":1}`);
  ledger.did(`quiz.counted ${HELPER} 0 5 10 15 8`);
}
