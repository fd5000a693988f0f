// WHIP (RFC 9725) as our nodes speak it: one offer, one answer, no trickle.

import { problemOf } from "../http/problem.ts";

/** A publishing session at the node. */
export interface WhipSession {
  answer: string;
  /** Ends the session. Quiet when it is already gone. */
  end(): Promise<void>;
}

export async function whip(
  url: string,
  offer: string,
  token: string,
  lang: string,
  signal: AbortSignal,
): Promise<WhipSession> {
  const headers = { Authorization: `Bearer ${token}`, "Accept-Language": lang };
  const response = await fetch(url, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/sdp" },
    body: offer,
    signal,
  });
  if (response.status !== 201) throw await problemOf(response);
  const location = response.headers.get("Location");
  const answer = await response.text();
  return {
    answer,
    async end() {
      if (!location) return;
      const session = new URL(location, new URL(url, document.baseURI));
      // `keepalive`: it is also sent from a page that is being closed.
      await fetch(session, { method: "DELETE", headers, keepalive: true }).catch(() => undefined);
    },
  };
}
