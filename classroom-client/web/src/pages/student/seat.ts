// A student's seat: watches; is seen and heard only on stage or in a group, and only after
// agreeing to it.

import { computed, effect, signal, untracked } from "@preact/signals";
import type { Draft } from "../../lesson/chat.tsx";
import { Answers } from "../../lesson/quiz/answers.ts";
import type { LessonSession } from "../../lesson/session.ts";
import { groupOf, type Pictures, wantedByClass } from "../../lesson/wanted.ts";
import { FORMATS, LocalMedia } from "../../media/local.ts";
import { PROFILES } from "../../media/publisher.ts";
import type { ChatTo } from "../../protocol/interactions.ts";
import type { Kind, MemberCommand } from "../../protocol/words.ts";
import { notifyRefused } from "../../ui/notices.tsx";

const PICTURES_KEY = "cloudschool.pictures";

function readPictures(): Pictures {
  const kept = localStorage.getItem(PICTURES_KEY);
  return kept === "one" || kept === "none" ? kept : "all";
}

export class Seat {
  readonly session: LessonSession;
  readonly media = new LocalMedia(FORMATS.student);
  readonly answers: Answers;
  /** How much of the pictures is taken; kept for the next lesson. */
  readonly pictures = signal<Pictures>(readPictures());
  readonly audioOnly = computed(() => this.pictures.value === "none");
  readonly microphoneOn = signal(true);
  readonly draft: Draft = { text: signal(""), to: signal<ChatTo>("all") };
  /** Messages of the chat seen so far, by the id of the last. */
  readonly chatSeen = signal<string | undefined>(undefined);
  /** The quiz whose result was put away. */
  readonly putAway = signal("");
  /** What the student agreed to while on stage or in a group; `undefined` before an answer. */
  readonly consent = signal<readonly Kind[] | undefined>(undefined);
  /** Whether this member takes part; others look on. */
  readonly mayTakePart = computed(() => this.session.socket.you.value?.role === "student");
  /** The group this member is in while there are groups. */
  readonly group = computed(() => {
    const { state, you } = this.session.socket;
    return state.value && you.value ? groupOf(state.value, you.value.id) : undefined;
  });
  /** Told to the teacher as away from the screen. */
  readonly isAway = computed(() => {
    const { state, you } = this.session.socket;
    return you.value !== undefined && (state.value?.away.includes(you.value.id) ?? false);
  });
  readonly publisher;

  constructor(session: LessonSession) {
    this.session = session;
    this.answers = new Answers(session);
    this.publisher = session.publisher("camera", PROFILES.student);
    session.watch(
      (state, me) => wantedByClass(state, me, this.pictures.value),
      () => this.pictures.value === "one",
    );
    session.obeyMute(this.media, () => this.microphoneOn.value);
    this.media.onReplace((track) => void this.publisher.replace(track));
    let was = "";
    effect(() => {
      // Off stage and out of a group nothing is on: each call, each group asks anew.
      const where = session.onStage.value ? "stage" : (this.group.value?.id ?? "");
      if (where === was && where !== "" && session.inLesson.value) return;
      was = where;
      untracked(() => this.#shut());
    });
  }

  /** Agrees to be heard, or seen and heard. */
  async goLive(kinds: readonly Kind[]): Promise<void> {
    this.consent.value = kinds;
    this.microphoneOn.value = true;
    await this.media.open(kinds);
    // The teacher may have gone on to another meanwhile.
    if (this.consent.peek() !== kinds) {
      if (this.consent.peek() === undefined) this.#shut();
      return;
    }
    const tracks = this.media.tracks.peek();
    if (tracks.length > 0) this.publisher.start(tracks);
  }

  /** Is neither seen nor heard any more, and stays where it is. */
  quiet(): void {
    this.#shut();
  }

  leaveStage(): void {
    this.ask({ do: "dismiss" });
  }

  /** Raises the hand, or takes it down. A hand that still waits to be sent is taken back. */
  toggleHand(): void {
    const { socket, handPlace } = this.session;
    const queued = socket.waiting.peek().find(({ command }) => command.do === "raise-hand");
    if (queued) socket.cancel(queued.id);
    else this.ask({ do: handPlace.peek() > 0 ? "lower-hand" : "raise-hand" });
  }

  /** Takes more or less of the pictures from now on. */
  take(pictures: Pictures): void {
    this.pictures.value = pictures;
    localStorage.setItem(PICTURES_KEY, pictures);
  }

  toggleSound(): void {
    this.take(this.audioOnly.peek() ? "all" : "none");
  }

  /** Asks something of the lesson; a refusal is shown. */
  ask(command: MemberCommand): void {
    this.session.socket.command(command).catch(notifyRefused);
  }

  #shut(): void {
    this.publisher.stop();
    this.media.close();
    this.media.problems.value = {};
    this.consent.value = undefined;
  }
}
