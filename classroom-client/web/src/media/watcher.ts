// Everything a page sees and hears of others: one connection to the member's node with
// receive-only m-lines, to which the node binds tracks as the page asks. Tracks come and go
// without renegotiation; only a page that wants more at once than ever before offers more.

import { signal } from "@preact/signals";
import { retryDelay } from "../protocol/retry.ts";
import { Disconnected, Refused } from "../protocol/socket.ts";
import { type IceServer, type Kind, type Slot, slotShowing, trackKind } from "../protocol/words.ts";
import { planSlots, type Shown, type SlotState } from "./slots.ts";

/** What the watcher needs of the lesson socket. */
export interface WatchPort {
  readonly iceServers: readonly IceServer[];
  watchOffer(sdp: string): Promise<string>;
  watch(slots: Slot[]): Promise<void>;
}

/** M-lines are added in steps, so that a class filling up does not renegotiate each time. */
const STEP: Record<Kind, number> = { video: 2, audio: 2 };

const DISTURBED_MS = 5_000;

export type WatchLink = "idle" | "connecting" | "connected" | "lost";

interface BoundSlot extends SlotState {
  transceiver: RTCRtpTransceiver;
}

export class Watcher {
  readonly link = signal<WatchLink>("idle");
  /** What arrives, by the name of the track or voice. */
  readonly tracks = signal<ReadonlyMap<Shown, MediaStreamTrack>>(new Map());

