// One member's conversation with its node. Keeps itself connected: after a break it comes
// back by itself, takes the lesson's state anew from the node's welcome, and sends what was
// asked meanwhile. It never gives up on its own, except where the node says to stop.

import { signal } from "@preact/signals";
import { wholeState } from "./changes.ts";
import { askAgain, carriedOut, meansDone, needsCampus, Outbox, type Store } from "./outbox.ts";
import { retryDelay } from "./retry.ts";
import { applyEvent } from "./state.ts";
import {
  type ByeReason,
  type ClientMessage,
  type IceServer,
  type Lang,
  type LessonState,
  type Links,
  type Member,
  type MemberCommand,
  parseServerMessage,
  type RefusalCode,
  type SchoolRung,
  type ServerMessage,
  type Slot,
  type Source,
  type Spot,
  type TrackId,
} from "./words.ts";

/** An answer is given in milliseconds; a line silent for this long is taken for dead. */
const ANSWER_WITHIN_MS = 10_000;
/** Pages are drawn anew no more often; nobody sees the difference. */
const SHOW_EVERY_MS = 50;

/** Where the conversation stands. */
export type SocketLink =
  /** `why` is what the node said at the last attempt, empty where it said nothing. */
  | { at: "connecting"; attempt: number; why: string }
  | { at: "joined" }
  /** Broken, or not let in yet; the next attempt is at `retryAtMs` (of this machine's clock). */
  | { at: "waiting"; retryAtMs: number; why: string }
  /** The node said to stop. */
  | { at: "closed"; reason: ByeReason | "refused"; message: string };

/** The node refused what was asked, with a sentence for people. */
export class Refused extends Error {
  constructor(
    readonly code: RefusalCode | "failed",
    message: string,
  ) {
    super(message);
  }
}

/** The line broke before the node answered. */
export class Disconnected extends Error {}

/** Something asked for that the lesson has not heard yet. */
export interface WaitingCommand {
  id: number;
  command: MemberCommand;
}

/** Refusals of a join that no waiting changes. */
const NEVER: ReadonlySet<RefusalCode> = new Set<RefusalCode>(["not-invited", "not-allowed"]);

/** The join's answer carries this id. */
const JOIN_ID = 0;

type Pointed = Extract<ServerMessage, { type: "pointer" }>;

type LayersListener = (source: Source, active: readonly string[]) => void;

interface Pending {
  command: MemberCommand;
  /** When it was asked, by the node's clock. */
  atMs: number;
  sent: boolean;
  /** Was sent over a line that broke: it may have been carried out. */
  again: boolean;
  resolve(): void;
  reject(error: Error): void;
}

interface Ask {
  resolve(message: ServerMessage): void;
  reject(error: Error): void;
}

export interface LessonSocketOptions {
  url: string;
  token: string;
  /** The language of the node's sentences, asked for at each join. */
  lang: () => Lang;
  open?: (url: string) => WebSocket;
  /** Finds out why a node did not open a socket, which browsers don't tell. */
  explain?: () => Promise<string>;
  random?: () => number;
  /** Where what was entered outlives a reload of the page. */
  store?: Store;
}

/** One for each lesson and member: a tab may be used by one after the other. */
function outboxKey({ url, token }: LessonSocketOptions): string {
  return `cloudschool.outbox:${url}:${token.slice(-16)}`;
}

export class LessonSocket {
  readonly link = signal<SocketLink>({ at: "connecting", attempt: 0, why: "" });
  readonly you = signal<Member | undefined>(undefined);
  readonly state = signal<LessonState | undefined>(undefined);
  readonly campus = signal(true);
  readonly links = signal<Links>({});
  /** For a page that the node can't be reached from directly. */
  iceServers: readonly IceServer[] = [];
  readonly speakers = signal<readonly [TrackId, number][]>([]);
  /** What reaches each school behind a line of its own, told to who teaches. */
  readonly rungs = signal<readonly SchoolRung[]>([]);
  /** Commands not yet answered by the lesson because the line or the campus is away. */
  readonly waiting = signal<readonly WaitingCommand[]>([]);
  /** What to add to this machine's clock to have the node's, in ms. */
  readonly clockOffset = signal(0);

