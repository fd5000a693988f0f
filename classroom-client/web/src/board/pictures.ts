// Pictures on the board: assets of the lesson, by the hash of their bytes. Nothing else is ever
// loaded, whatever the document says.

import { getPicture } from "../slides/asset.ts";
import type { OpenBoard } from "./open.ts";

/** One that can't be had is asked for again after this: the line may be away. */
const AGAIN_MS = 4_000;

type Where = Pick<OpenBoard, "lesson" | "token" | "pictureOf">;

export class Assets {
  readonly #board: Where;
  readonly #onLoad: () => void;
  /** Those that can be drawn. */
  readonly #images = new Map<string, HTMLImageElement>();
  readonly #asked = new Map<string, Promise<void>>();

  /** `onLoad` is called when one of them can be drawn. */
  constructor(board: Where, onLoad: () => void) {
    this.#board = board;
    this.#onLoad = onLoad;
  }

  /** The picture, once it is loaded. */
  readonly of = (asset: string): HTMLImageElement | undefined => {
    const image = this.#images.get(asset);
    if (!image) void this.#load(asset);
    return image;
  };

  /** Waits until all of these are loaded, or can't be. */
  async all(assets: Iterable<string>): Promise<void> {
    await Promise.all([...assets].map((asset) => this.#load(asset)));
  }

  #load(asset: string): Promise<void> {
    const known = this.#asked.get(asset);
    if (known) return known;
    const asked = this.#get(asset).then(
      (image) => {
        this.#images.set(asset, image);
        this.#onLoad();
      },
      () => {
        setTimeout(() => {
          this.#asked.delete(asset);
          this.#onLoad();
        }, AGAIN_MS);
      },
    );
    this.#asked.set(asset, asked);
    return asked;
  }

  async #get(asset: string): Promise<HTMLImageElement> {
    const { pictureOf } = this.#board;
    if (!pictureOf) {
      const { src, image } = await getPicture(this.#board, asset);
      URL.revokeObjectURL(src);
      return image;
    }
    const image = new Image();
    image.src = await pictureOf(asset);
    await image.decode();
    return image;
  }
}
