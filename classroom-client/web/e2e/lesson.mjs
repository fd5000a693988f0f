// A lesson from its beginning to its end: a teacher at the campus, a classroom behind the
// school's node, a student at home.

import {
  accessibility,
  aimed,
  byId,
  cuttable,
  expect,
  hearsClass,
  launch,
  moves,
  plays,
  published,
  sounds,
  test,
  until,
  visit,
} from "./harness.mjs";

const ROOM = "class-301";
const STUDENT = "wang";
const TEACHER = "li";
/** A raised hand is at the teacher's within this (what must hold). */
const HAND_WITHIN_MS = 1000;

export async function lesson(browser, links) {
  let teacher;
  let room;
  let student;
  const line = cuttable();
  const roomLine = cuttable();

  const begun =
    (await test("the teacher checks the devices, enters and publishes H.264", async () => {
      teacher = await visit(browser, "teacher", links.teacher);
      await plays(teacher, "own-camera");
      await byId(teacher, "line-verdict").and(teacher.locator(".tone-good")).waitFor();
      await teacher.waitForFunction(() => {
        const meter = document.querySelector('[data-testid="own-level"]');
        return Number(meter?.getAttribute("aria-valuenow")) > 0;
      });
      await accessibility(teacher);
      await byId(teacher, "enter").click();
      await byId(teacher, "teacher").waitFor();
      expect(!teacher.url().includes("token"), "the token is still in the address bar");
      const camera = await until("the camera is sent", async () => {
        const stats = await published(teacher, "camera", "video");
        return stats?.framesEncoded > 10 && stats;
      });
      expect(camera.codec === "video/H264", `the camera is sent as ${camera.codec}`);
      return `${camera.width}×${camera.height}`;
    })) &&
    (await test("a classroom at the school sees and hears the teacher", async () => {
      const at = performance.now();
      room = await visit(browser, "classroom", links.classroom, {
        size: [1920, 1080],
        before: roomLine.before,
      });
      await moves(room, `${TEACHER}/camera`);
      await plays(room, "main-video");
      const took = (performance.now() - at) / 1000;
      await sounds(room, `${TEACHER}/microphone`);
      await byId(room, "status").waitFor();
      return `moving ${took.toFixed(1)} s after the page was asked for`;
    })) &&
    (await test("the classroom's own camera and microphone are at the teacher's", async () => {
      await byId(teacher, `room-${ROOM}`).waitFor();
      await moves(teacher, `${ROOM}/camera`);
      await plays(teacher, `room-video-${ROOM}`);
      await hearsClass(teacher);
    }));
  if (!begun) return undefined;

  await test("the lesson starts for everyone, and says that it is recorded", async () => {
    await teacher.keyboard.press("b");
    await byId(teacher, "recording-dot").waitFor();
    await room.locator('[data-testid="classroom"][data-phase="live"]').waitFor();
    await byId(room, "elapsed").waitFor();
  });

  await test("a hand raised at the school is in the teacher's queue at once", async () => {
    const at = performance.now();
    await room.keyboard.press("h");
    await byId(teacher, `hand-${ROOM}`).waitFor();
    const took = performance.now() - at;
    await byId(teacher, `room-hand-${ROOM}`).waitFor();
    await byId(room, "note").and(room.locator(":not(:empty)")).waitFor();
    return aimed(took, HAND_WITHIN_MS);
  });

  await test("a student at home watches, and raises a hand behind the classroom's", async () => {
    student = await visit(browser, "student", links.student, {
      size: [360, 740],
      before: line.before,
    });
    await moves(student, `${TEACHER}/camera`);
    await plays(student, "main-video");
    await sounds(student, `${TEACHER}/microphone`);
    const at = performance.now();
    await byId(student, "hand").click();
    await byId(teacher, `hand-${STUDENT}`).waitFor();
    const took = performance.now() - at;
    const order = await byId(teacher, "hands")
      .locator("li")
      .evaluateAll((items) => items.map((item) => item.getAttribute("data-testid")));
    expect(order.join() === `hand-${ROOM},hand-${STUDENT}`, `the order is ${order}`);
    return aimed(took, HAND_WITHIN_MS);
  });

  await test("the pages of a running lesson are accessible", async () => {
    for (const page of [teacher, room, student]) await accessibility(page);
  });

  await test("the classroom called to the stage is seen and heard by the student", async () => {
    await teacher.keyboard.press("1");
    await byId(teacher, `hand-${ROOM}`).waitFor({ state: "detached" });
    await room.locator(".room-screen-stage").waitFor();
    await teacher.locator(`[data-testid="big-picture"][data-shows="${ROOM}"]`).waitFor();
    await moves(student, `${ROOM}/camera`);
    // Nobody has directed anything: who is called up is looked at.
    await byId(student, "main-video").and(student.locator('[aria-label*="三年级一班"]')).waitFor();
    await plays(student, "main-video");
    await hearsClass(student);
  });

  await test("a classroom muted reads so, and the mute can be undone", async () => {
    await byId(teacher, `mute-${ROOM}`).click();
    const word = byId(room, "microphone-word");
    await word.and(room.locator(":disabled")).waitFor();
    await byId(teacher, "undo").click();
    await word.and(room.locator(":enabled")).waitFor();
    await byId(teacher, `dismiss-${ROOM}`).click();
    await room.locator(".room-screen-stage").waitFor({ state: "detached" });
  });

  await test("a student called up is seen only after agreeing", async () => {
    await byId(teacher, `call-hand-${STUDENT}`).click();
    await byId(student, "called-dialog").waitFor();
    await accessibility(student);
    expect(!(await published(student, "camera", "video")), "the camera is on before consent");
    await byId(student, "consent-both").click();
    await moves(teacher, `${STUDENT}/camera`);
    await plays(teacher, "big-video");
    await moves(room, `${STUDENT}/camera`);
    await hearsClass(room);
    await byId(student, "leave-stage").click();
    await byId(student, "own-video").waitFor({ state: "detached" });
    await teacher.locator('[data-testid="big-picture"][data-shows="own-camera"]').waitFor();
  });

  await test("a shared screen takes the classroom's big picture, and leaves it again", async () => {
    await teacher.keyboard.press("s");
    await moves(room, `${TEACHER}/screen`);
    await plays(room, "main-video");
    await plays(room, "teacher-video");
    // A student lays the teacher over it, moves the picture by keys, and puts it back.
    const tile = byId(student, "teacher-tile");
    await tile.focus();
    await student.keyboard.press("Enter");
    await student.locator(".movable-lifted").waitFor();
    const { y: before } = await tile.boundingBox();
    await student.keyboard.press("ArrowDown");
    await until("the picture moves", async () => (await tile.boundingBox()).y > before);
    await student.keyboard.press("Enter");
    await student.locator(".movable-lifted").waitFor({ state: "detached" });
    await teacher.keyboard.press("s");
    await byId(room, "teacher-video").waitFor({ state: "detached" });
  });

  await test("sound alone stops the student's picture, not the sound", async () => {
    await byId(student, "audio-only").click();
    await byId(student, "sound-only").waitFor();
    await until("no picture is watched", async () => {
      const { watched } = await student.evaluate(() => window.__cloudschool.stats());
      return watched.every((one) => one.kind === "audio") && watched.length > 0;
    });
    await byId(student, "audio-only").click();
    await moves(student, `${TEACHER}/camera`);
  });

  await test("a hand raised while the line is away waits, and is raised when it is back", async () => {
    await line.cut();
    await byId(student, "banner").waitFor();
    await byId(student, "hand").click();
    await byId(student, "waiting-command").waitFor();
    line.mend();
    await byId(teacher, `hand-${STUDENT}`).waitFor();
    await byId(student, "banner").waitFor({ state: "detached" });
    await moves(student, `${TEACHER}/camera`);
  });

  await test("a classroom away so long that it was given up comes back by itself, whole", async () => {
    await roomLine.cut();
    await byId(room, "banner").waitFor();
    await byId(teacher, `room-${ROOM}`).waitFor({ state: "detached" });
    roomLine.mend();
    await byId(teacher, `room-${ROOM}`).waitFor();
    await byId(room, "banner").waitFor({ state: "detached" });
    await moves(teacher, `${ROOM}/camera`);
    await plays(teacher, `room-video-${ROOM}`);
    await moves(room, `${TEACHER}/camera`);
    await sounds(room, `${TEACHER}/microphone`);
  });

  let second;
  await test("where the browser keeps sound back, a button plays it", async () => {
    const strict = await launch({ autoplay: false });
    // Looking into a page from here counts as a touch of it, so the page has to tell.
    const kept = "sound is kept back";
    let told;
    second = await visit(strict, "second page", links.student, {
      size: [360, 740],
      before: async (page) => {
        await page.addInitScript((word) => {
          new MutationObserver((_changes, observer) => {
            if (!document.querySelector('[data-testid="play-sound"]')) return;
            observer.disconnect();
            console.log(word);
          }).observe(document, { childList: true, subtree: true });
        }, kept);
        told = page.waitForEvent("console", (message) => message.text() === kept);
      },
    });
    await told;
    await byId(second, "play-sound").click();
    await byId(second, "play-sound").waitFor({ state: "detached" });
    await second.waitForFunction((track) => {
      const sound = document.querySelector(`audio[data-track="${track}"]`);
      return sound && !sound.paused && sound.currentTime > 0;
    }, `${TEACHER}/microphone`);
  });

  await test("a second page of the same member takes over, and the first says so", async () => {
    await byId(student, "stop-replaced").waitFor();
    await accessibility(student);
    await moves(second, `${TEACHER}/camera`);
    await student.context().close();
    student = second;
  });

  const ended =
    await test("ending asks first, then takes everyone to the closing page", async () => {
      await teacher.keyboard.press("e");
      await byId(teacher, "end-dialog").waitFor();
      await accessibility(teacher);
      await teacher.keyboard.press("Escape");
      await byId(teacher, "end-dialog").waitFor({ state: "detached" });
      await teacher.keyboard.press("e");
      const at = performance.now();
      await byId(teacher, "end-confirm").click();
      for (const page of [teacher, room, student]) await byId(page, "closing").waitFor();
      const took = ((performance.now() - at) / 1000).toFixed(1);
      for (const page of [teacher, room, student]) await accessibility(page);
      const lights = await teacher.evaluate(
        async () => (await window.__cloudschool.stats()).published.length,
      );
      expect(lights === 0, "something is still published");
      return `${took} s`;
    });
  return ended ? { teacher, room, student } : undefined;
}
