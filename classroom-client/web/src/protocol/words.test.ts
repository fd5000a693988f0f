import { describe, expect, it } from "vitest";
import { parseServerMessage, trackId, trackKind, trackMember, trackSource } from "./words.ts";

describe("what a node says", () => {
  it("is read as the nodes write it", () => {
    const welcome = parseServerMessage(
      `{"type":"welcome",
        "you":{"id":"wang","name":"王小明","role":"student","school":"campus","node":"campus"},
        "state":{"info":{"id":"math","title":"二次函数","subject":"数学","grade":"九年级",
            "teacher":"李老师","campus":"campus","schools":["school-01"],"plannedMinutes":45},
          "phase":"live","seq":9,"session":"019d0000-0000-7000-8000-000000000000",
          "startedMs":1700000000000,
          "members":{"li":{"id":"li","name":"李老师","role":"teacher","school":"campus","node":"campus"}},
          "hands":[{"member":"wang","atMs":1700000001000}],"stage":[],"muted":[],
          "tracks":{"li/screen-audio":{"track":"li/screen-audio","codec":"opus","node":"campus"}}},
        "nowMs":1700000002000,"campus":true,"links":{"library":"http://127.0.0.1:8070/library"},
        "iceServers":[{"urls":["turn:t.example"],"username":"1:wang","credential":"c"}]}`,
    );
    if (welcome?.type !== "welcome") throw new Error("not a welcome");
    expect(welcome.state.info.plannedMinutes).toBe(45);
    expect(welcome.state.hands[0]?.member).toBe("wang");
    expect(welcome.state.tracks["li/screen-audio"]?.codec).toBe("opus");
    expect(welcome.links.report).toBeUndefined();
    expect(welcome.iceServers?.[0]?.urls).toEqual(["turn:t.example"]);

    const event = parseServerMessage(
      `{"type":"event","event":{"seq":7,"id":"00000000-0000-0000-0000-000000000000",
        "atMs":1700000000000,"type":"hand.raised","member":"wang"}}`,
    );
    if (event?.type !== "event" || event.event.type !== "hand.raised") throw new Error("not it");
    expect(event.event.member).toBe("wang");

    const refused = parseServerMessage(
      `{"type":"refused","id":3,"code":"hand-already-up","message":"The hand is already raised."}`,
    );
    expect(refused).toMatchObject({ type: "refused", code: "hand-already-up" });
    expect(parseServerMessage(`{"type":"layers","source":"camera","active":["q","h"]}`)).toEqual({
      type: "layers",
      source: "camera",
      active: ["q", "h"],
    });
    const rung = `{"school":"school-03","node":"n","rung":"slides","reason":"line","sinceMs":5}`;
    expect(parseServerMessage(`{"type":"rungs","schools":[${rung}]}`)).toEqual({
      type: "rungs",
      schools: [{ school: "school-03", node: "n", rung: "slides", reason: "line", sinceMs: 5 }],
    });
    expect(parseServerMessage(`{"type":"speakers","tracks":[["li/microphone",31]]}`)).toEqual({
      type: "speakers",
      tracks: [["li/microphone", 31]],
    });
    expect(parseServerMessage(`{"type":"bye","reason":"too-slow","message":"…"}`)).toMatchObject({
      reason: "too-slow",
    });
  });

  it("is passed over where a newer node says more than this page knows", () => {
    expect(parseServerMessage(`{"type":"poll-opened","id":1}`)).toBeNull();
    expect(parseServerMessage(`[]`)).toBeNull();
    expect(parseServerMessage(`null`)).toBeNull();
    expect(parseServerMessage(`{"type":1}`)).toBeNull();
    expect(parseServerMessage(`no JSON`)).toBeNull();
  });
});

describe("a track's name", () => {
  it("says whose it is and what", () => {
    const id = trackId("class-301", "screen-audio");
    expect(id).toBe("class-301/screen-audio");
    expect(trackMember(id)).toBe("class-301");
    expect(trackSource(id)).toBe("screen-audio");
    expect(trackKind(id)).toBe("audio");
    expect(trackKind("li/camera")).toBe("video");
    expect(trackKind("li/screen")).toBe("video");
  });
});
