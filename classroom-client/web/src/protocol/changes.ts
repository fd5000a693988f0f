// How interactions change a lesson's state: the same rules as the nodes' own
// (`protocol/src/lesson/`). It decides nothing.

import type { Attendance, InteractionEvent, Interactions, Item, Tally } from "./interactions.ts";
import type { LessonEvent, LessonState, Member } from "./words.ts";

/** As many as nodes keep. */
const MOST = { messages: 200, praise: 20, proposals: 20, chapters: 100, notes: 500 };
/** Who comes later than this after the start came late. */
const LATE_AFTER_MS = 60_000;

type Stamped<Body> = { seq: number; id: string; atMs: number } & Body;

/** What a lesson holds before anything was done in it. */
export function nothingDone(): Interactions {
  return {
    attendance: {},
    removed: {},
    away: [],
    handCounts: {},
    asked: {},
    chat: { mode: "teacher-only", messages: [], silenced: [] },
    reactions: {},
    praise: [],
    view: { layout: "teacher", auto: true },
    boardWriters: "teacher",
    run: 0,
    proposals: [],
    chapters: [],
    notes: [],
    sheets: {},
  };
}

/** What is over, so that it does not hang over from an earlier run. */
export function forgotten(): Interactions {
  return {
    ...nothingDone(),
    rollCall: undefined,
    picked: undefined,
    question: undefined,
    quiz: undefined,
    buzzer: undefined,
    timer: undefined,
    groups: undefined,
    slides: undefined,
    caption: undefined,
  };
}

/** A state as a node says it, with what it left out as empty. */
export function wholeState(said: LessonState): LessonState {
  const state: LessonState = { ...nothingDone(), ...said };
  state.chat = { ...nothingDone().chat, ...said.chat };
  state.view = { ...nothingDone().view, ...said.view };
  if (said.rollCall) state.rollCall = { ...said.rollCall };
  if (state.rollCall) {
    state.rollCall.answered ??= {};
    state.rollCall.counted ??= {};
  }
  if (said.question) state.question = { ...said.question, answered: said.question.answered ?? [] };
  if (said.quiz) {
    const { answers = {}, counts = {} } = said.quiz;
    state.quiz = { ...said.quiz, answers, counts };
  }
  if (said.buzzer) state.buzzer = { ...said.buzzer, presses: said.buzzer.presses ?? [] };
  if (said.groups) state.groups = { ...said.groups, visiting: said.groups.visiting ?? {} };
  return state;
}

/** What an interaction's event changes; nothing for an event of another kind. */
export function interactionChange(state: LessonState, event: LessonEvent): Partial<LessonState> {
  return (
    attending(state, event as Stamped<InteractionEvent>) ??
    asking(state, event as Stamped<InteractionEvent>) ??
    quizzing(state, event as Stamped<InteractionEvent>) ??
    talking(state, event as Stamped<InteractionEvent>) ??
    showing(state, event as Stamped<InteractionEvent>) ??
    {}
  );
}

type Change = Partial<Interactions> | undefined;

function attending(state: LessonState, event: Stamped<InteractionEvent>): Change {
  const { rollCall } = state;
  switch (event.type) {
    case "roll-call.opened": {
      const { rollCall: id, atMs: openedMs, closesMs } = event;
      const opened = { id, openedMs, answered: {}, counted: {} };
      return { rollCall: closesMs === undefined ? opened : { ...opened, closesMs } };
    }
    case "roll-call.answered":
      if (rollCall?.id !== event.rollCall) return {};
      return {
        rollCall: { ...rollCall, answered: { [event.member]: event.atMs, ...rollCall.answered } },
      };
    case "roll-call.counted": {
      if (rollCall?.id !== event.rollCall) return {};
      const { member, school, present, expected, ticked } = event;
      const counted = {
        school,
        present,
        ...(expected === undefined ? {} : { expected }),
        ...(ticked === undefined ? {} : { ticked }),
      };
      return { rollCall: { ...rollCall, counted: { ...rollCall.counted, [member]: counted } } };
    }
    case "roll-call.closed":
      if (rollCall?.id !== event.rollCall) return {};
      return { rollCall: { ...rollCall, closedMs: event.atMs } };
    case "member.away": {
      const others = state.away.filter((member) => member !== event.member);
      const away = event.away && !isOver(state);
      return {
        away: away ? [...others, event.member] : others,
        attendance: withAway(state.attendance, { ...event, away }),
      };
    }
    default:
      return undefined;
  }
}

