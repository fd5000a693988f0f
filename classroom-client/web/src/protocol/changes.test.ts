import { describe, expect, it } from "vitest";
import { wholeState } from "./changes.ts";
import { emptyState, event, info, member } from "./samples.ts";
import { applyEvent } from "./state.ts";
import type { EventBody, LessonState } from "./words.ts";

const li = member("li", "teacher");
const room = member("room", "classroom", "school-01");
const wang = member("wang", "student");
const zhao = member("zhao", "student", "school-01");

function having(state: LessonState, ...bodies: EventBody[]): LessonState {
  return bodies.reduce((one, body) => applyEvent(one, event(one.seq + 1, body)), state);
}

/** Live, with a teacher, a classroom and two students, after event 5. */
const lesson = having(
  emptyState(),
  ...[li, room, wang, zhao].map((one): EventBody => ({ type: "member.joined", member: one })),
  { type: "lesson.started", by: "li", session: "s" },
);

describe("a roll call", () => {
  it("keeps who answered first, corrected counts, and stays after it closed", () => {
    const state = having(
      lesson,
      { type: "roll-call.opened", rollCall: "r", by: "li", closesMs: 60_000 },
      { type: "roll-call.answered", rollCall: "r", member: "wang" },
      { type: "roll-call.answered", rollCall: "r", member: "wang" },
      { type: "roll-call.answered", rollCall: "another", member: "zhao" },
      { type: "roll-call.counted", rollCall: "r", member: "a", school: "school-01", present: 37 },
      {
        type: "roll-call.counted",
        rollCall: "r",
        member: "a",
        school: "school-01",
        present: 38,
        expected: 40,
      },
      { type: "roll-call.closed", rollCall: "r" },
    );
    expect(state.rollCall).toEqual({
      id: "r",
      openedMs: 6000,
      closesMs: 60_000,
      closedMs: 12_000,
      answered: { wang: 7000 },
      counted: { a: { school: "school-01", present: 38, expected: 40 } },
    });
  });

  it("has beside it who came, came late, was away and went", () => {
    const away: EventBody = { type: "member.away", member: "wang", away: true };
    let state = applyEvent(lesson, event(6, away, 10_000));
    expect(state.away).toEqual(["wang"]);
    expect(state.attendance.wang).toMatchObject({ awaySinceMs: 10_000, awayMs: 0, late: false });
    state = applyEvent(state, event(7, { ...away, away: false }, 14_000));
    expect(state.away).toEqual([]);
    expect(state.attendance.wang).toMatchObject({ awayMs: 4000 });
    state = applyEvent(state, event(8, away, 20_000));
    state = applyEvent(
      state,
      event(9, { type: "member.left", member: "wang", reason: "lost" }, 21_000),
    );
    expect(state.attendance.wang).toEqual({
      name: "wang",
      role: "student",
      school: "campus",
      joinedMs: 3000,
      leftMs: 21_000,
      awayMs: 5000,
      late: false,
    });
    state = applyEvent(state, event(10, { type: "member.joined", member: wang }, 90_000));
    expect(state.attendance.wang).toMatchObject({ joinedMs: 3000, late: false });
    expect(state.attendance.wang).not.toHaveProperty("leftMs");
    const late = member("late", "student");
    state = applyEvent(state, event(11, { type: "member.joined", member: late }, 66_000));
    expect(state.attendance.late).toMatchObject({ joinedMs: 66_000, late: true });
  });
});

