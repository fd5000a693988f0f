// Records a few seconds of one's own voice and plays them back: what the class will hear.

import { signal } from "@preact/signals";

const RECORD_MS = 3_000;

export class VoiceTest {
  readonly state = signal<"idle" | "recording" | "playing">("idle");

  async run(microphone: MediaStreamTrack, speaker: string): Promise<void> {
    if (this.state.peek() !== "idle") return;
    this.state.value = "recording";
    try {
      const sound = await record(microphone);
      this.state.value = "playing";
      await play(sound, speaker);
    } finally {
      this.state.value = "idle";
    }
  }
}

function record(microphone: MediaStreamTrack): Promise<Blob> {
  return new Promise((resolve, reject) => {
    const recorder = new MediaRecorder(new MediaStream([microphone]));
    const parts: Blob[] = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = () => resolve(new Blob(parts, { type: recorder.mimeType }));
    recorder.onerror = () => reject(new Error("the microphone could not be recorded"));
    recorder.start();
    setTimeout(() => recorder.stop(), RECORD_MS);
  });
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
