import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Store } from "./outbox.ts";
import { retryDelay } from "./retry.ts";
import { emptyState, event, member, welcome } from "./samples.ts";
import { Disconnected, LessonSocket, Refused } from "./socket.ts";
import type { ClientMessage, ServerMessage } from "./words.ts";

/** The page's end of a WebSocket, driven by the test. */
class Line {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  sent: ClientMessage[] = [];

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientMessage);
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  say(message: ServerMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  break(): void {
    this.readyState = 3;
    this.onclose?.();
  }
  /** The id of the last request. */
  get lastId(): number {
    const last = this.sent.at(-1);
    if (!last || !("id" in last)) throw new Error("no request was sent");
    return last.id;
  }
}

const wang = member("wang", "student");
let lines: Line[];

function line(): Line {
  const last = lines.at(-1);
  if (!last) throw new Error("no line was opened");
  return last;
}

function socket(explain?: () => Promise<string>, store?: Store): LessonSocket {
  const one = new LessonSocket({
    url: "ws://node/lessons/math/socket",
    token: "t",
    lang: () => "zh-CN",
    random: () => 0.5,
    open: () => {
      lines.push(new Line());
      return line() as unknown as WebSocket;
    },
    ...(explain ? { explain } : {}),
    ...(store ? { store } : {}),
  });
  one.start();
  return one;
}

function joined(campus = true): LessonSocket {
  const one = socket();
  line().open();
  line().say(welcome({ ...emptyState(), seq: 5 }, wang, campus));
  return one;
}

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
});
afterEach(() => {
  vi.useRealTimers();
});

describe("joining", () => {
  it("says who it is, and is in with the welcome", () => {
    const one = socket();
    expect(one.link.value).toMatchObject({ at: "connecting", attempt: 0 });
    line().open();
    expect(line().sent).toEqual([{ type: "join", token: "t", lang: "zh-CN" }]);
    const seen = vi.fn();
    one.onWelcome(seen);
    line().say(welcome(emptyState(), wang));
    expect(one.link.value).toEqual({ at: "joined" });
    expect(one.you.value).toEqual(wang);
    expect(seen).toHaveBeenCalledOnce();
  });

  it("stops where the token is not good", () => {
    const one = socket();
    line().open();
    line().say({ type: "bye", reason: "unauthorized", message: "令牌已过期。" });
    line().break();
    expect(one.link.value).toEqual({
      at: "closed",
      reason: "unauthorized",
      message: "令牌已过期。",
    });
    vi.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(1);
  });

  it("tries again, saying why, where the lesson is not open yet, and not where not invited", () => {
    const one = socket();
    line().open();
    line().say({ type: "refused", id: 0, code: "not-open", message: "还没有开放进入。" });
    line().break();
    expect(one.link.value).toMatchObject({ at: "waiting", why: "还没有开放进入。" });
    vi.advanceTimersByTime(500);
    line().open();
    line().say({ type: "refused", id: 0, code: "not-invited", message: "没有被邀请。" });
    expect(one.link.value).toEqual({ at: "closed", reason: "refused", message: "没有被邀请。" });
  });

  it("finds out why a socket was never opened", async () => {
    const one = socket(() => Promise.resolve("没有这节课。"));
    line().break();
    await vi.advanceTimersByTimeAsync(0);
    expect(one.link.value).toMatchObject({ at: "waiting", why: "没有这节课。" });
  });
});

