import { describe, expect, it } from "vitest";
import { meterLevel, meterOfLevel } from "./level.ts";
import { judgeLine, type LineSample, lineSample, worstLine } from "./line.ts";
import { mediaProblem } from "./problem.ts";

describe("the line", () => {
  const start: LineSample = { atMs: 0, bytes: 0, packets: 0, lost: 0, rtt: undefined };
  const later = (lost: number, rtt: number | undefined): LineSample => ({
    atMs: 2000,
    bytes: 500_000,
    packets: 1000 - lost,
    lost,
    rtt,
  });

  it("is judged by loss and round trip", () => {
    expect(judgeLine(start, later(0, 0.02))).toEqual({
      verdict: "good",
      bitrate: 2_000_000,
      loss: 0,
      rttMs: 20,
    });
    expect(judgeLine(start, later(50, 0.02))?.verdict).toBe("fair");
    expect(judgeLine(start, later(0, 0.3))?.verdict).toBe("fair");
    expect(judgeLine(start, later(100, 0.02))?.verdict).toBe("poor");
    expect(judgeLine(start, later(0, 0.5))?.verdict).toBe("poor");
  });

  it("is as bad as its worse direction", () => {
    const good = { verdict: "good", bitrate: 1, loss: 0, rttMs: 1 } as const;
    const fair = { ...good, verdict: "fair" } as const;
    expect(worstLine([good, fair])).toBe(fair);
    expect(worstLine([good])).toBe(good);
    expect(worstLine([])).toBeUndefined();
  });

  it("is not judged by a moment in which nothing came, or a counter that began anew", () => {
    expect(judgeLine(start, { ...start, atMs: 2000 })).toBeUndefined();
    expect(judgeLine(later(0, 0.02), start)).toBeUndefined();
  });

  it("is summed over the streams of one way", () => {
    const report = new Map<string, object>([
      ["a", { type: "inbound-rtp", timestamp: 5, bytesReceived: 10, packetsReceived: 2 }],
      [
        "b",
        { type: "inbound-rtp", timestamp: 6, bytesReceived: 5, packetsReceived: 1, packetsLost: 3 },
      ],
      ["c", { type: "outbound-rtp", timestamp: 6, bytesSent: 99, packetsSent: 9 }],
      [
        "d",
        {
          type: "candidate-pair",
          timestamp: 6,
          nominated: true,
          state: "succeeded",
          currentRoundTripTime: 0.1,
        },
      ],
      [
        "e",
        {
          type: "candidate-pair",
          timestamp: 6,
          nominated: false,
          state: "waiting",
          currentRoundTripTime: 9,
        },
      ],
    ]) as unknown as RTCStatsReport;
    const both = { atMs: 6, rtt: 0.1 };
    expect(lineSample(report, "in")).toEqual({ ...both, bytes: 15, packets: 3, lost: 3 });
    expect(lineSample(report, "out")).toEqual({ ...both, bytes: 99, packets: 9, lost: 0 });
  });
});

describe("a meter", () => {
  it("is empty in silence and full at the loudness of clear speech", () => {
    expect(meterLevel(0)).toBe(0);
    expect(meterLevel(0.0001)).toBe(0);
    expect(meterLevel(1)).toBe(1);
    expect(meterLevel(10 ** (-36 / 20))).toBeCloseTo(0.5);
    expect(meterOfLevel(127)).toBe(0);
    expect(meterOfLevel(36)).toBeCloseTo(0.5);
    expect(meterOfLevel(0)).toBe(1);
  });
});

describe("a device that can't be used", () => {
  const named = (name: string, message = "") => ({ name, message });

  it("is sorted by what helps", () => {
    expect(mediaProblem(named("NotAllowedError", "Permission denied"), true)).toBe("denied");
    expect(mediaProblem(named("NotAllowedError", "Permission denied by system"), true)).toBe(
      "denied-by-system",
    );
    expect(mediaProblem(named("NotFoundError"), true)).toBe("missing");
    expect(mediaProblem(named("NotReadableError"), true)).toBe("busy");
    expect(mediaProblem(named("TypeError"), true)).toBe("unknown");
    expect(mediaProblem(named("TypeError"), false)).toBe("insecure");
  });
});
