// Members as a teacher looks at them: by school, by how they take part. Pure.

import { classSize, schoolsOf } from "../../lesson/results.ts";
import { membersOf } from "../../protocol/state.ts";
import type { LessonState, Member } from "../../protocol/words.ts";

/** Names shown at once; beyond, one searches. */
export const MOST_SHOWN = 60;

function grouped<T>(all: readonly T[], by: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const key = by(one);
    const group = groups.get(key);
    if (group) group.push(one);
    else groups.set(key, [one]);
  }
  return groups;
}

/** Who takes part with a device of its own: can answer, be asked, be called up. */
export function takingPart(state: LessonState): Member[] {
  return [...membersOf(state, "student"), ...membersOf(state, "classroom")];
}

/** Who is expected to answer a roll call: everybody who takes part. */
export function expectedAnswers(state: LessonState): Member[] {
  return [...takingPart(state), ...membersOf(state, "assistant")];
}

export interface SchoolView {
  school: string;
  classrooms: Member[];
  students: Member[];
  /** Children: counted at the roll call, or students with devices. */
  heads: number;
  expected: number | undefined;
  /** Hands up, counted ones included. */
  hands: number;
  countedHands: number;
}

/** Everything of a school that someone is at, the campus first. */
export function schoolViews(state: LessonState): SchoolView[] {
  const classrooms = grouped(membersOf(state, "classroom"), (member) => member.school);
  const students = grouped(membersOf(state, "student"), (member) => member.school);
  const raised = grouped(state.hands, (hand) => state.members[hand.member]?.school ?? "");
  return schoolsOf(state).flatMap((school): SchoolView[] => {
    const rooms = classrooms.get(school) ?? [];
    const pupils = students.get(school) ?? [];
    const countedHands = Object.values(state.handCounts)
      .filter((one) => one.school === school)
      .reduce((sum, one) => sum + one.count, 0);
    const hands = (raised.get(school)?.length ?? 0) + countedHands;
    if (rooms.length === 0 && pupils.length === 0 && hands === 0) return [];
    const counted = Object.values(state.rollCall?.counted ?? {}).filter(
      (one) => one.school === school,
    );
    const expected = counted.reduce((sum, one) => sum + (one.expected ?? 0), 0);
    return [
      {
        school,
        classrooms: rooms,
        students: pupils,
        heads: classSize(state, school),
        expected: expected > 0 ? expected : undefined,
        hands,
        countedHands,
      },
    ];
  });
}

export interface SchoolHands {
  school: string;
  hands: { member: string; atMs: number; place: number }[];
  /** Counted in its classrooms. */
  counted: number;
  /** Since when the longest waits. */
  sinceMs: number;
}

/** The queue of hands by school: the school that waits longest first, each in order. */
export function handQueue(state: LessonState): SchoolHands[] {
  const bySchool = new Map<string, SchoolHands>();
  const at = (school: string, sinceMs: number) => {
    const one = bySchool.get(school) ?? { school, hands: [], counted: 0, sinceMs };
    one.sinceMs = Math.min(one.sinceMs, sinceMs);
    bySchool.set(school, one);
    return one;
  };
  state.hands.forEach(({ member, atMs }, index) => {
    const school = state.members[member]?.school ?? "";
    at(school, atMs).hands.push({ member, atMs, place: index + 1 });
  });
  for (const { school, count, atMs } of Object.values(state.handCounts)) {
    at(school, atMs).counted += count;
  }
  return [...bySchool.values()].sort((a, b) => a.sinceMs - b.sinceMs);
}

/** Whose name or school has `search` in it, all when nothing is searched. */
export function found(members: readonly Member[], search: string): Member[] {
  const wanted = search.trim().toLowerCase();
  if (wanted === "") return [...members];
  return members.filter(
    ({ name, school }) => name.toLowerCase().includes(wanted) || school.toLowerCase() === wanted,
  );
}

/** The newest reaction of each, summed: understood or not by school, all others together. */
export interface Pulse {
  understood: number;
  not: number;
  others: number;
  schools: { school: string; understood: number; not: number }[];
}

export function pulseOf(state: LessonState): Pulse {
  const pulse: Pulse = { understood: 0, not: 0, others: 0, schools: [] };
  const bySchool = new Map<string, { school: string; understood: number; not: number }>();
  for (const [member, { reaction, count }] of Object.entries(state.reactions)) {
    const school = state.members[member]?.school ?? "";
    if (reaction !== "understood" && reaction !== "not-understood") {
      pulse.others += count;
      continue;
    }
    const one = bySchool.get(school) ?? { school, understood: 0, not: 0 };
    bySchool.set(school, one);
    if (reaction === "understood") {
      one.understood += count;
      pulse.understood += count;
    } else {
      one.not += count;
      pulse.not += count;
    }
  }
  pulse.schools = schoolsOf(state).flatMap((school) => bySchool.get(school) ?? []);
  return pulse;
}
