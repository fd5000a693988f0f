// What is on a board, and how it is written into the document. Lengths are in board units: a
// surface is 1600 of them wide. Strokes are packed into bytes (a quarter of a unit is the
// finest step), the rest are small objects. What comes from the document was written by others:
// it is read with care, and what can't be read is not there.

import { Reader, Writer } from "./bytes.ts";

/** A surface's width in board units. */
export const WIDTH = 1600;
/** A board page's height. */
export const HEIGHT = 900;

/** Steps to a board unit. */
const FINE = 4;
/** No coordinate is farther out than this. */
const FAR = 100_000;
/** Most points of one stroke: beyond it goes on as another. */
export const MAX_POINTS = 4000;
const MAX_TEXT = 2000;

/** Ink colours by number: see `--board-ink-0` and so on. */
export const COLOURS = [0, 1, 2, 3, 4, 5] as const;
export type Colour = (typeof COLOURS)[number];

/** Widths of a pen, in board units. */
export const WIDTHS = [3, 6, 12] as const;
/** And of a marker. */
export const MARKER_WIDTHS = [18, 30, 48] as const;
/** And heights of text. */
export const TEXT_SIZES = [24, 36, 60] as const;
export type Width = 0 | 1 | 2;

export interface Point {
  x: number;
  y: number;
  /** 0…1, where the pen tells. */
  pressure?: number;
}

/** What all have: how far up it lies, its colour, and its width or size by number. */
interface Drawn {
  z: number;
  colour: Colour;
  width: Width;
}

export interface Ink extends Drawn {
  kind: "ink";
  marker: boolean;
  points: Point[];
}

export const SHAPES = ["line", "arrow", "rect", "ellipse"] as const;
export type ShapeKind = (typeof SHAPES)[number];

export interface Shape extends Drawn {
  kind: ShapeKind;
  from: Point;
  to: Point;
}

export interface Words extends Drawn {
  kind: "text";
  at: Point;
  text: string;
}

export interface Picture {
  kind: "image";
  z: number;
  at: Point;
  size: { width: number; height: number };
  /** SHA-256 of an asset of the lesson, in hexadecimal. */
  asset: string;
}

export type Element = Ink | Shape | Words | Picture;

const INK = 1;
const MARKER = 1;
const PRESSURE = 2;

/** How an element is written into the document. */
export function pack(element: Element): Uint8Array | Record<string, unknown> {
  if (element.kind === "ink") return packInk(element);
  const { kind, z } = element;
  switch (kind) {
    case "text":
      return {
        k: kind,
        z,
        c: element.colour,
        w: element.width,
        b: [fine(element.at.x), fine(element.at.y)],
        t: element.text.slice(0, MAX_TEXT),
      };
    case "image":
      return {
        k: kind,
        z,
        b: [element.at.x, element.at.y, element.size.width, element.size.height].map(fine),
        a: element.asset,
      };
    default:
      return {
        k: kind,
        z,
        c: element.colour,
        w: element.width,
        b: [element.from.x, element.from.y, element.to.x, element.to.y].map(fine),
      };
  }
}

/** What an entry of the document is, or `undefined` when it is nothing this page knows. */
export function unpack(value: unknown): Element | undefined {
  try {
    if (value instanceof Uint8Array) return unpackInk(value);
    if (typeof value === "object" && value !== null) return unpackObject(value);
  } catch {
    // Written by a page of another release, or by nobody we know.
  }
  return undefined;
}

export function packInk(ink: Ink): Uint8Array<ArrayBuffer> {
  const pressed = ink.points.some((point) => point.pressure !== undefined);
  const out = new Writer()
    .byte(INK)
    .var(ink.z)
    .byte(ink.colour)
    .byte(ink.width)
    .byte((ink.marker ? MARKER : 0) | (pressed ? PRESSURE : 0));
  packPoints(out, ink.points, pressed);
  return out.done();
}

