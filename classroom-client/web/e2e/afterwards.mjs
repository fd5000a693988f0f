// After the lesson: the recording is in the library and plays to its end, and the report
// says who was there.

import { accessibility, byId, expect, test, visit } from "./harness.mjs";
import { walk } from "./keys.mjs";

const TITLE = "二次函数的图像";

export async function afterwards(browser, links, { teacher, room, student }) {
  const archived = await test("closing pages lead to the recording within seconds", async () => {
    const at = performance.now();
    for (const page of [teacher, room, student]) await byId(page, "recording").waitFor();
    return `${((performance.now() - at) / 1000).toFixed(1)} s`;
  });

  if (archived) {
    await test("the recording plays in the browser to its end, with picture and sound", async () => {
      await byId(teacher, "recording").click();
      await byId(teacher, "player").waitFor();
      const end = await playToEnd(teacher);
      expect(end.frames > 25, `only ${end.frames} frames were shown`);
      expect(end.audioBytes > 0, "no sound was decoded");
      expect(end.duration > 5, `it lasts only ${end.duration} s`);
      await byId(teacher, "player-state").and(teacher.locator(":not(:empty)")).waitFor();
      await accessibility(teacher);
      await walk(teacher);
      return `${end.duration.toFixed(1)} s, ${end.frames} frames`;
    });
  }

  await test("the library lists it with a cover, and finds it or says it does not", async () => {
    for (const lang of ["zh-CN", "en"]) {
      const page = await visit(browser, "library", `${links.library}&lang=${lang}`);
      const card = page.locator(".recording-card").first();
      await card.getByText(TITLE).waitFor();
      await card.locator('img[data-testid="cover"]').waitFor();
      await page.waitForFunction(
        () => document.querySelector(".recording-card img")?.naturalWidth > 0,
      );
      await accessibility(page);
      await walk(page);
      await byId(page, "search").fill("没有这样的课");
      await byId(page, "library-empty").waitFor();
      await byId(page, "search").fill("函数 李老师");
      await card.waitFor();
      await page.context().close();
    }
  });

  await test("the report shows the school's attendance, talk and hands", async () => {
    for (const lang of ["zh-CN", "en"]) {
      const page = await visit(browser, "report", `${links.report}&lang=${lang}`);
      await byId(page, "report").getByText(TITLE).first().waitFor();
      await byId(page, "attendance-school-01").waitFor();
      const talk = await page.locator('[data-testid="talk-host"]').getAttribute("data-ms");
      expect(Number(talk) > 0, "no talk of the campus");
      await accessibility(page);
      await walk(page);
      await page.context().close();
    }
  });

  await test("library and report say what is wrong with a token", async () => {
    const library = await visit(
      browser,
      "library",
      `${links.recorder}/library#token=a.b.c&lang=en`,
    );
    await byId(library, "library-failed").waitFor();
    await library.context().close();
    const report = `${links.analytics}/report/${links.lesson}#token=a.b.c&lang=en`;
    const refused = await visit(browser, "report", report);
    await byId(refused, "report-failed").waitFor();
    await refused.context().close();
  });
}

/** Waits for the player to reach the end by itself; says what was shown till then. */
function playToEnd(page) {
  return page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const video = document.querySelector('[data-testid="player"]');
        const report = () =>
          resolve({
            duration: video.duration,
            frames: video.getVideoPlaybackQuality().totalVideoFrames,
            audioBytes: video.webkitAudioDecodedByteCount,
          });
        if (video.ended) report();
        video.addEventListener("ended", report);
        video.addEventListener("error", () => reject(new Error(video.error?.message)));
        let at = -1;
        // Playing on, however slowly, is well; standing still is not.
        setInterval(() => {
          if (video.ended) return;
          const failed = document.querySelector('[data-testid="player-failed"]');
          if (failed) reject(new Error(failed.textContent));
          if (video.currentTime === at) reject(new Error(`it stands still at ${at} s`));
          at = video.currentTime;
        }, 20_000);
      }),
  );
}
