// Sending something to a service of ours. Its refusals come as `HttpProblem`s with a sentence.

import { lang } from "../i18n/index.ts";
import { problemOf } from "./problem.ts";

interface Sent {
  method: "POST" | "PUT" | "DELETE";
  token?: string;
  /** An object goes as JSON, a file as what it says it is. */
  body?: object | Blob;
  /** Statuses besides success that come with an answer of ours, not with a problem. */
  also?: readonly number[];
}

/** Sends, and reads the answer; `undefined` where there is none. */
export async function send<T>(url: string, { method, token, body, also = [] }: Sent): Promise<T> {
  const headers: Record<string, string> = { "Accept-Language": lang.peek() };
  if (token) headers.Authorization = `Bearer ${token}`;
  const file = body instanceof Blob;
  if (body && !file) headers["Content-Type"] = "application/json";
  const response = await fetch(url, {
    method,
    headers,
    ...(body ? { body: file ? body : JSON.stringify(body) } : {}),
  });
  if (!response.ok && !also.includes(response.status)) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}
