// Who takes part in the whole lesson, each at a page of their own: a teacher, a classroom at each
// of two schools with their own nodes, an assistant's phone, a student at home and one at each
// school, an observer.

import { byId, expect, launch, plays, until, visit } from "../harness.mjs";
import { tokenFor } from "../members.mjs";

const PHONE = [360, 740];
const SCREEN = [1280, 720];
/** Nine pages share two cores: pictures need not be smooth here to be seen to move. */
const FPS = 10;

/** What people call the second school; the first has its name from the campus's configuration. */
export const FAR_SCHOOL = "石桥村小学";

/** By the name they go by here: who they are, and whose node they come in at. */
export const MEMBERS = {
  teacher: { id: "li", name: "李老师", role: "teacher", school: "campus" },
  room1: { id: "class-301", name: "三年级一班", role: "classroom", school: "school-01" },
  room2: { id: "class-201", name: "二年级一班", role: "classroom", school: "school-02" },
  helper: { id: "zhao", name: "赵老师", role: "assistant", school: "school-02" },
  home: { id: "wang", name: "王小明", role: "student", school: "campus" },
  near: { id: "ming", name: "陈明", role: "student", school: "school-01" },
  far: { id: "hong", name: "林小红", role: "student", school: "school-02" },
  observer: { id: "sun", name: "孙老师", role: "observer", school: "campus" },
};

/** Opens a lesson that both schools are invited to; resolves when each of `nodes` has it open. */
export async function openLesson(links, nodes) {
  const lesson = `whole-${Date.now()}`;
  const token = await tokenFor(links, { id: "desk", role: "operator", school: "campus" });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(`${links.campus}/api/lessons`, {
    method: "POST",
    headers,
    body: JSON.stringify({
      id: lesson,
      title: "二次函数的图像",
      subject: "数学",
      grade: "九年级",
      teacher: MEMBERS.teacher.name,
      campus: "campus",
      schools: ["school-01", "school-02"],
      schoolNames: { "school-02": FAR_SCHOOL },
      plannedMinutes: 40,
    }),
  });
  expect(answer.status === 201, `the lesson: ${answer.status} ${await answer.text()}`);
  for (const node of nodes) {
    await until(`${node} has the lesson open`, async () => {
      const list = await (await fetch(`${node}/api/lessons`, { headers })).json();
      return list.lessons.some(({ info, phase }) => info.id === lesson && phase === "open");
    });
  }
  return { lesson, token };
}

/** The pages of the lesson, and the ways to look at several of them at once. */
export class Crew {
  pages = {};
  #links;
  #lesson;
  #browser;

  constructor(links, lesson, far) {
    this.#links = links;
    this.#lesson = lesson;
    this.nodes = { campus: links.campus, "school-01": links.school, "school-02": far };
  }

  async launch() {
    this.#browser = await launch({ fps: FPS });
  }

  async leave() {
    await this.#browser?.close();
  }

  /** Opens the page of `who`. */
  async enter(who) {
    const member = MEMBERS[who];
    const token = await tokenFor(this.#links, { ...member, lesson: this.#lesson });
    const url = `${this.nodes[member.school]}/${member.role}/${this.#lesson}#token=${token}`;
    const phone = member.role === "student" || member.role === "assistant";
    const size = phone ? PHONE : member.role === "teacher" ? [1280, 800] : SCREEN;
    const page = await visit(this.#browser, who, url, { size });
    this.pages[who] = page;
    if (member.role === "teacher") {
      await plays(page, "own-camera");
      await byId(page, "enter").click();
    }
    await byId(page, member.role).waitFor();
    return page;
  }

  /** Does `look` on the pages of all of `who` at once; says on whose it failed. */
  async on(who, look) {
    await Promise.all(
      who.map(async (one) => {
        try {
          await look(this.pages[one], one);
        } catch (error) {
          error.message = `on the page of ${one}: ${error.message}`;
          throw error;
        }
      }),
    );
  }

  /** Waits until each page says `text` there. */
  say(who, id, text) {
    return this.on(who, (page) => says(page, id, text));
  }

  /** Waits until something is there on each page. */
  show(who, id) {
    return this.on(who, (page) => byId(page, id).first().waitFor());
  }

  /** Waits until it is gone from each page. */
  gone(who, id) {
    return this.on(who, (page) => byId(page, id).waitFor({ state: "detached" }));
  }

  get everybody() {
    return Object.keys(this.pages);
  }
}

/** Everybody who sees what the class sees. */
export const CLASS = ["room1", "room2", "home", "near", "far"];
export const SEEING = [...CLASS, "observer"];
export const STUDENTS = ["home", "near", "far"];
export const ROOMS = ["room1", "room2"];
/** The school whose line is cut. */
export const FAR = ["room2", "helper", "far"];

export const says = (page, id, text) => byId(page, id).filter({ hasText: text }).first().waitFor();

export const idOf = (who) => MEMBERS[who].id;
export const nameOf = (who) => MEMBERS[who].name;
export const roleOf = (who) => MEMBERS[who].role;
