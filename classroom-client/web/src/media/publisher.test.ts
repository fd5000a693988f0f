import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeConnection } from "./fake-rtc.ts";
import { BOARD_MODE, PROFILES, Publisher } from "./publisher.ts";

const camera = { kind: "video" } as MediaStreamTrack;
const microphone = { kind: "audio" } as MediaStreamTrack;
const settled = () => vi.advanceTimersByTimeAsync(0);

let requests: { method: string; url: string; headers: Record<string, string>; body?: string }[];
let answers: Response[];
let publisher: Publisher;

function created(session: string, sdp = "v=0\r\n"): Response {
  return new Response(sdp, { status: 201, headers: { Location: `/whip/math/${session}` } });
}

function problem(status: number, detail: string): Response {
  return Response.json({ type: "about:blank", title: "…", status, detail }, { status });
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("RTCPeerConnection", FakeConnection);
  vi.stubGlobal("RTCRtpSender", { getCapabilities: () => ({ codecs: [] }) });
  vi.stubGlobal("document", { baseURI: "http://node/" });
  FakeConnection.made = [];
  requests = [];
  answers = [created("1"), created("2"), created("3")];
  vi.stubGlobal("fetch", (url: string | URL, init: RequestInit = {}) => {
    const { method = "GET", headers, body } = init;
    const request = { method, url: String(url), headers: headers as Record<string, string> };
    requests.push(typeof body === "string" ? { ...request, body } : request);
    if (method === "DELETE") return Promise.resolve(new Response(null, { status: 200 }));
    const answer = answers.shift();
    return answer ? Promise.resolve(answer) : Promise.reject(new TypeError("no network"));
  });
  publisher = new Publisher({
    url: "/whip/math",
    source: "camera",
    token: "t",
    lang: () => "en",
    iceServers: () => [{ urls: ["turn:t.example"], username: "1:li", credential: "c" }],
    profile: PROFILES.teacher,
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("publishing", () => {
  it("takes one request, and ends with another", async () => {
    publisher.start([camera, microphone]);
    expect(publisher.state.value).toEqual({ at: "starting" });
    await settled();
    expect(requests).toEqual([
      {
        method: "POST",
        url: "/whip/math?source=camera",
        headers: {
          Authorization: "Bearer t",
          "Accept-Language": "en",
          "Content-Type": "application/sdp",
        },
        body: "video,audio",
      },
    ]);
    FakeConnection.last.change("connected");
    expect(publisher.state.value).toEqual({ at: "live" });
    expect(FakeConnection.last.configuration.iceServers?.[0]?.username).toBe("1:li");
    publisher.stop();
    expect(publisher.state.value).toEqual({ at: "off" });
    expect(requests.at(-1)).toMatchObject({ method: "DELETE", url: "http://node/whip/math/1" });
    expect(FakeConnection.last.closed).toBe(true);
  });

  it("exchanges a device without a new session, and adds a kind with one", async () => {
    publisher.start([camera]);
    await settled();
    FakeConnection.last.change("connected");
    const other = { kind: "video" } as MediaStreamTrack;
    await publisher.replace(other);
    expect(FakeConnection.made).toHaveLength(1);
    expect(FakeConnection.last.getSenders()[0]?.track).toBe(other);
    await publisher.replace(microphone);
    await settled();
    expect(FakeConnection.made).toHaveLength(2);
    expect(requests.map(({ method, body }) => `${method} ${body ?? ""}`)).toEqual([
      "POST video",
      "DELETE ",
      "POST video,audio",
    ]);
  });
});

describe("layers", () => {
  const simulcast = "v=0\r\na=simulcast:recv q;h;f\r\n";
  const encodings = () => FakeConnection.last.getSenders()[0]?.getParameters().encodings ?? [];
  const sent = () => encodings().map(({ rid, active = true }) => (active ? rid : `no ${rid}`));

  it("of a camera are offered from the smallest on", async () => {
    answers = [created("1", simulcast)];
    publisher.start([camera, microphone]);
    await settled();
    expect(encodings()).toEqual([
      { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000, maxFramerate: 30 },
      { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000, maxFramerate: 30 },
      { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 2_000_000, maxFramerate: 30 },
    ]);
  });

  it("nobody watches are paused, and sent again when someone does", async () => {
    answers = [created("1", simulcast)];
    publisher.start([camera, microphone]);
    await settled();
    await publisher.activate(["h"]);
    expect(sent()).toEqual(["no q", "h", "no f"]);
    await publisher.activate(["h", "f"]);
    expect(sent()).toEqual(["no q", "h", "f"]);
    await publisher.activate([]);
    expect(sent()).toEqual(["no q", "no h", "no f"]);
  });

  it("are all sent again by a new session", async () => {
    answers = [created("1", simulcast), created("2", simulcast)];
    publisher.start([camera]);
    await settled();
    await publisher.activate(["q"]);
    publisher.restart();
    await settled();
    expect(sent()).toEqual(["q", "h", "f"]);
  });

  it("a node does not take leave the picture whole", async () => {
    publisher.start([camera]);
    await settled();
    expect(encodings()).toEqual([
      { scaleResolutionDownBy: 1, maxBitrate: 2_000_000, maxFramerate: 30 },
    ]);
    await publisher.activate(["q"]);
    expect(encodings()[0]?.active).toBeUndefined();
  });

  it("are sent slower for a blackboard, all of them, also over a new connection", async () => {
    const rates = () => encodings().map(({ maxFramerate }) => maxFramerate);
    answers = [created("1", simulcast), created("2", simulcast)];
    publisher.start([camera]);
    await settled();
    publisher.tune(BOARD_MODE);
    expect(rates()).toEqual([10, 10, 10]);
    publisher.restart();
    await settled();
    expect(rates()).toEqual([10, 10, 10]);
    publisher.tune(undefined);
    expect(rates()).toEqual([30, 30, 30]);
  });

  it("are not made of a screen", async () => {
    publisher = new Publisher({
      url: "/whip/math",
      source: "screen",
      token: "t",
      lang: () => "en",
      iceServers: () => [],
      profile: PROFILES.screen,
    });
    publisher.start([camera]);
    await settled();
    expect(encodings()).toEqual([
      { scaleResolutionDownBy: 1, maxBitrate: 2_000_000, maxFramerate: 15 },
    ]);
  });

  it("named while nothing is published are nobody's", async () => {
    await publisher.activate(["q"]);
    expect(FakeConnection.made).toHaveLength(0);
  });
});

describe("what fails", () => {
  it("for good is said with the node's sentence and not tried again", async () => {
    answers = [problem(403, "Your role does not allow this.")];
    publisher.start([camera]);
    await settled();
    expect(publisher.state.value).toEqual({
      at: "refused",
      message: "Your role does not allow this.",
    });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(requests).toHaveLength(1);
  });

  it("for the moment is tried again", async () => {
    answers = [problem(503, "This node is full."), created("2")];
    publisher.start([camera]);
    await settled();
    expect(publisher.state.value).toEqual({ at: "retrying", message: "This node is full." });
    await vi.advanceTimersByTimeAsync(1000);
    FakeConnection.last.change("connected");
    expect(publisher.state.value).toEqual({ at: "live" });
  });

  it("with the network is tried again", async () => {
    answers = [];
    publisher.start([camera]);
    await settled();
    expect(publisher.state.value).toEqual({ at: "retrying", message: "" });
    answers = [created("2")];
    await vi.advanceTimersByTimeAsync(1000);
    expect(requests).toHaveLength(2);
  });

  it("in the middle is published anew, and a short disturbance is waited out", async () => {
    publisher.start([camera]);
    await settled();
    FakeConnection.last.change("connected");
    FakeConnection.last.change("disconnected");
    await vi.advanceTimersByTimeAsync(3000);
    FakeConnection.last.change("connected");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(FakeConnection.made).toHaveLength(1);
    FakeConnection.last.change("failed");
    expect(publisher.state.value).toMatchObject({ at: "retrying" });
    await vi.advanceTimersByTimeAsync(1000);
    expect(FakeConnection.made).toHaveLength(2);
  });

  it("does not come back after a stop", async () => {
    answers = [];
    publisher.start([camera]);
    await settled();
    publisher.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(publisher.state.value).toEqual({ at: "off" });
    expect(requests.filter(({ method }) => method === "POST")).toHaveLength(1);
  });
});