describe("asking", () => {
  it("times the wait to the first hand, raised, counted or on the buzzer", () => {
    const asked = having(lesson, { type: "question.asked", question: "q", by: "li", text: "?" });
    expect(asked.question).toEqual({ id: "q", text: "?", askedMs: 6000, answered: [] });
    const counted: EventBody = {
      type: "hands.counted",
      member: "a",
      school: "school-01",
      count: 7,
    };
    const waited = having(asked, counted, { type: "hand.raised", member: "wang" });
    expect(waited.question?.firstHandMs).toBe(7000);
    expect(waited.handCounts).toEqual({ a: { school: "school-01", count: 7, atMs: 7000 } });
    const before = applyEvent(waited, event(9, { type: "hand.raised", member: "zhao" }, 6500));
    expect(before.question?.firstHandMs).toBe(6500);
    const down = having(waited, { ...counted, count: 0 });
    expect(down.handCounts).toEqual({});
  });

  it("ties answers to the question, each once, and closes it", () => {
    const answered: EventBody = {
      type: "question.answered",
      question: "q",
      member: "wang",
      by: "li",
    };
    const state = having(
      lesson,
      { type: "question.asked", question: "q", by: "li" },
      answered,
      answered,
      { type: "question.closed", question: "q", by: "li" },
    );
    expect(state.question).toMatchObject({ answered: ["wang"], closedMs: 9000 });
  });

  it("counts a pick and the call that follows it once", () => {
    const picked = having(lesson, {
      type: "member.picked",
      member: "wang",
      by: "li",
      among: 2,
      asked: 0,
    });
    expect(picked.picked).toEqual({ member: "wang", atMs: 6000, among: 2, asked: 0 });
    const called = having(picked, { type: "stage.called", member: "wang", by: "li" });
    expect(called).toMatchObject({ asked: { wang: 1 }, picked: undefined, stage: ["wang"] });
    expect(having(called, { type: "stage.called", member: "zhao", by: "li" }).asked).toEqual({
      wang: 1,
      zhao: 1,
    });
  });

  it("takes a class's counted hands down when the class is called", () => {
    const counts = { type: "hands.counted", member: "a", count: 7 } as const;
    const state = having(
      lesson,
      { ...counts, school: "school-01" },
      { ...counts, member: "b", school: "school-02" },
      { type: "stage.called", member: "room", by: "li" },
    );
    expect(Object.keys(state.handCounts)).toEqual(["b"]);
  });

  it("keeps the order in which the buzzer was pressed", () => {
    const state = having(
      lesson,
      { type: "buzzer.opened", buzzer: "b", by: "li", title: "?" },
      { type: "buzzer.pressed", buzzer: "b", member: "zhao", rank: 1, afterMs: 900 },
      { type: "buzzer.pressed", buzzer: "b", member: "wang", rank: 2, afterMs: 1200 },
      { type: "buzzer.pressed", buzzer: "old", member: "room", rank: 1, afterMs: 1 },
      { type: "buzzer.closed", buzzer: "b", by: "li" },
    );
    expect(state.buzzer?.presses.map((press) => press.member)).toEqual(["zhao", "wang"]);
    expect(state.buzzer?.closedMs).toBe(10_000);
  });
});

describe("a quiz", () => {
  const items = [
    { prompt: "?", kind: "single" as const, choices: ["a", "b"] },
    { prompt: "?", kind: "true-false" as const },
  ];
  const opened = having(lesson, {
    type: "quiz.opened",
    quiz: { id: "z", kind: "quiz", items },
    by: "li",
    closesMs: 90_000,
  });

  it("keeps each member's first answer to each item, and corrected counts", () => {
    const answer = { type: "quiz.answered", quiz: "z", member: "wang" } as const;
    const count = { type: "quiz.counted", quiz: "z", item: 0, member: "a" } as const;
    const state = having(
      opened,
      { ...answer, item: 0, answer: { choice: 1 } },
      { ...answer, item: 0, answer: { choice: 0 } },
      { ...answer, item: 1, answer: { truth: true } },
      { ...answer, item: 9, answer: { truth: true } },
      { ...answer, quiz: "other", item: 1, answer: { truth: false } },
      { ...count, school: "school-01", counts: [1, 2] },
      { ...count, school: "school-01", counts: [20, 18] },
    );
    expect(state.quiz?.answers.wang).toEqual([
      { answer: { choice: 1 }, atMs: 7000 },
      { answer: { truth: true }, atMs: 9000 },
    ]);
    expect(state.quiz?.counts).toEqual({ a: { school: "school-01", items: [[20, 18], null] } });
  });

  it("tells the right answers with the reveal", () => {
    const tallies = [
      { answered: 3, counts: [1, 2], correct: { choice: 1 }, right: 2 },
      { answered: 0, counts: [0, 0] },
    ];
    const state = having(
      opened,
      { type: "quiz.closed", quiz: "z" },
      { type: "quiz.revealed", quiz: "z", by: "li", tallies },
    );
    expect(state.quiz).toMatchObject({ closedMs: 7000, tallies });
    expect(state.quiz?.items[0]?.correct).toEqual({ choice: 1 });
    expect(state.quiz?.items[1]).not.toHaveProperty("correct");
  });
});

