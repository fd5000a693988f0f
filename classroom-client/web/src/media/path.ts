// Which way media takes to the node: asked before a lesson as a player asks for pictures, so
// that what a network blocks is known before it is missed. Nothing is published by it.

import type { IceServer } from "../protocol/words.ts";
import { whip } from "./whip.ts";

/** UDP is what video wants; over TCP one lost packet holds up all that follow. */
export type Way = "udp" | "tcp";

export interface Path {
  /** `none` when neither got through. */
  by: Way | "none";
  /** Round trip of a connectivity check in ms. */
  rttMs?: number;
}

/** Checks over UDP have failed by then, and those over TCP have had their turn. */
const CONNECT_MS = 12_000;
/** A browser that took TCP first goes over to UDP within this. */
const SETTLE_MS = 4_000;
const LOOK_MS = 100;

interface Asked {
  /** The node's WHEP endpoint of the lesson. */
  url: string;
  token: string;
  lang: string;
}

/** Rejects with the node's problem when it gives no answer about media at all. */
export async function findPath({ url, token, lang }: Asked): Promise<Path> {
  const pc = new RTCPeerConnection({ iceServers: await iceServersAt(url, token) });
  const over = new AbortController();
  try {
    for (const kind of ["audio", "video"]) pc.addTransceiver(kind, { direction: "recvonly" });
    await pc.setLocalDescription();
    const offer = pc.localDescription?.sdp ?? "";
    const session = await whip(url, offer, token, lang, over.signal);
    try {
      await pc.setRemoteDescription({ type: "answer", sdp: session.answer });
      if (!(await connected(pc, CONNECT_MS))) return { by: "none" };
      const end = performance.now() + SETTLE_MS;
      for (;;) {
        const path = pathOf(await pc.getStats());
        if (path?.by === "udp" || performance.now() > end) return path ?? { by: "none" };
        await passed(LOOK_MS);
      }
    } finally {
      void session.end();
    }
  } finally {
    pc.close();
  }
}

/** Whether a connection is up before `withinMs` have passed. */
export function connected(pc: RTCPeerConnection, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), withinMs);
    const look = () => {
      const { connectionState } = pc;
      if (connectionState !== "connected" && connectionState !== "failed") return;
      clearTimeout(timer);
      resolve(connectionState === "connected");
    };
    pc.addEventListener("connectionstatechange", look);
    look();
  });
}

export function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The members of `RTCStats` used here. */
interface Stat {
  id: string;
  type: string;
  selectedCandidatePairId?: string;
  /** Firefox says it here. */
  selected?: boolean;
  localCandidateId?: string;
  currentRoundTripTime?: number;
  protocol?: string;
  relayProtocol?: string;
}

/** The candidate pair that was chosen; `undefined` before there is one. */
export function pathOf(report: RTCStatsReport): Path | undefined {
  const stats = [...(report.values() as Iterable<Stat>)];
  const chosen = stats.find(({ type }) => type === "transport")?.selectedCandidatePairId;
  const pair = stats.find(
    ({ type, id, selected }) => type === "candidate-pair" && (id === chosen || selected === true),
  );
  const local = pair && stats.find(({ id }) => id === pair.localCandidateId);
  if (!pair || !local) return undefined;
  const by = (local.relayProtocol ?? local.protocol) === "udp" ? "udp" : "tcp";
  const rtt = pair.currentRoundTripTime;
  return rtt === undefined ? { by } : { by, rttMs: rtt * 1000 };
}

/** The STUN and TURN servers that the node names before an offer is made (RFC 9725, 4.6). */
async function iceServersAt(url: string, token: string): Promise<IceServer[]> {
  const answer = await fetch(url, {
    method: "OPTIONS",
    headers: { Authorization: `Bearer ${token}` },
  });
  return iceServersOf(answer.headers.get("Link") ?? "");
}

/** Reads `Link` headers with `rel="ice-server"`. */
export function iceServersOf(link: string): IceServer[] {
  const servers: IceServer[] = [];
  for (const [, address = "", rest = ""] of link.matchAll(
    /<([^>]+)>((?:;[^,<"]*(?:"[^"]*")?)*)/g,
  )) {
    const parameter = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(rest)?.[1];
    if (parameter("rel") !== "ice-server") continue;
    const [username, credential] = [parameter("username"), parameter("credential")];
    servers.push({
      urls: [address],
      ...(username === undefined ? {} : { username }),
      ...(credential === undefined ? {} : { credential }),
    });
  }
  return servers;
}
