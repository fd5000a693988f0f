// Puts a picture of the teacher's onto the board: made small enough, given to the node as an
// asset of the lesson, and named by what is in it.

import { putAsset } from "../slides/asset.ts";
import { HEIGHT, WIDTH } from "./elements.ts";
import type { OpenBoard } from "./open.ts";

/** Longest side of a picture, in dots: what a large screen shows of a board. */
const LONGEST = 1920;
const QUALITY = 0.86;

/** Lets the teacher choose a picture; resolves when it is on the board, or none was chosen. */
export async function insertPicture(board: OpenBoard, surface: string): Promise<void> {
  const file = await choose();
  if (!file || !board.token) return;
  const { blob, width, height } = await small(file);
  const asset = await putAsset(
    { lesson: board.lesson, token: board.token },
    blob,
    new AbortController().signal,
  );
  // Half the board at most, in its middle.
  const fit = Math.min(1, WIDTH / 2 / width, HEIGHT / 2 / height);
  const size = { width: width * fit, height: height * fit };
  const at = { x: (WIDTH - size.width) / 2, y: (HEIGHT - size.height) / 2 };
  const { document: page } = board;
  page.add(surface, { kind: "image", z: page.nextZ(surface), at, size, asset });
}

function choose(): Promise<File | undefined> {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = "image/*";
    input.onchange = () => resolve(input.files?.[0]);
    input.oncancel = () => resolve(undefined);
    input.click();
  });
}

async function small(file: File): Promise<{ blob: Blob; width: number; height: number }> {
  const picture = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/webp", QUALITY));
  if (!blob) throw new Error("the picture could not be made smaller");
  return { blob, width: canvas.width, height: canvas.height };
}