/** A member came in: it is on the list of those who came. */
export function withArrival(
  state: LessonState,
  { member, atMs }: { member: Member; atMs: number },
): Interactions["attendance"] {
  const before = state.attendance[member.id];
  const { name, role, school } = member;
  const { phase, startedMs = atMs } = state;
  const late = phase === "live" && atMs > startedMs + LATE_AFTER_MS;
  const { leftMs: _, ...came } = before ?? { joinedMs: atMs, awayMs: 0, late };
  return { ...state.attendance, [member.id]: { ...came, name, role, school } };
}

/** A member went: it stays on the list. */
export function withDeparture(
  state: LessonState,
  { member, atMs }: { member: string; atMs: number },
): Interactions["attendance"] {
  const here = withAway(state.attendance, { member, away: false, atMs });
  const one = here[member];
  return one && !isOver(state) ? { ...here, [member]: { ...one, leftMs: atMs } } : here;
}

function withAway(
  attendance: Interactions["attendance"],
  event: { member: string; away: boolean; atMs: number },
): Interactions["attendance"] {
  const one = attendance[event.member];
  if (!one || event.away === (one.awaySinceMs !== undefined)) return attendance;
  const { awaySinceMs, ...rest } = one;
  const next: Attendance = event.away
    ? { ...one, awaySinceMs: event.atMs }
    : { ...rest, awayMs: one.awayMs + Math.max(0, event.atMs - (awaySinceMs ?? event.atMs)) };
  return { ...attendance, [event.member]: next };
}

function asking(state: LessonState, event: Stamped<InteractionEvent>): Change {
  const { question, buzzer } = state;
  switch (event.type) {
    case "hands.counted": {
      const { member, school, count, atMs } = event;
      const others = without(state.handCounts, member);
      if (count === 0) return { handCounts: others };
      const handCounts = { ...others, [member]: { school, count, atMs } };
      return { handCounts: isOver(state) ? others : handCounts, ...firstHand(state, atMs) };
    }
    case "member.picked": {
      const { member, atMs, among, asked } = event;
      return { picked: { member, atMs, among, asked }, asked: oneMore(state.asked, member) };
    }
    case "question.asked": {
      const { question: id, atMs: askedMs, text } = event;
      const open = { id, askedMs, answered: [] };
      return { question: text === undefined ? open : { ...open, text } };
    }
    case "question.answered":
      if (question?.id !== event.question || question.answered.includes(event.member)) return {};
      return { question: { ...question, answered: [...question.answered, event.member] } };
    case "question.closed":
      if (question?.id !== event.question) return {};
      return { question: { ...question, closedMs: event.atMs } };
    case "buzzer.opened": {
      const { buzzer: id, atMs: openedMs, title } = event;
      const open = { id, openedMs, presses: [] };
      return { buzzer: title === undefined ? open : { ...open, title } };
    }
    case "buzzer.pressed": {
      const first = firstHand(state, event.atMs);
      if (buzzer?.id !== event.buzzer) return first;
      const press = { member: event.member, atMs: event.atMs };
      return { ...first, buzzer: { ...buzzer, presses: [...buzzer.presses, press] } };
    }
    case "buzzer.closed":
      if (buzzer?.id !== event.buzzer) return {};
      return { buzzer: { ...buzzer, closedMs: event.atMs } };
    default:
      return undefined;
  }
}

/** The first hand after a question says how long a class thought. */
export function firstHand(state: LessonState, atMs: number): Partial<Interactions> {
  const { question } = state;
  const { askedMs = 0, closedMs = atMs, firstHandMs = atMs } = question ?? {};
  if (!question || atMs < askedMs || atMs > closedMs) return {};
  return { question: { ...question, firstHandMs: Math.min(firstHandMs, atMs) } };
}

