// Slides from a PDF, on the teacher's page at the campus and on a classroom's screen at the
// school's node: opened, turned within a second, pointed at, seen at a glance, put away.

import {
  accessibility,
  aimed,
  byId,
  expect,
  launch,
  plays,
  test,
  until,
  visit,
} from "./harness.mjs";
import { pdfOf } from "./pdf.mjs";

/** From the teacher's key to the page on the school's screen. */
const TURN_WITHIN_MS = 1000;
const TITLES = ["抛物线的顶点", "对称轴", "练习"];

const shows = (page, number) => byId(page, "slides").locator(`img[data-page="${number}"]`);

/** Whether a page's picture is there, not only its place. */
async function seen(page, number) {
  const picture = shows(page, number);
  await picture.waitFor();
  await until(`page ${number} is drawn`, () =>
    picture.evaluate((img) => img.complete && img.naturalWidth > 0),
  );
}

export async function slides({ links }) {
  const browser = await launch();
  let teacher;
  let room;
  const files = [];

  const begun = await test("a teacher at the campus and a classroom at the school", async () => {
    teacher = await visit(browser, "teacher", links.teacher);
    await plays(teacher, "own-camera");
    await byId(teacher, "enter").click();
    await byId(teacher, "teacher").waitFor();
    await teacher.keyboard.press("b");
    await byId(teacher, "recording-dot").waitFor();
    room = await visit(browser, "classroom", links.classroom, { size: [1920, 1080] });
    room.on("response", (answer) => {
      if (/\/assets\/[0-9a-f]{64}$/.test(answer.url())) files.push(answer.url());
    });
    await byId(room, "main-video").waitFor();
  });
  if (!begun) return;

  const opened = await test("a PDF becomes slides on every screen", async () => {
    await byId(teacher, "middle-slides").click();
    const file = { name: "二次函数.pdf", mimeType: "application/pdf", buffer: pdfOf(TITLES) };
    const from = performance.now();
    await byId(teacher, "slides-file").setInputFiles(file);
    await seen(teacher, 1);
    await seen(room, 1);
    const took = performance.now() - from;
    const alt = await shows(room, 1).getAttribute("alt");
    expect(alt.includes(TITLES[0]), `it is called ${alt}`);
    const size = await shows(room, 1).evaluate((img) => [img.naturalWidth, img.naturalHeight]);
    expect(size.join() === "1920,1440" || size[0] === 800, `its picture is ${size}`);
    await accessibility(teacher);
    await accessibility(room);
    return `${(took / 1000).toFixed(1)} s from the file to both screens`;
  });
  if (!opened) return;

  await test("a page is turned on the school's screen", async () => {
    // As in a lesson: a page has been looked at before it is turned, and the next has come.
    const next = await teacher.evaluate(() => document.querySelector('[data-testid="slide"]')?.src);
    expect(next, "the teacher sees the first page");
    await until("the school has fetched ahead", () => files.length >= 2);
    const turned = room.evaluate(
      () =>
        new Promise((done) => {
          const look = () => {
            const img = document.querySelector('[data-testid="slide"][data-page="2"]');
            if (img?.complete && img.naturalWidth > 0) done(Date.now());
            else requestAnimationFrame(look);
          };
          look();
        }),
    );
    const from = Date.now();
    await teacher.keyboard.press("ArrowRight");
    const took = (await turned) - from;
    await seen(teacher, 2);
    return aimed(took, TURN_WITHIN_MS);
  });

  await test("where the teacher points is seen there, and fades", async () => {
    const box = await shows(teacher, 2).boundingBox();
    await teacher.mouse.move(box.x + box.width / 4, box.y + box.height / 2);
    const dot = byId(room, "slide-pointer");
    await until("the pointer is seen", async () => (await dot.getAttribute("data-on")) === "true");
    const at = await dot.evaluate((one) => one.style.insetInlineStart);
    expect(Math.abs(Number.parseFloat(at) - 25) < 2, `it points at ${at}`);
    await until("it fades", async () => (await dot.getAttribute("data-on")) === "false");
  });

  await test("all pages at a glance lead to any of them", async () => {
    await byId(teacher, "slides-overview").click();
    await byId(teacher, "slides-grid").waitFor();
    await accessibility(teacher);
    await byId(teacher, "slides-goto-3").click();
    await byId(teacher, "slides-grid").waitFor({ state: "detached" });
    await seen(room, 3);
    await teacher.keyboard.press("PageUp");
    await seen(room, 2);
  });

  await test("slides that are put away are gone everywhere and come back where they were", async () => {
    await byId(teacher, "slides-close").click();
    await byId(room, "slides").waitFor({ state: "detached" });
    await byId(teacher, "slides-again").first().click();
    await seen(room, 2);
    const at = new Set(files.map((url) => new URL(url).port));
    expect(at.size === 1, "the classroom speaks to its own node only");
  });

  const written = await test("ink on a page and on the board, and the end", async () => {
    const surface = (page) => page.locator('[data-testid="board-surface"]');
    const holds = (page, count) => surface(page).and(page.locator(`[data-count="${count}"]`));
    await holds(room, 0).waitFor();
    await draw(teacher, surface(teacher));
    await holds(room, 1).waitFor();
    await teacher.keyboard.press("w");
    await byId(room, "slides").waitFor({ state: "detached" });
    await holds(room, 0).waitFor();
    await draw(teacher, surface(teacher));
    await draw(teacher, surface(teacher));
    await holds(room, 2).waitFor();
    await teacher.locator("body").click({ position: { x: 2, y: 2 } });
    await teacher.keyboard.press("e");
    await byId(teacher, "end-confirm").click();
    await byId(room, "recording").waitFor();
  });
  if (!written) return;

  await test("the replay shows pages with their ink, and the board, as the class saw them", async () => {
    const told = room.waitForResponse((answer) => answer.url().endsWith("/shown.json"));
    await byId(room, "recording").click();
    const { moments } = await (await told).json();
    const shows = (what, at) => {
      const found = moments.findLastIndex(({ show, page }) => show === what && page === at);
      expect(found >= 0, `${what} ${at ?? ""} is not among ${JSON.stringify(moments)}`);
      return { from: moments[found].startMs, until: moments[found + 1]?.startMs };
    };
    const seek = (ms) =>
      byId(room, "player").evaluate((video, to) => {
        video.pause();
        video.currentTime = to / 1000;
      }, ms);
    const strokes = (count) =>
      room.locator(`[data-testid="board-surface"][data-count="${count}"]`).waitFor();
    const drawn = async (number) => {
      const picture = byId(room, "shown-slide").locator("img");
      await room.locator(`[data-testid="shown-slide"][data-page="${number}"]`).waitFor();
      expect(await picture.evaluate((img) => img.naturalWidth > 0), `page ${number} is empty`);
    };
    await room.waitForFunction(
      () => document.querySelector('[data-testid="player"]')?.duration > 1,
    );
    const [third, second, board] = [shows("slides", 3), shows("slides", 2), shows("board")];
    // From the end to the beginning, and on from there: what came later must be gone again.
    for (const lang of ["zh-CN", "en"]) {
      if ((await room.getAttribute("html", "lang")) !== lang) await byId(room, "language").click();
      await seek(board.from + 60_000);
      await room.locator('[data-testid="shown"][data-show="board"]').waitFor();
      await strokes(2);
      await accessibility(room);
      await seek(third.from + 1);
      await drawn(3);
      await strokes(0);
      await seek(second.from + 1);
      await drawn(2);
      await strokes(0);
      await seek(second.until - 1);
      await strokes(1);
      await accessibility(room);
      await seek(board.from + 1);
      await strokes(0);
    }
    await seek(0);
    await byId(room, "shown").waitFor({ state: "detached" });
  });
}

/** Draws a stroke across a surface. */
async function draw(page, surface) {
  const { x, y, width, height } = await surface.boundingBox();
  await page.mouse.move(x + width * 0.3, y + height * 0.3);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.6, y + height * 0.5, { steps: 5 });
  await page.mouse.up();
}