describe("what is said and shown", () => {
  it("is kept in bounds: the newest messages, and who may not write", () => {
    const said = Array.from({ length: 203 }, (_, n): EventBody => {
      return { type: "chat.said", message: `m${n}`, member: "wang", text: "?", to: "all" };
    });
    const state = having(
      lesson,
      { type: "chat.set", mode: "all", by: "li" },
      ...said,
      { type: "chat.removed", message: "m100", by: "li" },
      { type: "chat.silenced", member: "wang", silenced: true, by: "li" },
    );
    expect(state.chat.messages).toHaveLength(199);
    expect(state.chat.messages[0]?.id).toBe("m3");
    expect(state.chat).toMatchObject({ mode: "all", silenced: ["wang"] });
  });

  it("goes with who leaves: its hand counts, reaction, focus; groups keep its place", () => {
    const groups = [{ id: "g", name: "1", members: ["room", "wang"] }];
    const left = having(
      lesson,
      { type: "reaction.given", member: "room", reaction: "understood", count: 30 },
      { type: "hands.counted", member: "room", school: "school-01", count: 3 },
      { type: "view.directed", layout: "stage", focus: "room", by: "li", auto: false },
      { type: "groups.opened", groups, by: "li" },
      { type: "groups.visited", member: "li", group: "g" },
      { type: "groups.moved", member: "zhao", group: "g", by: "li" },
      { type: "member.left", member: "room", reason: "lost" },
    );
    expect(left).toMatchObject({ reactions: {}, handCounts: {} });
    expect(left.view).toEqual({ layout: "stage", auto: false });
    expect(left.groups?.groups[0]?.members).toEqual(["room", "wang", "zhao"]);
    expect(left.groups?.visiting).toEqual({ li: "g" });
  });

  it("puts a chapter where it begins, whenever that was said", () => {
    const chapter = { type: "chapter.marked", by: "li" } as const;
    const state = having(
      lesson,
      { ...chapter, title: "second", fromMs: 900 },
      { ...chapter, title: "first", fromMs: 100 },
    );
    expect(state.chapters.map(({ title }) => title)).toEqual(["first", "second"]);
  });

  it("turns the pages of the deck that is open", () => {
    const deck = { id: "d", title: "课件", pages: [] };
    const state = having(
      lesson,
      { type: "slides.opened", deck, page: 1, by: "li" },
      { type: "slides.turned", deck: "d", page: 4, by: "li" },
      { type: "slides.turned", deck: "old", page: 9, by: "li" },
      { type: "board.writers", writers: "stage", by: "li" },
    );
    expect(state).toMatchObject({ slides: { page: 4 }, boardWriters: "stage" });
    expect(having(state, { type: "slides.closed", by: "li" }).slides).toBeUndefined();
  });
});

describe("the end", () => {
  const busy = having(
    lesson,
    { type: "timer.started", endsMs: 99_000, seconds: 60, by: "li" },
    { type: "question.asked", question: "q", by: "li" },
    { type: "reaction.given", member: "wang", reaction: "clap" },
    { type: "chat.said", message: "m", member: "wang", text: "?", to: "all" },
    { type: "praise.given", member: "wang", by: "li" },
    { type: "lesson.ended", by: "li" },
  );

  it("ends what is of the moment and keeps what was", () => {
    expect(busy).toMatchObject({ timer: undefined, reactions: {}, handCounts: {} });
    expect(busy.question?.closedMs).toBe(11_000);
    expect(busy.chat.messages).toHaveLength(1);
    expect(busy.praise).toEqual([{ member: "wang", atMs: 10_000 }]);
    const late = having(busy, { type: "reaction.given", member: "wang", reaction: "heart" });
    expect(late.reactions).toEqual({});
  });

  it("is forgotten when the lesson opens for another run", () => {
    const again = having(busy, { type: "lesson.opened", info });
    expect(again).toMatchObject({ phase: "open", run: 1, question: undefined, praise: [] });
    expect(again.chat.messages).toEqual([]);
    expect(again.attendance).toEqual({});
    expect(again.startedMs).toBeUndefined();
    expect(Object.keys(again.members)).toHaveLength(4);
  });
});

describe("a state as a node says it", () => {
  it("is made whole where it leaves out what is empty", () => {
    const { chat: _c, attendance: _a, ...said } = emptyState();
    const whole = wholeState({
      ...said,
      chat: { mode: "all" },
      quiz: { id: "z", kind: "poll", items: [], openedMs: 1 },
      groups: { groups: [] },
    } as unknown as LessonState);
    expect(whole.chat).toEqual({ mode: "all", messages: [], silenced: [] });
    expect(whole).toMatchObject({ attendance: {}, quiz: { answers: {}, counts: {} } });
    expect(whole.groups?.visiting).toEqual({});
  });
});
