// The surface people write on: what is there on one canvas, what is being drawn on another above
// it. Fills the box it stands in, which has the surface's shape.

import type { Signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import {
  type Colour,
  type Element,
  HEIGHT,
  MAX_POINTS,
  type Point,
  SHAPES,
  type ShapeKind,
  TEXT_SIZES,
  thinned,
  WIDTH,
  type Width,
} from "./elements.ts";
import { touches } from "./hit.ts";
import type { OpenBoard } from "./open.ts";
import { type Palette, paint, paintLive, paletteOf, stacked } from "./paint.ts";
import { Assets } from "./pictures.ts";
import { words } from "./words.ts";
import "./board.css";

export type ToolKind = "pen" | "marker" | "eraser" | "text" | ShapeKind;

/** What a finger, a pen or a mouse does on the surface. */
export interface Tool {
  kind: ToolKind;
  colour: Colour;
  width: Width;
}

export const PEN: Tool = { kind: "pen", colour: 0, width: 1 };

interface Props {
  /** The lesson's board. */
  board: OpenBoard;
  /** Which surface: `pageSurface(page)` or `slideSurface(deck, page)`. */
  surface: string;
  /** The tool in hand. */
  tool: Signal<Tool>;
  /** Show it, and let nobody write here. Who may not write can't anyway. */
  readOnly?: boolean;
  /** Width by height of the surface; a board page's when left out. */
  aspect?: number;
  /** Nothing behind the ink: it lies over slides. */
  clear?: boolean;
  /** What is read out in place of the picture. */
  name: string;
}

/** An eraser reaches so far, in board units. */
const ERASER = 14;
/** A pen that was near lately: fingers and the hand's edge don't write meanwhile. */
const PALM_MS = 800;
/** A stroke of which nothing was heard so long is over. */
const LIVE_MS = 2500;

interface Drawing {
  pointer: number;
  points: Point[];
  /** What the eraser has touched. */
  touched: Set<string>;
}

export function BoardCanvas(props: Props) {
  const { board, surface, tool, aspect = WIDTH / HEIGHT, clear = false } = props;
  const { document: page, link } = board;
  const readOnly = props.readOnly === true || !board.mayWrite.value;
  const box = useRef<HTMLDivElement>(null);
  const still = useRef<HTMLCanvasElement>(null);
  const moving = useRef<HTMLCanvasElement>(null);
  const drawing = useRef<Drawing | undefined>(undefined);
  const penAt = useRef(Number.NEGATIVE_INFINITY);
  const [typing, setTyping] = useState<Typing | undefined>(undefined);
  const [count, setCount] = useState(0);
  const view = useRef<View | undefined>(undefined);

  useLayoutEffect(() => {
    const canvases = [still.current, moving.current];
    const [back, front] = canvases.map((canvas) => canvas?.getContext("2d"));
    if (!box.current || !back || !front) return;
    const own = new View(board, surface, box.current, back, front, drawing, tool);
    view.current = own;
    const stops = [
      page.onChange(surface, ({ added, redraw }) => {
        setCount(page.elements(surface).size);
        own.changed(redraw ? undefined : added);
      }),
      link.live.subscribe(() => own.move()),
      () => own.stop(),
    ];
    setCount(page.elements(surface).size);
    return () => {
      view.current = undefined;
      drawing.current = undefined;
      for (const stop of stops) stop();
    };
  }, [board, surface, page, link, tool]);

  useEffect(() => {
    if (readOnly) {
      drawing.current = undefined;
      setTyping(undefined);
      view.current?.move();
    }
  }, [readOnly]);

  const at = (event: PointerEvent): Point => {
    const rect = box.current?.getBoundingClientRect();
    const scale = rect && rect.width > 0 ? WIDTH / rect.width : 1;
    const point: Point = {
      x: (event.clientX - (rect?.left ?? 0)) * scale,
      y: (event.clientY - (rect?.top ?? 0)) * scale,
    };
    if (event.pointerType === "pen") point.pressure = event.pressure;
    return point;
  };

  const begin = (event: PointerEvent) => {
    if (readOnly || event.button > 0 || drawing.current) return;
    if (event.pointerType === "pen") penAt.current = event.timeStamp;
    else if (event.pointerType === "touch" && event.timeStamp - penAt.current < PALM_MS) return;
    const point = at(event);
    if (tool.peek().kind === "text") {
      event.preventDefault();
      setTyping(typingAt(board, surface, point));
      return;
    }
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    drawing.current = { pointer: event.pointerId, points: [point], touched: new Set() };
    event.preventDefault();
    move(event);
  };

  const move = (event: PointerEvent) => {
    if (event.pointerType === "pen") penAt.current = event.timeStamp;
    const now = drawing.current;
    if (!now || now.pointer !== event.pointerId) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    const points = (passed.length > 0 ? passed : [event]).map(at);
    const { kind, colour, width } = tool.peek();
    if (kind === "eraser") {
      for (const [key, element] of page.elements(surface)) {
        if (now.touched.has(key) || !page.mayChange(key)) continue;
        if (points.some((point) => touches(element, point, ERASER))) now.touched.add(key);
      }
      now.points.push(...points);
    } else if (kind === "pen" || kind === "marker") {
      now.points.push(...points);
      const look = { colour, width, marker: kind === "marker" };
      link.ink(surface, look, now.points);
      // One stroke does not grow for ever: it goes on as another.
      if (now.points.length >= MAX_POINTS) {
        finish(now);
        now.points = now.points.slice(-1);
      }
    } else {
      now.points = [now.points[0] ?? points[0] ?? { x: 0, y: 0 }, ...points.slice(-1)];
    }
    view.current?.move();
  };

  const finish = ({ points, touched }: Drawing) => {
    const { kind, colour, width } = tool.peek();
    if (kind === "eraser") return page.erase(surface, touched);
    const z = page.nextZ(surface);
    const [from, to] = [points[0], points.at(-1)];
    if (!from || !to || kind === "text") return;
    if (kind === "pen" || kind === "marker") {
      const marker = kind === "marker";
      page.add(surface, { kind: "ink", z, colour, width, marker, points: thinned(points) });
      link.ink(surface, { colour, width, marker }, []);
    } else if (Math.hypot(to.x - from.x, to.y - from.y) > 3) {
      page.add(surface, { kind, z, colour, width, from: plain(from), to: plain(to) });
    }
  };

  const end = (event: PointerEvent) => {
    const now = drawing.current;
    if (!now || now.pointer !== event.pointerId) return;
    drawing.current = undefined;
    // A touch that the system took for a gesture has drawn nothing.
    if (event.type === "pointerup") finish(now);
    view.current?.move();
  };

  const key = (event: KeyboardEvent) => {
    if (readOnly || event.target !== event.currentTarget) return;
    if (event.key === "Enter" && tool.peek().kind === "text") {
      event.preventDefault();
      setTyping(typingAt(board, surface, { x: WIDTH / 4, y: WIDTH / aspect / 3 }));
    }
  };

  return (
    <div
      ref={box}
      class={`board-surface ${clear ? "board-clear" : ""} ${readOnly ? "board-still" : ""}`}
      data-tool={tool.value.kind}
      data-testid="board-surface"
      data-surface={surface}
      data-count={count}
      tabIndex={readOnly ? undefined : 0}
      role="img"
      aria-label={props.name}
      onPointerDown={begin}
      onPointerMove={move}
      onPointerUp={end}
      onPointerCancel={end}
      onKeyDown={key}
    >
      <canvas ref={still} class="board-canvas" />
      <canvas ref={moving} class="board-canvas" />
      {typing && (
        <TypingField
          typing={typing}
          tool={tool.value}
          onDone={(text) => {
            setTyping(undefined);
            write(board, surface, typing, text, tool.peek());
            box.current?.focus();
          }}
        />
      )}
    </div>
  );
}

interface Typing {
  at: Point;
  /** The text that is being changed, if it was there before. */
  key?: string;
  text: string;
  colour?: Colour;
  width?: Width;
}

function typingAt({ document: page }: OpenBoard, surface: string, at: Point): Typing {
  for (const [key, element] of page.elements(surface)) {
    if (element.kind === "text" && page.mayChange(key) && touches(element, at, 0)) {
      const { text, colour, width } = element;
      return { at: element.at, key, text, colour, width };
    }
  }
  return { at: plain(at), text: "" };
}

function write(board: OpenBoard, surface: string, typing: Typing, text: string, tool: Tool) {
  const { document: page } = board;
  const said = text.trimEnd();
  if (typing.key && said === "") page.erase(surface, [typing.key]);
  if (said === "" || said === typing.text) return;
  const look = { colour: typing.colour ?? tool.colour, width: typing.width ?? tool.width };
  const z = page.nextZ(surface);
  const element: Element = { kind: "text", z, ...look, at: typing.at, text: said };
  if (typing.key) page.set(surface, typing.key, element);
  else page.add(surface, element);
}

function TypingField(props: { typing: Typing; tool: Tool; onDone: (text: string) => void }) {
  const { typing, tool, onDone } = props;
  const field = useRef<HTMLTextAreaElement>(null);
  const done = useRef(false);
  useLayoutEffect(() => {
    field.current?.focus();
  }, []);
  const finish = () => {
    if (done.current) return;
    done.current = true;
    onDone(field.current?.value ?? "");
  };
  const size = TEXT_SIZES[typing.width ?? tool.width];
  const part = (length: number) => `${(length / WIDTH) * 100}cqw`;
  return (
    <textarea
      ref={field}
      class="board-typing"
      aria-label={words.value.typeHere}
      placeholder={words.value.typeHere}
      data-testid="board-typing"
      maxLength={2000}
      defaultValue={typing.text}
      style={{
        left: part(typing.at.x),
        top: part(typing.at.y),
        fontSize: part(size),
        color: `var(--board-ink-${typing.colour ?? tool.colour})`,
      }}
      onPointerDown={(event) => event.stopPropagation()}
      onBlur={finish}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape") finish();
      }}
    />
  );
}