function unpackInk(bytes: Uint8Array): Ink | undefined {
  const reader = new Reader(bytes);
  if (reader.byte() !== INK) return undefined;
  const z = reader.var();
  const colour = colourOf(reader.byte());
  const width = widthOf(reader.byte());
  const flags = reader.byte();
  const points = unpackPoints(reader, (flags & PRESSURE) !== 0);
  if (points.length === 0) return undefined;
  return { kind: "ink", z, colour, width, marker: (flags & MARKER) !== 0, points };
}

/** Points as steps from each to the next. */
export function packPoints(out: Writer, points: readonly Point[], pressed: boolean): void {
  out.var(points.length);
  let [x, y] = [0, 0];
  for (const point of points) {
    const [nx, ny] = [fine(point.x), fine(point.y)];
    out.signed(nx - x).signed(ny - y);
    if (pressed) out.byte(Math.round(Math.min(1, Math.max(0, point.pressure ?? 0.5)) * 255));
    [x, y] = [nx, ny];
  }
}

export function unpackPoints(reader: Reader, pressed: boolean): Point[] {
  const count = reader.var();
  if (count > MAX_POINTS) return [];
  const points: Point[] = [];
  let [x, y] = [0, 0];
  for (let n = 0; n < count; n++) {
    x += reader.signed();
    y += reader.signed();
    const point: Point = { x: near(x / FINE), y: near(y / FINE) };
    if (pressed) point.pressure = reader.byte() / 255;
    points.push(point);
  }
  return points;
}

function unpackObject(value: object): Element | undefined {
  const { k, z, c, w, b, t, a } = value as Record<string, unknown>;
  if (typeof z !== "number" || !Number.isFinite(z) || !Array.isArray(b)) return undefined;
  const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = b.map((n) => near(Number(n) / FINE));
  const look = { z, colour: colourOf(c), width: widthOf(w) };
  const from = { x: x0, y: y0 };
  if (k === "text") {
    if (typeof t !== "string" || t === "") return undefined;
    return { kind: k, ...look, at: from, text: t.slice(0, MAX_TEXT) };
  }
  if (k === "image") {
    if (typeof a !== "string" || !/^[0-9a-f]{64}$/.test(a) || x1 <= 0 || y1 <= 0) return undefined;
    return { kind: k, z, at: from, size: { width: x1, height: y1 }, asset: a };
  }
  const shape = SHAPES.find((kind) => kind === k);
  return shape && { kind: shape, ...look, from, to: { x: x1, y: y1 } };
}

function fine(length: number): number {
  return Math.round(near(length) * FINE);
}

function near(length: number): number {
  if (!Number.isFinite(length)) return 0;
  return Math.min(FAR, Math.max(-FAR, length));
}

function colourOf(value: unknown): Colour {
  return COLOURS.find((colour) => colour === value) ?? 0;
}

function widthOf(value: unknown): Width {
  return value === 1 || value === 2 ? value : 0;
}

/** The points that a stroke can do without, taken out: nothing moves by more than `within`. */
export function thinned(points: readonly Point[], within = 0.4): Point[] {
  if (points.length < 3) return [...points];
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const spans: [number, number][] = [[0, points.length - 1]];
  for (let span = spans.pop(); span; span = spans.pop()) {
    const [first, last] = span;
    let [worst, at] = [within, -1];
    for (let n = first + 1; n < last; n++) {
      const off = offLine(points[n], points[first], points[last]);
      if (off > worst) [worst, at] = [off, n];
    }
    // Long empty spans would change how the ink is smoothed.
    if (at < 0 && last - first > 12) at = (first + last) >> 1;
    if (at > 0) {
      keep[at] = 1;
      spans.push([first, at], [at, last]);
    }
  }
  return points.filter((_, n) => keep[n] === 1);
}

function offLine(p?: Point, a?: Point, b?: Point): number {
  if (!p || !a || !b) return 0;
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.hypot(dx, dy);
  if (length === 0) return Math.hypot(p.x - a.x, p.y - a.y);
  return Math.abs(dy * (p.x - a.x) - dx * (p.y - a.y)) / length;
}
