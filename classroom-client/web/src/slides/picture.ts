// Pictures of pages, shown only once they are there: until then the page before stays.

import { useEffect, useState } from "preact/hooks";

/** How long a page may take before the small picture is tried. */
const SMALL_AFTER_MS = 400;
/** Between attempts after a failure: the line may be away. */
const AGAIN_MS = [500, 1_000, 2_000, 4_000] as const;

export interface Wanted {
  /** Names the page. */
  key: string;
  full: string;
  /** A smaller picture to show meanwhile. */
  small?: string | undefined;
}

export interface Picture {
  key: string;
  src: string;
}

/** Loads and decodes a picture, so that showing it costs no blank frame. */
async function load(src: string): Promise<void> {
  const image = new Image();
  image.src = src;
  await image.decode();
}

/**
 * The picture to show for what is wanted: the last one that was complete. It asks again for as
 * long as it is wanted.
 */
export function usePicture(wanted: Wanted): Picture | undefined {
  const [shown, show] = useState<Picture | undefined>(undefined);
  const { key, full, small } = wanted;
  useEffect(() => {
    let over = false;
    let whole = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tryFull = async (attempt: number) => {
      try {
        await load(full);
        if (over) return;
        whole = true;
        show({ key, src: full });
      } catch {
        if (over) return;
        const wait = AGAIN_MS[Math.min(attempt, AGAIN_MS.length - 1)];
        timer = setTimeout(() => void tryFull(attempt + 1), wait);
      }
    };
    const trySmall = async (src: string) => {
      try {
        await load(src);
        if (!over && !whole) show({ key, src });
      } catch {
        // The whole picture is on its way all the same.
      }
    };
    void tryFull(0);
    const later = small
      ? setTimeout(() => !whole && void trySmall(small), SMALL_AFTER_MS)
      : undefined;
    return () => {
      over = true;
      clearTimeout(timer);
      clearTimeout(later);
    };
  }, [key, full, small]);
  return shown;
}

/** Has the browser fetch a picture that will be wanted soon, after everything else. */
export function useSoon(src: string | undefined): void {
  useEffect(() => {
    if (!src) return;
    const image = new Image();
    image.fetchPriority = "low";
    image.src = src;
  }, [src]);
}
