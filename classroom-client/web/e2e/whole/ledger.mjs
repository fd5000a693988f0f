// What was done in a lesson, set against what the campus wrote down of it: every event in its log
// once, and in analytics' records each with its behaviour code, once.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, until } from "../harness.mjs";

/** How an event is said in one line, by what makes it the one that was meant. */
const LINES = {
  "lesson.opened": () => "",
  "lesson.started": ({ by }) => by,
  "lesson.ended": ({ by }) => by,
  "roll-call.opened": ({ by }) => by,
  "roll-call.answered": ({ member }) => member,
  "roll-call.counted": ({ member, present, expected }) => `${member} ${present}/${expected}`,
  "roll-call.closed": ({ by }) => by,
  "slides.opened": ({ by }) => by,
  "slides.turned": ({ page }) => page,
  "slides.closed": () => "",
  "board.drawn": ({ member }) => member,
  "board.writers": ({ writers }) => writers,
  "view.directed": ({ by, layout }) => `${by} ${layout}`,
  "question.asked": ({ text }) => text,
  "question.answered": ({ member }) => member,
  "question.closed": () => "",
  "hand.raised": ({ member }) => member,
  "hand.lowered": ({ member, by }) => `${member} by ${by}`,
  "hands.counted": ({ member, count }) => `${member} ${count}`,
  "stage.called": ({ member }) => member,
  "stage.left": ({ member }) => member,
  "quiz.opened": ({ quiz }) => quiz.kind,
  "quiz.answered": ({ member, item, answer }) => `${member} ${item} ${JSON.stringify(answer)}`,
  "quiz.counted": ({ member, item, counts }) => `${member} ${item} ${counts.join(" ")}`,
  "quiz.closed": () => "",
  "quiz.revealed": () => "",
  "buzzer.opened": () => "",
  "buzzer.pressed": ({ member, rank }) => `${member} ${rank}`,
  "buzzer.closed": () => "",
  "groups.opened": ({ groups }) => groups.map(({ members }) => members.length).join(" "),
  "groups.visited": ({ member, group }) => `${member} ${group ? "in" : "out"}`,
  "groups.closed": () => "",
  "chat.set": ({ mode }) => mode,
  "chat.said": ({ member, text }) => `${member} ${text}`,
};

/** What nobody did: cuts the node makes by itself. Only their codes are looked at. */
const byItself = ({ type, by }) => type === "view.directed" && by === undefined;

/** Decided at a school that had lost its line: the log says so, and which node did. */
const lateBy = ({ late }) => (late ? ` late by ${late.node}` : "");

const lineOf = (event) => `${event.type} ${LINES[event.type](event)}${lateBy(event)}`.trim();

/** Who only looks on does nothing that is a behaviour. */
const LOOKS_ON = new Set(["observer", "operator"]);

const ANSWERS = new Set([
  "roll-call.answered",
  "roll-call.counted",
  "quiz.answered",
  "quiz.counted",
  "buzzer.pressed",
  "question.answered",
]);

/** What has to be known of a lesson so far to tell which behaviour an event is. */
class Known {
  #roles = new Map();
  #quizzes = new Map();
  #tracks = new Set();
  #opened = new Map();

  /** The event that an answer's record has to name as its cause; none where it answers nothing. */
  causeOf(event) {
    const { type, quiz, buzzer, question, rollCall } = event;
    const thing = quiz?.id ?? quiz ?? buzzer ?? question ?? rollCall;
    if (/\.(opened|asked)$/.test(type)) this.#opened.set(thing, event.id);
    return ANSWERS.has(type) ? this.#opened.get(thing) : undefined;
  }

  /** The behaviour code of an event, as docs/behaviour-data.md has them; none where it has none. */
  codeOf(event) {
    const { type, member, track } = event;
    switch (type) {
      case "member.joined":
        this.#roles.set(member.id, member.role);
        return LOOKS_ON.has(member.role) ? undefined : "L03";
      case "member.left":
        for (const one of this.#tracks) if (one.startsWith(`${member}/`)) this.#tracks.delete(one);
        return LOOKS_ON.has(this.#roles.get(member)) ? undefined : "L04";
      case "hands.counted":
        return event.count > 0 ? "S01" : "S02";
      case "quiz.opened":
        this.#quizzes.set(event.quiz.id, event.quiz.kind);
        return event.quiz.kind === "poll" ? "T06" : "T05";
      case "quiz.answered":
      case "quiz.counted":
        return this.#quizzes.get(event.quiz) === "poll" ? "S07" : "S06";
      case "track.published":
        // Published again after a broken line: the first goes on.
        return this.#tracks.has(track) ? undefined : this.#published(track);
      case "track.unpublished":
        this.#tracks.delete(track);
        return undefined;
      default:
        return CODES[type];
    }
  }

  #published(track) {
    this.#tracks.add(track);
    const [of, source] = track.split("/");
    if (source === "screen") return "T09";
    return source === "camera" && this.#roles.get(of) !== "teacher" ? "S11" : undefined;
  }
}

const CODES = {
  "lesson.started": "L01",
  "lesson.ended": "L02",
  "roll-call.opened": "L05",
  "roll-call.answered": "L06",
  "roll-call.counted": "L06",
  "slides.opened": "T10",
  "slides.turned": "T10",
  "board.drawn": "T08",
  "question.asked": "T02",
  "question.answered": "S04",
  "hand.raised": "S01",
  "hand.lowered": "S02",
  "stage.called": "T12",
  "buzzer.opened": "T04",
  "buzzer.pressed": "S03",
  "groups.opened": "T07",
  "chat.said": "S08",
};

export class Ledger {
  #done = [];

