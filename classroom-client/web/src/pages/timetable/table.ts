// What the page holds of the timetable: the node's list, fetched again and again.

import { signal } from "@preact/signals";
import { getJson } from "../../http/get.ts";
import { HttpProblem } from "../../http/problem.ts";
import { timetableWords } from "../../i18n/sections/timetable.ts";
import type { LessonLine } from "./plan.ts";

/** A lesson opens a quarter of an hour before its bell: nobody misses ten seconds of that. */
const EVERY_MS = 10_000;

export class Table {
  readonly lines = signal<LessonLine[] | undefined>(undefined);
  readonly problem = signal("");
  readonly now = signal(Date.now());
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly token: string) {
    setInterval(() => {
      this.now.value = Date.now();
    }, 1000);
    window.addEventListener("online", () => void this.fetch());
    void this.fetch();
  }

  async fetch(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      const list = await getJson<{ lessons: LessonLine[] }>("/api/lessons", this.token);
      this.lines.value = list.lessons;
      this.problem.value = "";
    } catch (error) {
      const said = error instanceof HttpProblem ? error.message : timetableWords.peek().failed;
      this.problem.value = said;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.fetch(), EVERY_MS);
  }
}
