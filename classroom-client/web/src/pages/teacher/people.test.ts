import { describe, expect, it } from "vitest";
import { emptyState, member } from "../../protocol/samples.ts";
import type { LessonState } from "../../protocol/words.ts";
import { atRandom, bySchool, empty } from "./panels/plan.ts";
import { found, handQueue, pulseOf, schoolViews } from "./people.ts";

const people = [
  member("li", "teacher"),
  member("wang", "student"),
  member("zhao", "student", "school-01"),
  member("qian", "student", "school-01"),
  member("room", "classroom", "school-02"),
];

function lesson(over: Partial<LessonState> = {}): LessonState {
  const members = Object.fromEntries(people.map((one) => [one.id, one]));
  return { ...emptyState(), members, ...over };
}

describe("the queue of hands", () => {
  it("is by school, the longest waiting first, each keeping its place in the line", () => {
    const queue = handQueue(
      lesson({
        hands: [
          { member: "zhao", atMs: 1 },
          { member: "wang", atMs: 2 },
          { member: "qian", atMs: 3 },
        ],
        handCounts: { a: { school: "school-02", count: 7, atMs: 2.5 } },
      }),
    );
    expect(queue.map(({ school, counted }) => [school, counted])).toEqual([
      ["school-01", 0],
      ["campus", 0],
      ["school-02", 7],
    ]);
    expect(queue[0]?.hands.map(({ member: id, place }) => [id, place])).toEqual([
      ["zhao", 1],
      ["qian", 3],
    ]);
  });
});

describe("schools", () => {
  it("have their classrooms, students, heads and hands; empty ones are left out", () => {
    const views = schoolViews(
      lesson({
        hands: [{ member: "room", atMs: 1 }],
        handCounts: { a: { school: "school-02", count: 6, atMs: 2 } },
        rollCall: {
          id: "r",
          openedMs: 0,
          answered: {},
          counted: { a: { school: "school-02", present: 38, expected: 40 } },
        },
        info: { ...emptyState().info, schools: ["school-01", "school-02", "school-03"] },
      }),
    );
    expect(
      views.map(({ school, heads, expected, hands }) => [school, heads, expected, hands]),
    ).toEqual([
      ["campus", 1, undefined, 0],
      ["school-01", 2, undefined, 0],
      ["school-02", 38, 40, 7],
    ]);
  });

  it("are searched by name, or by the school's whole name", () => {
    expect(found(people, "ZHA").map(({ id }) => id)).toEqual(["zhao"]);
    expect(found(people, "school-01").map(({ id }) => id)).toEqual(["zhao", "qian"]);
    expect(found(people, " ")).toHaveLength(5);
  });

  it("say whether they follow, a classroom for all its pupils", () => {
    const pulse = pulseOf(
      lesson({
        reactions: {
          wang: { reaction: "understood", count: 1, atMs: 1 },
          room: { reaction: "not-understood", count: 9, atMs: 1 },
          zhao: { reaction: "clap", count: 1, atMs: 1 },
        },
      }),
    );
    expect(pulse).toEqual({
      understood: 1,
      not: 9,
      others: 1,
      schools: [
        { school: "campus", understood: 1, not: 0 },
        { school: "school-02", understood: 0, not: 9 },
      ],
    });
  });
});

describe("groups", () => {
  const class40 = Array.from({ length: 41 }, (_, n) =>
    member(`s${n}`, "student", `school-${n % 3}`),
  );
  const name = (n: number) => `${n}`;

  it("are one a school", () => {
    const plans = bySchool(class40, (school) => school);
    expect(plans.map(({ name: school, members }) => [school, members.length])).toEqual([
      ["school-0", 14],
      ["school-1", 14],
      ["school-2", 13],
    ]);
  });

  it("by chance are of nearly equal size, mix the schools, and have everybody once", () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 16807) % 2147483647;
      return seed / 2147483647;
    };
    const plans = atRandom(class40, 5, name, random);
    expect(plans.map(({ members }) => members.length).sort()).toEqual([8, 8, 8, 8, 9]);
    expect(new Set(plans.flatMap(({ members }) => members)).size).toBe(41);
    for (const { members } of plans) {
      const schools = new Set(members.map((id) => Number(id.slice(1)) % 3));
      expect(schools.size).toBe(3);
    }
  });

  it("are never more than there are people, or than a node takes", () => {
    expect(atRandom(class40.slice(0, 2), 9, name, () => 0)).toHaveLength(2);
    expect(empty(900, name)).toHaveLength(50);
    expect(empty(0, name)).toHaveLength(1);
  });
});
