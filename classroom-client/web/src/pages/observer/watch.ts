// An observer's part: sees and hears, writes down and judges, and is noticed by nobody.

import { computed, signal } from "@preact/signals";
import type { LessonSession } from "../../lesson/session.ts";
import { wantedByClass } from "../../lesson/wanted.ts";
import type { Score } from "../../protocol/interactions.ts";
import type { MemberCommand } from "../../protocol/words.ts";
import { type Book, type Draft, drafted, type ShownNote } from "../../review/book.ts";
import { inOrder } from "../../review/notes.ts";
import { readSheet } from "../../review/sheet.ts";
import { notifyRefused } from "../../ui/notices.tsx";

export class Watch implements Book {
  readonly session: LessonSession;
  /** What is being written, and when that began. */
  readonly draft = signal<Draft>({ text: "", atMs: undefined });
  /** The sheet as it is being filled in; `undefined` until something was changed. */
  readonly sheet = signal<Score[] | undefined>(undefined);
  readonly #sheetKey: string;

  /** The own notes, those that wait for the line included, in the order of the lesson. */
  readonly notes = computed((): ShownNote[] => {
    const { state, you, waiting } = this.session.socket;
    const me = you.value?.id;
    const known = (state.value?.notes ?? [])
      .filter(({ member }) => member === me)
      .map(({ id, atMs, text }) => ({ key: id, atMs, text, waits: false }));
    const queued = waiting.value.flatMap(({ id, command }) =>
      command.do === "note"
        ? [{ key: `waiting-${id}`, atMs: command.atMs ?? 0, text: command.text, waits: true }]
        : [],
    );
    return inOrder([...known, ...queued]);
  });

  constructor(session: LessonSession) {
    this.session = session;
    this.#sheetKey = `cloudschool.sheet:${session.entry.lesson}`;
    this.sheet.value = readSheet(localStorage.getItem(this.#sheetKey));
    session.watch((state, me) => wantedByClass(state, me, "all"));
  }

  /** What is written so far; the first letter sets its time. */
  write(text: string, nowMs: number): void {
    this.draft.value = drafted(this.draft.peek(), text, nowMs);
  }

  /** Takes the note that is written. */
  note(nowMs: number): void {
    const { text, atMs } = this.draft.peek();
    const said = text.trim();
    if (said === "") return;
    this.ask({ do: "note", text: said, atMs: Math.round(atMs ?? nowMs) });
    this.draft.value = { text: "", atMs: undefined };
  }

  fill(sheet: Score[] | undefined): void {
    this.sheet.value = sheet;
    if (sheet) localStorage.setItem(this.#sheetKey, JSON.stringify(sheet));
    else localStorage.removeItem(this.#sheetKey);
  }

  readonly submitted = computed(() => {
    const { state, you } = this.session.socket;
    return state.value?.sheets[you.value?.id ?? ""];
  });

  readonly sheetWaits = computed(() =>
    this.session.socket.waiting.value.some(({ command }) => command.do === "score"),
  );

  submit(sheet: Score[]): void {
    this.ask({ do: "score", sheet });
  }

  /** Asks something of the lesson; a refusal is shown. */
  ask(command: MemberCommand): void {
    this.session.socket.command(command).catch(notifyRefused);
  }
}
