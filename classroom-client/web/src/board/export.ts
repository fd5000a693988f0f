// Saves board pages: one as PNG, all as PDF. Always on white paper, whatever the screen's look.

import { pageSurface } from "./document.ts";
import { type Element, HEIGHT, WIDTH } from "./elements.ts";
import type { OpenBoard } from "./open.ts";
import { type Palette, paint, stacked } from "./paint.ts";
import { type PdfPage, pdf } from "./pdf.ts";
import { Assets } from "./pictures.ts";

/** Dots of a picture to a board unit. */
const SCALE = 2;

/** The inks for paper; the same as the light look's. */
const PAPER: Palette = {
  paper: "#ffffff",
  inks: ["#1a1f22", "#0062a3", "#b84700", "#00724f", "#8f6400", "#a03a78"],
};

/** Saves a page as a picture. */
export async function savePng(board: OpenBoard, page: string): Promise<void> {
  const canvas = await drawn(board, page);
  save(await blobOf(canvas, "image/png"), `${board.lesson}-${page}.png`);
}

/** Saves all pages as one document. */
export async function savePdf(board: OpenBoard): Promise<void> {
  const pages: PdfPage[] = [];
  for (const page of board.document.pages()) {
    const canvas = await drawn(board, page);
    const blob = await blobOf(canvas, "image/jpeg", 0.92);
    const jpeg = new Uint8Array(await blob.arrayBuffer());
    pages.push({ jpeg, width: canvas.width, height: canvas.height });
  }
  save(new Blob([pdf(pages)], { type: "application/pdf" }), `${board.lesson}-board.pdf`);
}

async function drawn(board: OpenBoard, page: string): Promise<HTMLCanvasElement> {
  const elements = stacked(board.document.elements(pageSurface(page)));
  const assets = new Assets(board, () => undefined);
  await assets.all(elements.flatMap((one: Element) => (one.kind === "image" ? [one.asset] : [])));
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH * SCALE;
  canvas.height = HEIGHT * SCALE;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  context.fillStyle = PAPER.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(SCALE, SCALE);
  for (const element of elements) paint(context, element, PAPER, assets.of);
  return canvas;
}

function blobOf(canvas: HTMLCanvasElement, type: string, quality?: number): Promise<Blob> {
  return new Promise((resolve, reject) => {
    const done = (blob: Blob | null) => (blob ? resolve(blob) : reject(new Error("no picture")));
    canvas.toBlob(done, type, quality);
  });
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
