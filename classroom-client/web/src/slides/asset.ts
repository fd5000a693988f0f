// Assets of a lesson, at the page's own node: `docs/slides.md` has how they get there.

import { send } from "../http/request.ts";

/** Where the node serves an asset. The id is all that is needed to have it. */
export function assetUrl(lesson: string, asset: string): string {
  return `/lessons/${encodeURIComponent(lesson)}/assets/${asset}`;
}

/** Gives the node a file of the lesson. Rejects with `HttpProblem`, or as `fetch` does. */
export async function putAsset(
  { lesson, token }: { lesson: string; token: string },
  file: Blob,
  signal: AbortSignal,
): Promise<string> {
  const url = `/api/lessons/${encodeURIComponent(lesson)}/assets`;
  const asked = { method: "POST", token, body: file, signal } as const;
  const { id } = await send<{ id: string }>(url, asked);
  return id;
}
