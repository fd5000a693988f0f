// Where the teacher points: a soft dot that follows, and fades when the pointer rests or leaves.

import { useEffect, useRef, useState } from "preact/hooks";
import { slideWords } from "../i18n/sections/slides.ts";
import type { LessonSession } from "../lesson/session.ts";
import type { Spot } from "../protocol/words.ts";

/** Of a page's width and height, as on the wire. */
export const RANGE = 10_000;

/** A moving pointer is told of so often; what the line takes for it is 6 kbit/s. */
const EVERY_MS = 100;
/** After so long without news it is gone. */
const GONE_MS = 2_000;

/** The place of a pointer event on a page. */
export function spotOf(
  at: { clientX: number; clientY: number },
  page: { left: number; top: number; width: number; height: number },
): Spot | undefined {
  if (page.width <= 0 || page.height <= 0) return undefined;
  const x = Math.round(((at.clientX - page.left) / page.width) * RANGE);
  const y = Math.round(((at.clientY - page.top) / page.height) * RANGE);
  return x >= 0 && x <= RANGE && y >= 0 && y <= RANGE ? { x, y } : undefined;
}

/** Tells of the pointer's moves, the last of them always. */
export class PointerTeller {
  #next: Spot | undefined;
  #told: Spot | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #tell: (at: Spot | undefined) => void;

  constructor(tell: (at: Spot | undefined) => void) {
    this.#tell = tell;
  }

  move(at: Spot | undefined): void {
    this.#next = at;
    if (this.#timer === undefined) this.#say();
  }

  #say(): void {
    if (this.#next === this.#told) return;
    this.#told = this.#next;
    this.#tell(this.#next);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#say();
    }, EVERY_MS);
  }
}

/** The teacher's pointer over the page it lies in. */
export function Pointer({ session }: { session: LessonSession }) {
  const [at, setAt] = useState<Spot | undefined>(undefined);
  const last = useRef<Spot>({ x: 0, y: 0 });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = session.socket.onPointer(({ at: told }) => {
      clearTimeout(timer);
      setAt(told);
      if (told) timer = setTimeout(() => setAt(undefined), GONE_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [session]);
  if (at) last.current = at;
  const { x, y } = last.current;
  return (
    <span
      class={`slide-pointer ${at ? "slide-pointer-on" : ""}`}
      style={{ insetInlineStart: `${x / 100}%`, insetBlockStart: `${y / 100}%` }}
      role="img"
      aria-label={slideWords.value.pointer}
      aria-hidden={at === undefined}
      data-testid="slide-pointer"
      data-on={at !== undefined}
    />
  );
}