/** Somebody was called up: it has been asked once more, or was when it was picked. */
export function withCall(state: LessonState, member: string): Partial<Interactions> {
  const called = state.members[member];
  const counted = Object.entries(state.handCounts).filter(
    ([, { school }]) => !(called?.role === "classroom" && called.school === school),
  );
  const asked =
    state.picked?.member === member
      ? { picked: undefined }
      : { asked: oneMore(state.asked, member) };
  return { ...asked, handCounts: Object.fromEntries(counted) };
}

function oneMore(asked: Record<string, number>, member: string): Record<string, number> {
  return { ...asked, [member]: (asked[member] ?? 0) + 1 };
}

function quizzing(state: LessonState, event: Stamped<InteractionEvent>): Change {
  const { quiz } = state;
  switch (event.type) {
    case "quiz.opened": {
      const { quiz: content, atMs: openedMs, closesMs } = event;
      const opened = { ...content, openedMs, answers: {}, counts: {} };
      return { quiz: closesMs === undefined ? opened : { ...opened, closesMs } };
    }
    case "quiz.answered": {
      if (quiz?.id !== event.quiz) return {};
      const { member, item, answer, atMs } = event;
      const before = quiz.answers[member] ?? quiz.items.map(() => null);
      if (before[item] !== null) return {};
      const given = before.with(item, { answer, atMs });
      return { quiz: { ...quiz, answers: { ...quiz.answers, [member]: given } } };
    }
    case "quiz.counted": {
      if (quiz?.id !== event.quiz) return {};
      const { member, school, item, counts } = event;
      const before = quiz.counts[member]?.items ?? quiz.items.map(() => null);
      const items = item < before.length ? before.with(item, counts) : before;
      return { quiz: { ...quiz, counts: { ...quiz.counts, [member]: { school, items } } } };
    }
    case "quiz.closed":
      if (quiz?.id !== event.quiz) return {};
      return { quiz: { ...quiz, closedMs: quiz.closedMs ?? event.atMs } };
    case "quiz.revealed":
      if (quiz?.id !== event.quiz) return {};
      return {
        quiz: { ...quiz, items: withRight(quiz.items, event.tallies), tallies: event.tallies },
      };
    default:
      return undefined;
  }
}

/** Who did not know the right answers does once they are revealed. */
function withRight(items: Item[], tallies: Tally[]): Item[] {
  return items.map((item, index) => {
    const correct = tallies[index]?.correct;
    return correct ? { ...item, correct } : item;
  });
}

function talking(state: LessonState, event: Stamped<InteractionEvent>): Change {
  const { chat } = state;
  switch (event.type) {
    case "chat.set":
      return { chat: { ...chat, mode: event.mode } };
    case "chat.said": {
      const { message: id, member, text, to, atMs } = event;
      const messages = [...chat.messages, { id, member, text, to, atMs }].slice(-MOST.messages);
      return { chat: { ...chat, messages } };
    }
    case "chat.removed":
      return {
        chat: { ...chat, messages: chat.messages.filter(({ id }) => id !== event.message) },
      };
    case "chat.silenced": {
      const others = chat.silenced.filter((member) => member !== event.member);
      return { chat: { ...chat, silenced: event.silenced ? [...others, event.member] : others } };
    }
    case "reaction.given": {
      if (isOver(state)) return {};
      const { member, reaction, count = 1, atMs } = event;
      return { reactions: { ...state.reactions, [member]: { reaction, count, atMs } } };
    }
    case "reactions.cleared":
      return { reactions: {} };
    case "praise.given": {
      const { member, atMs, text } = event;
      const one = text === undefined ? { member, atMs } : { member, atMs, text };
      return { praise: [...state.praise, one].slice(-MOST.praise) };
    }
    case "note.taken": {
      const { note: id, member, text, aboutMs: atMs } = event;
      return { notes: [...state.notes, { id, member, text, atMs }].slice(0, MOST.notes) };
    }
    case "sheet.scored":
      return { sheets: { ...state.sheets, [event.member]: event.sheet } };
    default:
      return undefined;
  }
}

