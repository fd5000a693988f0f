// A keyframe as a picture: what a node keeps of a lesson, drawn by the browser's own decoder.

/** The decoder's name of what came (RFC 6381), or `undefined` for what none here decodes. */
export function codecOf(type: string, bytes: Uint8Array): string | undefined {
  if (type === "video/VP8") return "vp8";
  if (type === "video/VP9") return "vp09.00.10.08";
  if (type !== "video/H264") return undefined;
  // Profile, constraints and level stand at the front of the sequence parameter set.
  for (let at = 0; at + 7 < bytes.length; at += 1) {
    const starts = bytes[at] === 0 && bytes[at + 1] === 0 && bytes[at + 2] === 1;
    if (starts && ((bytes[at + 3] ?? 0) & 0x1f) === 7) {
      const hex = [...bytes.subarray(at + 4, at + 7)].map((b) => b.toString(16).padStart(2, "0"));
      return `avc1.${hex.join("")}`;
    }
  }
  return undefined;
}

/** Whether this browser decodes pictures by itself (WebCodecs, in a secure page). */
export const decodes = "VideoDecoder" in globalThis;

/** Draws a keyframe into `canvas`, as large as it is. */
export async function draw(
  canvas: HTMLCanvasElement,
  type: string,
  bytes: Uint8Array,
): Promise<void> {
  const codec = codecOf(type, bytes);
  if (!codec || !decodes) throw new Error(`no decoder for ${type}`);
  let failed: Error | undefined;
  const decoder = new VideoDecoder({
    output(frame) {
      canvas.width = frame.displayWidth;
      canvas.height = frame.displayHeight;
      canvas.getContext("2d")?.drawImage(frame, 0, 0);
      frame.close();
    },
    error(error) {
      failed = error;
    },
  });
  try {
    decoder.configure({ codec, optimizeForLatency: true });
    decoder.decode(new EncodedVideoChunk({ type: "key", timestamp: 0, data: bytes }));
    await decoder.flush();
  } finally {
    if (decoder.state !== "closed") decoder.close();
  }
  if (failed) throw failed;
}
