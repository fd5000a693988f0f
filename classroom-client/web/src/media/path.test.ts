import { describe, expect, it } from "vitest";
import { iceServersOf, pathOf } from "./path.ts";

function report(...stats: { id: string; type: string; [key: string]: unknown }[]): RTCStatsReport {
  return new Map(stats.map((stat) => [stat.id, stat])) as unknown as RTCStatsReport;
}

const transport = { id: "T", type: "transport", selectedCandidatePairId: "P2" };
const pair = (id: string, local: string, more = {}) => ({
  id,
  type: "candidate-pair",
  localCandidateId: local,
  ...more,
});
const candidate = (id: string, protocol: string, more = {}) => ({
  id,
  type: "local-candidate",
  protocol,
  ...more,
});

describe("the way media takes", () => {
  it("is that of the pair that was chosen, not of those that were tried", () => {
    const all = report(
      transport,
      pair("P1", "U"),
      pair("P2", "C", { currentRoundTripTime: 0.25 }),
      candidate("U", "udp"),
      candidate("C", "tcp"),
    );
    expect(pathOf(all)).toEqual({ by: "tcp", rttMs: 250 });
  });

  it("is found where the browser marks the pair itself", () => {
    const all = report(pair("P1", "U", { selected: true }), candidate("U", "udp"));
    expect(pathOf(all)).toEqual({ by: "udp" });
  });

  it("is a relay's way to the relay", () => {
    const relayed = candidate("R", "udp", { relayProtocol: "tls" });
    expect(pathOf(report(transport, pair("P2", "R"), relayed))).toEqual({ by: "tcp" });
  });

  it("is not known before a pair is chosen", () => {
    expect(pathOf(report(pair("P1", "U"), candidate("U", "udp")))).toBeUndefined();
  });
});

describe("the servers a node names", () => {
  it("are read with their credentials, and other links are left alone", () => {
    const link =
      '<stun:stun.example:3478>; rel="ice-server", ' +
      '<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="1790:li,1"; ' +
      'credential="a+b=="; credential-type="password", </about>; rel="help"';
    expect(iceServersOf(link)).toEqual([
      { urls: ["stun:stun.example:3478"] },
      {
        urls: ["turn:turn.example:3478?transport=udp"],
        username: "1790:li,1",
        credential: "a+b==",
      },
    ]);
    expect(iceServersOf("")).toEqual([]);
  });
});
