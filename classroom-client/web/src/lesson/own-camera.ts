// This machine's camera and microphone as part of a lesson: published for as long as the
// member is in it, let go of when it is out.

import { effect, untracked } from "@preact/signals";
import { type CameraFormat, LocalMedia } from "../media/local.ts";
import type { Publisher, VideoProfile } from "../media/publisher.ts";
import type { LessonSession } from "./session.ts";

export class OwnCamera {
  readonly media: LocalMedia;
  readonly publisher: Publisher;
  readonly #session: LessonSession;

  constructor(session: LessonSession, format: CameraFormat, profile: VideoProfile) {
    this.#session = session;
    this.media = new LocalMedia(format);
    this.publisher = session.publisher("camera", profile);
    this.media.onReplace((track) => void this.publisher.replace(track));
    effect(() => session.sounds.setSpeaker(this.media.speaker.value));
  }

  /** From now on, whenever the member is in the lesson. */
  keepPublished(): void {
    let published = false;
    effect(() => {
      const inLesson = this.#session.inLesson.value;
      if (inLesson === published) return;
      published = inLesson;
      untracked(() => {
        if (inLesson) void this.retry();
        else this.#letGo();
      });
    });
  }

  /** Opens what is not open yet, and publishes what that brings. */
  async retry(): Promise<void> {
    const before = this.media.tracks.peek();
    await this.media.open(["video", "audio"]);
    if (!this.#session.inLesson.peek()) {
      this.#letGo();
      return;
    }
    const tracks = this.media.tracks.peek();
    if (this.publisher.state.peek().at === "off") {
      if (tracks.length > 0) this.publisher.start(tracks);
      return;
    }
    for (const track of tracks) if (!before.includes(track)) await this.publisher.replace(track);
  }

  #letGo(): void {
    this.publisher.stop();
    this.media.close();
  }
}
