// What an eraser touches.

import type { Element, Point } from "./elements.ts";
import { WIDTHS } from "./elements.ts";
import { inkWidth, textBox } from "./paint.ts";

/** Whether an eraser of radius `reach` at `at` touches the element. */
export function touches(element: Element, at: Point, reach: number): boolean {
  switch (element.kind) {
    case "ink": {
      const near = reach + inkWidth(element) / 2;
      const { points } = element;
      if (points.length === 1) return distance(points[0], at) <= near;
      return points.some((point, n) => n > 0 && toSegment(at, points[n - 1], point) <= near);
    }
    case "image":
      return inBox(at, element.at, element.size, reach);
    case "text":
      return inBox(at, element.at, textBox(element), reach);
    default: {
      const near = reach + WIDTHS[element.width] / 2;
      return outline(element).some(([a, b]) => toSegment(at, a, b) <= near);
    }
  }
}

type Side = [Point, Point];

function outline(shape: Extract<Element, { from: Point }>): Side[] {
  const { from, to, kind } = shape;
  if (kind === "line" || kind === "arrow") return [[from, to]];
  const corners: Point[] = [];
  if (kind === "rect") {
    corners.push(from, { x: to.x, y: from.y }, to, { x: from.x, y: to.y });
  } else {
    for (let n = 0; n < 32; n++) {
      const angle = (n / 32) * 2 * Math.PI;
      corners.push({
        x: (from.x + to.x) / 2 + ((to.x - from.x) / 2) * Math.cos(angle),
        y: (from.y + to.y) / 2 + ((to.y - from.y) / 2) * Math.sin(angle),
      });
    }
  }
  return corners.map((corner, n) => [corner, corners[(n + 1) % corners.length] ?? corner]);
}

function inBox(at: Point, from: Point, size: { width: number; height: number }, reach: number) {
  const inX = at.x >= from.x - reach && at.x <= from.x + size.width + reach;
  return inX && at.y >= from.y - reach && at.y <= from.y + size.height + reach;
}

function distance(a: Point | undefined, b: Point): number {
  return a ? Math.hypot(a.x - b.x, a.y - b.y) : Number.POSITIVE_INFINITY;
}

function toSegment(p: Point, a: Point | undefined, b: Point): number {
  if (!a) return distance(b, p);
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const long = dx * dx + dy * dy;
  const along = long === 0 ? 0 : ((p.x - a.x) * dx + (p.y - a.y) * dy) / long;
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}
