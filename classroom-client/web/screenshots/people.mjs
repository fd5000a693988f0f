// Who is in the lesson of the pictures: a lesson in the language of the pictures, tokens for its
// members, and members who are there by their lesson socket alone.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { BIN_DIR, expect } from "../e2e/harness.mjs";

const run = promisify(execFile);

export const CAMPUS = "campus";
export const VILLAGE = "school-01";
export const AFAR = "school-02";

/** Signs a token with the installation's own issuer. */
export async function sign({ issuer }, { id, name, role, school, lesson }) {
  const args = ["token", "--issuer", issuer, "--member", id, "--name", name];
  args.push("--role", role, "--school", school, ...(lesson ? ["--lesson", lesson] : []));
  const { stdout } = await run(join(BIN_DIR, "sfu"), args);
  return stdout.trim();
}

/** Asks the campus's node, as an operator. */
export async function office(links, method, path, body) {
  const token = await sign(links, { id: "ops", name: "ops", role: "operator", school: CAMPUS });
  const answer = await fetch(`${links.campus}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

/** A member without a page: its lesson socket, held by an empty page of `browser`. */
export async function present(browser, base, lesson, token) {
  const page = await browser.newPage();
  await page.goto(`${base}/livez`);
  await page.evaluate(
    ([path, secret]) =>
      new Promise((resolve, reject) => {
        const ws = new WebSocket(path.replace(/^http/, "ws"));
        const me = { answers: new Map(), next: 1, ws, state: undefined };
        window.__me = me;
        ws.onopen = () => ws.send(JSON.stringify({ type: "join", token: secret, lang: "en" }));
        ws.onerror = () => reject(new Error("no lesson socket"));
        ws.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type === "welcome") resolve();
          else if (message.type === "event") me[message.event.type] = message.event;
          else if (message.id > 0) me.answers.get(message.id)?.(message);
        };
      }),
    [`${base}/lessons/${lesson}/socket`, token],
  );
  return {
    /** Asks something; fails with the sentence it is refused with. */
    async ask(command) {
      const answer = await page.evaluate(
        (wish) =>
          new Promise((resolve) => {
            const { answers, ws } = window.__me;
            const id = window.__me.next++;
            answers.set(id, resolve);
            ws.send(JSON.stringify({ type: "command", id, command: wish }));
          }),
        command,
      );
      expect(answer.type === "done", `${command.do}: ${JSON.stringify(answer)}`);
    },
    /** The last event of a kind that was heard of. */
    async last(kind) {
      await page.waitForFunction((type) => window.__me[type], kind);
      return page.evaluate((type) => window.__me[type], kind);
    },
    leave: () => page.close(),
  };
}
