import { describe, expect, it } from "vitest";
import { digitsOf, shownCode } from "./code.ts";

describe("a lesson's code", () => {
  it("is read as people type it", () => {
    expect(digitsOf("8362 7419")).toBe("83627419");
    expect(digitsOf("８３６２－７４１９")).toBe("83627419");
    expect(digitsOf("8362741999")).toBe("83627419");
    expect(digitsOf("code 12")).toBe("12");
  });

  it("is shown in two halves", () => {
    expect(shownCode("83627419")).toBe("8362 7419");
    expect(shownCode("8362")).toBe("8362");
    expect(shownCode("83627")).toBe("8362 7");
  });
});
