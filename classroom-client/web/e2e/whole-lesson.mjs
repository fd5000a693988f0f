// One lesson from its beginning to its end, everybody at their own page: a teacher, classrooms at
// two schools with a node each, an assistant's phone, three students, an observer. Each step is
// looked at on every page that shows it; at the end the log is compared with what was done, and
// the behaviour records with the log.

import { byId, expect, moves, test } from "./harness.mjs";
import { startSchool } from "./school.mjs";
import { buzzer, hands, poll, question, quiz, rollCall, stage } from "./whole/asking.mjs";
import { Crew, idOf, openLesson, roleOf, SEEING } from "./whole/crew.mjs";
import { Ledger } from "./whole/ledger.mjs";
import { outage } from "./whole/outage.mjs";
import { board, screen, slides } from "./whole/showing.mjs";
import { chat, groups } from "./whole/together.mjs";

const TEACHER = idOf("teacher");

/** What a lesson is made of, in this order. */
const STEPS = {
  "roll call: on phones, on a room's screen, counted by the assistant": rollCall,
  "slides from a PDF are on every page, and turned": slides,
  "the board: the teacher's stroke, then a student's and one from the far school": board,
  "a question stands on every screen": question,
  "hands of both schools and the home in one line; the first answers, seen by all": hands,
  "a school called to the stage is seen and heard at the other and at home": stage,
  "a quiz: answered on phones, counted in the room, revealed by the teacher": quiz,
  "the buzzer: the order is one on every screen": buzzer,
  "a poll": poll,
  "groups by school: each knows who it is, the teacher walks in and out": groups,
  "chat: a student's word and the teacher's are at every phone": chat,
  "the teacher's screen is shared and put away": screen,
};

export async function wholeLesson(stack) {
  const { links } = stack;
  let school;
  let crew;
  let ledger;
  try {
    const begun =
      await test("a second school's node comes up, and everybody comes in", async () => {
        school = await startSchool(stack, "school-02");
        const nodes = [links.campus, links.school, school.url];
        const { lesson, token } = await openLesson(links, nodes);
        ledger = new Ledger({ ...stack, lesson, token });
        crew = new Crew(links, lesson, school.url);
        await crew.launch();
        const teacher = await crew.enter("teacher");
        // Two at a time: a page that starts takes a core.
        for (const pair of [
          ["room1", "room2"],
          ["home", "near"],
          ["far", "helper"],
          ["observer"],
        ]) {
          await Promise.all(pair.map((one) => crew.enter(one)));
        }
        await byId(crew.pages.near, "more").click();
        await byId(crew.pages.near, "pictures-one").check();
        await crew.pages.near.keyboard.press("Escape");
        for (const room of ["room1", "room2"]) {
          await byId(teacher, `room-${idOf(room)}`).waitFor();
          await moves(teacher, `${idOf(room)}/camera`);
        }
        await crew.on(SEEING, (page) => moves(page, `${TEACHER}/camera`));
        await teacher.keyboard.press("b");
        await crew.on(crew.everybody, (page, one) =>
          page.locator(`[data-testid="${roleOf(one)}"][data-phase="live"]`).waitFor(),
        );
        ledger.did("lesson.opened", `lesson.started ${TEACHER}`);
      });
    if (!begun) return;

    for (const [name, step] of Object.entries(STEPS)) {
      if (!(await test(name, () => step(crew, ledger)))) return;
    }
    const over = await test("a school's line is cut and mended: its class goes on, once", () =>
      outage(crew, ledger, school));
    if (!over) return;

    const ended = await test("the end is the end on every page", async () => {
      const { teacher } = crew.pages;
      await teacher.keyboard.press("e");
      await byId(teacher, "end-confirm").click();
      await crew.show(crew.everybody, "closing");
      ledger.did(`lesson.ended ${TEACHER}`);
    });
    if (!ended) return;

    await test("everything that was done is in the log, once", async () => {
      const { events, done } = await ledger.checkLog();
      return `${events} events, ${done} of them somebody's doing`;
    });

    await test("each has its behaviour code, once", async () => {
      const { records, codes } = await ledger.checkRecords();
      const wanted = ["L01", "L02", "L03", "L05", "L06", "S01", "S02", "S03", "S04", "S06", "S07"];
      wanted.push("S08", "S11", "T02", "T04", "T05", "T06", "T07", "T08", "T09", "T10", "T12");
      const lacking = wanted.filter((code) => !codes.includes(code));
      expect(lacking.length === 0, `no record has ${lacking.join()}`);
      return `${records} records, ${codes.length} codes`;
    });
  } finally {
    await crew?.leave();
    await school?.stop();
  }
}
