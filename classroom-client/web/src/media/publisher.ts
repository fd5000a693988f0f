// Publishes one camera with its microphone, or one shared screen with its sound, to the
// member's node over WHIP, and keeps it published: when the connection fails it comes back
// under the same name, so viewers stay bound to it.

import { signal } from "@preact/signals";
import { HttpProblem } from "../http/problem.ts";
import { retryDelay } from "../protocol/retry.ts";
import type { IceServer, Kind, Lang } from "../protocol/words.ts";
import { opusForTeaching, publishOrder, type VideoRate, videoStartingAt } from "./codec.ts";
import { activate, encodingsOf, type Layer, wholePicture } from "./layers.ts";
import { type WhipSession, whip } from "./whip.ts";

/** How a video is sent. */
export interface VideoProfile {
  /** The smallest first; with one, viewers get that or nothing. */
  layers: readonly Layer[];
  maxFramerate: number;
  /** What to keep when the line or the machine is too weak. */
  keep: RTCDegradationPreference;
  rate: VideoRate;
}

export const PROFILES = {
  /** 1280×720 at 30: board writing must be readable, a face must move. */
  teacher: {
    layers: [
      { rid: "q", scale: 4, maxBitrate: 150_000 },
      { rid: "h", scale: 2, maxBitrate: 500_000 },
      { rid: "f", scale: 1, maxBitrate: 2_000_000 },
    ],
    maxFramerate: 30,
    keep: "balanced",
    rate: { start: 1_500_000, least: 300_000 },
  },
  /** A class seen by the teacher: one of many, behind a village line. */
  classroom: {
    layers: [
      { rid: "q", scale: 4, maxBitrate: 80_000 },
      { rid: "h", scale: 2, maxBitrate: 220_000 },
      { rid: "f", scale: 1, maxBitrate: 600_000 },
    ],
    maxFramerate: 20,
    keep: "maintain-framerate",
    rate: { start: 500_000, least: 100_000 },
  },
  /** 640×360: a browser makes two layers of a picture this small, not three. */
  student: {
    layers: [
      { rid: "h", scale: 2, maxBitrate: 130_000 },
      { rid: "f", scale: 1, maxBitrate: 400_000 },
    ],
    maxFramerate: 20,
    keep: "maintain-framerate",
    rate: { start: 300_000, least: 80_000 },
  },
  /** Text first; movement second. One layer: writing made smaller is not read. */
  screen: {
    layers: [{ rid: "f", scale: 1, maxBitrate: 2_000_000 }],
    maxFramerate: 15,
    keep: "maintain-resolution",
    rate: { start: 1_200_000, least: 300_000 },
  },
} as const satisfies Record<string, VideoProfile>;

/** What a profile is bent to for a while. */
export type Tuning = Pick<VideoProfile, "keep" | "maxFramerate">;

/** A blackboard: its writing keeps its lines, and a hand may move in steps. */
export const BOARD_MODE: Tuning = { keep: "maintain-resolution", maxFramerate: 10 };

/** Speech and a little music; FEC included. */
const AUDIO_BITRATE = 40_000;

/** A connection that is only disturbed usually heals within this time. */
const DISTURBED_MS = 4_000;

export type PublishState =
  | { at: "off" }
  | { at: "starting" }
  | { at: "live" }
  /** It failed and is tried again. */
  | { at: "retrying"; message: string }
  /** The node does not want it. */
  | { at: "refused"; message: string };

export interface PublisherOptions {
  /** Without the source, as in `/whip/math-302`. */
  url: string;
  source: "camera" | "screen";
  token: string;
  /** The language of the node's sentences. */
  lang: () => Lang;
  iceServers: () => readonly IceServer[];
  profile: VideoProfile;
}

export class Publisher {
  readonly state = signal<PublishState>({ at: "off" });

  readonly #options: PublisherOptions;
  #tuning: Tuning | undefined;
  readonly #tracks = new Map<Kind, MediaStreamTrack>();
  #pc: RTCPeerConnection | undefined;
  #session: WhipSession | undefined;
  #abort = new AbortController();
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Begins to publish `tracks`; of each kind at most one. */
  start(tracks: readonly MediaStreamTrack[]): void {
    this.#tracks.clear();
    for (const track of tracks) this.#tracks.set(track.kind as Kind, track);
    this.#attempt = 0;
    this.state.value = { at: "starting" };
    void this.#connect();
  }

  /**
   * Sends `track` in place of the one of the same kind, without a break for viewers. A kind
   * that was not published before needs a new session, which this begins.
   */
  async replace(track: MediaStreamTrack): Promise<void> {
    const kind = track.kind as Kind;
    this.#tracks.set(kind, track);
    if (this.state.peek().at === "off") return;
    const sender = this.#pc?.getSenders().find((s) => s.track?.kind === kind);
    if (sender) await sender.replaceTrack(track);
    else void this.#connect();
  }

  /** Ends the session; the node tells everyone that the tracks are gone. */
  stop(): void {
    if (this.state.peek().at === "off") return;
    this.state.value = { at: "off" };
    this.#hangUp();
    this.#tracks.clear();
  }

  /** Publishes the same tracks over a new connection. */
  restart(): void {
    if (this.state.peek().at !== "off") void this.#connect();
  }

