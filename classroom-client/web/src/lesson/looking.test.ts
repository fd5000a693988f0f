import { describe, expect, it } from "vitest";
import { beginLooking, dueOf, look, putOff, readLooking, rested } from "./looking.ts";
import { AWAY_RESTS_MS, DAY_MS, LOOK_MS, PUT_OFF_MS } from "./policy.ts";

const DAY = "2026-11-22";

describe("a child's eyes", () => {
  it("get a rest after twenty minutes of looking, and again after twenty more", () => {
    let eyes = look(beginLooking(DAY), DAY, LOOK_MS - 1, true);
    expect(dueOf(eyes)).toBeUndefined();
    eyes = look(eyes, DAY, 1, true);
    expect(dueOf(eyes)).toBe("rest");
    eyes = rested(eyes);
    expect(dueOf(eyes)).toBeUndefined();
    expect(dueOf(look(eyes, DAY, LOOK_MS, true))).toBe("rest");
  });

  it("are asked again soon when the rest was put off", () => {
    const eyes = putOff(look(beginLooking(DAY), DAY, LOOK_MS, true));
    expect(dueOf(look(eyes, DAY, PUT_OFF_MS - 1, true))).toBeUndefined();
    expect(dueOf(look(eyes, DAY, PUT_OFF_MS, true))).toBe("rest");
  });

  it("rest by themselves while the child looks away", () => {
    let eyes = look(beginLooking(DAY), DAY, LOOK_MS - 1, true);
    eyes = look(eyes, DAY, AWAY_RESTS_MS - 1, false);
    expect(eyes.sinceRestMs).toBe(LOOK_MS - 1);
    eyes = look(eyes, DAY, 1, false);
    expect(eyes.sinceRestMs).toBe(0);
  });

  it("have a limit a day, said once, that the next day begins anew", () => {
    let eyes = rested(look(beginLooking(DAY), DAY, DAY_MS, true));
    expect(dueOf(eyes)).toBe("limit");
    eyes = { ...eyes, limitSaid: true };
    expect(dueOf(eyes)).toBeUndefined();
    const tomorrow = look(eyes, "2026-11-23", 1000, true);
    expect(tomorrow.todayMs).toBe(1000);
    expect(tomorrow.limitSaid).toBe(false);
  });

  it("are remembered over a reload of the day, and over nothing else", () => {
    const eyes = look(beginLooking(DAY), DAY, 5000, true);
    expect(readLooking(JSON.stringify(eyes), DAY).todayMs).toBe(5000);
    expect(readLooking(JSON.stringify(eyes), "2026-11-23").todayMs).toBe(0);
    for (const text of [null, "", "[]", "null", '{"day":"2026-11-22","todayMs":"x"}']) {
      expect(readLooking(text, DAY)).toEqual(beginLooking(DAY));
    }
  });
});
