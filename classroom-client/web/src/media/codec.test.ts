import { describe, expect, it } from "vitest";
import { opusForTeaching, publishOrder, videoStartingAt } from "./codec.ts";

describe("the order of video codecs", () => {
  it("puts constrained baseline H.264 first, VP8 behind it, and nothing else but repair", () => {
    const codecs = [
      { mimeType: "video/VP8" },
      { mimeType: "video/rtx" },
      { mimeType: "video/VP9", sdpFmtpLine: "profile-id=0" },
      { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=1;profile-level-id=42001f" },
      { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=0;profile-level-id=42e01f" },
      { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=1;profile-level-id=42e01f" },
      { mimeType: "video/AV1" },
    ];
    expect(publishOrder(codecs)).toEqual([codecs[5], codecs[0], codecs[1]]);
  });
});

describe("video in an answer", () => {
  it("starts at the rate wanted, with every codec, and leaves all else alone", () => {
    const sdp = [
      "m=video 9 UDP/TLS/RTP/SAVPF 108 96 97",
      "a=rtpmap:108 H264/90000",
      "a=fmtp:108 packetization-mode=1;profile-level-id=42e01f",
      "a=rtpmap:96 VP8/90000",
      "a=rtpmap:97 rtx/90000",
      "a=fmtp:97 apt=96",
      "",
    ];
    const rates = "x-google-start-bitrate=1000;x-google-min-bitrate=300";
    const settled = [...sdp];
    settled[2] = `${sdp[2]};${rates}`;
    settled.splice(4, 0, `a=fmtp:96 ${rates}`);
    expect(videoStartingAt(sdp.join("\r\n"), { start: 1_000_000, least: 300_000 })).toBe(
      settled.join("\r\n"),
    );
  });
});

describe("Opus in an answer", () => {
  const head = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n";

  it("has FEC and no DTX, whatever else it says", () => {
    const sdp = `${head}a=fmtp:111 minptime=10;usedtx=1\r\na=rtcp-mux\r\n`;
    expect(opusForTeaching(sdp)).toBe(
      `${head}a=fmtp:111 minptime=10;usedtx=0;useinbandfec=1\r\na=rtcp-mux\r\n`,
    );
  });

  it("gets a line of settings where it has none", () => {
    expect(opusForTeaching(`${head}a=rtcp-mux\r\n`)).toBe(
      `${head}a=fmtp:111 useinbandfec=1;usedtx=0\r\na=rtcp-mux\r\n`,
    );
  });

  it("is left alone where there is none", () => {
    const sdp = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";
    expect(opusForTeaching(sdp)).toBe(sdp);
  });
});
