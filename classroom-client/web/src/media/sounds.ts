// Plays what is heard of others. A browser may refuse sound before the first touch of the
// page: `blocked` then asks for a visible button, and `unblock` is what it does.

import { signal } from "@preact/signals";
import { trackKind } from "../protocol/words.ts";
import type { Shown } from "./slots.ts";

export class Sounds {
  readonly blocked = signal(false);
  readonly #playing = new Map<Shown, HTMLAudioElement>();
  #speaker = "";

  /** Plays the sounds among `tracks`, and nothing else. */
  play(tracks: ReadonlyMap<Shown, MediaStreamTrack>): void {
    for (const [name, element] of this.#playing) {
      if (tracks.has(name)) continue;
      element.srcObject = null;
      element.remove();
      this.#playing.delete(name);
    }
    for (const [name, track] of tracks) {
      if (trackKind(name) !== "audio") continue;
      let element = this.#playing.get(name);
      if (!element) {
        element = document.createElement("audio");
        element.dataset.track = name;
        this.#playing.set(name, element);
        document.body.append(element);
        this.#route(element);
      }
      const [old] = (element.srcObject as MediaStream | null)?.getTracks() ?? [];
      if (old === track) continue;
      element.srcObject = new MediaStream([track]);
      this.#start(element);
    }
    if (this.#playing.size === 0) this.blocked.value = false;
  }

  /** To be called from a click or a key. */
  unblock(): void {
    this.blocked.value = false;
    for (const element of this.#playing.values()) this.#start(element);
  }

  /** Sends all sound to the given output device; an empty name is the default one. */
  setSpeaker(deviceId: string): void {
    this.#speaker = deviceId;
    for (const element of this.#playing.values()) this.#route(element);
  }

  #route(element: HTMLAudioElement): void {
    // Not every browser can; and a device that is gone leaves the default one.
    if (this.#speaker && "setSinkId" in element) {
      element.setSinkId(this.#speaker).catch(() => undefined);
    }
  }

  #start(element: HTMLAudioElement): void {
    element.play().catch((error: DOMException) => {
      if (error.name === "NotAllowedError") this.blocked.value = true;
    });
  }
}
