// How a class is put into groups. Pure: members in, groups out.

import type { Group, Member } from "../../../protocol/words.ts";

export type Plan = Omit<Group, "id">;

/** As many as nodes take. */
export const MOST_GROUPS = 50;

/** A group a school, called by `name`; a school too many goes to the last. */
export function bySchool(members: readonly Member[], name: (school: string) => string): Plan[] {
  const plans = new Map<string, Plan>();
  let last: Plan | undefined;
  for (const { id, school } of members) {
    const own = plans.get(school) ?? (plans.size >= MOST_GROUPS ? last : undefined);
    if (own) {
      own.members.push(id);
      continue;
    }
    last = { name: name(school), members: [id] };
    plans.set(school, last);
  }
  return [...plans.values()];
}

/**
 * `count` groups of nearly equal size by chance, each with members of as many schools as can be.
 * `random` gives numbers in [0, 1).
 */
export function atRandom(
  members: readonly Member[],
  count: number,
  name: (n: number) => string,
  random: () => number,
): Plan[] {
  const plans = empty(Math.min(count, Math.max(1, members.length)), name);
  // Dealt out school by school, neighbours of one school land in different groups.
  const order = shuffled(members, random).sort((a, b) => a.school.localeCompare(b.school));
  order.forEach(({ id }, index) => {
    plans[index % plans.length]?.members.push(id);
  });
  return plans;
}

export function empty(count: number, name: (n: number) => string): Plan[] {
  const groups = Math.min(Math.max(1, count), MOST_GROUPS);
  return Array.from({ length: groups }, (_, index) => ({ name: name(index + 1), members: [] }));
}

/** Fisher and Yates. */
function shuffled<T>(all: readonly T[], random: () => number): T[] {
  const result = [...all];
  for (let i = result.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [result[i], result[j]];
    if (a === undefined || b === undefined) continue;
    result[i] = b;
    result[j] = a;
  }
  return result;
}
