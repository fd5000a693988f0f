// The timetable as a value: what the node's list says, by day, and what a device should do next.

/** A lesson as `GET /api/lessons` has it. */
export interface LessonLine {
  info: {
    id: string;
    title: string;
    teacher: string;
    subject?: string;
    grade?: string;
    campus: string;
    schools?: string[];
    schoolNames?: Record<string, string>;
    plannedStartMs?: number;
    plannedMinutes?: number;
    code?: string;
  };
  phase: "scheduled" | "open" | "live" | "ended" | "archived";
}

/** Schools as they are typed: ids, each with `=` and a name where people call it by one. */
export function schoolsTyped(text: string): { ids: string[]; names: Record<string, string> } {
  const ids: string[] = [];
  const names: Record<string, string> = {};
  for (const one of text.split(/[\s,;，；、]+/).filter(Boolean)) {
    const [id = "", ...name] = one.split(/[=＝]/);
    if (!id) continue;
    ids.push(id);
    if (name.join("=")) names[id] = name.join("=");
  }
  return { ids, names };
}

/** Lessons that are not over, those of one day together, in the order of their bells. */
export interface Day {
  /** Local midnight; `undefined` for lessons without a set time. */
  startMs: number | undefined;
  lessons: LessonLine[];
}

export function days(lines: readonly LessonLine[]): Day[] {
  const coming = lines.filter((line) => line.phase !== "ended" && line.phase !== "archived");
  const at = (line: LessonLine) => line.info.plannedStartMs ?? Number.NEGATIVE_INFINITY;
  coming.sort((a, b) => at(a) - at(b) || a.info.id.localeCompare(b.info.id));
  const found: Day[] = [];
  for (const line of coming) {
    const startMs = midnight(line.info.plannedStartMs);
    const day = found.at(-1);
    if (day && day.startMs === startMs) day.lessons.push(line);
    else found.push({ startMs, lessons: [line] });
  }
  return found;
}

export function midnight(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : new Date(ms).setHours(0, 0, 0, 0);
}

/** The lesson a device is to enter now: one being given, else the open one whose bell is nearest. */
export function toEnter(lines: readonly LessonLine[], nowMs: number): LessonLine | undefined {
  const live = lines.find((line) => line.phase === "live");
  const open = lines.filter((line) => line.phase === "open");
  const distance = (line: LessonLine) => Math.abs((line.info.plannedStartMs ?? nowMs) - nowMs);
  open.sort((a, b) => distance(a) - distance(b));
  return live ?? open[0];
}

/** The lesson that comes next, when none can be entered. */
export function nextOf(lines: readonly LessonLine[]): LessonLine | undefined {
  const waiting = lines.filter((l) => l.phase === "scheduled" && l.info.plannedStartMs);
  waiting.sort((a, b) => (a.info.plannedStartMs ?? 0) - (b.info.plannedStartMs ?? 0));
  return waiting[0];
}
