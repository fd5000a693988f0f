// The teacher's desk: own camera, microphone and shared screen, and the verbs of the tools.

import { effect, signal } from "@preact/signals";
import { t } from "../../i18n/index.ts";
import { OwnCamera } from "../../lesson/own-camera.ts";
import type { LessonSession } from "../../lesson/session.ts";
import { wantedByTeacher } from "../../lesson/wanted.ts";
import { FORMATS, type LocalMedia } from "../../media/local.ts";
import { type MediaProblem, mediaProblem } from "../../media/problem.ts";
import { PROFILES, type Publisher } from "../../media/publisher.ts";
import type { Member, MemberCommand } from "../../protocol/words.ts";
import { notify, notifyRefused } from "../../ui/notices.tsx";

export class Desk {
  readonly session: LessonSession;
  readonly own: OwnCamera;
  readonly microphoneOn = signal(true);
  readonly cameraOn = signal(true);
  readonly screen = signal<MediaStreamTrack | undefined>(undefined);
  readonly screenProblem = signal<MediaProblem | undefined>(undefined);
  readonly #screenPublisher: Publisher;

  constructor(session: LessonSession) {
    this.session = session;
    this.own = new OwnCamera(session, FORMATS.teacher, PROFILES.teacher);
    this.#screenPublisher = session.publisher("screen", PROFILES.screen);
    session.watch(wantedByTeacher);
    session.obeyMute(this.own.media, () => this.microphoneOn.value);
    effect(() => {
      const track = this.own.media.camera.value;
      if (track) track.enabled = this.cameraOn.value;
    });
    effect(() => {
      if (!session.inLesson.value) this.stopSharing();
    });
  }

  get media(): LocalMedia {
    return this.own.media;
  }

  /** Comes into the lesson with whatever camera and microphone there are. */
  enter(): void {
    this.session.socket.start();
    this.own.keepPublished();
  }

  async share(): Promise<void> {
    if (this.screen.peek()) {
      this.stopSharing();
      return;
    }
    this.screenProblem.value = undefined;
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({
        video: { frameRate: { ideal: 15, max: 30 } },
        audio: true,
      });
      const [video] = stream.getVideoTracks();
      if (!video) return;
      video.contentHint = "detail";
      video.onended = () => this.stopSharing();
      this.screen.value = video;
      this.#screenPublisher.start(stream.getTracks());
    } catch (error) {
      const problem = mediaProblem(error, globalThis.isSecureContext);
      // Closing the browser's chooser is no fault.
      if (problem !== "denied") this.screenProblem.value = problem;
    }
  }

  stopSharing(): void {
    this.screen.peek()?.stop();
    this.screen.value = undefined;
    this.#screenPublisher.stop();
  }

  ask(command: MemberCommand): void {
    this.session.socket.command(command).catch(notifyRefused);
  }

  /** Shuts or opens a member's microphone at once; for five seconds it can be undone. */
  mute(member: Member, muted: boolean): void {
    this.ask({ do: "mute", member: member.id, muted });
    const words = t.value.teacher;
    const text = muted ? words.muted(member.name) : words.unmuted(member.name);
    notify(text, { undo: () => this.ask({ do: "mute", member: member.id, muted: !muted }) });
  }
}
