// `window.__cloudschool`: what the browser counts of the pictures and sounds of this page, for
// tests and for whoever looks into a complaint. It only reads.

import type { Publisher } from "../media/publisher.ts";
import type { Shown } from "../media/slots.ts";
import type { LessonSession } from "./session.ts";

export interface WatchedStats {
  track: Shown;
  kind: string;
  framesDecoded: number;
  width: number;
  height: number;
  audioEnergy: number;
  bytes: number;
  lost: number;
}

export interface PublishedStats {
  source: "camera" | "screen";
  kind: string;
  codec: string;
  /** The layer's name, empty for a picture in one size and for sound. */
  layer: string;
  /** Whether the layer is sent, or paused as nobody watches it. */
  active: boolean;
  framesEncoded: number;
  width: number;
  height: number;
  bytes: number;
  /** What keeps the picture smaller than the camera's: `none`, `cpu`, `bandwidth`, `other`. */
  limitedBy: string;
}

export interface Diagnostics {
  stats(): Promise<{ watched: WatchedStats[]; published: PublishedStats[] }>;
  readonly link: string;
  readonly media: string;
  readonly seq: number;
  readonly phase: string;
}

declare global {
  interface Window {
    readonly __cloudschool?: Diagnostics;
  }
}

/** The members of `RTCStats` used here. */
interface Stat {
  type: string;
  kind?: string;
  mid?: string;
  codecId?: string;
  mimeType?: string;
  framesDecoded?: number;
  framesEncoded?: number;
  frameWidth?: number;
  frameHeight?: number;
  totalAudioEnergy?: number;
  bytesReceived?: number;
  bytesSent?: number;
  qualityLimitationReason?: string;
  rid?: string;
  active?: boolean;
  packetsLost?: number;
}

export function exposeDiagnostics(
  session: LessonSession,
  publishers: ReadonlyMap<"camera" | "screen", Publisher>,
): void {
  const diagnostics: Diagnostics = {
    stats: async () => ({
      watched: await watched(session),
      published: (
        await Promise.all([...publishers].map(([source, one]) => published(source, one)))
      ).flat(),
    }),
    get link() {
      return session.socket.link.peek().at;
    },
    get media() {
      return session.watcher.link.peek();
    },
    get seq() {
      return session.socket.state.peek()?.seq ?? 0;
    },
    get phase() {
      return session.socket.state.peek()?.phase ?? "";
    },
  };
  Object.defineProperty(window, "__cloudschool", { value: Object.freeze(diagnostics) });
}

async function watched(session: LessonSession): Promise<WatchedStats[]> {
  const report = await session.watcher.stats();
  const bound = new Map(session.watcher.bindings().map(({ mid, track }) => [mid, track]));
  const stats = [...(report?.values() ?? [])] as Stat[];
  return stats.flatMap((stat) => {
    const track = bound.get(stat.mid ?? "");
    if (stat.type !== "inbound-rtp" || !track) return [];
    return {
      track,
      kind: stat.kind ?? "",
      framesDecoded: stat.framesDecoded ?? 0,
      width: stat.frameWidth ?? 0,
      height: stat.frameHeight ?? 0,
      audioEnergy: stat.totalAudioEnergy ?? 0,
      bytes: stat.bytesReceived ?? 0,
      lost: stat.packetsLost ?? 0,
    };
  });
}

async function published(
  source: "camera" | "screen",
  publisher: Publisher,
): Promise<PublishedStats[]> {
  const report = await publisher.stats();
  const stats = [...(report?.values() ?? [])] as Stat[];
  return stats
    .filter((stat) => stat.type === "outbound-rtp")
    .map((stat) => ({
      source,
      kind: stat.kind ?? "",
      codec: (report?.get(stat.codecId ?? "") as Stat | undefined)?.mimeType ?? "",
      layer: stat.rid ?? "",
      active: stat.active ?? true,
      framesEncoded: stat.framesEncoded ?? 0,
      width: stat.frameWidth ?? 0,
      height: stat.frameHeight ?? 0,
      bytes: stat.bytesSent ?? 0,
      limitedBy: stat.qualityLimitationReason ?? "none",
    }));
}