describe("a broken line", () => {
  it("is tried again ever more slowly, and the state comes anew with the welcome", () => {
    const one = joined();
    line().break();
    expect(one.link.value).toMatchObject({ at: "waiting" });
    expect(one.state.value?.seq).toBe(5);
    vi.advanceTimersByTime(499);
    expect(lines).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(lines).toHaveLength(2);
    line().open();
    line().say(welcome({ ...emptyState(), seq: 40 }, wang));
    expect(one.link.value).toEqual({ at: "joined" });
    expect(one.state.value?.seq).toBe(40);
  });

  it("is left alone for between half a second and eight, spread by chance", () => {
    expect(retryDelay(0, 0.5)).toBe(500);
    expect(retryDelay(3, 0.5)).toBe(4000);
    expect(retryDelay(20, 0.5)).toBe(8000);
    expect(retryDelay(20, 0)).toBe(6000);
    expect(retryDelay(20, 1)).toBe(10_000);
  });

  it("is tried at once when the network is back", () => {
    const one = joined();
    line().break();
    one.hurry();
    expect(lines).toHaveLength(2);
  });

  it("is noticed by a missing answer, while any message shows that it lives", () => {
    const one = joined();
    one.command({ do: "raise-hand" }).catch(() => undefined);
    vi.advanceTimersByTime(9_000);
    line().say({ type: "campus", reachable: true });
    vi.advanceTimersByTime(9_000);
    expect(one.link.value).toEqual({ at: "joined" });
    vi.advanceTimersByTime(1_000);
    expect(one.link.value).toMatchObject({ at: "waiting" });
  });

  it("goes on where numbers skip: what a member may not see is left out", () => {
    const one = joined();
    line().say({ type: "event", event: event(6, { type: "hand.raised", member: "wang" }) });
    line().say({ type: "event", event: event(9, { type: "hand.raised", member: "x" }) });
    vi.advanceTimersByTime(50);
    expect(one.state.value).toMatchObject({ seq: 9, hands: [{ member: "wang" }, { member: "x" }] });
    expect(one.link.value).toEqual({ at: "joined" });
  });

  it("goes on when the node says the state anew, with the events after it", () => {
    const one = joined(false);
    const hand = { type: "hand.raised", member: "wang" } as const;
    const late = { node: "school-01" };
    line().say({ type: "event", event: { ...event(6, hand), late } });
    expect(one.state.value?.hands).toHaveLength(1);
    line().say({ type: "campus", reachable: true });
    const hands = [{ member: "wang", atMs: 6000 }];
    line().say({ type: "state", state: { ...emptyState(), seq: 9, hands } });
    expect(one.state.value).toMatchObject({ seq: 9, hands });
    line().say({
      type: "event",
      event: event(10, { type: "hand.lowered", member: "wang", by: "li" }),
    });
    vi.advanceTimersByTime(50);
    expect(one.state.value).toMatchObject({ seq: 10, hands: [] });
    expect(one.link.value).toEqual({ at: "joined" });
    expect(lines).toHaveLength(1);
  });

  it("comes back by itself after a shutdown, and not after a replacement", () => {
    const one = joined();
    line().say({ type: "bye", reason: "shutdown", message: "" });
    expect(one.link.value).toMatchObject({ at: "waiting" });
    vi.advanceTimersByTime(500);
    line().open();
    line().say(welcome(emptyState(), wang));
    line().say({ type: "bye", reason: "replaced", message: "" });
    expect(one.link.value).toMatchObject({ at: "closed", reason: "replaced" });
    one.start();
    expect(one.link.value).toMatchObject({ at: "connecting" });
  });
});

describe("a burst of events", () => {
  const hand = (seq: number) =>
    line().say({
      type: "event",
      event: event(seq, { type: "hand.raised", member: `s${seq}` }),
    });

  it("is shown together, the first at once", () => {
    const one = joined();
    const shown = vi.fn();
    one.state.subscribe(shown);
    shown.mockClear();
    for (let seq = 6; seq < 206; seq += 1) hand(seq);
    expect(one.state.value?.hands).toHaveLength(1);
    vi.advanceTimersByTime(50);
    expect(one.state.value?.hands).toHaveLength(200);
    expect(shown).toHaveBeenCalledTimes(2);
  });

  it("is shown before an answer that came after it, and not lost with the line", async () => {
    const one = joined();
    const done = one.command({ do: "raise-hand" });
    const id = line().lastId;
    hand(6);
    hand(7);
    line().say({ type: "done", id });
    expect(one.state.value?.hands).toHaveLength(2);
    await expect(done).resolves.toBeUndefined();
    hand(8);
    line().break();
    expect(one.state.value?.hands).toHaveLength(3);
  });
});

