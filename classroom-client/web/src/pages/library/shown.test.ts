import { expect, it } from "vitest";
import { type Moment, momentAt } from "./shown.ts";

it("what is shown is what began last, and nothing while cameras were alone on the screen", () => {
  const page = { deck: "d", asset: "a", width: 4, height: 3 };
  const moments: Moment[] = [
    { startMs: 1_000, show: "slides", page: 1, ...page },
    { startMs: 2_000, show: "slides", page: 2, ...page },
    { startMs: 3_000, show: "board" },
    { startMs: 4_000, show: "media" },
  ];
  const at = (ms: number) => {
    const moment = momentAt(moments, ms);
    return moment?.show === "slides" ? moment.page : moment?.show;
  };
  expect([0, 1_000, 2_999, 3_000, 4_000].map(at)).toEqual([undefined, 1, 2, "board", undefined]);
});
