// A lesson at a glance, as `GET /api/patrol` has it, and what of it is shown first.

export type Health = "teacher-away" | "silent" | "schools-short" | "good" | "waiting";

export interface Glance {
  info: {
    id: string;
    title: string;
    teacher: string;
    subject?: string;
    grade?: string;
    schoolNames?: Record<string, string>;
  };
  phase: "open" | "live";
  startedMs?: number;
  health: Health;
  classrooms: number;
  students: number;
  hands: number;
  short: { school: string; rung: "full" | "reduced" | "slides" | "stills" | "sound" }[];
  picture: boolean;
}

export interface Patrol {
  node: string;
  nowMs: number;
  campus: boolean;
  lessons: Glance[];
}

/** Whether somebody should look after it. */
export function needsSomebody(glance: Glance): boolean {
  return glance.health !== "good" && glance.health !== "waiting";
}

export function toneOf(health: Health): "good" | "caution" | "bad" | "" {
  if (health === "good") return "good";
  if (health === "waiting") return "";
  return health === "schools-short" ? "caution" : "bad";
}
