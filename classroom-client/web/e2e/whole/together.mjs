// Groups and chat: who works and talks with whom.

import { byId, expect } from "../harness.mjs";
import { FAR_SCHOOL, idOf, nameOf, ROOMS, STUDENTS, says } from "./crew.mjs";

const [TEACHER, NEAR] = ["teacher", "near"].map(idOf);
const MARKUP = "<b>第二题</b>怎么做？";
const ANSWER = "看对称轴";

export async function groups(crew, ledger) {
  const { teacher } = crew.pages;
  await teacher.keyboard.press("g");
  await byId(teacher, "groups-start").click();
  await crew.show(STUDENTS, "group");
  await crew.say(["near"], "group", nameOf("room1"));
  await crew.say(["far"], "group", nameOf("room2"));
  await crew.say(["room1"], "note", nameOf("near"));
  await crew.say(["room2"], "note", nameOf("far"));
  await byId(teacher, `visit-${FAR_SCHOOL}`).click();
  await crew.say(["far"], "group", "老师正在你们组");
  expect(
    (await byId(crew.pages.near, "group").getByText("老师正在你们组").count()) === 0,
    "the teacher is in two groups",
  );
  await byId(teacher, `visit-${FAR_SCHOOL}`).click();
  await byId(teacher, "groups").getByText("你在这个组").waitFor({ state: "detached" });
  await byId(teacher, "groups-close").click();
  await byId(teacher, "groups-end-confirm").click();
  await crew.gone(STUDENTS, "group");
  await crew.gone(["teacher"], "running-groups");
  await crew.on(ROOMS, (page) =>
    byId(page, "note").filter({ hasText: "组" }).waitFor({ state: "detached" }),
  );
  await teacher.keyboard.press("Escape");
  ledger.did("groups.opened 1 2 2", "groups.closed");
  ledger.did(`groups.visited ${TEACHER} in`, `groups.visited ${TEACHER} out`);
}

export async function chat(crew, ledger) {
  const { teacher, near } = crew.pages;
  const reading = [...STUDENTS, "helper"];
  await byId(teacher, "tab-chat").click();
  await byId(teacher, "chat-mode-all").check({ force: true });
  await crew.on(reading, (page) => byId(page, "chat").click());
  await byId(near, "chat-to-all").click();
  await byId(near, "chat-text").fill(MARKUP);
  await byId(near, "chat-send").click();
  await teacher.locator(".side .chat-said").filter({ hasText: MARKUP }).waitFor();
  await crew.say(reading, "chat-sheet", MARKUP);
  await byId(teacher, "chat-text").fill(ANSWER);
  await byId(teacher, "chat-send").click();
  await crew.say(reading, "chat-sheet", ANSWER);
  await says(teacher, "teacher", ANSWER);
  await crew.on(reading, (page) => page.keyboard.press("Escape"));
  await crew.gone(reading, "chat-sheet");
  ledger.did("chat.set all", `chat.said ${NEAR} ${MARKUP}`, `chat.said ${TEACHER} ${ANSWER}`);
}
