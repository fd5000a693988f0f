import { describe, expect, it } from "vitest";
import { planSlots, type SlotState } from "./slots.ts";

const video = (mid: string, track: SlotState["track"] = null): SlotState => ({
  mid,
  kind: "video",
  track,
});
const audio = (mid: string, track: SlotState["track"] = null): SlotState => ({
  mid,
  kind: "audio",
  track,
});

describe("planning what m-lines show", () => {
  it("asks for as many as are missing, by kind", () => {
    const plan = planSlots([], ["li/camera", "li/microphone", "li/screen"]);
    expect(plan).toEqual({ changes: [], missing: { video: 2, audio: 1 } });
  });

  it("leaves alone what is shown and binds the rest to free lines", () => {
    const slots = [video("0", "li/camera"), video("1"), audio("2")];
    expect(planSlots(slots, ["li/microphone", "li/screen", "li/camera"])).toEqual({
      changes: [
        { mid: "2", track: "li/microphone" },
        { mid: "1", track: "li/screen" },
      ],
      missing: { video: 0, audio: 0 },
    });
  });

  it("empties what is no longer wanted", () => {
    const slots = [video("0", "li/camera"), audio("1", "li/microphone")];
    expect(planSlots(slots, ["li/microphone"]).changes).toEqual([{ mid: "0", track: null }]);
  });

  it("takes an empty line before one that shows something else", () => {
    const slots = [video("0", "a/camera"), video("1")];
    expect(planSlots(slots, ["b/camera"]).changes).toEqual([
      { mid: "1", track: "b/camera" },
      { mid: "0", track: null },
    ]);
    const full = [video("0", "a/camera"), video("1", "b/camera")];
    expect(planSlots(full, ["b/camera", "c/camera"]).changes).toEqual([
      { mid: "0", track: "c/camera" },
    ]);
  });

  it("changes nothing when all is as wanted", () => {
    const slots = [video("0", "li/camera"), audio("1", "li/microphone"), video("2")];
    expect(planSlots(slots, ["li/camera", "li/camera", "li/microphone"])).toEqual({
      changes: [],
      missing: { video: 0, audio: 0 },
    });
  });
});
