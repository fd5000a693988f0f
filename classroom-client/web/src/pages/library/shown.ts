// What a recorded lesson showed beside its picture and sound, and the files of it. `docs/recorder.md`
// describes both.

import { getBlob } from "../../http/get.ts";

export interface ShownPage {
  show: "slides";
  deck: string;
  /** 1 for the first. */
  page: number;
  asset: string;
  width: number;
  height: number;
  title?: string;
}

export type Moment = { startMs: number } & (ShownPage | { show: "board" } | { show: "media" });

export interface Shown {
  moments: Moment[];
  /** Names of files, by asset. */
  pictures: Record<string, string>;
  board?: string;
}

/** What is shown at `ms` of the recording; nothing beside the picture before the first moment. */
export function momentAt(moments: readonly Moment[], ms: number): Moment | undefined {
  const moment = moments.findLast(({ startMs }) => startMs <= ms);
  return moment?.show === "media" ? undefined : moment;
}

/** Pictures of a recording, fetched once each: an `<img>` has no token to ask for them with. */
export class Pictures {
  readonly #shown: Shown;
  readonly #folder: string;
  readonly #token: string;
  readonly #urls = new Map<string, Promise<string>>();

  /** `folder` is where the recording's files are. */
  constructor(shown: Shown, folder: string, token: string) {
    this.#shown = shown;
    this.#folder = folder;
    this.#token = token;
  }

  /** An address that an `<img>` can load; rejects where there is no such picture. */
  of(asset: string): Promise<string> {
    const known = this.#urls.get(asset);
    if (known) return known;
    const asked = this.#fetch(asset);
    this.#urls.set(asset, asked);
    // What failed may succeed when it is asked for again.
    asked.catch(() => this.#urls.delete(asset));
    return asked;
  }

  async #fetch(asset: string): Promise<string> {
    const name = this.#shown.pictures[asset];
    if (!name) throw new Error("the recording is without this picture");
    return URL.createObjectURL(await getBlob(`${this.#folder}/${name}`, this.#token));
  }

  close(): void {
    for (const url of this.#urls.values()) {
      url.then(
        (address) => URL.revokeObjectURL(address),
        () => undefined,
      );
    }
    this.#urls.clear();
  }
}
