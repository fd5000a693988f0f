import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Disconnected, Refused } from "../protocol/socket.ts";
import type { Slot } from "../protocol/words.ts";
import { FakeConnection } from "./fake-rtc.ts";
import { Watcher } from "./watcher.ts";

/** The node: notes what it is asked, fails when told to. */
class Node {
  readonly iceServers = [{ urls: ["stun:t.example"] }];
  offers: string[] = [];
  watches: Slot[][] = [];
  failNext: Error | undefined;

  watchOffer(sdp: string): Promise<string> {
    this.offers.push(sdp);
    return this.#answer("answer");
  }
  async watch(slots: Slot[]): Promise<void> {
    this.watches.push(slots);
    await this.#answer("");
  }
  #answer(text: string): Promise<string> {
    const error = this.failNext;
    this.failNext = undefined;
    return error ? Promise.reject(error) : Promise.resolve(text);
  }
}

const settled = () => vi.advanceTimersByTimeAsync(0);
let node: Node;
let watcher: Watcher;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("RTCPeerConnection", FakeConnection);
  FakeConnection.made = [];
  node = new Node();
  watcher = new Watcher(node);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("watching", () => {
  it("begins when the member is in, and binds what is wanted", async () => {
    watcher.want(["li/microphone", "li/camera"]);
    await settled();
    expect(node.offers).toEqual([]);
    watcher.joined();
    await settled();
    expect(node.offers).toEqual(["video,video,audio,audio"]);
    expect(FakeConnection.last.configuration).toEqual({ iceServers: node.iceServers });
    expect(node.watches).toEqual([
      [
        { mid: "2", track: "li/microphone" },
        { mid: "0", track: "li/camera" },
      ],
    ]);
    expect([...watcher.tracks.value.keys()]).toEqual(["li/camera", "li/microphone"]);
  });

  it("needs no new offer while there are lines left, and one when there are not", async () => {
    watcher.joined();
    watcher.want(["li/camera"]);
    await settled();
    watcher.want(["li/camera", "li/screen"]);
    await settled();
    expect(node.offers).toHaveLength(1);
    expect(node.watches.at(-1)).toEqual([{ mid: "1", track: "li/screen" }]);
    watcher.want(["li/camera", "li/screen", "room/camera", "li/microphone"]);
    await settled();
    expect(node.offers.at(-1)).toBe("video,video,video,video,audio,audio");
    expect(FakeConnection.made).toHaveLength(1);
    expect(node.watches.at(-1)).toEqual([
      { mid: "2", track: "room/camera" },
      { mid: "4", track: "li/microphone" },
    ]);
  });

  it("binds lines to the loudest voices, by their place", async () => {
    watcher.joined();
    watcher.want(["li/microphone", "loudest/1", "loudest/2", "loudest/3"]);
    await settled();
    expect(node.offers).toEqual(["audio,audio,audio,audio"]);
    expect(node.watches).toEqual([
      [
        { mid: "0", track: "li/microphone" },
        { mid: "1", track: null, loudest: 1 },
        { mid: "2", track: null, loudest: 2 },
        { mid: "3", track: null, loudest: 3 },
      ],
    ]);
    expect(watcher.tracks.value.get("loudest/2")?.id).toBe("0/2");
    watcher.joined();
    await settled();
    expect(node.watches[1]?.[1]).toEqual({ mid: "1", track: null, loudest: 1 });
  });

  it("opens nothing while nothing is wanted", async () => {
    watcher.joined();
    watcher.want([]);
    await settled();
    expect(FakeConnection.made).toEqual([]);
  });
});

describe("after a break", () => {
  beforeEach(async () => {
    watcher.joined();
    watcher.want(["li/camera"]);
    await settled();
    FakeConnection.last.change("connected");
  });

  it("of the socket alone, the node is told the bindings again and pictures go on", async () => {
    watcher.left();
    watcher.want(["li/camera", "li/microphone"]);
    await settled();
    expect(node.watches).toHaveLength(1);
    watcher.joined();
    await settled();
    expect(node.watches[1]).toEqual([
      { mid: "0", track: "li/camera" },
      { mid: "1", track: null },
    ]);
    expect(FakeConnection.made).toHaveLength(1);
    expect(watcher.tracks.value.has("li/microphone")).toBe(true);
  });

  it("in which the node forgot the connection, a new one is made", async () => {
    watcher.left();
    node.failNext = new Refused("failed", "没有这个会话。");
    watcher.joined();
    await vi.advanceTimersByTimeAsync(1000);
    expect(FakeConnection.made).toHaveLength(2);
    expect(FakeConnection.made[0]?.closed).toBe(true);
    expect(node.watches.at(-1)).toEqual([{ mid: "0", track: "li/camera" }]);
    expect(watcher.tracks.value.get("li/camera")?.id).toBe("1/0");
  });

  it("of the media, a new connection is made and the last picture stays till then", async () => {
    node.failNext = new Refused("failed", "busy");
    FakeConnection.last.change("failed");
    await settled();
    expect(watcher.link.value).toBe("connecting");
    expect(watcher.tracks.value.get("li/camera")?.id).toBe("0/0");
    await vi.advanceTimersByTimeAsync(1000);
    FakeConnection.last.change("connected");
    expect(watcher.link.value).toBe("connected");
    expect(watcher.tracks.value.get("li/camera")?.id).toBe("2/0");
  });

  it("that heals by itself, nothing is made anew", async () => {
    FakeConnection.last.change("disconnected");
    expect(watcher.link.value).toBe("lost");
    await vi.advanceTimersByTimeAsync(3000);
    FakeConnection.last.change("connected");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(FakeConnection.made).toHaveLength(1);
    FakeConnection.last.change("disconnected");
    await vi.advanceTimersByTimeAsync(6000);
    expect(FakeConnection.made).toHaveLength(2);
  });

  it("of the line in the middle of an offer, it waits for the next welcome", async () => {
    node.failNext = new Disconnected("the line broke");
    watcher.want(["li/camera", "a/camera", "b/camera"]);
    watcher.left();
    await settled();
    const asked = node.offers.length;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(node.offers).toHaveLength(asked);
    watcher.joined();
    await settled();
    expect(watcher.tracks.value.size).toBe(3);
  });
});

describe("a track that ends while it is asked for", () => {
  it("costs no connection", async () => {
    watcher.joined();
    node.failNext = undefined;
    watcher.want(["li/camera"]);
    await settled();
    node.failNext = new Refused("no-such-track", "没有这路音视频。");
    watcher.want(["li/camera", "wang/camera"]);
    await settled();
    watcher.want(["li/camera"]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(FakeConnection.made).toHaveLength(1);
    expect([...watcher.tracks.value.keys()]).toEqual(["li/camera"]);
  });
});
