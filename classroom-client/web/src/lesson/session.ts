// One member's part in a lesson, as its page holds it: the lesson socket, what is watched,
// what is published, and the figures of the line. Pages read its signals and call its verbs.

import { computed, effect, signal } from "@preact/signals";
import { getJson } from "../http/get.ts";
import { HttpProblem } from "../http/problem.ts";
import { lang, t } from "../i18n/index.ts";
import { judgeLine, type Line, type LineSample, lineSample, worstLine } from "../media/line.ts";
import type { LocalMedia } from "../media/local.ts";
import { Publisher, type VideoProfile } from "../media/publisher.ts";
import type { Shown } from "../media/slots.ts";
import { Sounds } from "../media/sounds.ts";
import { Watcher } from "../media/watcher.ts";
import { LessonSocket } from "../protocol/socket.ts";
import { type LessonState, type Source, trackId } from "../protocol/words.ts";
import { exposeDiagnostics } from "./diagnostics.ts";
import type { Entry } from "./entry.ts";

const LINE_EVERY_MS = 3_000;
/** How long a node may know nothing of what we publish before we publish it anew. */
const UNKNOWN_MS = 3_000;

export class LessonSession {
  readonly entry: Entry;
  readonly socket: LessonSocket;
  readonly watcher: Watcher;
  readonly sounds = new Sounds();
  readonly line = signal<Line | undefined>(undefined);
  /** This machine's clock, once a second. */
  readonly now = signal(Date.now());
  /** Milliseconds since the lesson began. */
  readonly elapsed = computed(() => {
    const state = this.socket.state.value;
    if (!state?.startedMs) return 0;
    const end = state.endedMs ?? this.now.value + this.socket.clockOffset.value;
    return Math.max(0, end - state.startedMs);
  });

  readonly #publishers = new Map<"camera" | "screen", Publisher>();
  readonly #lastSamples: { in?: LineSample | undefined; out?: LineSample | undefined } = {};

