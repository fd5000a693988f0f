// One's own voice to the node and back: published as in a lesson, heard as a class hears it.

import { type LineSample, lineSample } from "./line.ts";
import { connected, passed } from "./path.ts";
import { type WhipSession, whip } from "./whip.ts";

/** Longer than a browser needs for a connection over TCP. */
const CONNECT_MS = 12_000;
/** The first sound comes within this once both connections are up. */
const SOUND_MS = 8_000;
const LOOK_MS = 100;

export interface Loop {
  /** What came back. */
  track: MediaStreamTrack;
  /** Share of packets lost so far, 0…1; `undefined` while too few were counted to say. */
  loss(): Promise<number | undefined>;
  end(): void;
}

interface Asked {
  lesson: string;
  token: string;
  lang: string;
}

/**
 * Sends `microphone` through the node. Who is in the lesson already hears it too. Rejects when
 * the node does not want it or nothing comes back.
 */
export async function throughNode(
  microphone: MediaStreamTrack,
  { lesson, token, lang }: Asked,
): Promise<Loop> {
  const over = new AbortController();
  const up = new RTCPeerConnection();
  const down = new RTCPeerConnection();
  const sessions: WhipSession[] = [];
  const end = () => {
    over.abort();
    up.close();
    down.close();
    for (const session of sessions) void session.end();
  };
  const connect = async (pc: RTCPeerConnection, path: string) => {
    await pc.setLocalDescription();
    const offer = pc.localDescription?.sdp ?? "";
    const url = `/${path}/${encodeURIComponent(lesson)}`;
    const session = await whip(url, offer, token, lang, over.signal);
    sessions.push(session);
    await pc.setRemoteDescription({ type: "answer", sdp: session.answer });
    if (!(await connected(pc, CONNECT_MS))) throw new Error("no way to the node");
  };
  try {
    up.addTransceiver(microphone, { direction: "sendonly" });
    await connect(up, "whip");
    const { receiver } = down.addTransceiver("audio", { direction: "recvonly" });
    await connect(down, "whep");
    await heard(down);
    const loss = async () => worseLoss(await up.getStats(), await down.getStats());
    return { track: receiver.track, loss, end };
  } catch (error) {
    end();
    throw error;
  }
}

/** A second of sound: of fewer packets one that is lost says nothing. */
const COUNTED = 50;

/** What is lost on the way there and on the way back: the worse of the two. */
export function worseLoss(up: RTCStatsReport, down: RTCStatsReport): number | undefined {
  const share = ({ lost }: LineSample, of: number) =>
    of < COUNTED ? undefined : Math.min(1, Math.max(0, lost) / of);
  const [sent, came] = [lineSample(up, "out"), lineSample(down, "in")];
  // Of the way there the node tells, in reports that may be lost themselves.
  const told = [...up.values()].some(({ type }) => type === "remote-inbound-rtp");
  const there = told ? share(sent, sent.packets) : undefined;
  const both = share(came, came.packets + came.lost);
  if (there === undefined || both === undefined) return there ?? both;
  // What never reached the node is missing in what comes back too.
  const back = there < 1 ? (both - there) / (1 - there) : 0;
  return Math.max(there, back);
}

/** Waits until sound arrives. */
async function heard(pc: RTCPeerConnection): Promise<void> {
  const end = performance.now() + SOUND_MS;
  while (performance.now() < end) {
    for (const stat of (await pc.getStats()).values()) {
      if (stat.type === "inbound-rtp" && stat.packetsReceived > 0) return;
    }
    await passed(LOOK_MS);
  }
  throw new Error("nothing came back");
}
