// Holds a picture that two fingers make larger and one moves about; a double tap does the same,
// and so do the keys + and -. Nothing of it reaches the lesson: each looks as close as they like.

import { Maximize } from "lucide";
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { classWords } from "../i18n/sections/class.ts";
import { IconButton } from "../ui/controls.tsx";
import { useKeys } from "../ui/keys.ts";
import { type Point, panned, pinched, tapped, WHOLE, type Zoom, zoomedAt } from "./zoom.ts";

/** Two taps within this are one double tap. */
const DOUBLE_MS = 300;
/** More is a finger that moves the picture. */
const TREMBLES_PX = 10;
/** What a key makes larger. */
const STEP = 1.5;

export function Zoomable({ children }: { children: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  const [zoom, setZoom] = useState<Zoom>(WHOLE);
  const fingers = useRef(new Map<number, Point>());
  const lastTap = useRef(0);
  /** Where the one finger came down that may be tapping; none once it moves or has company. */
  const tap = useRef<Point | undefined>(undefined);
  const size = () => box.current?.getBoundingClientRect() ?? new DOMRect();
  const inBox = (event: PointerEvent): Point => {
    const { left, top } = size();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const byKey = (factor: number) => {
    const { width, height } = size();
    setZoom((now) => zoomedAt(now, factor, { x: width / 2, y: height / 2 }, size()));
  };
  useKeys({ "+": () => byKey(STEP), "=": () => byKey(STEP), "-": () => byKey(1 / STEP) });
  const lift = (event: PointerEvent) => fingers.current.delete(event.pointerId);
  return (
    <div
      ref={box}
      class="zoomable"
      data-testid="zoomable"
      data-scale={zoom.scale}
      onPointerDown={(event) => {
        if (event.pointerType === "mouse" && zoom.scale === 1) return;
        const at = inBox(event);
        fingers.current.set(event.pointerId, at);
        tap.current = fingers.current.size === 1 ? at : undefined;
      }}
      onPointerMove={(event) => {
        const before = fingers.current.get(event.pointerId);
        if (!before) return;
        const now = inBox(event);
        const from = tap.current;
        if (from && Math.hypot(now.x - from.x, now.y - from.y) > TREMBLES_PX)
          tap.current = undefined;
        const other = [...fingers.current].find(([id]) => id !== event.pointerId)?.[1];
        fingers.current.set(event.pointerId, now);
        setZoom((seen) =>
          other
            ? pinched(seen, [before, other], [now, other], size())
            : panned(seen, now.x - before.x, now.y - before.y, size()),
        );
      }}
      onPointerUp={(event) => {
        lift(event);
        const at = tap.current;
        tap.current = undefined;
        if (event.pointerType === "mouse" || !at) return;
        const now = event.timeStamp;
        if (now - lastTap.current < DOUBLE_MS) {
          setZoom((seen) => tapped(seen, at, size()));
          lastTap.current = 0;
        } else lastTap.current = now;
      }}
      onPointerCancel={lift}
      onPointerLeave={lift}
    >
      <div
        class="zoomed"
        style={{
          transform:
            zoom.scale === 1 ? "none" : `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`,
        }}
      >
        {children}
      </div>
      {zoom.scale > 1 && (
        <div class="zoom-back">
          <IconButton
            icon={Maximize}
            name={classWords.value.whole}
            testId="zoom-whole"
            onClick={() => setZoom(WHOLE)}
          />
        </div>
      )}
    </div>
  );
}