  constructor(entry: Entry) {
    this.entry = entry;
    const path = `/lessons/${encodeURIComponent(entry.lesson)}/socket`;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new LessonSocket({
      url: `${scheme}//${location.host}${path}`,
      token: entry.token,
      lang: () => lang.peek(),
      explain: () => whyNot(path, entry.token),
      store: sessionStorage,
    });
    this.watcher = new Watcher(this.socket);
    this.socket.onWelcome(() => this.watcher.joined());
    this.socket.onLayers((source, active) => {
      if (source === "camera" || source === "screen") {
        void this.#publishers.get(source)?.activate(active);
      }
    });
    effect(() => {
      if (this.socket.link.value.at !== "joined") this.watcher.left();
    });
    effect(() => this.sounds.play(this.watcher.tracks.value));
    setInterval(() => {
      this.now.value = Date.now();
    }, 1000);
    setInterval(() => void this.#measure(), LINE_EVERY_MS);
    window.addEventListener("online", () => this.socket.hurry());
    window.addEventListener("pagehide", (event) => {
      // A page kept for "back" may come again; any other is gone.
      if (!event.persisted) this.#stopPublishing();
    });
    effect(() => {
      if (this.inLesson.value) return;
      this.#stopPublishing();
      this.watcher.close();
    });
    effect(() => {
      const title = this.socket.state.value?.info.title;
      if (title) document.title = `${title} · ${t.value.productName}`;
    });
    exposeDiagnostics(this, this.#publishers);
  }

  /** Whether the lesson has ended. */
  readonly over = computed(() => {
    const link = this.socket.link.value;
    const phase = this.socket.state.value?.phase;
    return (
      phase === "ended" || phase === "archived" || (link.at === "closed" && link.reason === "ended")
    );
  });

  /** Whether the member takes part, be the line up or away for the moment. */
  readonly inLesson = computed(
    () =>
      this.socket.you.value !== undefined &&
      this.socket.link.value.at !== "closed" &&
      !this.over.value,
  );

  /** The state, once the member is in. */
  get state(): LessonState | undefined {
    return this.socket.state.value;
  }

  /**
   * Keeps watching what `wanted` says of each new state; the smallest pictures of it while
   * `small` says so.
   */
  watch(wanted: (state: LessonState, me: string) => Shown[], small = () => false): void {
    effect(() => {
      const state = this.socket.state.value;
      const me = this.socket.you.value;
      if (state && me && this.inLesson.value) this.watcher.want(wanted(state, me.id), small());
    });
  }

  /** The picture or sound of a track, when it arrives. */
  incoming(member: string, source: Source): MediaStreamTrack | undefined {
    return this.watcher.tracks.value.get(trackId(member, source));
  }

  /** Whether a member publishes a source. */
  publishes(member: string, source: Source): boolean {
    return trackId(member, source) in (this.state?.tracks ?? {});
  }

  /** The loudness of a member, 0 loudest … 127 silent (RFC 6464). */
  levelOf(member: string): number {
    const id = trackId(member, "microphone");
    return this.socket.speakers.value.find(([track]) => track === id)?.[1] ?? 127;
  }

  /** What publishes the camera and microphone, or the screen. Made once for each. */
  publisher(source: "camera" | "screen", profile: VideoProfile): Publisher {
    const existing = this.#publishers.get(source);
    if (existing) return existing;
    const publisher = new Publisher({
      url: `/whip/${encodeURIComponent(this.entry.lesson)}`,
      source,
      token: this.entry.token,
      lang: () => lang.peek(),
      iceServers: () => this.socket.iceServers,
      profile,
    });
    this.#publishers.set(source, publisher);
    this.#guard(source, publisher);
    return publisher;
  }

  /**
   * Keeps the microphone shut while the teacher has muted this member, whatever its own
   * switch says.
   */
  obeyMute(media: LocalMedia, ownSwitch: () => boolean): void {
    effect(() => {
      const track = media.microphone.value;
      if (track) track.enabled = ownSwitch() && !this.mutedByTeacher.value;
    });
  }

  readonly mutedByTeacher = computed(() => {
    const me = this.socket.you.value?.id;
    return me !== undefined && (this.socket.state.value?.muted.includes(me) ?? false);
  });

  readonly onStage = computed(() => {
    const me = this.socket.you.value?.id;
    return me !== undefined && (this.socket.state.value?.stage.includes(me) ?? false);
  });

  /** Place in the queue of hands from 1 on; 0 when the own hand is not up. */
  readonly handPlace = computed(() => {
    const me = this.socket.you.value?.id;
    return (this.socket.state.value?.hands.findIndex((hand) => hand.member === me) ?? -1) + 1;
  });

  /** Publishes again what the lesson does not know of although it is being sent. */
  #guard(source: "camera" | "screen", publisher: Publisher): void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let turn = 0;
    effect(() => {
      clearTimeout(timer);
      turn += 1;
      const mine = turn;
      const me = this.socket.you.value?.id;
      const joined = this.socket.link.value.at === "joined" && this.socket.campus.value;
      if (!me || !joined || publisher.state.value.at !== "live") return;
      const expected: Source[] =
        source === "screen" ? ["screen"] : publisher.kinds().map(cameraSource);
      if (expected.every((one) => this.publishes(me, one))) return;
      const again = async () => {
        // A camera may take seconds to give its first picture: that is nobody's fault.
        const sends = await publisher.sends();
        if (mine !== turn) return;
        if (sends) publisher.restart();
        else timer = setTimeout(() => void again(), UNKNOWN_MS);
      };
      timer = setTimeout(() => void again(), UNKNOWN_MS);
    });
  }

  #stopPublishing(): void {
    for (const publisher of this.#publishers.values()) publisher.stop();
  }

  /** Judges what comes and what goes; the worse of the two is the line. */
  async #measure(): Promise<void> {
    const reports = {
      in: await this.watcher.stats(),
      out: await this.#publishers.get("camera")?.stats(),
    };
    const lines: Line[] = [];
    for (const way of ["in", "out"] as const) {
      const report = reports[way];
      const sample = report && lineSample(report, way);
      const before = this.#lastSamples[way];
      const line = sample && before && judgeLine(before, sample);
      if (line) lines.push(line);
      this.#lastSamples[way] = sample;
    }
    this.line.value = worstLine(lines);
  }
}

/** Asks by plain HTTP what a WebSocket's failure keeps to itself: an unknown lesson, mostly. */
async function whyNot(path: string, token: string): Promise<string> {
  try {
    await getJson(path, token);
  } catch (error) {
    if (error instanceof HttpProblem && error.status === 404) return error.message;
  }
  return "";
}

function cameraSource(kind: "audio" | "video"): Source {
  return kind === "video" ? "camera" : "microphone";
}
