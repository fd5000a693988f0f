// A PDF's pages as pictures, made once in the teacher's browser by pdf.js. It and its worker are
// loaded when the first file is chosen, and never on any other page than the teacher's.

import { GlobalWorkerOptions, getDocument, type PDFDocumentProxy } from "pdfjs-dist";
import workerUrl from "pdfjs-dist/build/pdf.worker.min.mjs?url";
import { titleOf } from "./text.ts";

GlobalWorkerOptions.workerSrc = workerUrl;

/** Long side of a page's picture, in pixels: a classroom's screen shows it whole. */
const LONG_SIDE = 1920;
/** Of the small one: legible on a phone. */
const SMALL_SIDE = 800;
/** A page with as many letters is read, and gets the finer quality. */
const READ_FROM = 40;

/** What pdf.js needs for text without fonts of its own and for scans, served with our pages. */
const DATA = import.meta.glob<string>(
  [
    "/node_modules/pdfjs-dist/cmaps/*.bcmap",
    "/node_modules/pdfjs-dist/standard_fonts/*.{pfb,ttf}",
    "/node_modules/pdfjs-dist/wasm/*.wasm",
  ],
  { query: "?url", import: "default", eager: true },
);

const FOLDERS: Record<string, string> = {
  cMapUrl: "cmaps",
  standardFontDataUrl: "standard_fonts",
  wasmUrl: "wasm",
};

/** Gets them by their names in the package; the files we serve have others. */
class OurData {
  async fetch({ kind, filename }: { kind: string; filename: string }): Promise<Uint8Array> {
    const url = DATA[`/node_modules/pdfjs-dist/${FOLDERS[kind] ?? ""}/${filename}`];
    const response = url ? await fetch(url) : undefined;
    if (!response?.ok) throw new Error(`pdf.js has no ${filename}`);
    return new Uint8Array(await response.arrayBuffer());
  }
}

/** Why a file gives no pages. */
export class Unreadable extends Error {
  constructor(readonly why: "not-pdf" | "locked") {
    super(why);
  }
}

export interface RenderedPage {
  full: Blob;
  small: Blob;
  width: number;
  height: number;
  title?: string;
  text: string;
}

/** A file that is open: its pages are made one by one. */
export class PdfPages {
  readonly #document: PDFDocumentProxy;

  private constructor(document: PDFDocumentProxy) {
    this.#document = document;
  }

  static async open(file: Blob): Promise<PdfPages> {
    const data = new Uint8Array(await file.arrayBuffer());
    const opening = getDocument({
      data,
      BinaryDataFactory: OurData,
      // Only asks whether there are any; what gets them is above.
      cMapUrl: "cmaps/",
      standardFontDataUrl: "standard_fonts/",
      wasmUrl: "wasm/",
      useWorkerFetch: false,
      isEvalSupported: false,
    });
    try {
      return new PdfPages(await opening.promise);
    } catch (error) {
      const locked = error instanceof Error && error.name === "PasswordException";
      throw new Unreadable(locked ? "locked" : "not-pdf");
    }
  }

  get count(): number {
    return this.#document.numPages;
  }

  /** Makes page `number`, 1 for the first. */
  async render(number: number): Promise<RenderedPage> {
    const page = await this.#document.getPage(number);
    try {
      const at = page.getViewport({ scale: 1 });
      const scale = LONG_SIDE / Math.max(at.width, at.height);
      const viewport = page.getViewport({ scale });
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(viewport.width));
      canvas.height = Math.max(1, Math.round(viewport.height));
      await page.render({ canvas, viewport, background: "white" }).promise;
      const lines = linesOf(await page.getTextContent());
      const text = lines.join(" ");
      const title = titleOf(lines);
      const quality = text.length >= READ_FROM ? 0.9 : 0.8;
      const [full, small] = [await picture(canvas, quality), await picture(shrunk(canvas), 0.75)];
      const { width, height } = canvas;
      // Its memory is given back at once: a deck has hundreds of pages.
      canvas.width = 0;
      return { full, small, width, height, text, ...(title ? { title } : {}) };
    } finally {
      page.cleanup();
    }
  }

  close(): void {
    void this.#document.destroy();
  }
}

/** The lines of a page, as they were set. */
function linesOf({ items }: { items: readonly object[] }): string[] {
  const lines = [""];
  for (const item of items) {
    if (!("str" in item) || typeof item.str !== "string") continue;
    lines[lines.length - 1] += item.str;
    if ("hasEOL" in item && item.hasEOL) lines.push("");
  }
  return lines;
}

function shrunk(canvas: HTMLCanvasElement): HTMLCanvasElement {
  const small = document.createElement("canvas");
  const scale = Math.min(1, SMALL_SIDE / Math.max(canvas.width, canvas.height));
  small.width = Math.max(1, Math.round(canvas.width * scale));
  small.height = Math.max(1, Math.round(canvas.height * scale));
  const context = small.getContext("2d");
  if (context) {
    context.imageSmoothingQuality = "high";
    context.drawImage(canvas, 0, 0, small.width, small.height);
  }
  return small;
}

/** WebP, or PNG from a browser that can't write it: nodes take both. */
async function picture(canvas: HTMLCanvasElement, quality: number): Promise<Blob> {
  const blob = await new Promise<Blob | null>((made) => canvas.toBlob(made, "image/webp", quality));
  if (!blob) throw new Error("the browser made no picture of a page");
  return blob;
}
