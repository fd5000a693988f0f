// A lesson to test with.

import { nothingDone } from "./changes.ts";
import type {
  EventBody,
  LessonEvent,
  LessonInfo,
  LessonState,
  Member,
  Role,
  ServerMessage,
} from "./words.ts";

export const info: LessonInfo = {
  id: "math",
  title: "二次函数的图像",
  subject: "数学",
  grade: "九年级",
  teacher: "李老师",
  campus: "campus",
  schools: ["school-01"],
};

export function member(id: string, role: Role, school = "campus"): Member {
  return { id, name: id, role, school, node: school };
}

export function emptyState(): LessonState {
  return {
    info,
    phase: "open",
    seq: 0,
    members: {},
    hands: [],
    stage: [],
    muted: [],
    tracks: {},
    ...nothingDone(),
  };
}

export function event(seq: number, body: EventBody, atMs = seq * 1000): LessonEvent {
  return { seq, id: `00000000-0000-0000-0000-${String(seq).padStart(12, "0")}`, atMs, ...body };
}

export function welcome(state: LessonState, you: Member, campus = true): ServerMessage {
  return { type: "welcome", you, state, nowMs: Date.now(), campus, links: {} };
}