describe("a command", () => {
  it("is done when the lesson says so", async () => {
    const one = joined();
    const done = one.command({ do: "raise-hand" });
    expect(line().sent.at(-1)).toMatchObject({ type: "command", command: { do: "raise-hand" } });
    line().say({ type: "done", id: line().lastId });
    await expect(done).resolves.toBeUndefined();
    expect(one.waiting.value).toEqual([]);
  });

  it("is refused with a sentence", async () => {
    const one = joined();
    const done = one.command({ do: "start" });
    line().say({ type: "refused", id: line().lastId, code: "not-allowed", message: "不能。" });
    await expect(done).rejects.toEqual(new Refused("not-allowed", "不能。"));
  });

  it("waits while the line is away, is shown, and is sent later", async () => {
    const one = joined();
    line().break();
    const done = one.command({ do: "raise-hand" });
    expect(one.waiting.value.map(({ command }) => command.do)).toEqual(["raise-hand"]);
    vi.advanceTimersByTime(500);
    line().open();
    line().say(welcome(emptyState(), wang));
    expect(one.waiting.value).toEqual([]);
    line().say({ type: "done", id: line().lastId });
    await expect(done).resolves.toBeUndefined();
  });

  it("cut off before its answer is sent again, and may have been carried out", async () => {
    const one = joined();
    const done = one.command({ do: "raise-hand" });
    line().break();
    expect(one.waiting.value).toHaveLength(1);
    vi.advanceTimersByTime(500);
    line().open();
    line().say(welcome(emptyState(), wang));
    line().say({ type: "refused", id: line().lastId, code: "hand-already-up", message: "…" });
    await expect(done).resolves.toBeUndefined();
  });

  it("waits for the campus, and is sent when it is back", async () => {
    const one = joined(false);
    const done = one.command({ do: "start" });
    expect(one.waiting.value).toHaveLength(1);
    expect(line().sent).toHaveLength(1);
    line().say({ type: "campus", reachable: true });
    line().say({ type: "done", id: line().lastId });
    await expect(done).resolves.toBeUndefined();
  });

  it("of the own class goes to the node at once, also while the campus is away", async () => {
    const one = joined(false);
    const done = one.command({ do: "raise-hand" });
    expect(one.waiting.value).toEqual([]);
    line().say({ type: "done", id: line().lastId });
    await expect(done).resolves.toBeUndefined();
  });

  it("refused for the campus alone is asked again", async () => {
    const one = joined();
    const done = one.command({ do: "raise-hand" });
    line().say({ type: "refused", id: line().lastId, code: "campus-away", message: "…" });
    expect(one.waiting.value).toHaveLength(1);
    vi.advanceTimersByTime(3_000);
    expect(line().sent.filter((message) => message.type === "command")).toHaveLength(2);
    line().say({ type: "done", id: line().lastId });
    await expect(done).resolves.toBeUndefined();
  });

  it("can be taken back while it waits", async () => {
    const one = joined();
    line().break();
    const done = one.command({ do: "raise-hand" });
    one.cancel(one.waiting.value[0]?.id ?? -1);
    await expect(done).resolves.toBeUndefined();
    vi.advanceTimersByTime(500);
    line().open();
    line().say(welcome(emptyState(), wang));
    expect(line().sent.map((message) => message.type)).toEqual(["join"]);
  });
});

