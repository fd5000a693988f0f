import { expect, it } from "vitest";
import { worseLoss } from "./loop.ts";

const report = (...stats: object[]) =>
  new Map(
    stats.map((stat, at) => [`${at}`, { timestamp: 1, ...stat }]),
  ) as unknown as RTCStatsReport;
const sent = (packetsSent: number, packetsLost: number) =>
  report({ type: "outbound-rtp", packetsSent }, { type: "remote-inbound-rtp", packetsLost });
const came = (packetsReceived: number, packetsLost: number) =>
  report({ type: "inbound-rtp", packetsReceived, packetsLost });

it("what is lost there is not counted again on the way back", () => {
  expect(worseLoss(sent(200, 0), came(200, 0))).toBe(0);
  expect(worseLoss(sent(200, 40), came(128, 72))).toBeCloseTo(0.2);
  expect(worseLoss(sent(200, 0), came(180, 20))).toBeCloseTo(0.1);
  expect(worseLoss(sent(200, 20), came(180, 20))).toBeCloseTo(0.1);
});

it("what the node did not tell of is not taken for nothing", () => {
  const untold = report({ type: "outbound-rtp", packetsSent: 200 });
  expect(worseLoss(untold, came(72, 128))).toBeCloseTo(0.64);
  expect(worseLoss(untold, came(20, 20))).toBeUndefined();
});

it("of few packets nothing is said", () => {
  expect(worseLoss(sent(40, 9), came(30, 9))).toBeUndefined();
  expect(worseLoss(sent(40, 9), came(190, 10))).toBeCloseTo(0.05);
});
