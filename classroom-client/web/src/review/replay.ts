// An observer's notes and sheet beside a recording, kept by the library: what was noted in the
// lesson is there already, what is noted here is seen again from any browser. What the library has
// not answered is kept in this browser, says that it waits, and is sent again.

import { computed, signal } from "@preact/signals";
import { HttpProblem } from "../http/problem.ts";
import type { Score } from "../protocol/interactions.ts";
import { retryDelay } from "../protocol/retry.ts";
import { type Book, type Draft, drafted, NOTE_MOST, type ShownNote } from "./book.ts";
import { inOrder, type NoteLine } from "./notes.ts";
import { readSheet } from "./sheet.ts";

export interface KeptNote extends NoteLine {
  id: string;
}

/** What the library has of an observer's. */
export interface KeptBook {
  notes: KeptNote[];
  sheet?: Score[];
}

/** How the library is spoken to. All reject with `HttpProblem`, or as `fetch` does. */
export interface Shelf {
  read(): Promise<KeptBook>;
  note(note: KeptNote): Promise<void>;
  sheet(sheet: Score[]): Promise<void>;
}

interface Waiting {
  notes: KeptNote[];
  /** Handed in, and not answered. */
  sheet?: Score[] | undefined;
  /** Being filled in. */
  draft?: Score[] | undefined;
}

type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export class ReplayBook implements Book {
  readonly draft = signal<Draft>({ text: "", atMs: undefined });
  readonly sheet = signal<Score[] | undefined>(undefined);
  readonly submitted = signal<Score[] | undefined>(undefined);
  readonly #handedIn = signal<Score[] | undefined>(undefined);
  readonly sheetWaits = computed(() => this.#handedIn.value !== undefined);
  readonly #kept = signal<readonly KeptNote[]>([]);
  readonly #waiting = signal<readonly KeptNote[]>([]);
  readonly notes = computed((): ShownNote[] => {
    const here = new Set(this.#waiting.value.map(({ id }) => id));
    const kept = this.#kept.value.filter(({ id }) => !here.has(id));
    const shown = (waits: boolean) => (note: KeptNote) => ({ ...note, key: note.id, waits });
    return inOrder([...kept.map(shown(false)), ...this.#waiting.value.map(shown(true))]);
  });
  readonly #store: Store;
  readonly #key: string;
  readonly #shelf: Shelf;
  readonly #refused: (sentence: string) => void;
  #read = false;
  #under = false;
  #closed = false;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `name` is of the recording and of who holds the book; `refused` says what was not taken. */
  constructor(store: Store, name: string, shelf: Shelf, refused: (sentence: string) => void) {
    this.#store = store;
    this.#key = `cloudschool.review:${name}`;
    this.#shelf = shelf;
    this.#refused = refused;
    const waiting = readWaiting(store.getItem(this.#key));
    this.#waiting.value = waiting.notes;
    this.#handedIn.value = waiting.sheet;
    this.sheet.value = waiting.draft;
    void this.#work();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  write(text: string, nowMs: number): void {
    this.draft.value = drafted(this.draft.peek(), text, nowMs);
  }

  note(nowMs: number): void {
    const { text, atMs } = this.draft.peek();
    const said = text.trim().slice(0, NOTE_MOST);
    if (said === "") return;
    const note = { id: newId(), atMs: Math.round(atMs ?? nowMs), text: said };
    this.#waiting.value = [...this.#waiting.peek(), note];
    this.draft.value = { text: "", atMs: undefined };
    this.#keep();
    void this.#work();
  }

  fill(sheet: Score[] | undefined): void {
    this.sheet.value = sheet;
    this.#keep();
  }

  submit(sheet: Score[]): void {
    this.#handedIn.value = sheet;
    this.#keep();
    void this.#work();
  }

  /** Reads what there is, and sends what waits, one after the other. */
  async #work(): Promise<void> {
    if (this.#under || this.#closed) return;
    this.#under = true;
    clearTimeout(this.#timer);
    try {
      // Something may be written while the last of it is under way.
      do await this.#round();
      while (!this.#closed && (this.#waiting.peek().length > 0 || this.#handedIn.peek()));
      this.#attempt = 0;
    } catch {
      this.#timer = setTimeout(() => void this.#work(), retryDelay(this.#attempt++, Math.random()));
    }
    this.#under = false;
  }

  async #round(): Promise<void> {
    if (!this.#read) {
      const { notes, sheet } = await this.#shelf.read();
      this.#kept.value = notes;
      this.submitted.value = sheet;
      this.#read = true;
    }
    for (let note = this.#waiting.peek()[0]; note; note = this.#waiting.peek()[0]) {
      const { id } = note;
      if (await this.#taken(this.#shelf.note(note))) {
        this.#kept.value = [...this.#kept.peek().filter((one) => one.id !== id), note];
      }
      this.#waiting.value = this.#waiting.peek().filter((one) => one.id !== id);
      this.#keep();
    }
    for (let sheet = this.#handedIn.peek(); sheet; sheet = this.#handedIn.peek()) {
      if (await this.#taken(this.#shelf.sheet(sheet))) this.submitted.value = sheet;
      // Another one may have been handed in meanwhile.
      if (this.#handedIn.peek() === sheet) this.#handedIn.value = undefined;
      this.#keep();
    }
  }

  /** Whether it was taken; false when it is refused for good. Anything else is tried again. */
  async #taken(asked: Promise<void>): Promise<boolean> {
    try {
      await asked;
      return true;
    } catch (error) {
      const refused =
        error instanceof HttpProblem && (error.status === 400 || error.status === 507);
      if (!refused) throw error;
      this.#refused(error.message);
      return false;
    }
  }

  #keep(): void {
    const notes = this.#waiting.peek();
    const [sheet, draft] = [this.#handedIn.peek(), this.sheet.peek()];
    if (notes.length === 0 && !sheet && !draft) this.#store.removeItem(this.#key);
    else this.#store.setItem(this.#key, JSON.stringify({ notes, sheet, draft }));
  }
}

/** A UUID (version 4). `crypto.randomUUID` is missing where a library is served without TLS. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function readWaiting(text: string | null): Waiting {
  try {
    const { notes, sheet, draft } = JSON.parse(text ?? "") as Record<string, unknown>;
    const good = (note: Partial<KeptNote> | null): note is KeptNote =>
      typeof note?.id === "string" && Number.isFinite(note.atMs) && typeof note.text === "string";
    const scores = (kept: unknown) => (kept ? readSheet(JSON.stringify(kept)) : undefined);
    return {
      notes: (Array.isArray(notes) ? notes : []).filter(good),
      sheet: scores(sheet),
      draft: scores(draft),
    };
  } catch {
    return { notes: [] };
  }
}
