// The line of words under the picture: what an assistant, a person or a program, writes down.

import { nodeNow } from "./clock.ts";
import type { LessonSession } from "./session.ts";

/** A line stays this long after its end, so that a slow reader gets to it. */
const STAYS_MS = 4_000;

export function CaptionLine({ session }: { session: LessonSession }) {
  const caption = session.state?.caption;
  const now = nodeNow(session);
  const shown = caption !== undefined && now <= caption.endMs + STAYS_MS;
  return (
    <p class="caption" lang={shown ? caption.lang : undefined} data-testid="caption">
      {shown ? caption.text : ""}
    </p>
  );
}