  constructor({ links, data, lesson, token }) {
    this.links = links;
    this.lesson = lesson;
    this.token = token;
    this.file = join(data, "campus", "lessons", lesson, "events.ndjson");
  }

  /** Notes that something was done, as a line of the log says it: it has to be there once. */
  did(...lines) {
    this.#done.push(...lines);
  }

  /** Waits until the campus has written down what was done so far of this type. */
  async written(type) {
    await until(`${type} in the log`, async () => {
      const logged = (await this.events()).filter((event) => event.type === type).map(lineOf);
      const done = this.#done.filter((line) => line.split(" ")[0] === type);
      return without(done, logged).length === 0;
    });
  }

  /** The log as it is now. What is still being written at its end is left out. */
  async events() {
    const text = await readFile(this.file, "utf8");
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    return whole
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  /** Every event of the log that is somebody's doing was done, once, and all that was done is there. */
  async checkLog() {
    const events = await this.events();
    const gap = events.findIndex(({ seq }, at) => seq !== at + 1);
    expect(gap < 0, `event ${gap + 1} has number ${events[gap]?.seq}`);
    const ids = new Set(events.map(({ id }) => id));
    expect(ids.size === events.length, "two events have the same id");
    const logged = events.filter((event) => event.type in LINES && !byItself(event)).map(lineOf);
    const missing = without(this.#done, logged);
    const extra = without(logged, this.#done);
    expect(
      missing.length + extra.length === 0,
      `not in the log: ${missing.join(" | ")}\nnot done: ${extra.join(" | ")}`,
    );
    return { events: events.length, done: logged.length };
  }

  /** Each event has the record of its code, each record its event, and none comes twice. */
  async checkRecords() {
    const events = await this.events();
    const known = new Known();
    const expected = new Map();
    for (const event of events) {
      const code = known.codeOf(event);
      const cause = known.causeOf(event);
      if (code) expected.set(event.id, { code, cause, what: event.type });
    }
    const records = await until("analytics has every event", async () => {
      const all = await this.records();
      const ids = new Set(all.map(({ id }) => id));
      return [...expected.keys()].every((id) => ids.has(id)) && all;
    }).catch(async (error) => {
      const ids = new Set((await this.records()).map(({ id }) => id));
      const lacking = [...expected].filter(([id]) => !ids.has(id)).map(([, { what }]) => what);
      throw new Error(`${error.message}; it lacks ${lacking.join(" | ")}`);
    });
    const signals = records.filter(({ source }) => source.kind !== "media");
    for (const { id, code, cause } of signals) {
      const right = expected.get(id);
      expect(right, `a ${code} of no event`);
      expect(right.code === code, `${right.what} was written down as ${code}`);
      const tied = right.cause === undefined || right.cause === cause;
      expect(tied, `a ${code} names ${cause} as its cause, not ${right.cause}`);
    }
    const ids = new Set(records.map(({ id }) => id));
    expect(ids.size === records.length, "a record is there twice");
    const seqs = records.map(({ seq }) => seq).sort((a, b) => a - b);
    const gap = seqs.findIndex((seq, at) => seq !== at + 1);
    expect(gap < 0, `record ${gap + 1} has number ${seqs[gap]}`);
    const codes = new Set(records.map(({ code }) => code));
    return { records: records.length, codes: [...codes].sort() };
  }

  /** Analytics' exchange records of the lesson. */
  async records() {
    const url = `${this.links.analytics}/lessons/${this.lesson}/behaviours?format=ndjson`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${this.token}` } });
    const text = await answer.text();
    expect(answer.ok, `analytics: ${answer.status} ${text}`);
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }
}

/** What of `all` is left when each of `others` takes one of its like away. */
function without(all, others) {
  const rest = [...all];
  for (const one of others) {
    const at = rest.indexOf(one);
    if (at >= 0) rest.splice(at, 1);
  }
  return rest;
}
