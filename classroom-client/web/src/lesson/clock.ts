// How long until something ends, by the node's clock.

import { clock } from "../i18n/format.ts";
import type { LessonSession } from "./session.ts";

/** Milliseconds left, never below nothing. */
export function leftOf(session: LessonSession, endsMs: number): number {
  return Math.max(0, endsMs - session.now.value - session.socket.clockOffset.value);
}

/** As it is shown: whole seconds begun, so that the last reads `00:01` and the end `00:00`. */
export function leftClock(session: LessonSession, endsMs: number): string {
  return clock(Math.ceil(leftOf(session, endsMs) / 1000) * 1000);
}

/** The node's time now. */
export function nodeNow(session: LessonSession): number {
  return session.now.value + session.socket.clockOffset.value;
}