  readonly #options: LessonSocketOptions;
  #ws: WebSocket | undefined;
  #attempt = 0;
  #why = "";
  #nextId = JOIN_ID + 1;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #answerTimer: ReturnType<typeof setTimeout> | undefined;
  #againTimer: ReturnType<typeof setTimeout> | undefined;
  /** What is not shown yet. */
  #ahead: LessonState | undefined;
  #showTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #commands = new Map<number, Pending>();
  readonly #asks = new Map<number, Ask>();
  readonly #outbox: Outbox;
  readonly #onWelcome = new Set<() => void>();
  readonly #onLayers = new Set<LayersListener>();
  readonly #onPointer = new Set<(pointed: Pointed) => void>();
  readonly #onBytes = new Set<(bytes: Uint8Array) => void>();

  constructor(options: LessonSocketOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.store, outboxKey(options));
    for (const { command, atMs } of this.#outbox.load(Date.now())) this.#keep(command, atMs, true);
  }

  /** Begins, or begins again after the node closed the conversation. */
  start(): void {
    this.#attempt = 0;
    this.#connect();
  }

  /** Calls `listener` after each (re)join. Returns how to stop that. */
  onWelcome(listener: () => void): () => void {
    this.#onWelcome.add(listener);
    return () => this.#onWelcome.delete(listener);
  }

  /** Calls `listener` when the node says which layers of an own source are watched. */
  onLayers(listener: LayersListener): () => void {
    this.#onLayers.add(listener);
    return () => this.#onLayers.delete(listener);
  }

  /** Calls `listener` with each binary message. Returns how to stop that. */
  onBytes(listener: (bytes: Uint8Array) => void): () => void {
    this.#onBytes.add(listener);
    return () => this.#onBytes.delete(listener);
  }

  /** Sends a binary message if the page is joined; says whether it did. */
  sendBytes(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (!this.joined || this.#ws?.readyState !== 1) return false;
    this.#ws.send(bytes);
    return true;
  }

  /** What the page joins with; for requests beside the socket. */
  get token(): string {
    return this.#options.token;
  }

  /** Bytes that were sent and have not left this machine. */
  get buffered(): number {
    return this.#ws?.bufferedAmount ?? 0;
  }

  /** Whether the page is in the lesson now. */
  get joined(): boolean {
    return this.link.peek().at === "joined";
  }

  /** Calls `listener` when the teacher's pointer moves. Returns how to stop that. */
  onPointer(listener: (pointed: Pointed) => void): () => void {
    this.#onPointer.add(listener);
    return () => this.#onPointer.delete(listener);
  }

  /** Shows everybody where this member points on the slides; what the line loses is lost. */
  point(at: Spot | undefined): void {
    if (this.link.peek().at === "joined") this.#send({ type: "pointer", ...(at ? { at } : {}) });
  }

  /**
   * Asks something of the lesson. While the line or the campus is away the command waits in
   * {@link waiting} and is sent later, once: a page that comes back finds in the lesson whether
   * it was carried out. Rejects with {@link Refused} when it is not done.
   */
  command(command: MemberCommand): Promise<void> {
    const done = this.#keep(command, Date.now() + this.clockOffset.peek(), false);
    this.#sendCommands();
    return done;
  }

  #keep(command: MemberCommand, atMs: number, again: boolean): Promise<void> {
    const done = new Promise<void>((resolve, reject) => {
      const id = this.#nextId++;
      this.#commands.set(id, { command, atMs, sent: false, again, resolve, reject });
    });
    // Nobody waits for what an earlier page asked.
    if (again) done.catch(() => undefined);
    return done;
  }

  /** Takes back a command that has not been answered. */
  cancel(id: number): void {
    const pending = this.#commands.get(id);
    if (!pending) return;
    this.#commands.delete(id);
    pending.resolve();
    this.#showWaiting();
  }

  /** Sends the watch connection's offer; resolves to the node's answer. */
  async watchOffer(sdp: string): Promise<string> {
    const answer = await this.#ask((id) => ({ type: "watch-offer", id, sdp }));
    if (answer.type !== "watch-answer") throw new Refused("failed", "unexpected answer");
    return answer.sdp;
  }

  /** Says what the m-lines of the watch connection are to show. */
  async watch(slots: Slot[]): Promise<void> {
    await this.#ask((id) => ({ type: "watch", id, slots }));
  }

