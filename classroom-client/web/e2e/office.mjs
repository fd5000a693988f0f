// What happens around lessons: planned one by one and from a table, entered by a code and by a
// room's screen on its own, looked at from an office.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { accessibility, byId, expect, launch, test, until, visit } from "./harness.mjs";
import { tokenFor } from "./members.mjs";

/** A moment as tables have it, on this machine's clock. */
function local(ms) {
  const at = new Date(ms - new Date().getTimezoneOffset() * 60_000);
  return at.toISOString().slice(0, 16).replace("T", " ");
}

export async function office({ links, data }) {
  const browser = await launch();
  const desk = await visit(browser, "timetable", links.timetable);

  await test("a lesson is planned on the page, and called off again", async () => {
    await byId(desk, "add-lesson").locator("summary").click();
    const fields = { id: "art-1", lessonTitle: "水墨", teacher: "周老师", campus: "campus" };
    for (const [field, value] of Object.entries(fields))
      await byId(desk, `lesson-${field}`).fill(value);
    const tomorrow = local(Date.now() + 86_400_000).replace(" ", "T");
    await byId(desk, "lesson-start").fill(tomorrow);
    await byId(desk, "save-lesson").click();
    const planned = byId(desk, "planned-art-1");
    await planned.waitFor();
    expect((await planned.getAttribute("data-phase")) === "scheduled", "it does not wait");
    await accessibility(desk);
    await byId(desk, "call-off-art-1").click();
    await byId(desk, "call-off").click();
    await planned.waitFor({ state: "detached" });
  });

  await test("a table with a fault changes nothing; mended, all of it is taken", async () => {
    const soon = local(Date.now() + 60_000);
    const later = local(Date.now() + 7_200_000);
    const head = "课号,课名,教师,开始时间,时长,校区,学校";
    const good = `m-9,小数的意义,李老师,${soon},40,campus,school-01`;
    const file = join(data, "table.csv");
    await writeFile(file, `\ufeff${head}\r\n${good}\r\nm 10,百分数,李老师,${later},40,campus,\r\n`);
    await byId(desk, "import-sheet").locator("summary").click();
    await byId(desk, "sheet-file").setInputFiles(file);
    await byId(desk, "sheet-seen").getByText("第 3 行").waitFor();
    await byId(desk, "take-sheet").and(desk.locator(":disabled")).waitFor();
    await accessibility(desk);
    await writeFile(file, `\ufeff${head}\r\n${good}\r\nm-10,百分数,李老师,${later},40,campus,\r\n`);
    await byId(desk, "sheet-file").setInputFiles(file);
    await byId(desk, "take-sheet").and(desk.locator(":enabled")).click();
    for (const [id, phase] of [
      ["m-9", "open"],
      ["m-10", "scheduled"],
    ]) {
      await byId(desk, `planned-${id}`)
        .and(desk.locator(`[data-phase="${phase}"]`))
        .waitFor();
    }
  });

  await test("a room's screen enters its lesson by itself when it is open", async () => {
    const screen = await tokenFor(links, {
      id: "class-302",
      role: "classroom",
      school: "school-01",
    });
    const page = await visit(browser, "schedule", `${links.school}/timetable#token=${screen}`);
    await byId(page, "entering").waitFor();
    await accessibility(page);
    await page.waitForURL(/\/classroom\//);
    await byId(page, "classroom").waitFor();
    await page.context().close();
  });

  await test("a student comes in by the code, at the school's own node", async () => {
    const shown = await byId(desk, "code-m-9").innerText();
    const code = shown.replace(/\D/g, "");
    expect(code.length === 8, shown);
    const page = await visit(browser, "by code", links.school);
    await byId(page, "join-code").fill(code.slice(0, 7) + ((Number(code[7]) + 1) % 10));
    await byId(page, "join-next").click();
    await byId(page, "join-problem").waitFor();
    await accessibility(page);
    await byId(page, "join-code").fill(`${code.slice(0, 4)} ${code.slice(4)}`);
    await byId(page, "join-next").click();
    await byId(page, "join-name").fill("王小明");
    await byId(page, "join-enter").click();
    await byId(page, "student").waitFor();
    expect(!page.url().includes("token"), "the token stays in the address");
    await page.context().close();
  });

  await test("an office sees how each lesson goes, and its picture", async () => {
    const teacher = await visit(browser, "teacher", links.teacher);
    await byId(teacher, "enter").click();
    await byId(teacher, "teacher").waitFor();
    await teacher.keyboard.press("b");
    await byId(teacher, "recording-dot").waitFor();
    const wall = await visit(browser, "patrol", links.patrol);
    const begun = Date.now();
    const tile = byId(wall, `glance-${links.lesson}`);
    await tile.and(wall.locator('[data-health="good"]')).waitFor();
    const picture = byId(wall, `picture-${links.lesson}`);
    await until(
      "the picture is drawn",
      async () => Number(await picture.getAttribute("data-drawn")) > 0,
    );
    const drawn = ((Date.now() - begun) / 1000).toFixed(1);
    const lit = await picture.evaluate((canvas) => {
      const { data: pixels } = canvas
        .getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height);
      return new Set(pixels.filter((_, at) => at % 4 === 1)).size;
    });
    expect(lit > 8, `the picture has ${lit} shades`);
    await accessibility(wall);
    await teacher.context().close();
    await tile.and(wall.locator('[data-health="teacher-away"]')).waitFor();
    return `picture after ${drawn} s`;
  });
}
