// What a service of ours has, as JSON or as a file.

import { request } from "./request.ts";

export async function getJson<T>(url: string, token: string, signal?: AbortSignal): Promise<T> {
  const response = await request(url, signal ? { token, signal } : { token });
  return response.json() as Promise<T>;
}

export async function getBlob(url: string, token: string): Promise<Blob> {
  return (await request(url, { token })).blob();
}