function plain({ x, y }: Point): Point {
  return { x, y };
}

/** Draws a surface when there is something new to draw, once a frame. */
class View {
  #palette: Palette;
  #width = 0;
  #scale = 1;
  /** Keys to draw on top of what is there; `undefined` for everything anew. */
  #added: string[] | undefined;
  #still = false;
  #moving = false;
  #frame = 0;
  #forget: ReturnType<typeof setTimeout> | undefined;
  readonly #assets: Assets;
  readonly #resized: ResizeObserver;
  readonly #dark = matchMedia("(prefers-color-scheme: dark)");
  readonly #themed = () => {
    this.#palette = paletteOf(this.box);
    this.changed();
  };

  constructor(
    readonly board: OpenBoard,
    readonly surface: string,
    readonly box: HTMLElement,
    readonly back: CanvasRenderingContext2D,
    readonly front: CanvasRenderingContext2D,
    readonly drawing: { current: Drawing | undefined },
    readonly tool: Signal<Tool>,
  ) {
    this.#palette = paletteOf(box);
    this.#assets = new Assets(board, () => this.changed());
    this.#resized = new ResizeObserver(() => this.#resize());
    this.#resized.observe(box);
    this.#dark.addEventListener("change", this.#themed);
    this.#resize();
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#forget);
    this.#resized.disconnect();
    this.#dark.removeEventListener("change", this.#themed);
  }

  /** Something on the surface changed; `added` is all, or everything is drawn anew. */
  changed(added?: string[]): void {
    if (!this.#still) this.#added = added;
    else if (this.#added && added) this.#added.push(...added);
    else this.#added = undefined;
    this.#still = true;
    this.move();
  }

  /** Something that is being drawn changed. */
  move(): void {
    this.#moving = true;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.box;
    const dots = devicePixelRatio || 1;
    const [width, height] = [Math.round(clientWidth * dots), Math.round(clientHeight * dots)];
    if (width === 0 || width === this.#width) return;
    this.#width = width;
    this.#scale = width / WIDTH;
    for (const { canvas } of [this.back, this.front]) {
      canvas.width = width;
      canvas.height = height;
    }
    this.changed();
  }

  #draw(): void {
    this.#frame = 0;
    if (this.#still) this.#drawStill();
    if (this.#moving) this.#drawMoving();
  }

  #drawStill(): void {
    const { back } = this;
    const elements = this.board.document.elements(this.surface);
    const fresh = this.#added?.flatMap((key) => elements.get(key) ?? []);
    this.#still = false;
    this.#added = undefined;
    back.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
    if (!fresh) back.clearRect(0, 0, WIDTH, WIDTH * 4);
    for (const element of fresh ?? stacked(elements)) {
      paint(back, element, this.#palette, this.#assets.of);
    }
  }

  #drawMoving(): void {
    const { front } = this;
    this.#moving = false;
    front.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
    front.clearRect(0, 0, WIDTH, WIDTH * 4);
    const { link } = this.board;
    for (const ink of link.live.peek().values()) {
      if (ink.surface === this.surface) paintLive(front, ink, this.#palette);
    }
    clearTimeout(this.#forget);
    if (link.live.peek().size > 0) {
      this.#forget = setTimeout(() => link.forget(performance.now() - LIVE_MS), LIVE_MS);
    }
    const now = this.drawing.current;
    if (now) this.#drawOwn(now);
  }

  #drawOwn({ points, touched }: Drawing): void {
    const { front } = this;
    const { kind, colour, width } = this.tool.peek();
    if (kind === "pen" || kind === "marker") {
      const marker = kind === "marker";
      paintLive(front, { colour, width, marker, points }, this.#palette);
    } else if (kind === "eraser") {
      const elements = this.board.document.elements(this.surface);
      front.globalAlpha = 0.7;
      for (const key of touched) {
        const element = elements.get(key);
        if (element) {
          const paper = {
            ...this.#palette,
            inks: this.#palette.inks.map(() => this.#palette.paper),
          };
          paint(front, element, paper, () => undefined);
        }
      }
      front.globalAlpha = 1;
    } else if (SHAPES.some((shape) => shape === kind)) {
      const [from, to] = [points[0], points.at(-1)];
      if (!from || !to) return;
      const shape = { kind: kind as ShapeKind, z: 0, colour, width, from, to };
      paint(front, shape, this.#palette, () => undefined);
    }
  }
}
