// Before entering: is the node there, how far is it, does it know the token, and which way do
// picture and sound take to it?

import { HttpProblem } from "../http/problem.ts";
import { FAIR_LOSS, POOR_LOSS } from "../media/line.ts";
import { findPath, type Path } from "../media/path.ts";
import type { Phase } from "../protocol/words.ts";

export interface NodeCheck {
  /** Shortest round trip of an HTTP request in ms; `undefined` when the node can't be reached. */
  roundTripMs: number | undefined;
  /** What the node says against the token; `undefined` when it is good or could not be asked. */
  unauthorized: string | undefined;
  /** The lesson that the address names, if it can be come into. */
  lesson: { title: string; phase: Phase } | undefined;
}

/** The first request also opens the connection; the best of the others is the line. */
const REQUESTS = 4;

interface Listed {
  lessons: { info: { id: string; title: string }; phase: Phase }[];
}

export async function checkNode(lesson: string, token: string, lang: string): Promise<NodeCheck> {
  let roundTripMs: number | undefined;
  const nothing = { unauthorized: undefined, lesson: undefined };
  try {
    for (let i = 0; i < REQUESTS; i += 1) {
      const begun = performance.now();
      await fetch("/livez", { cache: "no-store" });
      const took = performance.now() - begun;
      roundTripMs = Math.min(roundTripMs ?? took, took);
    }
    const answer = await fetch("/api/lessons", {
      headers: { Authorization: `Bearer ${token}`, "Accept-Language": lang },
    });
    if (answer.status === 401) {
      const problem: { detail?: string } = await answer.json().catch(() => ({}));
      return { roundTripMs, unauthorized: problem.detail ?? "", lesson: undefined };
    }
    if (!answer.ok) return { roundTripMs, ...nothing };
    const { lessons }: Listed = await answer.json();
    const found = lessons.find(({ info }) => info.id === lesson);
    const named = found && { title: found.info.title, phase: found.phase };
    return { roundTripMs, unauthorized: undefined, lesson: named };
  } catch {
    return { roundTripMs, ...nothing };
  }
}

/** Which way media takes; `undefined` where the node does not say, as before the lesson is open. */
export async function checkPath(
  lesson: string,
  token: string,
  lang: string,
): Promise<Path | undefined> {
  try {
    return await findPath({ url: `/whep/${encodeURIComponent(lesson)}`, token, lang });
  } catch (error) {
    if (error instanceof HttpProblem) return undefined;
    return { by: "none" };
  }
}

export type Verdict = "down" | "none" | "tcp" | "good" | "fair" | "poor";

/** Beyond these, in ms, a teacher notices: commands lag, then a dialogue does. */
const FAIR_MS = 80;
const POOR_MS = 250;

/** How much is lost on a line, in words. */
export type Losing = "nothing" | "unheard" | "some" | "much";

/** Below half a percent nobody ever notices anything. */
const NOTHING_LOST = 0.005;

export function losingOf(loss: number): Losing {
  if (loss < NOTHING_LOST) return "nothing";
  return loss > POOR_LOSS ? "much" : loss > FAIR_LOSS ? "some" : "unheard";
}

/**
 * One word for the line: what is worst about it. `loss` is the share of packets lost on the way,
 * once that was measured.
 */
export function verdictOf(
  roundTripMs: number | undefined,
  path: Path | undefined,
  loss = 0,
): Verdict {
  if (roundTripMs === undefined) return "down";
  if (path?.by === "none") return "none";
  const losing = losingOf(loss);
  if (roundTripMs > POOR_MS || losing === "much") return "poor";
  if (path?.by === "tcp") return "tcp";
  return roundTripMs > FAIR_MS || losing === "some" ? "fair" : "good";
}
