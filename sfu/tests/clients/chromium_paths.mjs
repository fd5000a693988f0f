// Chromium publishing and playing over one kind of path alone, with WHIP and WHEP by hand, and
// restarting ICE by PATCH in the middle. Ends with a line of JSON: `protocol` and `address` of the
// path used, `frames` decoded before and `after` the restart, the `statuses` of both PATCHes.
//
//   node chromium_paths.mjs --path udp4|udp6|tcp --page URL --whip URL --whep URL
//     --publisher TOKEN --player TOKEN

import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const require = createRequire(new URL("../../../classroom-client/web/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const string = { type: "string" };
const { values: options } = parseArgs({
  options: { path: string, page: string, whip: string, whep: string, publisher: string, player: string },
});

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
  ],
});

/** Runs in the page, which shares nothing with this file. */
async function lesson({ path, whip, whep, publisher, player }) {
  const wanted = {
    udp4: (line) => / udp /i.test(line) && !line.includes("::"),
    udp6: (line) => / udp /i.test(line) && line.includes("::"),
    tcp: (line) => / tcp /i.test(line) && !line.includes("::"),
  }[path];
  const only = (sdp) =>
    sdp
      .split("\r\n")
      .filter((line) => !line.startsWith("a=candidate:") || wanted(line))
      .join("\r\n");
  const until = async (what, done) => {
    for (let waited = 0; waited < 15_000; waited += 50) {
      const result = await done();
      if (result) return result;
      await new Promise((next) => setTimeout(next, 50));
    }
    throw new Error(`this never came: ${what}`);
  };
  const fragment = (sdp) => {
    const line = (key) => sdp.match(new RegExp(`^a=${key}:(.*)$`, "m"))[1].trim();
    return `a=ice-ufrag:${line("ice-ufrag")}\r\na=ice-pwd:${line("ice-pwd")}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=end-of-candidates\r\n`;
  };
  const connect = async (pc, url, token) => {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp" };
    await pc.setLocalDescription();
    const body = pc.localDescription.sdp;
    const response = await fetch(url, { method: "POST", headers, body });
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
    const session = new URL(response.headers.get("Location"), url).href;
    const answer = await response.text();
    await pc.setRemoteDescription({ type: "answer", sdp: only(answer) });
    await until("a connection", () => pc.connectionState === "connected");
    const patch = (tag, fragment) =>
      fetch(session, {
        method: "PATCH",
        headers: {
          Authorization: `Bearer ${token}`,
          "Content-Type": "application/trickle-ice-sdpfrag",
          "If-Match": tag,
        },
        body: fragment,
      });
    return { answer, tag: response.headers.get("ETag"), patch, session, token };
  };
  const used = async (pc) => {
    const report = await pc.getStats();
    const stats = [...report.values()];
    const transport = stats.find((s) => s.type === "transport");
    const pair = report.get(transport.selectedCandidatePairId);
    return report.get(pair.remoteCandidateId);
  };
  const frames = async (pc) => {
    const stats = [...(await pc.getStats()).values()];
    return stats.find((s) => s.type === "inbound-rtp" && s.kind === "video")?.framesDecoded ?? 0;
  };

  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  const camera = new RTCPeerConnection();
  for (const track of media.getTracks()) {
    camera.addTransceiver(track, { direction: "sendonly", streams: [media] });
  }
  const published = await connect(camera, whip, publisher);

  const screen = new RTCPeerConnection();
  for (const kind of ["audio", "video"]) screen.addTransceiver(kind, { direction: "recvonly" });
  const played = await connect(screen, whep, player);
  await until("pictures", async () => (await frames(screen)) > 30);
  const before = await frames(screen);
  const way = await used(screen);

  // A restart of the player: new credentials both ways, on the wire as fragments.
  const trickled = await played.patch(played.tag, fragment(screen.localDescription.sdp));
  await screen.setLocalDescription(await screen.createOffer({ iceRestart: true }));
  const restarted = await played.patch("*", fragment(screen.localDescription.sdp));
  const ours = await restarted.text();
  const value = (text, key) => text.match(new RegExp(`^a=${key}:(.*)$`, "m"))[1].trim();
  let sdp = only(played.answer);
  for (const key of ["ice-ufrag", "ice-pwd"]) {
    sdp = sdp.replaceAll(new RegExp(`^a=${key}:.*$`, "gm"), `a=${key}:${value(ours, key)}`);
  }
  const pairs = async () => {
    const stats = [...(await screen.getStats()).values()];
    return stats.filter((s) => s.type === "transport")[0].selectedCandidatePairChanges;
  };
  const changes = await pairs();
  await screen.setRemoteDescription({ type: "answer", sdp });
  await until("a path after the restart", async () => (await pairs()) > changes);
  const at = await frames(screen);
  await until("pictures after the restart", async () => (await frames(screen)) > at + 30);
  const after = (await frames(screen)) - at;
  for (const { session, token } of [published, played]) {
    await fetch(session, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
  }
  const statuses = [trickled.status, restarted.status];
  return { protocol: way.protocol, address: way.address, frames: before, after, statuses };
}

try {
  const page = await browser.newPage();
  await page.goto(options.page);
  console.log(JSON.stringify(await page.evaluate(lesson, { ...options })));
} finally {
  await browser.close();
}
