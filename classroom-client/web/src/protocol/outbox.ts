// What a member asked of the lesson and has no answer to yet. Which of it must not be lost with
// the line or with the page, and how a page that comes back finds out that something was done
// although the answer never came: so it is neither lost nor done twice.

import type { LessonState, MemberCommand, RefusalCode } from "./words.ts";

type Do = MemberCommand["do"];

/** What was entered by a person with some care: it outlives a reload of the page. */
const KEPT: ReadonlySet<Do> = new Set<Do>([
  "answer-quiz",
  "count-quiz",
  "answer-roll-call",
  "count-roll-call",
  "say",
  "note",
  "score",
]);

/** What means something only at its moment: done now, or not at all. */
const NOW_OR_NEVER: ReadonlySet<Do> = new Set<Do>(["buzz", "pick", "react"]);

/** While the campus is away the node decides what its own class asks, but not this. */
const CAMPUS_ALONE: ReadonlySet<Do> = new Set<Do>(["start", "end"]);

/** Refusals that say: it already is as was asked. */
const ALREADY_SO: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  "hand-already-up",
  "hand-not-up",
  "already-on-stage",
  "not-on-stage",
  "already-muted",
  "already-live",
  "already-answered",
]);

/** After a refusal for the campus, or for haste, that may be asked again. */
export const AGAIN_AFTER_MS: Partial<Record<RefusalCode, number>> = {
  "campus-away": 3_000,
  "too-fast": 1_100,
};

/** What waits longer belongs to another lesson. */
const KEPT_FOR_MS = 60 * 60_000;
/** Nobody types more during an outage; a store that is full would lose all. */
const MOST_KEPT = 100;
/** Clocks of a page and its node agree about this well. */
const CLOCK_SLACK_MS = 2_000;

/** Whether the campus must be there for it. */
export function needsCampus(command: MemberCommand): boolean {
  return CAMPUS_ALONE.has(command.do);
}

/** Whether it is asked again after `code`, and after how many ms. */
export function askAgain(command: MemberCommand, code: RefusalCode): number | undefined {
  return NOW_OR_NEVER.has(command.do) ? undefined : AGAIN_AFTER_MS[code];
}

/** Whether a refusal after a second asking says that the first was heard. */
export function meansDone(code: RefusalCode): boolean {
  return ALREADY_SO.has(code);
}

/**
 * Whether the lesson shows that `command`, asked by `me` at `sinceMs` (of the node's clock), was
 * carried out.
 */
export function carriedOut(
  state: LessonState,
  me: string,
  command: MemberCommand,
  sinceMs: number,
): boolean {
  const after = sinceMs - CLOCK_SLACK_MS;
  switch (command.do) {
    case "say":
      return state.chat.messages.some(
        ({ member, text, to, atMs }) =>
          member === me && text === command.text && to === command.to && atMs >= after,
      );
    case "answer-quiz":
      return state.quiz?.id === command.quiz && state.quiz.answers[me]?.[command.item] != null;
    case "answer-roll-call":
      return (state.rollCall?.answered[me] ?? 0) >= after;
    case "buzz":
      return (
        state.buzzer?.id === command.buzzer &&
        state.buzzer.presses.some(({ member }) => member === me)
      );
    case "note":
      return state.notes.some(
        ({ member, text, atMs }) =>
          member === me && text === command.text && atMs >= (command.atMs ?? after),
      );
    case "praise":
      return state.praise.some(
        ({ member, text, atMs }) =>
          member === command.member && text === command.text && atMs >= after,
      );
    case "react": {
      const mine = state.reactions[me];
      return mine !== undefined && mine.reaction === command.reaction && mine.atMs >= after;
    }
    default:
      return false;
  }
}

/** One command as it is kept. */
export interface KeptCommand {
  command: MemberCommand;
  /** When it was asked, by the node's clock. */
  atMs: number;
}

export type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** Keeps what waits where a reload of this tab finds it again. */
export class Outbox {
  readonly #store: Store | undefined;
  readonly #key: string;

  constructor(store: Store | undefined, key: string) {
    this.#store = store;
    this.#key = key;
  }

  /** What an earlier page left, and is still worth sending. */
  load(nowMs: number): KeptCommand[] {
    try {
      const kept: unknown = JSON.parse(this.#store?.getItem(this.#key) ?? "[]");
      if (!Array.isArray(kept)) return [];
      return (kept as KeptCommand[]).filter(
        (one) => KEPT.has(one?.command?.do) && nowMs - one.atMs < KEPT_FOR_MS,
      );
    } catch {
      return [];
    }
  }

  save(waiting: Iterable<KeptCommand>): void {
    const kept = [...waiting].filter(({ command }) => KEPT.has(command.do)).slice(0, MOST_KEPT);
    try {
      if (kept.length === 0) this.#store?.removeItem(this.#key);
      else this.#store?.setItem(this.#key, JSON.stringify(kept));
    } catch {
      // A store that is full or forbidden: what waits is kept in this page alone.
    }
  }
}
