// A member's own answers to the latest quiz, from what the lesson has, what waits to be sent,
// and what was given this moment. (That nothing waiting is lost is the socket's affair.)

import { computed, signal } from "@preact/signals";
import type { Answer, Quiz } from "../../protocol/interactions.ts";
import { Refused, type WaitingCommand } from "../../protocol/socket.ts";
import { notifyRefused } from "../../ui/notices.tsx";
import type { LessonSession } from "../session.ts";
import { isOpen } from "./rules.ts";

/** Where an answer stands: on its way, held up by a line that is away, with the lesson, or not taken. */
export type Standing = "sent" | "waits" | "counted" | "refused";

export interface OwnAnswer {
  answer: Answer;
  standing: Standing;
}

/** What was given on this page, by quiz and item. */
export type Given = Readonly<Record<string, Readonly<Record<number, OwnAnswer>>>>;

/** What a member answered to each item; what the lesson has counts before all else. */
export function ownAnswers(
  quiz: Quiz,
  me: string,
  given: Given,
  waiting: readonly WaitingCommand[],
): Record<number, OwnAnswer> {
  const own: Record<number, OwnAnswer> = { ...given[quiz.id] };
  for (const { command } of waiting) {
    if (command.do === "answer-quiz" && command.quiz === quiz.id) {
      own[command.item] = { answer: command.answer, standing: "waits" };
    }
  }
  quiz.answers[me]?.forEach((one, item) => {
    if (one) own[item] = { answer: one.answer, standing: "counted" };
  });
  return own;
}

export class Answers {
  readonly #session: LessonSession;
  readonly #given = signal<Given>({});

  /** By item, of the quiz the lesson has now. */
  readonly own = computed(() => {
    const { state, you, waiting } = this.#session.socket;
    const quiz = state.value?.quiz;
    if (!quiz || !you.value) return {};
    return ownAnswers(quiz, you.value.id, this.#given.value, waiting.value);
  });

  constructor(session: LessonSession) {
    this.#session = session;
  }

  /** Whether answers are taken now. */
  get open(): boolean {
    const { socket, now } = this.#session;
    const quiz = socket.state.value?.quiz;
    return quiz !== undefined && isOpen(quiz, now.value + socket.clockOffset.value);
  }

  /** Answers an item, once. */
  give(item: number, answer: Answer): void {
    const quiz = this.#session.socket.state.peek()?.quiz?.id;
    if (quiz === undefined || item in this.own.peek()) return;
    this.#note(quiz, item, { answer, standing: "sent" });
    this.#session.socket.command({ do: "answer-quiz", quiz, item, answer }).catch((error) => {
      if (error instanceof Refused) this.#note(quiz, item, { answer, standing: "refused" });
      notifyRefused(error);
    });
  }

  #note(quiz: string, item: number, answer: OwnAnswer): void {
    const given = this.#given.peek();
    this.#given.value = { ...given, [quiz]: { ...given[quiz], [item]: answer } };
  }
}
