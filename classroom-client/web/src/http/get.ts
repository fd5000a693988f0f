// One way to ask our services for something: bearer token, language, readable refusals.

import { lang } from "../i18n/index.ts";
import { problemOf } from "./problem.ts";

async function get(url: string, token: string, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(url, {
    headers: { Authorization: `Bearer ${token}`, "Accept-Language": lang.peek() },
    ...(signal ? { signal } : {}),
  });
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function getJson<T>(url: string, token: string, signal?: AbortSignal): Promise<T> {
  return (await get(url, token, signal)).json() as Promise<T>;
}

export async function getBlob(url: string, token: string): Promise<Blob> {
  return (await get(url, token)).blob();
}
