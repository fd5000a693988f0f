// Which codecs a publisher offers, and with what settings.

/** What of a codec decides its place; a browser's `RTCRtpCodec` has it all. */
interface CodecLine {
  mimeType: string;
  sdpFmtpLine?: string;
}

/**
 * Orders a browser's video codecs for publishing: H.264 constrained baseline first (recording
 * and TV then never transcode), VP8 behind it for browsers without, then what repairs loss.
 * All others are left out.
 */
export function publishOrder<T extends CodecLine>(codecs: readonly T[]): T[] {
  const rank = ({ mimeType, sdpFmtpLine = "" }: T): number => {
    switch (mimeType.toLowerCase()) {
      case "video/h264": {
        if (!sdpFmtpLine.includes("packetization-mode=1")) return -1;
        return /profile-level-id=42e0/i.test(sdpFmtpLine) ? 0 : -1;
      }
      case "video/vp8":
        return 1;
      case "video/rtx":
        return 2;
      default:
        return -1;
    }
  };
  return codecs
    .map((codec) => ({ codec, place: rank(codec) }))
    .filter(({ place }) => place >= 0)
    .sort((a, b) => a.place - b.place)
    .map(({ codec }) => codec);
}

/** Where a video encoder starts and what it never goes below, in bit/s. */
export interface VideoRate {
  start: number;
  least: number;
}

/**
 * Settles the rate at which video starts. Chromium begins at 300 kbit/s and needs half a
 * minute to where writing on a board can be read; it takes these settings from an answer
 * (in kbit/s). Other browsers pass them over.
 */
export function videoStartingAt(sdp: string, { start, least }: VideoRate): string {
  const kbit = (rate: number) => Math.round(rate / 1000);
  const rates = `x-google-start-bitrate=${kbit(start)};x-google-min-bitrate=${kbit(least)}`;
  return sdp
    .replace(/^a=rtpmap:(\d+) (?:H264|VP8)\/90000$/gim, (rtpmap, payload: string) => {
      const has = new RegExp(`^a=fmtp:${payload} `, "m").test(sdp);
      return has ? rtpmap : `${rtpmap}\r\na=fmtp:${payload} ${rates}`;
    })
    .replace(/^(a=fmtp:(\d+) .*)$/gm, (fmtp: string, _line, payload: string) => {
      const video = new RegExp(`^a=rtpmap:${payload} (?:H264|VP8)/90000$`, "im").test(sdp);
      return video && !fmtp.includes("x-google-") ? `${fmtp};${rates}` : fmtp;
    });
}

/**
 * Settles Opus in an answer for teaching over bad lines: in-band FEC on (a lost packet is
 * heard from the next one), DTX off (a recording has no holes, and a pause is not mistaken
 * for a broken line). What the answer says is what the browser's encoder does.
 */
export function opusForTeaching(sdp: string): string {
  const payload = /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp)?.[1];
  if (!payload) return sdp;
  const wanted = { useinbandfec: "1", usedtx: "0" };
  const fmtp = new RegExp(`^a=fmtp:${payload} (.*)$`, "m");
  const line = fmtp.exec(sdp);
  if (!line) {
    const settings = Object.entries(wanted).map(([key, value]) => `${key}=${value}`);
    return sdp.replace(
      new RegExp(`^(a=rtpmap:${payload} .*)$`, "m"),
      (rtpmap) => `${rtpmap}\r\na=fmtp:${payload} ${settings.join(";")}`,
    );
  }
  const settings = new Map(
    (line[1] ?? "")
      .trim()
      .split(";")
      .map((setting) => setting.trim().split("=") as [string, string]),
  );
  for (const [key, value] of Object.entries(wanted)) settings.set(key, value);
  const text = [...settings].map(([key, value]) => `${key}=${value}`).join(";");
  return sdp.replace(fmtp, `a=fmtp:${payload} ${text}`);
}
