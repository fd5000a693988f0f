// A picture made larger with two fingers: what part of it is seen, as a value.

export interface Point {
  x: number;
  y: number;
}

/** The picture `scale` times as large, moved by `x` and `y` pixels of its box. */
export interface Zoom extends Point {
  scale: number;
}

/** As large as the box. */
export const WHOLE: Zoom = { scale: 1, x: 0, y: 0 };

/** More shows nothing that was not there. */
export const MOST = 4;

/** What a double tap shows. */
const DOUBLE = 2;

interface Box {
  width: number;
  height: number;
}

/** Never smaller than its box, and never leaving part of it empty. */
function held({ scale, x, y }: Zoom, box: Box): Zoom {
  const size = Math.min(MOST, Math.max(1, scale));
  const edge = (offset: number, length: number) =>
    Math.min(0, Math.max(length * (1 - size), offset)) || 0;
  return { scale: size, x: edge(x, box.width), y: edge(y, box.height) };
}

/** `factor` times as large, with what is at `at` staying there. */
export function zoomedAt(zoom: Zoom, factor: number, at: Point, box: Box): Zoom {
  const scale = Math.min(MOST, Math.max(1, zoom.scale * factor));
  const by = scale / zoom.scale;
  return held({ scale, x: at.x - (at.x - zoom.x) * by, y: at.y - (at.y - zoom.y) * by }, box);
}

export function panned(zoom: Zoom, dx: number, dy: number, box: Box): Zoom {
  return held({ ...zoom, x: zoom.x + dx, y: zoom.y + dy }, box);
}

/** Two fingers went from one pair of places to another. */
export function pinched(zoom: Zoom, from: [Point, Point], to: [Point, Point], box: Box): Zoom {
  const middle = ([a, b]: [Point, Point]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  const apart = ([a, b]: [Point, Point]) => Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
  const before = middle(from);
  const now = middle(to);
  const larger = zoomedAt(zoom, apart(to) / apart(from), before, box);
  return panned(larger, now.x - before.x, now.y - before.y, box);
}

/** A double tap makes it larger there, or whole again. */
export function tapped(zoom: Zoom, at: Point, box: Box): Zoom {
  return zoom.scale > 1 ? WHOLE : zoomedAt(zoom, DOUBLE, at, box);
}
