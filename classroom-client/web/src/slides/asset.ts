// Assets of a lesson, at the page's own node: `docs/slides.md` has how they get there. They take
// a token, which an `<img>` can't send: they are fetched, and shown from memory.

import { request, send } from "../http/request.ts";

/** The files of a lesson, and what opens them. */
export interface Files {
  readonly lesson: string;
  readonly token: string;
}

interface Asking {
  signal?: AbortSignal | undefined;
  /** After everything else. */
  low?: boolean;
}

/** An asset, from the browser's cache where it is there. Rejects with `HttpProblem`, or as `fetch` does. */
export async function getAsset(files: Files, asset: string, asking: Asking = {}): Promise<Blob> {
  const { lesson, token } = files;
  const { signal, low } = asking;
  const url = `/lessons/${encodeURIComponent(lesson)}/assets/${asset}`;
  const asked = { token, ...(signal ? { signal } : {}), ...(low ? { low } : {}) };
  return (await request(url, asked)).blob();
}

/** A picture that can be drawn without a blank frame. Let go of it with `URL.revokeObjectURL`. */
export interface Shown {
  /** For an `<img>`. */
  src: string;
  /** Keeps it decoded. */
  image: HTMLImageElement;
}

/** A picture of the lesson, whole and decoded. Rejects as {@link getAsset}, and for what is none. */
export async function getPicture(files: Files, asset: string, asking?: Asking): Promise<Shown> {
  const src = URL.createObjectURL(await getAsset(files, asset, asking));
  const image = new Image();
  image.src = src;
  try {
    await image.decode();
    asking?.signal?.throwIfAborted();
  } catch (error) {
    URL.revokeObjectURL(src);
    throw error;
  }
  return { src, image };
}

/** Gives the node a file of the lesson. Rejects with `HttpProblem`, or as `fetch` does. */
export async function putAsset(
  { lesson, token }: Files,
  file: Blob,
  signal: AbortSignal,
): Promise<string> {
  const url = `/api/lessons/${encodeURIComponent(lesson)}/assets`;
  const asked = { method: "POST", token, body: file, signal } as const;
  const { id } = await send<{ id: string }>(url, asked);
  return id;
}
