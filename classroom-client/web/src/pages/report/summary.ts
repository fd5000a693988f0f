// The figures of a lesson, as docs/behaviour-data.md describes `GET /lessons/{id}/summary`.

export type SiteKind = "host" | "remote";

interface OfSchool {
  school: string;
  siteKind: SiteKind;
}

export interface Attendance extends OfSchool {
  invited: boolean;
  attended: boolean;
  members: {
    total: number;
    teacher: number;
    assistant: number;
    classroom: number;
    student: number;
  };
  firstJoin: string | null;
  lastLeave: string | null;
  presentNow: number;
  minutesPresent: number;
  shareOfLesson: number | null;
}

export interface Talk {
  ms: number;
  share: number | null;
  turns: number;
}

export interface Summary {
  asOf: string;
  lesson: {
    id: string;
    title: string;
    subject: string;
    grade: string;
    teacher: string;
    campus: string;
    schools: string[];
    schoolNames?: Record<string, string>;
    phase: "scheduled" | "open" | "live" | "ended" | "archived";
    plannedMinutes: number | null;
    recording: string | null;
  };
  startedAt: string | null;
  endedAt: string | null;
  durationMs: number;
  attendance: Attendance[];
  talk: {
    totalMs: number;
    bySide: (Talk & { siteKind: SiteKind })[];
    byRole: (Talk & { role: "T" | "A" | "S" | "C" })[];
    bySchool: (Talk & OfSchool)[];
    source: { kind: string; confidence: number | null };
  };
  hands: (OfSchool & { raised: number; answered: number; medianWaitMs: number | null })[];
  floor: (OfSchool & { times: number; ms: number })[];
  equity: { unit: string; turns: string; n: number; gini: number; coverage: number };
  st: {
    intervalMs: number;
    n: number;
    rt: number | null;
    ch: number | null;
    type: "practice" | "lecture" | "dialogue" | "mixed" | null;
    sequence: string;
  };
}

export function summaryAddress(lesson: string): string {
  return `/lessons/${encodeURIComponent(lesson)}/summary`;
}

/** Joins equal letters of an S–T sequence: `TTS` is two T, then one S. */
export function runsOf(sequence: string): { letter: string; from: number; length: number }[] {
  const runs: { letter: string; from: number; length: number }[] = [];
  for (const [index, letter] of [...sequence].entries()) {
    const last = runs.at(-1);
    if (last?.letter === letter) last.length += 1;
    else runs.push({ letter, from: index, length: 1 });
  }
  return runs;
}
