// What someone sees who can't come in, or whose devices don't work: one readable sentence.

import { accessibility, byId, expect, launch, test, visit } from "./harness.mjs";

const HAN = /\p{Script=Han}/u;

/** A page's words; they must be in the language asked for. */
async function says(page, id, lang) {
  const text = await byId(page, id).locator("h1, p").allInnerTexts();
  const words = text.join(" ");
  expect(words.length > 8, `${id} says too little: ${words}`);
  expect(HAN.test(words) === (lang === "zh-CN"), `${id} is not in ${lang}: ${words}`);
  return words;
}

export async function entering(browser, links) {
  await test("the first page tells in both languages how to enter", async () => {
    for (const lang of ["zh-CN", "en"]) {
      const page = await visit(browser, "index", `${links.campus}/#lang=${lang}`);
      await says(page, "index", lang);
      await accessibility(page);
      await byId(page, "language").click();
      await says(page, "index", lang === "en" ? "zh-CN" : "en");
      await page.context().close();
    }
  });

  await test("a wrong token is said on each page, in both languages", async () => {
    for (const page of ["teacher", "classroom", "student", "assistant", "observer"]) {
      for (const lang of ["zh-CN", "en"]) {
        const base = page === "classroom" ? links.school : links.campus;
        const url = `${base}/${page}/${links.lesson}#token=a.b.c&lang=${lang}`;
        const shown = await visit(browser, "wrong token", url);
        await byId(shown, "stop-unauthorized").waitFor();
        await says(shown, "stop-unauthorized", lang);
        await accessibility(shown);
        await shown.context().close();
      }
    }
  });

  await test("an address without a token, or of no known lesson, is said", async () => {
    const bare = await visit(browser, "no token", `${links.campus}/student/${links.lesson}`);
    await says(bare, "stop-address", "zh-CN");
    await bare.context().close();
    const [, token] = links.student.split("#token=");
    const unknown = `${links.campus}/student/nothing#lang=en&token=${token}`;
    const lost = await visit(browser, "unknown lesson", unknown);
    await byId(lost, "stop-unreachable").getByText("There is no such lesson.").first().waitFor();
    await lost.context().close();
  });

  await test("a link of another role leads to the right page", async () => {
    const [, token] = links.student.split("#token=");
    const url = `${links.campus}/classroom/${links.lesson}#token=${token}`;
    const page = await visit(browser, "wrong page", url);
    await byId(page, "stop-role").locator("a").click();
    await byId(page, "student").waitFor();
    expect(page.url().includes(`/student/${links.lesson}`), page.url());
    await page.context().close();
  });

  await test("refused camera and microphone are said with advice, in both languages", async () => {
    const refusing = await launch({ deny: true });
    try {
      for (const lang of ["zh-CN", "en"]) {
        const page = await visit(refusing, "refused devices", `${links.teacher}&lang=${lang}`);
        const problem = byId(page, "problem-both");
        await problem.waitFor();
        expect((await problem.getAttribute("data-problem")) === "denied", "not sorted as denied");
        await says(page, "problem-both", lang);
        await byId(page, "enter").and(page.locator(":enabled")).waitFor();
        await accessibility(page);
        await page.context().close();
      }
    } finally {
      await refusing.close();
    }
  });
}
