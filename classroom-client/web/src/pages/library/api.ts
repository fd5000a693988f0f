// The recorder's library, as docs/recorder.md describes it.

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
