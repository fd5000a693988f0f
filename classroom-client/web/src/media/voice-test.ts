// Records a few seconds of one's own voice and plays them back: what the class will hear. The
// voice goes through the node where there is a way, else it stays on this machine.

import { signal } from "@preact/signals";
import type { Loop } from "./loop.ts";

const RECORD_MS = 3_000;

export class VoiceTest {
  readonly state = signal<"idle" | "connecting" | "recording" | "playing">("idle");
  /** Which way the last voice took. */
  readonly way = signal<"node" | "here" | undefined>(undefined);
  /** Share of its packets that was lost on the way, 0…1, where that is known. */
  readonly loss = signal<number | undefined>(undefined);

  /** `through` gives the voice back from the node; where it can't, the voice is recorded here. */
  async run(
    microphone: MediaStreamTrack,
    speaker: string,
    through?: (microphone: MediaStreamTrack) => Promise<Loop>,
  ): Promise<void> {
    if (this.state.peek() !== "idle") return;
    try {
      let loop: Loop | undefined;
      if (through) {
        this.state.value = "connecting";
        loop = await through(microphone).catch(() => undefined);
      }
      this.state.value = "recording";
      const sound = await record(loop?.track ?? microphone)
        .then(async (recorded) => {
          this.loss.value = await loop?.loss();
          return recorded;
        })
        .finally(() => loop?.end());
      this.way.value = loop ? "node" : "here";
      this.state.value = "playing";
      await play(sound, speaker);
    } finally {
      this.state.value = "idle";
    }
  }
}

async function record(track: MediaStreamTrack): Promise<Blob> {
  const stream = new MediaStream([track]);
  // Browsers decode what comes from afar only while something plays it.
  const quiet = new Audio();
  quiet.muted = true;
  quiet.srcObject = stream;
  await quiet.play().catch(() => undefined);
  try {
    return await new Promise((resolve, reject) => {
      const recorder = new MediaRecorder(stream);
      const parts: Blob[] = [];
      recorder.ondataavailable = ({ data }) => parts.push(data);
      recorder.onstop = () => resolve(new Blob(parts, { type: recorder.mimeType }));
      recorder.onerror = () => reject(new Error("the voice could not be recorded"));
      recorder.start();
      setTimeout(() => recorder.stop(), RECORD_MS);
    });
  } finally {
    quiet.srcObject = null;
  }
}

async function play(sound: Blob, speaker: string): Promise<void> {
  const url = URL.createObjectURL(sound);
  const audio = new Audio(url);
  if (speaker && "setSinkId" in audio) await audio.setSinkId(speaker).catch(() => undefined);
  try {
    await new Promise<void>((resolve, reject) => {
      audio.onended = () => resolve();
      audio.onerror = () => reject(new Error("the recording could not be played"));
      audio.play().catch(reject);
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}