function showing(state: LessonState, event: Stamped<InteractionEvent>): Change {
  const { groups } = state;
  switch (event.type) {
    case "timer.started": {
      const { endsMs, seconds, title } = event;
      return { timer: title === undefined ? { endsMs, seconds } : { endsMs, seconds, title } };
    }
    case "timer.stopped":
      return { timer: undefined };
    case "groups.opened": {
      const opened = { groups: event.groups, visiting: {} };
      const { endsMs } = event;
      return { groups: endsMs === undefined ? opened : { ...opened, endsMs } };
    }
    case "groups.moved": {
      if (!groups) return {};
      const moved = groups.groups.map((group) => {
        const others = group.members.filter((member) => member !== event.member);
        return { ...group, members: group.id === event.group ? [...others, event.member] : others };
      });
      return { groups: { ...groups, groups: moved } };
    }
    case "groups.visited": {
      if (!groups) return {};
      const others = without(groups.visiting, event.member);
      const visiting =
        event.group === undefined ? others : { ...others, [event.member]: event.group };
      return { groups: { ...groups, visiting } };
    }
    case "groups.closed":
      return { groups: undefined };
    case "view.directed": {
      const { layout, focus, auto } = event;
      return { view: focus === undefined ? { layout, auto } : { layout, focus, auto } };
    }
    case "slides.opened":
      return isOver(state) ? {} : { slides: { deck: event.deck, page: event.page } };
    case "slides.turned":
      // One of a deck that has been replaced meanwhile turns nothing.
      if (state.slides?.deck.id !== event.deck) return {};
      return { slides: { ...state.slides, page: event.page } };
    case "slides.closed":
      return { slides: undefined };
    case "board.writers":
      return { boardWriters: event.writers };
    case "caption.posted": {
      const { text, startMs, endMs, lang } = event;
      if (isOver(state)) return {};
      return { caption: { text, startMs, endMs, lang } };
    }
    case "proposal.made": {
      const { proposal: id, member, content } = event;
      return { proposals: [...state.proposals, { id, member, content }].slice(0, MOST.proposals) };
    }
    case "proposal.accepted":
    case "proposal.declined":
      return { proposals: state.proposals.filter(({ id }) => id !== event.proposal) };
    case "chapter.marked": {
      if (state.chapters.length >= MOST.chapters) return {};
      const { title, fromMs: atMs } = event;
      const after = state.chapters.findIndex((chapter) => chapter.atMs > atMs);
      const place = after < 0 ? state.chapters.length : after;
      return { chapters: state.chapters.toSpliced(place, 0, { title, atMs }) };
    }
    default:
      return undefined;
  }
}

/** What ends with the lesson, whoever forgot to close it. */
export function endOfMoments(state: LessonState, atMs: number): Partial<Interactions> {
  const { rollCall, question, quiz, buzzer } = state;
  const back = (attendance: Interactions["attendance"], member: string) =>
    withAway(attendance, { member, away: false, atMs });
  return {
    away: [],
    attendance: state.away.reduce(back, state.attendance),
    handCounts: {},
    picked: undefined,
    reactions: {},
    timer: undefined,
    groups: undefined,
    slides: undefined,
    caption: undefined,
    proposals: [],
    rollCall: rollCall && { ...rollCall, closedMs: rollCall.closedMs ?? atMs },
    question: question && { ...question, closedMs: question.closedMs ?? atMs },
    quiz: quiz && { ...quiz, closedMs: quiz.closedMs ?? atMs },
    buzzer: buzzer && { ...buzzer, closedMs: buzzer.closedMs ?? atMs },
  };
}

/** What of a member goes with it. */
export function withoutMember(state: LessonState, member: string): Partial<Interactions> {
  const { groups, picked, view } = state;
  const { focus, ...rest } = view;
  return {
    away: state.away.filter((one) => one !== member),
    handCounts: without(state.handCounts, member),
    reactions: without(state.reactions, member),
    picked: picked?.member === member ? undefined : picked,
    view: focus === member ? rest : view,
    groups: groups && { ...groups, visiting: without(groups.visiting, member) },
  };
}

/** What is heard of after the end is a fact of the past: nothing of it is so now. */
export function isOver({ phase }: LessonState): boolean {
  return phase === "ended" || phase === "archived";
}

function without<T>(record: Record<string, T>, key: string): Record<string, T> {
  const { [key]: _, ...rest } = record;
  return rest;
}
