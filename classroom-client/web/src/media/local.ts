// This machine's own camera and microphone: which there are, which are used, and what is
// wrong with them. Switching a device keeps what is published; it never publishes anything.

import { computed, signal } from "@preact/signals";
import type { Kind } from "../protocol/words.ts";
import { type MediaProblem, mediaProblem } from "./problem.ts";

/** What to ask of a camera. */
export interface CameraFormat {
  width: number;
  height: number;
  frameRate: number;
}

export const FORMATS = {
  teacher: { width: 1280, height: 720, frameRate: 30 },
  classroom: { width: 960, height: 540, frameRate: 20 },
  student: { width: 640, height: 360, frameRate: 20 },
} as const satisfies Record<string, CameraFormat>;

const CHOICE_KEY = "cloudschool.devices";

interface Choice {
  camera?: string;
  microphone?: string;
  speaker?: string;
}

function readChoice(): Choice {
  try {
    return JSON.parse(localStorage.getItem(CHOICE_KEY) ?? "{}") as Choice;
  } catch {
    return {};
  }
}

export class LocalMedia {
  readonly camera = signal<MediaStreamTrack | undefined>(undefined);
  readonly microphone = signal<MediaStreamTrack | undefined>(undefined);
  readonly problems = signal<Partial<Record<Kind, MediaProblem>>>({});
  readonly devices = signal<readonly MediaDeviceInfo[]>([]);
  readonly speaker = signal(readChoice().speaker ?? "");
  readonly tracks = computed(() =>
    [this.camera.value, this.microphone.value].filter((track) => track !== undefined),
  );

  readonly #format: CameraFormat;
  readonly #onReplace = new Set<(track: MediaStreamTrack) => void>();

  constructor(format: CameraFormat) {
    this.#format = format;
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.refresh());
  }

  /** Calls `listener` when a device in use was exchanged for another. */
  onReplace(listener: (track: MediaStreamTrack) => void): () => void {
    this.#onReplace.add(listener);
    return () => this.#onReplace.delete(listener);
  }

  /** Opens what is asked for and not open yet. What fails is in {@link problems}. */
  async open(kinds: readonly Kind[]): Promise<void> {
    const missing = kinds.filter((kind) => !this.#track(kind).peek());
    if (missing.length === 0) return;
    try {
      // In one request: the browser then asks the person once.
      const stream = await this.#request(missing);
      for (const track of stream.getTracks()) this.#take(track);
    } catch (error) {
      if (missing.length === 1) this.#fail(missing, error);
      // One of them may still be had.
      else for (const kind of missing) await this.open([kind]);
    }
    await this.refresh();
  }

  /** Uses another camera, microphone or speaker from now on. */
  async choose(kind: MediaDeviceKind, deviceId: string): Promise<void> {
    const choice = readChoice();
    if (kind === "audiooutput") {
      this.speaker.value = deviceId;
      localStorage.setItem(CHOICE_KEY, JSON.stringify({ ...choice, speaker: deviceId }));
      return;
    }
    const media: Kind = kind === "videoinput" ? "video" : "audio";
    const key = media === "video" ? "camera" : "microphone";
    localStorage.setItem(CHOICE_KEY, JSON.stringify({ ...choice, [key]: deviceId }));
    const old = this.#track(media).peek();
    try {
      const stream = await this.#request([media]);
      for (const track of stream.getTracks()) {
        track.enabled = old?.enabled ?? true;
        this.#take(track);
        for (const listener of this.#onReplace) listener(track);
      }
      this.#release(old);
    } catch (error) {
      this.#fail([media], error);
    }
  }

  /** Lets go of the devices; their lights go out. */
  close(kinds: readonly Kind[] = ["video", "audio"]): void {
    for (const kind of kinds) {
      const track = this.#track(kind);
      this.#release(track.peek());
      track.value = undefined;
    }
  }

  async refresh(): Promise<void> {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    // Before permission is given the browser names none of them.
    this.devices.value = devices.filter((device) => device.deviceId !== "");
  }

  #track(kind: Kind) {
    return kind === "video" ? this.camera : this.microphone;
  }

  #request(kinds: readonly Kind[]): Promise<MediaStream> {
    if (!navigator.mediaDevices) throw new DOMException("insecure", "SecurityError");
    const { camera, microphone } = readChoice();
    const { width, height, frameRate } = this.#format;
    const id = (deviceId: string | undefined) =>
      deviceId ? { deviceId: { ideal: deviceId } } : {};
    const video = {
      ...id(camera),
      width: { ideal: width },
      height: { ideal: height },
      frameRate: { ideal: frameRate },
    };
    const audio = {
      ...id(microphone),
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
    };
    return navigator.mediaDevices.getUserMedia({
      video: kinds.includes("video") ? video : false,
      audio: kinds.includes("audio") ? audio : false,
    });
  }

  #take(track: MediaStreamTrack): void {
    const kind = track.kind as Kind;
    track.onended = () => {
      this.#track(kind).value = undefined;
      this.problems.value = { ...this.problems.peek(), [kind]: "unplugged" };
      void this.refresh();
    };
    this.#track(kind).value = track;
    const { [kind]: _solved, ...problems } = this.problems.peek();
    this.problems.value = problems;
  }

  #release(track: MediaStreamTrack | undefined): void {
    if (!track) return;
    track.onended = null;
    track.stop();
  }

  #fail(kinds: readonly Kind[], error: unknown): void {
    const problem = mediaProblem(error, globalThis.isSecureContext);
    const failed = Object.fromEntries(kinds.map((kind) => [kind, problem]));
    this.problems.value = { ...this.problems.peek(), ...failed };
  }
}
