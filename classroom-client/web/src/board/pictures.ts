// Pictures on the board: assets of the lesson, by the hash of their bytes. Nothing else is ever
// loaded, whatever the document says.

import { assetUrl } from "../slides/asset.ts";
import type { OpenBoard } from "./open.ts";

/** One that can't be had is asked for again after this: the line may be away. */
const AGAIN_MS = 4_000;

export class Assets {
  readonly #board: Pick<OpenBoard, "lesson" | "pictureOf">;
  readonly #onLoad: () => void;
  readonly #images = new Map<string, HTMLImageElement>();

  /** `onLoad` is called when one of them can be drawn. */
  constructor(board: Pick<OpenBoard, "lesson" | "pictureOf">, onLoad: () => void) {
    this.#board = board;
    this.#onLoad = onLoad;
  }

  /** The picture, once it is loaded. */
  readonly of = (asset: string): HTMLImageElement | undefined => {
    const image = this.#images.get(asset) ?? this.#load(asset);
    return image.complete && image.naturalWidth > 0 ? image : undefined;
  };

  /** Waits until all of these are loaded, or can't be. */
  async all(assets: Iterable<string>): Promise<void> {
    for (const asset of assets) {
      await (this.#images.get(asset) ?? this.#load(asset)).decode().catch(() => undefined);
    }
  }

  #load(asset: string): HTMLImageElement {
    const image = new Image();
    image.onload = this.#onLoad;
    image.onerror = () => {
      setTimeout(() => {
        this.#images.delete(asset);
        this.#onLoad();
      }, AGAIN_MS);
    };
    const { lesson, pictureOf } = this.#board;
    if (pictureOf) {
      pictureOf(asset).then(
        (src) => {
          image.src = src;
        },
        () => undefined,
      );
    } else image.src = assetUrl(lesson, asset);
    this.#images.set(asset, image);
    return image;
  }
}
