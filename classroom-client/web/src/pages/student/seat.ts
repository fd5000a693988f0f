// A student's seat: watches; is seen and heard only on stage, and only after agreeing to it.

import { computed, effect, signal } from "@preact/signals";
import type { LessonSession } from "../../lesson/session.ts";
import { wantedByClass } from "../../lesson/wanted.ts";
import { FORMATS, LocalMedia } from "../../media/local.ts";
import { PROFILES } from "../../media/publisher.ts";
import type { Kind } from "../../protocol/words.ts";
import { notifyRefused } from "../../ui/notices.tsx";

export class Seat {
  readonly session: LessonSession;
  readonly media = new LocalMedia(FORMATS.student);
  readonly audioOnly = signal(false);
  readonly microphoneOn = signal(true);
  /** What the student agreed to while on stage; `undefined` before an answer. */
  readonly consent = signal<readonly Kind[] | undefined>(undefined);
  /** Whether this member may raise a hand and be called up; others look on. */
  readonly mayTakePart = computed(() => {
    const role = this.session.socket.you.value?.role;
    return role === "student" || role === "assistant";
  });
  readonly publisher;

  constructor(session: LessonSession) {
    this.session = session;
    this.publisher = session.publisher("camera", PROFILES.student);
    session.watch((state, me) => wantedByClass(state, me, this.audioOnly.value ? "none" : "all"));
    session.obeyMute(this.media, () => this.microphoneOn.value);
    this.media.onReplace((track) => void this.publisher.replace(track));
    effect(() => {
      // Off stage nothing is on: each call asks anew.
      if (!session.onStage.value || !session.inLesson.value) this.#shut();
    });
  }

  /** Agrees to be heard, or seen and heard. */
  async goLive(kinds: readonly Kind[]): Promise<void> {
    this.consent.value = kinds;
    this.microphoneOn.value = true;
    await this.media.open(kinds);
    // The teacher may have gone on to another meanwhile.
    if (!this.session.onStage.peek()) {
      this.#shut();
      return;
    }
    const tracks = this.media.tracks.peek();
    if (tracks.length > 0) this.publisher.start(tracks);
  }

  leaveStage(): void {
    this.session.socket.command({ do: "dismiss" }).catch(notifyRefused);
  }

  /** Raises the hand, or takes it down. A hand that still waits to be sent is taken back. */
  toggleHand(): void {
    const { socket, handPlace } = this.session;
    const queued = socket.waiting.peek().find(({ command }) => command.do === "raise-hand");
    if (queued) socket.cancel(queued.id);
    else {
      const up = handPlace.peek() > 0;
      socket.command({ do: up ? "lower-hand" : "raise-hand" }).catch(notifyRefused);
    }
  }

  #shut(): void {
    this.publisher.stop();
    this.media.close();
    this.media.problems.value = {};
    this.consent.value = undefined;
  }
}
