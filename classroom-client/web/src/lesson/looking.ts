// How long a child has looked at the screen: since the last rest, and today. A value: time and
// what is so at the moment come in, what is due comes out.

import { AWAY_RESTS_MS, DAY_MS, LOOK_MS, PUT_OFF_MS } from "./policy.ts";

export interface Looking {
  /** The day `todayMs` is of, as `2026-11-22` in the child's own zone. */
  day: string;
  /** Looked at since the last rest, in ms. */
  sinceRestMs: number;
  todayMs: number;
  /** Not looking since so long, in ms. */
  awayMs: number;
  /** No rest is asked for before `sinceRestMs` is this. */
  restAtMs: number;
  /** The day's limit was told of. */
  limitSaid: boolean;
}

export function beginLooking(day: string): Looking {
  return { day, sinceRestMs: 0, todayMs: 0, awayMs: 0, restAtMs: LOOK_MS, limitSaid: false };
}

/** After `ms` more, looked at or not. */
export function look(before: Looking, day: string, ms: number, looking: boolean): Looking {
  const today = before.day === day ? before : { ...before, day, todayMs: 0, limitSaid: false };
  if (looking) {
    return {
      ...today,
      sinceRestMs: today.sinceRestMs + ms,
      todayMs: today.todayMs + ms,
      awayMs: 0,
    };
  }
  const awayMs = today.awayMs + ms;
  return awayMs >= AWAY_RESTS_MS ? rested({ ...today, awayMs }) : { ...today, awayMs };
}

export function rested(before: Looking): Looking {
  return { ...before, sinceRestMs: 0, restAtMs: LOOK_MS };
}

export function putOff(before: Looking): Looking {
  return { ...before, restAtMs: before.sinceRestMs + PUT_OFF_MS };
}

/** What is due: a rest, or the end of the day's looking, which is said once. */
export function dueOf(looking: Looking): "rest" | "limit" | undefined {
  if (looking.todayMs >= DAY_MS && !looking.limitSaid) return "limit";
  return looking.sinceRestMs >= looking.restAtMs ? "rest" : undefined;
}

/** What was kept of an earlier page of the same day; anything else begins anew. */
export function readLooking(text: string | null, day: string): Looking {
  try {
    const kept: unknown = JSON.parse(text ?? "");
    if (typeof kept === "object" && kept !== null && "day" in kept && kept.day === day) {
      const { todayMs, limitSaid } = kept as Partial<Looking>;
      if (typeof todayMs === "number" && todayMs >= 0) {
        return { ...beginLooking(day), todayMs, limitSaid: limitSaid === true };
      }
    }
  } catch {
    // Nothing kept, or nothing of ours.
  }
  return beginLooking(day);
}