  /** Tries at once instead of at the next planned time. */
  hurry(): void {
    if (this.link.peek().at === "waiting") {
      this.#attempt = 0;
      this.#connect();
    }
  }

  #connect(): void {
    this.#stop();
    this.link.value = { at: "connecting", attempt: this.#attempt, why: this.#why };
    const open = this.#options.open ?? ((url: string) => new WebSocket(url));
    const ws = open(this.#options.url);
    ws.binaryType = "arraybuffer";
    this.#ws = ws;
    let opened = false;
    ws.onopen = () => {
      opened = true;
      this.#send({ type: "join", token: this.#options.token, lang: this.#options.lang() });
      this.#expectAnswer();
    };
    ws.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) {
        for (const listener of this.#onBytes) listener(new Uint8Array(data));
        return;
      }
      if (typeof data !== "string") return;
      if (this.#answerTimer !== undefined) this.#expectAnswer();
      const message = parseServerMessage(data);
      if (message) this.#receive(message);
    };
    ws.onclose = () => {
      if (opened) this.#retry();
      else void this.#explain(ws);
    };
  }

  /** Lets go of the current WebSocket and of everything that hung on it. */
  #stop(): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#answerTimer);
    clearTimeout(this.#againTimer);
    this.#answerTimer = undefined;
    this.#showNow();
    const ws = this.#ws;
    this.#ws = undefined;
    if (ws) {
      ws.onopen = ws.onmessage = ws.onclose = null;
      ws.close();
    }
    for (const pending of this.#commands.values()) {
      pending.again ||= pending.sent;
      pending.sent = false;
    }
    const asks = [...this.#asks.values()];
    this.#asks.clear();
    for (const ask of asks) ask.reject(new Disconnected("the line broke"));
    this.speakers.value = [];
    this.rungs.value = [];
    this.#showWaiting();
  }

  async #explain(ws: WebSocket): Promise<void> {
    const why = await this.#options.explain?.().catch(() => "");
    if (ws !== this.#ws) return;
    this.#why = why ?? "";
    this.#retry();
  }

  #retry(): void {
    this.#stop();
    const delay = retryDelay(this.#attempt++, (this.#options.random ?? Math.random)());
    this.link.value = { at: "waiting", retryAtMs: Date.now() + delay, why: this.#why };
    this.#retryTimer = setTimeout(() => this.#connect(), delay);
  }

  #receive(message: ServerMessage): void {
    // An answer finds shown what happened before it.
    if (message.type !== "event") this.#showNow();
    switch (message.type) {
      case "welcome":
        this.#welcome(message);
        return;
      case "event": {
        const state = this.#ahead ?? this.state.peek();
        if (state) this.#show(applyEvent(state, message.event));
        return;
      }
      case "state":
        this.state.value = wholeState(message.state);
        return;
      case "done":
      case "refused":
      case "failed":
      case "watch-answer":
        this.#answered(message);
        return;
      case "campus":
        this.campus.value = message.reachable;
        if (message.reachable) this.#sendCommands();
        return;
      case "speakers":
        this.speakers.value = message.tracks;
        return;
      case "rungs":
        this.rungs.value = message.schools;
        return;
      case "layers":
        for (const listener of this.#onLayers) listener(message.source, message.active);
        return;
      case "pointer":
        for (const listener of this.#onPointer) listener(message);
        return;
      case "bye":
        this.#bye(message.reason, message.message);
        return;
    }
  }

  /**
   * Shows a state: at once, or in a moment together with what comes until then, for a class
   * that answers within a second is some hundred events.
   */
  #show(state: LessonState): void {
    this.#ahead = state;
    if (this.#showTimer !== undefined) return;
    this.#showNow();
    this.#showTimer = setTimeout(() => {
      this.#showTimer = undefined;
      if (this.#ahead) this.#show(this.#ahead);
    }, SHOW_EVERY_MS);
  }

  #showNow(): void {
    if (this.#ahead) this.state.value = this.#ahead;
    this.#ahead = undefined;
  }

  #welcome(welcome: Extract<ServerMessage, { type: "welcome" }>): void {
    this.#attempt = 0;
    this.#why = "";
    clearTimeout(this.#answerTimer);
    this.#answerTimer = undefined;
    this.you.value = welcome.you;
    this.state.value = wholeState(welcome.state);
    this.campus.value = welcome.campus;
    this.links.value = welcome.links;
    this.iceServers = welcome.iceServers ?? [];
    this.clockOffset.value = welcome.nowMs - Date.now();
    this.link.value = { at: "joined" };
    this.#settleDone(welcome.you.id);
    this.#sendCommands();
    for (const listener of this.#onWelcome) listener();
  }

  /** What was sent over the line that broke, and arrived, is done. */
  #settleDone(me: string): void {
    const state = this.state.peek();
    if (!state) return;
    for (const [id, { command, atMs, again, resolve }] of this.#commands) {
      if (!again || !carriedOut(state, me, command, atMs)) continue;
      this.#commands.delete(id);
      resolve();
    }
  }

  #bye(reason: ByeReason, message: string): void {
    if (reason === "too-slow" || reason === "shutdown") this.#retry();
    else this.#close(reason, message);
  }

  #close(reason: ByeReason | "refused", message: string): void {
    this.#stop();
    this.link.value = { at: "closed", reason, message };
    const commands = [...this.#commands.values()];
    this.#commands.clear();
    this.waiting.value = [];
    for (const command of commands) command.reject(new Disconnected(message));
  }

  #answered(
    message: Extract<ServerMessage, { type: "done" | "refused" | "failed" | "watch-answer" }>,
  ): void {
    if (message.id === JOIN_ID && message.type === "refused") {
      this.#why = message.message;
      if (NEVER.has(message.code)) this.#close("refused", message.message);
      return;
    }
    const ask = this.#asks.get(message.id);
    const pending = this.#commands.get(message.id);
    if (ask) {
      this.#asks.delete(message.id);
      if (message.type === "refused") ask.reject(new Refused(message.code, message.message));
      else if (message.type === "failed") ask.reject(new Refused("failed", message.message));
      else ask.resolve(message);
    } else if (pending) {
      const later =
        message.type === "refused" ? askAgain(pending.command, message.code) : undefined;
      if (later !== undefined) {
        // Of an edge that can't pass it on now: it says when the campus is back, but a trunk
        // that was only slow never went away. Of haste: there is room again soon.
        pending.sent = false;
        clearTimeout(this.#againTimer);
        this.#againTimer = setTimeout(() => this.#sendCommands(), later);
      } else {
        this.#commands.delete(message.id);
        if (message.type === "refused" && !(pending.again && meansDone(message.code))) {
          pending.reject(new Refused(message.code, message.message));
        } else if (message.type === "failed") {
          pending.reject(new Refused("failed", message.message));
        } else {
          pending.resolve();
        }
      }
      this.#showWaiting();
    }
    if (this.#asks.size === 0 && ![...this.#commands.values()].some((c) => c.sent)) {
      clearTimeout(this.#answerTimer);
      this.#answerTimer = undefined;
    }
  }

  #ask(message: (id: number) => ClientMessage): Promise<ServerMessage> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      if (this.link.peek().at !== "joined") {
        reject(new Disconnected("not connected"));
        return;
      }
      this.#asks.set(id, { resolve, reject });
      this.#send(message(id));
      this.#expectAnswer();
    });
  }

  #sendCommands(): void {
    if (this.link.peek().at === "joined") {
      for (const [id, pending] of this.#commands) {
        if (pending.sent || (!this.campus.peek() && needsCampus(pending.command))) continue;
        pending.sent = true;
        this.#send({ type: "command", id, command: pending.command });
        this.#expectAnswer();
      }
    }
    this.#showWaiting();
  }

  #showWaiting(): void {
    const waiting = [...this.#commands]
      .filter(([, pending]) => !pending.sent)
      .map(([id, { command }]) => ({ id, command }));
    if (waiting.length > 0 || this.waiting.peek().length > 0) this.waiting.value = waiting;
    this.#outbox.save(this.#commands.values());
  }

  #expectAnswer(): void {
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(() => this.#retry(), ANSWER_WITHIN_MS);
  }

  #send(message: ClientMessage): void {
    if (this.#ws?.readyState === 1) this.#ws.send(JSON.stringify(message));
  }
}
