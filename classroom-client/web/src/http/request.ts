// One way to ask our services for something: bearer token, language, readable refusals.

import { lang } from "../i18n/index.ts";
import { problemOf } from "./problem.ts";

interface Asked {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  token?: string;
  /** An object goes as JSON, a file as what it says it is. */
  body?: object | Blob;
  signal?: AbortSignal;
  /** After everything else that is under way. */
  low?: boolean;
  /** Statuses besides success that come with an answer of ours, not with a problem. */
  also?: readonly number[];
}

/** Asks. Rejects with `HttpProblem`, or as `fetch` does. */
export async function request(url: string, asked: Asked): Promise<Response> {
  const { method = "GET", token, body, signal, low, also = [] } = asked;
  const headers: Record<string, string> = { "Accept-Language": lang.peek() };
  if (token) headers.Authorization = `Bearer ${token}`;
  const file = body instanceof Blob;
  if (body && !file) headers["Content-Type"] = "application/json";
  const response = await fetch(url, {
    method,
    headers,
    ...(body ? { body: file ? body : JSON.stringify(body) } : {}),
    ...(signal ? { signal } : {}),
    ...(low ? { priority: "low" } : {}),
  });
  if (!response.ok && !also.includes(response.status)) throw await problemOf(response);
  return response;
}

/** Sends, and reads the answer; `undefined` where there is none. */
export async function send<T>(url: string, asked: Asked): Promise<T> {
  const response = await request(url, asked);
  return (response.status === 204 ? undefined : await response.json()) as T;
}
