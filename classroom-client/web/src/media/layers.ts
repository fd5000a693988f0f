// The layers of a camera: the same picture in several sizes at once (simulcast), of which a
// node forwards to each viewer the one its line can take.

/** One size of a picture. `rid` is its name (RFC 8851), in an offer and in what a node says. */
export interface Layer {
  rid: "q" | "h" | "f";
  /** By how much the camera's picture is made smaller, each way. */
  scale: 4 | 2 | 1;
  /** Upper limit in bit/s. */
  maxBitrate: number;
}

/** What a sender needs to know of the layers. Browsers take the smallest first. */
export function encodingsOf(
  layers: readonly Layer[],
  maxFramerate: number,
): RTCRtpEncodingParameters[] {
  const encodings = layers.map(({ rid, scale, maxBitrate }) => ({
    rid,
    scaleResolutionDownBy: scale,
    maxBitrate,
    maxFramerate,
  }));
  // One layer alone is no simulcast and has no name.
  return encodings.length > 1 ? encodings : encodings.map(({ rid: _, ...encoding }) => encoding);
}

/**
 * Makes the most of the one encoding left by a node that takes no layers: a browser keeps the
 * first, which is the smallest. Returns whether anything had to change.
 */
export function wholePicture(
  encodings: RTCRtpEncodingParameters[],
  layers: readonly Layer[],
): boolean {
  const [only, ...others] = encodings;
  const best = layers.at(-1);
  if (!only || !best || others.length > 0 || layers.length < 2) return false;
  only.scaleResolutionDownBy = best.scale;
  only.maxBitrate = best.maxBitrate;
  return true;
}

/** Sends the layers named and pauses the others. Returns whether anything had to change. */
export function activate(
  encodings: RTCRtpEncodingParameters[],
  active: readonly string[],
): boolean {
  let changed = false;
  for (const encoding of encodings) {
    // What has no name is no layer.
    if (encoding.rid === undefined) continue;
    const wanted = active.includes(encoding.rid);
    // An encoding that says nothing is active.
    if ((encoding.active ?? true) === wanted) continue;
    encoding.active = wanted;
    changed = true;
  }
  return changed;
}