  /** Which kinds are published. */
  kinds(): Kind[] {
    return [...this.#tracks.keys()];
  }

  /**
   * Sends only these layers of the picture, by their names: the others are watched by nobody.
   * A new session begins with all of them again.
   */
  async activate(active: readonly string[]): Promise<void> {
    const sender = this.#pc?.getSenders().find((s) => s.track?.kind === "video");
    if (sender) await adjust(sender, (encodings) => activate(encodings, active));
  }

  /** Sends the picture so from now on, also over connections to come; `undefined` as before. */
  tune(tuning: Tuning | undefined): void {
    this.#tuning = tuning;
    const sender = this.#pc?.getSenders().find((s) => s.track?.kind === "video");
    if (!sender) return;
    const { keep, maxFramerate } = this.#profile;
    const parameters = sender.getParameters();
    parameters.degradationPreference = keep;
    for (const encoding of parameters.encodings) encoding.maxFramerate = maxFramerate;
    // Before there is an answer, or where a browser knows no preference, the next connection has it.
    sender.setParameters(parameters).catch(() => undefined);
  }

  get #profile(): VideoProfile {
    return { ...this.#options.profile, ...this.#tuning };
  }

  /** Whether packets of every kind are on their way. */
  async sends(): Promise<boolean> {
    const report = await this.stats();
    const streams = [...(report?.values() ?? [])].filter((stat) => stat.type === "outbound-rtp");
    const sent = new Set(streams.filter((s) => s.packetsSent > 0).map((s) => s.kind as Kind));
    return this.#tracks.size > 0 && this.kinds().every((kind) => sent.has(kind));
  }

  /** Figures of what is being sent, as the browser counts them. */
  async stats(): Promise<RTCStatsReport | undefined> {
    return this.#pc?.getStats();
  }

  #hangUp(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#abort = new AbortController();
    void this.#session?.end();
    this.#session = undefined;
    if (this.#pc) this.#pc.onconnectionstatechange = null;
    this.#pc?.close();
    this.#pc = undefined;
  }

  async #connect(): Promise<void> {
    this.#hangUp();
    const { signal: aborted } = this.#abort;
    const pc = new RTCPeerConnection({ iceServers: [...this.#options.iceServers()] });
    this.#pc = pc;
    pc.onconnectionstatechange = () => this.#changed(pc);
    try {
      for (const track of this.#tracks.values()) this.#add(pc, track);
      await pc.setLocalDescription();
      const { url, source, token, lang } = this.#options;
      const offer = pc.localDescription?.sdp ?? "";
      const session = await whip(`${url}?source=${source}`, offer, token, lang(), aborted);
      if (aborted.aborted) {
        void session.end();
        return;
      }
      this.#session = session;
      const sdp = videoStartingAt(opusForTeaching(session.answer), this.#options.profile.rate);
      await pc.setRemoteDescription({ type: "answer", sdp });
      for (const sender of pc.getSenders()) {
        if (sender.track?.kind !== "video") continue;
        await adjust(sender, (encodings) => wholePicture(encodings, this.#options.profile.layers));
      }
    } catch (error) {
      if (aborted.aborted) return;
      const message = error instanceof HttpProblem ? error.message : "";
      if (error instanceof HttpProblem && !error.passing) {
        this.#hangUp();
        this.state.value = { at: "refused", message };
      } else {
        this.#retry(message);
      }
    }
  }

  #add(pc: RTCPeerConnection, track: MediaStreamTrack): void {
    const profile = this.#profile;
    if (track.kind === "audio") {
      pc.addTransceiver(track, {
        direction: "sendonly",
        sendEncodings: [{ maxBitrate: AUDIO_BITRATE, priority: "high", networkPriority: "high" }],
      });
      return;
    }
    const transceiver = pc.addTransceiver(track, {
      direction: "sendonly",
      sendEncodings: encodingsOf(profile.layers, profile.maxFramerate),
    });
    const codecs = publishOrder(RTCRtpSender.getCapabilities("video")?.codecs ?? []);
    if (codecs.length > 0) transceiver.setCodecPreferences(codecs);
    const parameters = transceiver.sender.getParameters();
    parameters.degradationPreference = profile.keep;
    // An older browser keeps its own preference.
    transceiver.sender.setParameters(parameters).catch(() => undefined);
  }

  #changed(pc: RTCPeerConnection): void {
    clearTimeout(this.#timer);
    switch (pc.connectionState) {
      case "connected":
        this.#attempt = 0;
        this.state.value = { at: "live" };
        break;
      case "disconnected":
        this.#timer = setTimeout(() => this.#retry(""), DISTURBED_MS);
        break;
      case "failed":
        this.#retry("");
        break;
    }
  }

  #retry(message: string): void {
    this.#hangUp();
    this.state.value = { at: "retrying", message };
    this.#timer = setTimeout(
      () => void this.#connect(),
      retryDelay(this.#attempt++, Math.random()),
    );
  }
}

/** Changes what a sender encodes. A sender whose connection is gone stays as it is. */
async function adjust(
  sender: RTCRtpSender,
  change: (encodings: RTCRtpEncodingParameters[]) => boolean,
): Promise<void> {
  const parameters = sender.getParameters();
  if (!change(parameters.encodings)) return;
  try {
    await sender.setParameters(parameters);
  } catch (error) {
    const gone = error instanceof DOMException && error.name === "InvalidStateError";
    if (!gone) throw error;
  }
}