describe("what was entered", () => {
  const text = { do: "say", text: "你好", to: "all" } as const;
  const said = () =>
    line().sent.flatMap((message) => (message.type === "command" ? [message.command] : []));

  it("and arrived before the line broke is not sent again: the welcome shows it", async () => {
    const one = joined();
    const done = one.command(text);
    line().break();
    expect(one.waiting.value).toHaveLength(1);
    vi.advanceTimersByTime(500);
    line().open();
    const state = emptyState();
    state.chat.messages.push({
      id: "m",
      member: "wang",
      text: "你好",
      to: "all",
      atMs: Date.now(),
    });
    line().say(welcome(state, wang));
    await expect(done).resolves.toBeUndefined();
    expect(said()).toEqual([]);
    expect(one.waiting.value).toEqual([]);
  });

  it("that did not arrive is sent again", () => {
    const one = joined();
    void one.command(text);
    line().break();
    vi.advanceTimersByTime(500);
    line().open();
    line().say(welcome(emptyState(), wang));
    expect(said()).toEqual([text]);
  });

  it("twice is answered once: a refusal of the second as answered is success", async () => {
    const one = joined();
    const done = one.command({ do: "answer-quiz", quiz: "z", item: 0, answer: { choice: 1 } });
    line().break();
    vi.advanceTimersByTime(500);
    line().open();
    line().say(welcome(emptyState(), wang));
    line().say({ type: "refused", id: line().lastId, code: "already-answered", message: "…" });
    await expect(done).resolves.toBeUndefined();
  });

  it("too fast waits for its turn", async () => {
    const one = joined();
    const done = one.command(text);
    line().say({ type: "refused", id: line().lastId, code: "too-fast", message: "…" });
    expect(one.waiting.value).toHaveLength(1);
    vi.advanceTimersByTime(1_100);
    expect(said()).toEqual([text, text]);
    line().say({ type: "done", id: line().lastId });
    await expect(done).resolves.toBeUndefined();
  });

  it("outlives a reload of the page, and is sent by the next", () => {
    const kept = new Map<string, string>();
    const store = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
    const first = socket(undefined, store);
    line().open();
    line().say(welcome(emptyState(), wang));
    line().break();
    first.command(text).catch(() => undefined);
    first.command({ do: "raise-hand" }).catch(() => undefined);
    const second = socket(undefined, store);
    expect(second.waiting.value.map(({ command }) => command)).toEqual([text]);
    line().open();
    line().say(welcome(emptyState(), wang));
    expect(said()).toEqual([text]);
    line().say({ type: "done", id: line().lastId });
    expect(kept.size).toBe(0);
  });
});

describe("the watch connection's requests", () => {
  it("are answered", async () => {
    const one = joined();
    const answer = one.watchOffer("offer");
    line().say({ type: "watch-answer", id: line().lastId, sdp: "answer" });
    await expect(answer).resolves.toBe("answer");
    const bound = one.watch([{ mid: "0", track: "li/camera" }]);
    line().say({ type: "failed", id: line().lastId, message: "没有这个会话。" });
    await expect(bound).rejects.toEqual(new Refused("failed", "没有这个会话。"));
  });

  it("fail with the line, for they are made anew with the next", async () => {
    const one = joined();
    const answer = one.watchOffer("offer");
    line().break();
    await expect(answer).rejects.toBeInstanceOf(Disconnected);
    await expect(one.watchOffer("offer")).rejects.toBeInstanceOf(Disconnected);
  });
});

describe("rungs", () => {
  it("of schools are known until the line breaks, for they are told anew with the next", () => {
    const one = joined();
    const rung = { school: "a", node: "n", rung: "sound", reason: "line", sinceMs: 1 } as const;
    line().say({ type: "rungs", schools: [rung] });
    expect(one.rungs.value).toEqual([rung]);
    line().break();
    expect(one.rungs.value).toEqual([]);
  });
});

describe("layers", () => {
  it("that are watched are passed on until nobody listens", () => {
    const one = joined();
    const heard: unknown[] = [];
    const stop = one.onLayers((...said) => heard.push(said));
    line().say({ type: "layers", source: "camera", active: ["q", "h"] });
    stop();
    line().say({ type: "layers", source: "camera", active: [] });
    expect(heard).toEqual([["camera", ["q", "h"]]]);
  });
});
