// A plain RTP-over-QUIC peer teaches: GStreamer publishes picture and sound, and a student's
// browser shows them. Only where GStreamer's elements are built (`make roq-plugin`).

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, cp } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { BIN_DIR, launch, moves, plays, ROOT, sounds, test, until, visit } from "./harness.mjs";
import { tokenFor } from "./members.mjs";

const run = promisify(execFile);

const PLUGIN = join(ROOT, "target/tools/gst-plugin-quinn");
const SFU = join(BIN_DIR, "sfu");

/** The lesson that configs/campus.toml opens. */
const LESSON = "demo-lesson";
const NAME = "hall";

/** A yellow ball flies over blue: nothing else in a classroom looks so. */
const BLUE = [32, 96, 192];
const YELLOW = [240, 192, 32];
const argb = (colour) => 0xff000000 + colour.reduce((all, part) => all * 256 + part, 0);
/** What H.264 and the way to RGB and back may change of a colour. */
const CLOSE = 60;
const [WIDTH, HEIGHT] = [640, 360];

/** Why it can't be tried here; nothing where it can. */
export function missing() {
  if (existsSync(join(PLUGIN, "libgstquinn.so"))) return undefined;
  return "GStreamer's RTP-over-QUIC elements are not built: `make roq-plugin` does";
}

/** Arguments for an installation whose campus knows the appliance. */
export async function configured(data) {
  const configs = join(data, "configs");
  await cp(join(ROOT, "configs"), configs, { recursive: true });
  const section = `
[[appliances]]
name = "${NAME}"
lesson = "${LESSON}"
title = "礼堂"
role = "teacher"
publishes = { 1 = "camera/h264", 2 = "microphone/opus" }
`;
  await appendFile(join(configs, "campus.toml"), section);
  return ["--configs", configs];
}

/** Starts GStreamer; gives a way to end it, which says what it complained about. */
function publish(trunk, tls) {
  const [address, port] = trunk.split(":");
  const picture =
    `videotestsrc is-live=true pattern=ball background-color=${argb(BLUE)}` +
    ` foreground-color=${argb(YELLOW)}` +
    ` ! video/x-raw,width=${WIDTH},height=${HEIGHT},framerate=25/1 ! videoconvert` +
    " ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=50" +
    " ! video/x-h264,profile=constrained-baseline" +
    " ! rtph264pay config-interval=-1 mtu=1150 ! mux.stream_0";
  const sound =
    "audiotestsrc is-live=true wave=sine ! audioconvert ! audioresample" +
    " ! opusenc frame-size=20 ! rtpopuspay ! mux.datagram_0";
  const mux = "quinnroqmux name=mux stream_0::flow-id=1 datagram_0::flow-id=2";
  const sink =
    ` ! quinnquicsink sync=false drop-buffer-for-datagram=true address=${address} port=${port}` +
    " server-name=trunk.cloudschool.internal alpn-protocols=<roq-16>" +
    ` certificate-database-file=${tls}/ca.pem certificate-file=${tls}/node.pem` +
    ` private-key-file=${tls}/node.key`;
  const pipeline = `${picture} ${sound} ${mux}${sink}`;
  const child = spawn("gst-launch-1.0", pipeline.split(/\s+/), {
    env: { ...process.env, GST_PLUGIN_PATH: PLUGIN },
    stdio: ["ignore", "ignore", "pipe"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  const ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(`GStreamer ended: ${signal ?? code}\n${said}`));
  });
  return {
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null && child.kill("SIGINT")) {
        await once(child, "exit");
      }
    },
  };
}

/** Where the ball is in the picture as it is painted now, and how much of the rest is blue. */
function painted(page) {
  return page.evaluate(
    ({ blue, yellow, close }) => {
      const video = document.querySelector('video[data-testid="main-video"]');
      const [width, height] = [160, 90];
      const canvas = new OffscreenCanvas(width, height).getContext("2d");
      canvas.drawImage(video, 0, 0, width, height);
      const { data } = canvas.getImageData(0, 0, width, height);
      const is = (at, colour) => colour.every((part, i) => Math.abs(data[at + i] - part) < close);
      const ball = { x: 0, y: 0, pixels: 0 };
      let background = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (is(at, blue)) background += 1;
        if (!is(at, yellow)) continue;
        ball.x += (at / 4) % width;
        ball.y += Math.floor(at / 4 / width);
        ball.pixels += 1;
      }
      const { x, y, pixels } = ball;
      return {
        blue: background / (width * height),
        ball: pixels > 0 ? { x: x / pixels / width, y: y / pixels / height } : null,
        size: [video.videoWidth, video.videoHeight],
      };
    },
    { blue: BLUE, yellow: YELLOW, close: CLOSE },
  );
}

export async function appliance(links, data) {
  const tls = join(data, "tls", NAME);
  const ca = ["--dir", join(data, "ca"), "--out", tls];
  const node = ["--node", NAME, "--kind", "edge", "--school", "school-01"];
  await run(SFU, ["ca", "issue", ...ca, ...node]);
  const gstreamer = publish(links.trunk, tls);
  const failed = gstreamer.ended.then((how) => {
    throw new Error(how);
  });
  // It is only of interest while something is awaited.
  failed.catch(() => undefined);

  await test("a browser shows and sounds what GStreamer publishes with RTP over QUIC", async () => {
    const wang = { id: "wang", name: "王同学", role: "student", school: "campus" };
    const token = await tokenFor(links, { ...wang, lesson: LESSON });
    const browser = await launch();
    const at = performance.now();
    const url = `${links.campus}/student/${LESSON}#token=${token}`;
    const page = await visit(browser, "student", url);
    const watches = async () => {
      await moves(page, `${NAME}/camera`);
      await plays(page, "main-video");
      const took = ((performance.now() - at) / 1000).toFixed(1);
      await sounds(page, `${NAME}/microphone`);
      const right = ({ blue, ball, size }) =>
        ball && blue > 0.7 && size[0] === WIDTH && size[1] === HEIGHT;
      const first = await until("it is the picture that was published", async () => {
        const seen = await painted(page);
        return right(seen) && seen;
      });
      await until("the ball flies", async () => {
        const seen = await painted(page);
        const far = () => Math.hypot(seen.ball.x - first.ball.x, seen.ball.y - first.ball.y);
        return right(seen) && far() > 0.1;
      });
      return `moving ${took} s after the page was asked for`;
    };
    return Promise.race([watches(), failed]);
  });

  await gstreamer.stop();
}
