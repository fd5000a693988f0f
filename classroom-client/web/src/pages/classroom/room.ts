// A classroom's part: its camera and microphone go to the teacher from beginning to end.

import { effect, signal } from "@preact/signals";
import { keepAwake } from "../../lesson/awake.ts";
import { OwnCamera } from "../../lesson/own-camera.ts";
import type { LessonSession } from "../../lesson/session.ts";
import { wantedByClass } from "../../lesson/wanted.ts";
import { FORMATS, type LocalMedia } from "../../media/local.ts";
import { PROFILES } from "../../media/publisher.ts";
import type { MemberCommand } from "../../protocol/words.ts";
import { notifyRefused } from "../../ui/notices.tsx";

/** A camera that is missing may be plugged in at any time; nobody is there to press a key. */
const RETRY_DEVICES_MS = 10_000;

export class Room {
  readonly session: LessonSession;
  readonly own: OwnCamera;
  readonly microphoneOn = signal(true);
  /** When this screen first saw the result of which quiz, by the node's clock. */
  readonly result = signal<{ quiz: string; sinceMs: number } | undefined>(undefined);

  constructor(session: LessonSession) {
    this.session = session;
    this.own = new OwnCamera(session, FORMATS.classroom, PROFILES.classroom);
    session.watch((state, me) => wantedByClass(state, me, "all"));
    session.obeyMute(this.own.media, () => this.microphoneOn.value);
    effect(() => {
      const quiz = session.socket.state.value?.quiz;
      if (!quiz?.tallies || this.result.peek()?.quiz === quiz.id) return;
      const sinceMs = session.now.peek() + session.socket.clockOffset.peek();
      this.result.value = { quiz: quiz.id, sinceMs };
    });
  }

  get media(): LocalMedia {
    return this.own.media;
  }

  /** Comes in at once. */
  enter(): void {
    this.session.socket.start();
    this.own.keepPublished();
    const retry = () => {
      const incomplete = this.media.tracks.peek().length < 2;
      if (this.session.inLesson.peek() && incomplete) void this.own.retry();
    };
    setInterval(retry, RETRY_DEVICES_MS);
    navigator.mediaDevices?.addEventListener("devicechange", retry);
    void keepAwake();
  }

  /** Raises the hand, or takes it down. A hand that still waits to be sent is taken back. */
  toggleHand(): void {
    const { socket, handPlace } = this.session;
    const queued = socket.waiting.peek().find(({ command }) => command.do === "raise-hand");
    if (queued) socket.cancel(queued.id);
    else this.ask({ do: handPlace.peek() > 0 ? "lower-hand" : "raise-hand" });
  }

  /** Says that the class is there. */
  answerRollCall(): void {
    this.ask({ do: "answer-roll-call" });
  }

  /** Presses the buzzer that is open. */
  buzz(): void {
    const buzzer = this.session.socket.state.peek()?.buzzer;
    if (buzzer && buzzer.closedMs === undefined) this.ask({ do: "buzz", buzzer: buzzer.id });
  }

  /** Asks something of the lesson; a refusal is shown. */
  ask(command: MemberCommand): void {
    this.session.socket.command(command).catch(notifyRefused);
  }
}
