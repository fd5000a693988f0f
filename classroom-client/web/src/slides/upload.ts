// A file on its way to being slides: its pages are made and handed to the node one after the
// other. What was handed up stays so: after a failure it goes on where it was.

import { signal } from "@preact/signals";
import { HttpProblem } from "../http/problem.ts";
import type { Deck, DeckPage } from "../protocol/words.ts";
import { putAsset } from "./asset.ts";
import type { RenderedPage } from "./pdf.ts";
import { textAsset } from "./text.ts";

/** As the nodes have it. */
export const MAX_PAGES = 300;
export const MAX_TITLE = 200;

/** Attempts for a page before the teacher is asked. */
const ATTEMPTS = 3;
const AGAIN_MS = 1_000;

export type UploadState =
  | { at: "reading" }
  | { at: "working"; done: number; of: number }
  /** `why` is the node's sentence; none when it could not be reached. */
  | { at: "failed"; page: number; done: number; of: number; why?: string }
  | { at: "unreadable"; why: "not-pdf" | "locked" | "too-many-pages" }
  | { at: "done"; deck: Deck }
  | { at: "cancelled" };

/** A file's pages, made one by one. */
export interface Pages {
  readonly count: number;
  render(number: number): Promise<RenderedPage>;
  close(): void;
}

export interface Means {
  /** Opens a file; rejects with an `Unreadable`. */
  open(file: Blob): Promise<Pages>;
  put(file: Blob, signal: AbortSignal): Promise<string>;
  wait(ms: number): Promise<void>;
}

/** The means of a browser: pdf.js, which is loaded with the first file, and the node. */
export function browserMeans(entry: { lesson: string; token: string }): Means {
  return {
    open: async (file) => (await import("./pdf.ts")).PdfPages.open(file),
    put: (file, stop) => putAsset(entry, file, stop),
    wait: (ms) => new Promise((passed) => setTimeout(passed, ms)),
  };
}

function reasonOf(error: unknown): "not-pdf" | "locked" {
  const why = (error as { why?: unknown }).why;
  return why === "locked" ? "locked" : "not-pdf";
}

export class DeckUpload {
  readonly state = signal<UploadState>({ at: "reading" });
  readonly title: string;

  readonly #means: Means;
  readonly #stop = new AbortController();
  readonly #pages: DeckPage[] = [];
  readonly #texts: string[] = [];
  #file: Pages | undefined;

  constructor(file: File, means: Means) {
    const named = file.name.replace(/\.pdf$/i, "").trim() || file.name || "PDF";
    this.title = [...named].slice(0, MAX_TITLE).join("");
    this.#means = means;
    void this.#begin(file);
  }

  /** Goes on where it failed. */
  resume(): void {
    if (this.state.peek().at === "failed") void this.#work();
  }

  cancel(): void {
    this.#stop.abort();
    this.#end({ at: "cancelled" });
  }

  async #begin(file: Blob): Promise<void> {
    try {
      this.#file = await this.#means.open(file);
    } catch (error) {
      this.#end({ at: "unreadable", why: reasonOf(error) });
      return;
    }
    if (this.#file.count > MAX_PAGES) this.#end({ at: "unreadable", why: "too-many-pages" });
    else await this.#work();
  }

  async #work(): Promise<void> {
    const file = this.#file;
    if (!file || this.#stop.signal.aborted) {
      file?.close();
      return;
    }
    const of = file.count;
    try {
      while (this.#pages.length < of) {
        this.state.value = { at: "working", done: this.#pages.length, of };
        await this.#page(file, this.#pages.length + 1);
        if (this.#stop.signal.aborted) return;
      }
      const some = this.#texts.some((text) => text.trim() !== "");
      const text = some ? await this.#put(textAsset(this.#texts)) : undefined;
      const id = crypto.randomUUID();
      const deck = { id, title: this.title, pages: this.#pages, ...(text ? { text } : {}) };
      this.#end({ at: "done", deck });
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const done = this.#pages.length;
      const why = error instanceof HttpProblem ? { why: error.message } : {};
      this.state.value = { at: "failed", page: Math.min(done + 1, of), done, of, ...why };
    }
  }

  async #page(file: Pages, number: number): Promise<void> {
    const { full, small, width, height, title, text } = await file.render(number);
    const asset = await this.#put(full);
    // A page as small as its small picture needs none.
    const smaller = small.size < full.size ? { small: await this.#put(small) } : {};
    this.#pages.push({ asset, width, height, ...smaller, ...(title ? { title } : {}) });
    this.#texts.push(text);
  }

  /** Hands up a file; what may pass is tried again. */
  async #put(file: Blob): Promise<string> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#means.put(file, this.#stop.signal);
      } catch (error) {
        const passing = !(error instanceof HttpProblem) || error.passing;
        if (!passing || attempt >= ATTEMPTS || this.#stop.signal.aborted) throw error;
        await this.#means.wait(AGAIN_MS * attempt);
      }
    }
  }

  #end(state: UploadState): void {
    if (this.state.peek().at === "cancelled") return;
    this.state.value = state;
    this.#file?.close();
  }
}
