// Pictures of pages, shown only once they are there: until then the page before stays.

import { useEffect, useState } from "preact/hooks";
import { type Files, getAsset, getPicture, type Shown } from "./asset.ts";

/** How long a page may take before the small picture is tried. */
const SMALL_AFTER_MS = 400;
/** Between attempts after a failure: the line may be away. */
const AGAIN_MS = [500, 1_000, 2_000, 4_000] as const;

export interface Wanted {
  /** Names the page. */
  key: string;
  /** The asset; none while it is not known what to show. */
  full?: string | undefined;
  /** A smaller picture to show meanwhile. */
  small?: string | undefined;
}

export interface Picture extends Shown {
  key: string;
}

/** Gets a picture, again and again until it is there; gives nothing once it is no more wanted. */
async function untilThere(
  files: Files,
  asset: string,
  signal: AbortSignal,
): Promise<Shown | undefined> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      return await getPicture(files, asset, { signal });
    } catch {
      const wait = AGAIN_MS[Math.min(attempt, AGAIN_MS.length - 1)];
      await new Promise((waited) => setTimeout(waited, wait));
    }
  }
  return undefined;
}

/**
 * The picture to show for what is wanted: the last one that was complete. It asks again for as
 * long as it is wanted.
 */
export function usePicture({ lesson, token }: Files, wanted: Wanted): Picture | undefined {
  const [shown, show] = useState<Picture | undefined>(undefined);
  const { key, full, small } = wanted;
  useEffect(() => {
    if (!full) return;
    const files = { lesson, token };
    const over = new AbortController();
    let whole = false;
    untilThere(files, full, over.signal).then(
      (picture) => {
        if (!picture) return;
        whole = true;
        show({ key, ...picture });
      },
      () => undefined,
    );
    const trySmall = async (asset: string) => {
      const picture = await getPicture(files, asset, { signal: over.signal });
      if (whole) URL.revokeObjectURL(picture.src);
      else show({ key, ...picture });
    };
    // Where it fails, the whole picture is on its way all the same.
    const later = small
      ? setTimeout(() => !whole && trySmall(small).catch(() => undefined), SMALL_AFTER_MS)
      : undefined;
    return () => {
      over.abort();
      clearTimeout(later);
    };
  }, [lesson, token, key, full, small]);
  useLetGo(shown);
  return shown;
}

/** A picture as soon as its element is in sight; `ref` is for the element. */
export function usePictureInSight(
  { lesson, token }: Files,
  asset: string,
  ref: { current: Element | null },
): Shown | undefined {
  const [shown, show] = useState<Shown | undefined>(undefined);
  useEffect(() => {
    const { current } = ref;
    if (!current) return;
    const over = new AbortController();
    const sight = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      sight.disconnect();
      untilThere({ lesson, token }, asset, over.signal).then(show, () => undefined);
    });
    sight.observe(current);
    return () => {
      over.abort();
      sight.disconnect();
    };
  }, [lesson, token, asset]);
  useLetGo(shown);
  return shown;
}

/** Lets go of a picture when another is shown in its place. */
function useLetGo(shown: Shown | undefined): void {
  useEffect(() => {
    if (shown) return () => URL.revokeObjectURL(shown.src);
  }, [shown]);
}

/** Has the browser keep a picture that will be wanted soon, after everything else. */
export function useSoon({ lesson, token }: Files, asset: string | undefined): void {
  useEffect(() => {
    if (!asset) return;
    const over = new AbortController();
    // Where it fails, it is fetched when it is wanted.
    getAsset({ lesson, token }, asset, { signal: over.signal, low: true }).catch(() => undefined);
    return () => over.abort();
  }, [lesson, token, asset]);
}
