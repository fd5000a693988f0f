// What the teacher shows: slides, the board, the own screen. Each is on every page that shows the
// lesson.

import { byId, moves, until } from "../harness.mjs";
import { pdfOf } from "../pdf.mjs";
import { idOf, SEEING } from "./crew.mjs";

const ALL = ["teacher", ...SEEING];
const TITLES = ["抛物线的顶点", "对称轴"];
const TEACHER = idOf("teacher");

/** Waits until the picture of a page of slides is there, not only its place. */
async function seen(page, number) {
  const picture = byId(page, "slides").locator(`img[data-page="${number}"]`);
  await picture.waitFor();
  await until(`page ${number} is drawn`, () =>
    picture.evaluate((img) => img.complete && img.naturalWidth > 0),
  );
}

export async function slides(crew, ledger) {
  const { teacher } = crew.pages;
  await teacher.keyboard.press("k");
  const file = { name: "二次函数.pdf", mimeType: "application/pdf", buffer: pdfOf(TITLES) };
  await byId(teacher, "slides-file").setInputFiles(file);
  await crew.on(ALL, (page) => seen(page, 1));
  await byId(teacher, "slides-next").click();
  await crew.on(ALL, (page) => seen(page, 2));
  ledger.did(`slides.opened ${TEACHER}`, "slides.turned 2");
  const width = (page) => byId(page, "slide").evaluate((img) => img.naturalWidth);
  await until("who saves data is sent smaller pictures than the others", async () => {
    const [small, full] = await Promise.all([width(crew.pages.near), width(crew.pages.home)]);
    return small > 0 && small < full;
  });
  await byId(teacher, "slides-close").click();
  await crew.gone(ALL, "slides");
  ledger.did("slides.closed");
}

/** Draws a stroke on the board as it stands on a page. */
async function draw(page, from, to) {
  const { x, y, width, height } = await byId(page, "board-surface").boundingBox();
  const at = ([across, down]) => [x + across * width, y + down * height];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at([(from[0] + to[0]) / 2, from[1]]), { steps: 4 });
  await page.mouse.move(...at(to), { steps: 4 });
  await page.mouse.up();
}

const strokes = (crew, count) =>
  crew.on(ALL, (page) =>
    page.locator(`[data-testid="board-surface"][data-count="${count}"]`).waitFor(),
  );

export async function board(crew, ledger) {
  const { teacher, home, far } = crew.pages;
  await teacher.keyboard.press("w");
  await crew.show(ALL, "board-surface");
  await draw(teacher, [0.2, 0.2], [0.5, 0.6]);
  await strokes(crew, 1);
  await crew.gone(["home"], "board-tools");
  await byId(teacher, "board-writers").selectOption("everyone");
  await crew.show(["home", "far"], "board-tools");
  await draw(home, [0.3, 0.3], [0.7, 0.4]);
  await strokes(crew, 2);
  await draw(far, [0.6, 0.5], [0.8, 0.8]);
  await strokes(crew, 3);
  await byId(teacher, "middle-pictures").click();
  await crew.gone(ALL, "board");
  ledger.did(`view.directed ${TEACHER} board`, "board.writers everyone");
  ledger.did(...["teacher", "home", "far"].map((who) => `board.drawn ${idOf(who)}`));
  // By itself the lesson shows its teacher.
  ledger.did(`view.directed ${TEACHER} teacher`);
}

export async function screen(crew) {
  const { teacher } = crew.pages;
  await teacher.keyboard.press("s");
  await teacher.locator('[data-testid="big-picture"][data-shows="own-screen"]').waitFor();
  await crew.on(SEEING, (page) => moves(page, `${TEACHER}/screen`));
  await teacher.keyboard.press("s");
  await crew.on(SEEING, (page) =>
    until("the teacher is large again", async () => {
      const { watched } = await page.evaluate(() => window.__cloudschool.stats());
      const tracks = watched.map(({ track }) => track);
      return tracks.includes(`${TEACHER}/camera`) && !tracks.includes(`${TEACHER}/screen`);
    }),
  );
}
