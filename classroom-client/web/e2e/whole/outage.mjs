// One school loses its line in the middle of a poll. Its own class goes on, the others don't
// notice, and when the line is back everything it did is there, once.

import { byId, expect, moves } from "../harness.mjs";
import { bars, count } from "./asking.mjs";
import { FAR, idOf, ROOMS, STUDENTS } from "./crew.mjs";

const [TEACHER, ROOM2, HELPER] = ["teacher", "room2", "helper"].map(idOf);
const [HOME, NEAR, FAR_STUDENT] = STUDENTS.map(idOf);
const MEANWHILE = "我们这边还在上课";

export async function outage(crew, ledger, school) {
  const { teacher, room2, helper, home, near, far } = crew.pages;
  await byId(teacher, `call-${ROOM2}`).click();
  await crew.on(["room1", "home", "far"], (page) => moves(page, `${ROOM2}/camera`));
  await teacher.keyboard.press("p");
  await byId(teacher, "quiz-new").click();
  await byId(teacher, "sheet-abcd").click();
  await crew.show(STUDENTS, "item-0");
  await byId(near, "pick-A").click();
  await bars(teacher, [1, 0, 0, 0]);
  ledger.did(`stage.called ${ROOM2}`, "quiz.opened poll", `quiz.answered ${NEAR} 0 {"choice":0}`);

  // Who drew is said ten seconds after the first stroke: before the line is cut, not while it is.
  await ledger.written("board.drawn");
  const cutAt = performance.now();
  await school.cut();
  await crew.show(FAR, "banner");
  await crew.say(["room2"], "campus-word", "断开");
  const saidAfter = performance.now() - cutAt;

  // The school's own class: it sees its room, answers, is counted, and talks.
  await moves(far, `${ROOM2}/camera`);
  await byId(far, "pick-B").click();
  await far.locator('[data-testid="item-0"] [data-standing="counted"]').waitFor();
  await count(helper, [3, 4, 5, 6]);
  await byId(far, "hand").click();
  await crew.say(["far"], "says", "已举手");
  await byId(far, "chat").click();
  await byId(far, "chat-to-all").click();
  await byId(far, "chat-text").fill(MEANWHILE);
  await byId(far, "chat-send").click();
  await byId(helper, "chat").click();
  await crew.say(["helper", "far"], "chat-sheet", MEANWHILE);
  await crew.on(["helper", "far"], (page) => page.keyboard.press("Escape"));

  // The others: the lesson goes on for them, and nothing of the school is made up.
  await byId(home, "pick-C").click();
  await bars(teacher, [1, 0, 1, 0]);
  await crew.on(["room1", "home", "observer"], (page) => moves(page, `${TEACHER}/camera`));
  await crew.gone(["teacher", "room1", "home", "near", "observer"], "banner");
  expect((await byId(teacher, `hand-${FAR_STUDENT}`).count()) === 0, "a hand crossed a cut line");

  const mendedAt = performance.now();
  await school.mend();
  await crew.gone(FAR, "banner");
  const backAfter = performance.now() - mendedAt;
  await bars(teacher, [4, 5, 6, 6]);
  await byId(teacher, `hand-${FAR_STUDENT}`).waitFor();
  const said = teacher.locator(".side .chat-said").filter({ hasText: MEANWHILE });
  await said.waitFor();
  expect((await said.count()) === 1, "it was said twice");
  await byId(teacher, `room-${ROOM2}`).waitFor();
  await moves(teacher, `${ROOM2}/camera`);
  await crew.on(["room2", "far"], (page) => moves(page, `${TEACHER}/camera`));
  await byId(teacher, "quiz-reveal").click();
  await crew.show([...STUDENTS, ...ROOMS], "result");
  await byId(teacher, `lower-${FAR_STUDENT}`).click();
  await crew.gone(["teacher"], `hand-${FAR_STUDENT}`);
  await teacher.keyboard.press("Escape");
  await byId(teacher, "clear-stage").click();
  await room2.locator(".room-screen-stage").waitFor({ state: "detached" });
  const late = [
    `quiz.answered ${FAR_STUDENT} 0 {"choice":1}`,
    `quiz.counted ${HELPER} 0 3 4 5 6`,
    `hand.raised ${FAR_STUDENT}`,
    `chat.said ${FAR_STUDENT} ${MEANWHILE}`,
  ];
  ledger.did(...late.map((line) => `${line} late by school-02`));
  ledger.did(`quiz.answered ${HOME} 0 {"choice":2}`, "quiz.closed", "quiz.revealed");
  ledger.did(`hand.lowered ${FAR_STUDENT} by ${TEACHER}`, `stage.left ${ROOM2}`);
  const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
  return `said after ${seconds(saidAfter)}, over after ${seconds(backAfter)}`;
}
