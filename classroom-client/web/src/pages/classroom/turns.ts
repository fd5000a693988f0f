// What a classroom's screen shows of what is asked, of which only one has the room at a time.
// Pure: the lesson's state and the node's time in, what is shown out.

import type { Buzzer, Picked, Question, Quiz, RollCall } from "../../protocol/interactions.ts";
import type { LessonState, Member } from "../../protocol/words.ts";

/** A name picked stands large for so long. */
const PICKED_MS = 8_000;
/** Who was quickest stays for so long after the buzzer closed. */
const BUZZED_MS = 8_000;
/** A closed quiz waits for its result in front of the class no longer than this. */
const WAITS_MS = 5 * 60_000;
/** Each item of a result has the screen for so long … */
export const RESULT_MS = 10_000;
/** … and the whole result this often. */
const RESULT_ROUNDS = 2;

export type Turn =
  | { show: "picked"; picked: Picked }
  | { show: "roll-call"; rollCall: RollCall }
  | { show: "buzzer"; buzzer: Buzzer }
  | { show: "quiz"; quiz: Quiz; item: number; part: "open" | "closed" | "result" }
  | { show: "question"; question: Question };

/**
 * What has the screen at `nowMs`. `resultSinceMs` is when this screen first saw the result of
 * the quiz it has now.
 */
export function turnOf(
  state: LessonState,
  me: Member,
  nowMs: number,
  resultSinceMs: number | undefined,
): Turn | undefined {
  const { picked, rollCall, buzzer, quiz, question } = state;
  // What is asked anew takes the place of what has been said long enough.
  const asked = Math.max(
    ...[rollCall, buzzer, quiz].map((one) => one?.openedMs ?? 0),
    question?.askedMs ?? 0,
  );
  if (picked && nowMs - picked.atMs < PICKED_MS && asked <= picked.atMs) {
    return { show: "picked", picked };
  }
  if (rollCall && rollCall.closedMs === undefined) return { show: "roll-call", rollCall };
  const buzzedMs = buzzer?.closedMs;
  const toldStill = buzzedMs !== undefined && buzzedMs >= asked && nowMs - buzzedMs < BUZZED_MS;
  if (buzzer && (buzzedMs === undefined || toldStill)) return { show: "buzzer", buzzer };
  const turn = quiz && quizTurn(state, quiz, me, nowMs, resultSinceMs);
  if (turn) return turn;
  if (question && question.closedMs === undefined) return { show: "question", question };
  return undefined;
}

function quizTurn(
  state: LessonState,
  quiz: Quiz,
  me: Member,
  nowMs: number,
  resultSinceMs: number | undefined,
): Turn | undefined {
  const { length } = quiz.items;
  if (quiz.tallies) {
    const since = nowMs - (resultSinceMs ?? nowMs);
    if (since >= RESULT_MS * length * RESULT_ROUNDS) return undefined;
    const item = Math.floor(since / RESULT_MS) % length;
    return { show: "quiz", quiz, item, part: "result" };
  }
  const overMs = quiz.closedMs ?? quiz.closesMs;
  const open = overMs === undefined || nowMs < overMs;
  if (!open && nowMs - overMs >= WAITS_MS) return undefined;
  const item = nextItem(state, quiz, me.school);
  return { show: "quiz", quiz, item, part: open ? "open" : "closed" };
}

/** The first item nobody of the school has counted hands for: the one its class is at. */
export function nextItem(state: LessonState, quiz: Quiz, school: string): number {
  const own = Object.entries(quiz.counts)
    .filter(([member, count]) => (state.members[member]?.school ?? count.school) === school)
    .map(([, { items }]) => items);
  const next = quiz.items.findIndex((_, item) => !own.some((items) => items[item]));
  return next < 0 ? quiz.items.length - 1 : next;
}
