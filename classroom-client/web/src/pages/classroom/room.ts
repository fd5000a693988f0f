// A classroom's part: its camera and microphone go to the teacher from beginning to end.

import { signal } from "@preact/signals";
import { keepAwake } from "../../lesson/awake.ts";
import { OwnCamera } from "../../lesson/own-camera.ts";
import type { LessonSession } from "../../lesson/session.ts";
import { wantedByClass } from "../../lesson/wanted.ts";
import { FORMATS, type LocalMedia } from "../../media/local.ts";
import { PROFILES } from "../../media/publisher.ts";
import { notifyRefused } from "../../ui/notices.tsx";

/** A camera that is missing may be plugged in at any time; nobody is there to press a key. */
const RETRY_DEVICES_MS = 10_000;

export class Room {
  readonly session: LessonSession;
  readonly own: OwnCamera;
  readonly microphoneOn = signal(true);

  constructor(session: LessonSession) {
    this.session = session;
    this.own = new OwnCamera(session, FORMATS.classroom, PROFILES.classroom);
    session.watch((state, me) => wantedByClass(state, me, "all"));
    session.obeyMute(this.own.media, () => this.microphoneOn.value);
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
    else {
      const up = handPlace.peek() > 0;
      socket.command({ do: up ? "lower-hand" : "raise-hand" }).catch(notifyRefused);
    }
  }
}
