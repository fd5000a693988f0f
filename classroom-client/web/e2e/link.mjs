// An impaired line between a page and its node: `loadtest link`, through which the page's media
// is led by the candidates it is told of.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { LOADTEST, ROOT } from "./harness.mjs";

/**
 * A line as `figures` say (`rate=4mbit,delay=20ms`, or a profile's name). `before` is to be
 * passed to `visit`.
 */
export function lineThrough(figures) {
  /** One for each port of the node that the page's connections go to. */
  const links = new Map();
  let now = figures;
  const start = (target) => {
    const link = links.get(target) ?? startLink(target, now);
    links.set(target, link);
    return link;
  };
  const all = () => Promise.all(links.values());
  return {
    async before(page) {
      await page.exposeFunction("__line", async (target) => (await start(target)).listen);
      await page.addInitScript(leadThroughLine);
    },
    /** Other figures from now on. */
    async change(other) {
      now = other;
      for (const link of await all()) await link.change(other);
    },
    /** What passed, and what did not. */
    async stats() {
      const [first] = await all();
      return (await first.ask("stats")).stats;
    },
    async stop() {
      for (const link of await all()) await link.stop();
    },
  };
}

/**
 * In the page: of the candidates in an answer only the first over UDP and IPv4 is left, at the
 * line's address in place of the node's. Whatever else would go past the line.
 */
function leadThroughLine() {
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = async function (description) {
    const udp = /^(a=candidate:\S+ 1 udp \d+ )(\d+\.\d+\.\d+\.\d+) (\d+)( typ .*)$/im;
    const first = udp.exec(description.sdp);
    if (!first) throw new Error(`no candidate over UDP in ${description.sdp}`);
    const [, head, address, port, tail] = first;
    const [host, ownPort] = (await window.__line(`${address}:${port}`)).split(":");
    const other = description.sdp.replace(/^a=candidate:.*\r?\n/gim, "");
    const candidate = `${head}${host} ${ownPort}${tail.trimEnd()}\r\n`;
    // Where the transport is described: the section all others are bundled with.
    const sdp = other.replace(/^a=ice-ufrag:/im, `${candidate}$&`);
    return setRemoteDescription.call(this, { type: description.type, sdp });
  };
}

/** Starts a line to `target`, for whoever sends to its `listen`. */
export async function startLink(target, figures) {
  const child = spawn(LOADTEST, ["link", "--target", target, "--link", figures], {
    cwd: ROOT,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => {
    child.once("exit", resolve);
    child.once("error", resolve);
  });
  process.once("exit", () => child.kill("SIGTERM"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const hear = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the link has ended");
    return JSON.parse(value);
  };
  const { listen } = await hear();
  let last = Promise.resolve();
  /** One question at a time, each with its answer. */
  const ask = (question) => {
    last = last.then(() => {
      child.stdin.write(`${question}\n`);
      return hear();
    });
    return last;
  };
  return {
    listen,
    ask,
    /** Other figures from now on. */
    async change(other) {
      const answer = await ask(other);
      if (answer.changed !== other) throw new Error(`the link said ${JSON.stringify(answer)}`);
    },
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
