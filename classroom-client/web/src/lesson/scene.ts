// What a class's screen shows of a lesson: one thing large, some faces beside it. Follows from
// the view that was directed; where what it names is not there, from what is. Pure.

import { membersOf, teacherOf } from "../protocol/state.ts";
import { type LessonState, trackId } from "../protocol/words.ts";

/** What is shown large. */
export type Big =
  | { show: "camera" | "screen"; member: string }
  | { show: "slides" }
  | { show: "board" }
  | { show: "grid"; members: string[] }
  | { show: "nobody" };

export interface Scene {
  big: Big;
  /** Members whose cameras stand beside it, the most important first. */
  beside: string[];
}

/** Members on stage shown at once. */
export const MOST_ON_STAGE = 4;
/** Classrooms of a grid: more would be too small to be anybody. */
export const MOST_IN_GRID = 9;

function has(state: LessonState, member: string | undefined, source: "camera" | "screen") {
  return member !== undefined && trackId(member, source) in state.tracks;
}

/** Whether there are slides to be seen. */
function slidesOpen(state: LessonState): boolean {
  return state.slides !== undefined;
}

export function sceneOf(state: LessonState, me: string): Scene {
  const teacher = teacherOf(state)?.id;
  const stage = state.stage.filter((id) => id !== me && has(state, id, "camera"));
  const { layout, focus } = state.view;
  const big = bigOf(state, me, stage);
  const shown = new Set(big.show === "grid" ? big.members : "member" in big ? [big.member] : []);
  const facesAt = big.show === "screen" ? undefined : shown;
  // Slides alone are slides alone; everything else leaves the teacher in sight.
  const leads = layout === "slides" && big.show === "slides" ? undefined : teacher;
  const faces = [leads, focus, ...stage.slice(-MOST_ON_STAGE)].filter(
    (id, at, all): id is string =>
      id !== undefined &&
      id !== me &&
      has(state, id, "camera") &&
      !facesAt?.has(id) &&
      all.indexOf(id) === at,
  );
  return { big, beside: faces };
}

function bigOf(state: LessonState, me: string, stage: readonly string[]): Big {
  const { layout, focus } = state.view;
  const teacher = teacherOf(state)?.id;
  switch (layout) {
    case "teacher":
      // As long as nobody has chosen, what there is to look at comes first.
      if (state.view.auto) break;
      if (has(state, teacher, "camera") && teacher) return { show: "camera", member: teacher };
      break;
    case "slides":
    case "slides-teacher":
      if (slidesOpen(state)) return { show: "slides" };
      break;
    case "board":
      return { show: "board" };
    case "screen": {
      const from = [focus, teacher, ...stage].find((id) => has(state, id, "screen"));
      if (from) return { show: "screen", member: from };
      break;
    }
    case "stage": {
      const from = [focus, ...stage].find((id) => id !== me && has(state, id, "camera"));
      if (from) return { show: "camera", member: from };
      break;
    }
    case "grid": {
      const rooms = membersOf(state, "classroom").map((member) => member.id);
      const seen = rooms.filter((id) => id !== me && has(state, id, "camera"));
      if (seen.length > 0) return { show: "grid", members: seen.slice(0, MOST_IN_GRID) };
      break;
    }
    case "auto":
      break;
  }
  return byItself(state, teacher, focus);
}

/** What is there, what was made to be looked at first. */
function byItself(state: LessonState, teacher: string | undefined, focus: string | undefined): Big {
  if (teacher && has(state, teacher, "screen")) return { show: "screen", member: teacher };
  if (slidesOpen(state)) return { show: "slides" };
  const face = [focus, teacher].find((id) => has(state, id, "camera"));
  return face ? { show: "camera", member: face } : { show: "nobody" };
}
