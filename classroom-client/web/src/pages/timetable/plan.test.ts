import { describe, expect, it } from "vitest";
import { days, type LessonLine, nextOf, toEnter } from "./plan.ts";

function line(id: string, phase: LessonLine["phase"], plannedStartMs?: number): LessonLine {
  const info = { id, title: id, teacher: "李", campus: "campus" };
  return { info: plannedStartMs === undefined ? info : { ...info, plannedStartMs }, phase };
}

const EIGHT = new Date(2026, 10, 23, 8).getTime();
const HOUR = 3_600_000;

describe("a timetable", () => {
  it("shows what is to come by day, in the order of the bells", () => {
    const table = days([
      line("c", "scheduled", EIGHT + 26 * HOUR),
      line("b", "scheduled", EIGHT + HOUR),
      line("over", "ended", EIGHT),
      line("a", "live", EIGHT),
      line("x", "open"),
    ]);
    expect(table.map((day) => day.lessons.map((one) => one.info.id))).toEqual([
      ["x"],
      ["a", "b"],
      ["c"],
    ]);
    expect(table[0]?.startMs).toBeUndefined();
    expect(table[1]?.startMs).toBe(new Date(2026, 10, 23).getTime());
  });

  it("sends a device to the lesson being given, else to the open one nearest its bell", () => {
    const open = [line("later", "open", EIGHT + HOUR), line("soon", "open", EIGHT)];
    expect(toEnter(open, EIGHT - HOUR / 4)?.info.id).toBe("soon");
    expect(toEnter([...open, line("given", "live", EIGHT)], EIGHT)?.info.id).toBe("given");
    const waiting = [line("b", "scheduled", EIGHT + HOUR), line("a", "scheduled", EIGHT)];
    expect(toEnter(waiting, EIGHT)).toBeUndefined();
    expect(nextOf(waiting)?.info.id).toBe("a");
  });
});
