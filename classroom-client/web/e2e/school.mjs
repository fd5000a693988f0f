// One more school beside the installation's own: a node of its own, a real `sfu`, that dials the
// campus over a line which can be cut.

import { execFile, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { BIN_DIR, PATIENCE_MS, ROOT, until } from "./harness.mjs";
import { startLink } from "./link.mjs";

const run = promisify(execFile);
const SFU = join(BIN_DIR, "sfu");

/** A port may be taken between being found and being used. */
const TRIES = 3;

/**
 * Starts the node of `school`, which takes media at `address`. Resolves when it is ready, which it
 * is with its trunk.
 */
export async function startSchool({ links, data }, school, address = "127.0.0.1") {
  const tls = join(data, "tls", school);
  const ca = ["--dir", join(data, "ca"), "--out", tls];
  await run(SFU, ["ca", "issue", ...ca, "--node", school, "--kind", "edge", "--school", school]);
  const line = await startLink(links.trunk, "delay=10ms");
  for (let tries = 1; ; tries += 1) {
    const node = await startNode({ links, data, school, tls, address, upstream: line.listen });
    try {
      await node.ready();
      return {
        url: node.url,
        /** Nothing passes between this school and the campus from now on. */
        cut: () => line.change("loss=100%"),
        mend: () => line.change("loss=0%"),
        async stop() {
          await node.stop();
          await line.stop();
        },
      };
    } catch (error) {
      await node.stop();
      if (tries < TRIES) continue;
      await line.stop();
      throw error;
    }
  }
}

async function startNode({ links, data, school, tls, address, upstream }) {
  const [http, media] = [await freePort("127.0.0.1"), await freePort(address)];
  const url = `http://127.0.0.1:${http}`;
  const settings = {
    NODE__NAME: school,
    NODE__SCHOOL: school,
    NODE__DATA: join(data, school),
    TRUNK__IDENTITY: tls,
    TRUNK__UPSTREAM: upstream,
    AUTH__LOCAL: links.issuer,
    HTTP__BIND: `127.0.0.1:${http}`,
    HTTP__PUBLIC_URL: url,
    MEDIA__BIND: `${address}:${media}`,
    LINKS__LIBRARY: links.recorder,
    LINKS__REPORT: links.analytics,
  };
  const environment = Object.entries(settings).map(([key, to]) => [`CLOUDSCHOOL__${key}`, to]);
  const file = join(data, "logs", `${school}.log`);
  const log = await open(file, "a");
  const child = spawn(SFU, ["--config", join(ROOT, "configs/school.toml")], {
    cwd: ROOT,
    env: { ...process.env, ...Object.fromEntries(environment) },
    stdio: ["ignore", log.fd, log.fd],
  });
  await log.close();
  let ended;
  const exited = new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? code));
    child.once("error", (error) => resolve(error.message));
  }).then((how) => {
    ended = `the node of ${school} ended: ${how}; its log is ${file}`;
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  return {
    url,
    async ready() {
      await until(`the node of ${school} is ready`, async () => {
        if (ended) throw new Error(ended);
        const answer = await fetch(`${url}/readyz`).catch(() => undefined);
        return answer?.ok;
      });
    },
    async stop() {
      child.kill("SIGTERM");
      const late = setTimeout(kill, PATIENCE_MS);
      await exited;
      clearTimeout(late);
      process.off("exit", kill);
    },
  };
}

/** A port of this machine that nobody uses at this moment. */
function freePort(address) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, address, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
