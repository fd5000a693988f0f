// The recorder's library, as docs/recorder.md describes it.

import { getJson } from "../../http/get.ts";
import { send } from "../../http/request.ts";
import type { KeptBook, Shelf } from "../../review/replay.ts";

export interface Recording {
  id: string;
  lesson: string;
  title: string;
  subject: string;
  grade: string;
  teacher: string;
  campus: string;
  schools: string[];
  startedMs: number;
  durationMs: number;
  width: number;
  height: number;
  playlist: string;
  thumbnail: string;
  /** WebVTT, by language; of a single recording only. */
  captions?: { lang: string; file: string }[];
  chapters?: Chapter[];
  /** Slides and the board, by when they were shown. */
  shown?: string;
}

export interface Chapter {
  startMs: number;
  title: string;
}

/** The chapter that runs at `ms`, by its place; -1 before the first. */
export function chapterAt(chapters: readonly Chapter[], ms: number): number {
  return chapters.findLastIndex((chapter) => chapter.startMs <= ms);
}

export interface RecordingPage {
  total: number;
  subjects: string[];
  teachers: string[];
  items: Recording[];
}

export const PAGE_SIZE = 24;

export interface Query {
  q: string;
  subject: string;
  teacher: string;
}

export function listAddress(query: Query, offset: number): string {
  const parameters = new URLSearchParams({ limit: String(PAGE_SIZE), offset: String(offset) });
  for (const [key, value] of Object.entries(query)) if (value) parameters.set(key, value);
  return `/api/recordings?${parameters}`;
}

export function recordingAddress(id: string): string {
  return `/api/recordings/${encodeURIComponent(id)}`;
}

/** The notes and the sheet that belong to the token's holder, beside a recording. */
export function shelfOf(id: string, token: string): Shelf {
  const address = `${recordingAddress(id)}/review`;
  return {
    read: () => getJson<KeptBook>(address, token),
    note: ({ id: note, ...body }) =>
      send<void>(`${address}/notes/${note}`, { method: "PUT", token, body }),
    sheet: (body) => send<void>(`${address}/sheet`, { method: "PUT", token, body }),
  };
}
