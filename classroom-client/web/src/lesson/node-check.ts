// Before entering: is the node there, how far is it, and does it know the token?

export interface NodeCheck {
  /** Shortest round trip of an HTTP request in ms; `undefined` when the node can't be reached. */
  roundTripMs: number | undefined;
  /** What the node says against the token; `undefined` when it is good or could not be asked. */
  unauthorized: string | undefined;
}

/** The first request also opens the connection; the best of the others is the line. */
const REQUESTS = 4;

export async function checkNode(token: string, lang: string): Promise<NodeCheck> {
  let roundTripMs: number | undefined;
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
    if (answer.status !== 401) return { roundTripMs, unauthorized: undefined };
    const problem: { detail?: string } = await answer.json().catch(() => ({}));
    return { roundTripMs, unauthorized: problem.detail ?? "" };
  } catch {
    return { roundTripMs, unauthorized: undefined };
  }
}
