import { describe, expect, it } from "vitest";
import { losingOf, verdictOf } from "./node-check.ts";

describe("the verdict on a line", () => {
  it("is by its round trip as long as media gets through over UDP", () => {
    expect(verdictOf(20, { by: "udp" })).toBe("good");
    expect(verdictOf(81, { by: "udp" })).toBe("fair");
    expect(verdictOf(251, { by: "udp" })).toBe("poor");
  });

  it("is worse for what is lost on the way", () => {
    const lost = (share: number) => verdictOf(20, { by: "udp" }, share);
    expect([0, 0.02, 0.05, 0.2].map(lost)).toEqual(["good", "good", "fair", "poor"]);
    expect(verdictOf(20, { by: "tcp" }, 0.05)).toBe("tcp");
    expect([0, 0.004, 0.01, 0.03, 0.5].map(losingOf)).toEqual([
      "nothing",
      "nothing",
      "unheard",
      "some",
      "much",
    ]);
  });

  it("says what the network blocks", () => {
    expect(verdictOf(20, { by: "tcp" })).toBe("tcp");
    expect(verdictOf(20, { by: "none" })).toBe("none");
    expect(verdictOf(undefined, undefined)).toBe("down");
  });

  it("is not held up by a node that says nothing of media", () => {
    expect(verdictOf(20, undefined)).toBe("good");
  });
});
