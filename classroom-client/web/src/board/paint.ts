// Draws what is on a board with Canvas 2D: on the screen, and into pictures for the export. The
// outline of a stroke is worked out once and kept with it.

import { getStroke } from "perfect-freehand";
import {
  type Element,
  type Ink,
  MARKER_WIDTHS,
  type Picture,
  type Shape,
  TEXT_SIZES,
  WIDTHS,
  type Words,
} from "./elements.ts";

/** The colours in use, read from the tokens. */
export interface Palette {
  paper: string;
  inks: string[];
}

/** Gives the picture of an asset once it is loaded; before, has it loaded. */
export type Pictures = (asset: string) => CanvasImageSource | undefined;

const FONT =
  'system-ui, "Noto Sans SC", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif';
const LINE_HEIGHT = 1.3;
const MARKER_ALPHA = 0.4;

const outlines = new WeakMap<Element, Path2D>();

/** The colours as the element's style has them. */
export function paletteOf(element: globalThis.Element): Palette {
  const style = getComputedStyle(element);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    paper: of("--board-paper"),
    inks: [0, 1, 2, 3, 4, 5].map((n) => of(`--board-ink-${n}`)),
  };
}

/** Draws one element. The context's unit is the board's. */
export function paint(
  context: CanvasRenderingContext2D,
  element: Element,
  palette: Palette,
  pictures: Pictures,
): void {
  switch (element.kind) {
    case "ink":
      paintInk(context, element, palette);
      return;
    case "text":
      paintText(context, element, palette);
      return;
    case "image":
      paintPicture(context, element, pictures);
      return;
    default:
      paintShape(context, element, palette);
  }
}

function paintInk(context: CanvasRenderingContext2D, ink: Ink, palette: Palette): void {
  context.fillStyle = palette.inks[ink.colour] ?? "";
  context.globalAlpha = ink.marker ? MARKER_ALPHA : 1;
  let outline = outlines.get(ink);
  if (!outline) {
    outline = outlineOf(ink, true);
    outlines.set(ink, outline);
  }
  context.fill(outline);
  context.globalAlpha = 1;
}

/** Draws a stroke that is not finished: its outline changes with each point. */
export function paintLive(
  context: CanvasRenderingContext2D,
  ink: Omit<Ink, "kind" | "z">,
  palette: Palette,
): void {
  context.fillStyle = palette.inks[ink.colour] ?? "";
  context.globalAlpha = ink.marker ? MARKER_ALPHA : 1;
  context.fill(outlineOf(ink, false));
  context.globalAlpha = 1;
}

function outlineOf(ink: Omit<Ink, "kind" | "z">, last: boolean): Path2D {
  const pressed = ink.points.some((point) => point.pressure !== undefined);
  const size = inkWidth(ink);
  const outline = getStroke(
    ink.points.map(({ x, y, pressure }) => [x, y, pressure ?? 0.5] as [number, number, number]),
    {
      size,
      thinning: ink.marker ? 0 : 0.55,
      smoothing: 0.5,
      streamline: 0.35,
      simulatePressure: !pressed && !ink.marker,
      last,
    },
  );
  const path = new Path2D();
  const [first] = outline;
  if (!first) return path;
  path.moveTo(first[0], first[1]);
  outline.forEach(([x, y], n) => {
    const next = outline[(n + 1) % outline.length] ?? first;
    path.quadraticCurveTo(x, y, (x + next[0]) / 2, (y + next[1]) / 2);
  });
  path.closePath();
  return path;
}

/** How wide a stroke is, in board units. */
export function inkWidth(ink: { marker: boolean; width: 0 | 1 | 2 }): number {
  // The outline of a thinned pen is about three quarters of its size.
  return ink.marker ? MARKER_WIDTHS[ink.width] : WIDTHS[ink.width] * 1.35;
}

function paintShape(context: CanvasRenderingContext2D, shape: Shape, palette: Palette): void {
  const { from, to } = shape;
  const width = WIDTHS[shape.width];
  context.strokeStyle = palette.inks[shape.colour] ?? "";
  context.lineWidth = width;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.beginPath();
  switch (shape.kind) {
    case "rect":
      context.rect(
        Math.min(from.x, to.x),
        Math.min(from.y, to.y),
        Math.abs(to.x - from.x),
        Math.abs(to.y - from.y),
      );
      break;
    case "ellipse":
      context.ellipse(
        (from.x + to.x) / 2,
        (from.y + to.y) / 2,
        Math.abs(to.x - from.x) / 2,
        Math.abs(to.y - from.y) / 2,
        0,
        0,
        2 * Math.PI,
      );
      break;
    default:
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      if (shape.kind === "arrow") arrowHead(context, shape, width);
  }
  context.stroke();
}

function arrowHead(context: CanvasRenderingContext2D, { from, to }: Shape, width: number): void {
  const angle = Math.atan2(to.y - from.y, to.x - from.x);
  const length = 12 + width * 3;
  for (const side of [-1, 1]) {
    const turned = angle + side * 2.6;
    context.moveTo(to.x, to.y);
    context.lineTo(to.x + length * Math.cos(turned), to.y + length * Math.sin(turned));
  }
}

function paintText(
  context: CanvasRenderingContext2D,
  { at, text, ...look }: Words,
  palette: Palette,
) {
  const size = TEXT_SIZES[look.width];
  context.fillStyle = palette.inks[look.colour] ?? "";
  context.font = `${size}px ${FONT}`;
  context.textBaseline = "top";
  text.split("\n").forEach((line, n) => {
    context.fillText(line, at.x, at.y + n * size * LINE_HEIGHT);
  });
}

function paintPicture(context: CanvasRenderingContext2D, picture: Picture, pictures: Pictures) {
  const { at, size } = picture;
  const loaded = pictures(picture.asset);
  if (loaded) context.drawImage(loaded, at.x, at.y, size.width, size.height);
}

/** About how large a text is: enough to hit it and to place a field over it. */
export function textBox(words: Words): { width: number; height: number } {
  const size = TEXT_SIZES[words.width];
  const lines = words.text.split("\n");
  // Chinese characters are as wide as they are high, Latin ones half that.
  const wide = (line: string) =>
    Array.from(line, (char) => (char.charCodeAt(0) > 0x2e7f ? 1 : 0.55)).reduce((a, b) => a + b, 0);
  return {
    width: Math.max(...lines.map(wide)) * size,
    height: lines.length * size * LINE_HEIGHT,
  };
}

/** Elements in the order they lie on each other. */
export function stacked(elements: ReadonlyMap<string, Element>): Element[] {
  return [...elements]
    .sort(([a, x], [b, y]) => x.z - y.z || (a < b ? -1 : 1))
    .map(([, one]) => one);
}
