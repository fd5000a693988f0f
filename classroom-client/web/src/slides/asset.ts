// Assets of a lesson, at the page's own node: `docs/slides.md` has how they get there.

import { problemOf } from "../http/problem.ts";
import { lang } from "../i18n/index.ts";

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
  const response = await fetch(`/api/lessons/${encodeURIComponent(lesson)}/assets`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Accept-Language": lang.peek() },
    body: file,
    signal,
  });
  if (!response.ok) throw await problemOf(response);
  const { id } = (await response.json()) as { id: string };
  return id;
}
