// How loud a microphone is, for a meter.

import type { Signal } from "@preact/signals";

const EVERY_MS = 80;
/** Speech lies between these, in dB of full scale. */
const FLOOR_DB = -60;
const TOP_DB = -12;

/** Places a loudness between 0 (silence) and 1 (as loud as speech should be). */
export function meterLevel(rms: number): number {
  if (rms <= 0) return 0;
  const db = 20 * Math.log10(rms);
  return Math.min(1, Math.max(0, (db - FLOOR_DB) / (TOP_DB - FLOOR_DB)));
}

/** The same for an RFC 6464 level: 0 is the loudest, 127 silence, in −dBov. */
export function meterOfLevel(level: number): number {
  return meterLevel(10 ** (-level / 20));
}

let context: AudioContext | undefined;

/** Measures `track` until the returned function is called. */
export function measureLevel(track: MediaStreamTrack, level: Signal<number>): () => void {
  context ??= new AudioContext();
  // A page without a click yet may not run audio; one that captures may, in most browsers.
  void context.resume().catch(() => undefined);
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    level.value = meterLevel(Math.sqrt(sum / samples.length));
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    source.disconnect();
    level.value = 0;
  };
}