  readonly #port: WatchPort;
  #pc: RTCPeerConnection | undefined;
  #slots: BoundSlot[] = [];
  #wanted: readonly Shown[] = [];
  /** Whether the smallest pictures will do, and whether the node knows. */
  #small = false;
  #saidSmall = false;
  #joined = false;
  #running = false;
  #dirty = false;
  /** The node has to be told all bindings again. */
  #repeat = false;
  #attempt = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #disturbedTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(port: WatchPort) {
    this.#port = port;
  }

  /**
   * Says what the page wants to see and hear, all of it, the most important first; `small` when
   * the smallest pictures will do.
   */
  want(tracks: readonly Shown[], small = false): void {
    this.#wanted = tracks;
    this.#small = small;
    this.#poke();
  }

  /** The node knows us (again): what it was told before may be forgotten. */
  joined(): void {
    this.#joined = true;
    this.#attempt = 0;
    this.#repeat = true;
    this.#poke();
  }

  /** The lesson socket is away. Media that still comes goes on being shown. */
  left(): void {
    this.#joined = false;
    clearTimeout(this.#retryTimer);
  }

  /** Ends it all. */
  close(): void {
    this.left();
    this.#wanted = [];
    this.#drop();
    this.tracks.value = new Map();
    this.link.value = "idle";
  }

  async stats(): Promise<RTCStatsReport | undefined> {
    return this.#pc?.getStats();
  }

  /** Which track arrives on which m-line, for diagnostics. */
  bindings(): { mid: string; track: Shown | null }[] {
    return this.#slots.map(({ mid, track }) => ({ mid, track }));
  }

  #poke(): void {
    this.#dirty = true;
    if (!this.#running && this.#joined) void this.#run();
  }

  /** Brings the connection to what is wanted; one change at a time. */
  async #run(): Promise<void> {
    this.#running = true;
    while (this.#dirty && this.#joined) {
      this.#dirty = false;
      try {
        await this.#settle();
        this.#attempt = 0;
      } catch (error) {
        // A broken line: `joined` begins again. A connection replaced meanwhile: go on.
        if (error instanceof Disconnected) continue;
        this.#later(error);
        break;
      }
    }
    this.#running = false;
  }

  async #settle(): Promise<void> {
    const [wanted, small] = [this.#wanted, this.#small];
    if (!this.#pc && wanted.length === 0) return;
    if (this.#repeat) {
      for (const slot of this.#slots) {
        if (slot.track !== null && !wanted.includes(slot.track)) slot.track = null;
      }
      if (this.#slots.length > 0) {
        await this.#port.watch(this.#slots.map(({ mid, track }) => slotShowing(mid, track, small)));
      }
      this.#repeat = false;
      this.#saidSmall = small;
    }
    if (small !== this.#saidSmall) {
      const pictures = this.#slots.filter(({ kind, track }) => kind === "video" && track !== null);
      if (pictures.length > 0) {
        await this.#port.watch(pictures.map(({ mid, track }) => slotShowing(mid, track, small)));
      }
      this.#saidSmall = small;
    }
    let plan = planSlots(this.#slots, wanted);
    if (!this.#pc || plan.missing.audio > 0 || plan.missing.video > 0) {
      await this.#offer(plan.missing);
      plan = planSlots(this.#slots, wanted);
    }
    if (plan.changes.length === 0) return;
    const changes = new Map(plan.changes.map(({ mid, track }) => [mid, track]));
    await this.#port.watch(plan.changes.map(({ mid, track }) => slotShowing(mid, track, small)));
    for (const slot of this.#slots) {
      const track = changes.get(slot.mid);
      if (track !== undefined) slot.track = track;
    }
    this.#show();
  }

  async #offer(missing: Record<Kind, number>): Promise<void> {
    const pc = this.#pc ?? this.#open();
    for (const kind of ["video", "audio"] as const) {
      const more = Math.ceil(missing[kind] / STEP[kind]) * STEP[kind];
      for (let i = 0; i < more; i += 1) pc.addTransceiver(kind, { direction: "recvonly" });
    }
    await pc.setLocalDescription();
    const answer = await this.#port.watchOffer(pc.localDescription?.sdp ?? "");
    if (pc !== this.#pc) throw new Disconnected("replaced meanwhile");
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
    const known = new Set(this.#slots.map((slot) => slot.transceiver));
    for (const transceiver of pc.getTransceivers()) {
      const { mid } = transceiver;
      if (mid === null || known.has(transceiver)) continue;
      const kind = transceiver.receiver.track.kind as Kind;
      this.#slots.push({ mid, kind, track: null, transceiver });
    }
  }

  #open(): RTCPeerConnection {
    const pc = new RTCPeerConnection({ iceServers: [...this.#port.iceServers] });
    this.#pc = pc;
    this.link.value = "connecting";
    pc.onconnectionstatechange = () => {
      clearTimeout(this.#disturbedTimer);
      switch (pc.connectionState) {
        case "connected":
          this.link.value = "connected";
          break;
        case "disconnected":
          this.link.value = "lost";
          this.#disturbedTimer = setTimeout(() => this.#rebuild(), DISTURBED_MS);
          break;
        case "failed":
          this.#rebuild();
          break;
      }
    };
    return pc;
  }

  /** Begins anew. The last pictures stay until new ones come. */
  #rebuild(): void {
    this.#drop();
    this.link.value = "lost";
    this.#poke();
  }

  #drop(): void {
    clearTimeout(this.#disturbedTimer);
    if (this.#pc) this.#pc.onconnectionstatechange = null;
    this.#pc?.close();
    this.#pc = undefined;
    this.#slots = [];
  }

  #later(error: unknown): void {
    // A track that ended while it was asked for is no fault of the connection: the lesson's
    // next event takes it off the wanted list. Anything else is cured by a new connection.
    if (!(error instanceof Refused) || error.code === "failed") this.#drop();
    this.#dirty = true;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#poke(), retryDelay(this.#attempt++, Math.random()));
  }

  #show(): void {
    const tracks = new Map<Shown, MediaStreamTrack>();
    for (const { track, transceiver } of this.#slots) {
      if (track !== null && trackKind(track) === transceiver.receiver.track.kind) {
        tracks.set(track, transceiver.receiver.track);
      }
    }
    this.tracks.value = tracks;
  }
}
