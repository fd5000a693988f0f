// The state of the line in three words, from what the browser counts.

/** Counters of one moment, summed over all streams. */
export interface LineSample {
  atMs: number;
  bytes: number;
  packets: number;
  lost: number;
  /** Seconds; of the selected candidate pair. */
  rtt: number | undefined;
}

export type LineVerdict = "good" | "fair" | "poor";

export interface Line {
  verdict: LineVerdict;
  /** Received or sent, in bit/s. */
  bitrate: number;
  /** Share of packets lost, 0…1. */
  loss: number;
  rttMs: number | undefined;
}

/** Below the first NACK and FEC hide all that is lost; above the second pictures freeze. */
export const FAIR_LOSS = 0.02;
export const POOR_LOSS = 0.08;

/** The line between two samples; `undefined` when nothing was measured. */
export function judgeLine(before: LineSample, now: LineSample): Line | undefined {
  const seconds = (now.atMs - before.atMs) / 1000;
  const packets = now.packets - before.packets;
  const lost = Math.max(0, now.lost - before.lost);
  if (seconds <= 0 || packets < 0 || packets + lost === 0) return undefined;
  const loss = lost / (packets + lost);
  const rttMs = now.rtt === undefined ? undefined : now.rtt * 1000;
  // A round trip over 400 ms makes a dialogue halt.
  const poor = loss > POOR_LOSS || (rttMs ?? 0) > 400;
  const fair = loss > FAIR_LOSS || (rttMs ?? 0) > 200;
  return {
    verdict: poor ? "poor" : fair ? "fair" : "good",
    bitrate: ((now.bytes - before.bytes) * 8) / seconds,
    loss,
    rttMs,
  };
}

const WORSE: readonly LineVerdict[] = ["poor", "fair", "good"];

/** The worst of several; of equal ones the first. */
export function worstLine(lines: readonly Line[]): Line | undefined {
  for (const verdict of WORSE) {
    const found = lines.find((line) => line.verdict === verdict);
    if (found) return found;
  }
  return undefined;
}

interface Counted {
  type: string;
  timestamp: number;
  bytesReceived?: number;
  packetsReceived?: number;
  packetsLost?: number;
  bytesSent?: number;
  packetsSent?: number;
  nominated?: boolean;
  state?: string;
  currentRoundTripTime?: number;
}

/** Sums a stats report into a sample of what is received (`in`) or sent (`out`). */
export function lineSample(report: RTCStatsReport, way: "in" | "out"): LineSample {
  const sample: LineSample = { atMs: 0, bytes: 0, packets: 0, lost: 0, rtt: undefined };
  for (const stat of report.values() as Iterable<Counted>) {
    sample.atMs = Math.max(sample.atMs, stat.timestamp);
    if (way === "in" && stat.type === "inbound-rtp") {
      sample.bytes += stat.bytesReceived ?? 0;
      sample.packets += stat.packetsReceived ?? 0;
      sample.lost += stat.packetsLost ?? 0;
    } else if (way === "out" && stat.type === "outbound-rtp") {
      sample.bytes += stat.bytesSent ?? 0;
      sample.packets += stat.packetsSent ?? 0;
    } else if (way === "out" && stat.type === "remote-inbound-rtp") {
      sample.lost += stat.packetsLost ?? 0;
    } else if (stat.type === "candidate-pair" && stat.nominated && stat.state === "succeeded") {
      sample.rtt = stat.currentRoundTripTime;
    }
  }
  return sample;
}
