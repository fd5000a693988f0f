// The tools of the board: what to write with, taking back, pages, who may write, export. Each has
// a key that works while the focus is in the board.

import type { Signal } from "@preact/signals";
import {
  ArrowUpRight,
  ChevronLeft,
  ChevronRight,
  Circle,
  Download,
  Eraser,
  Highlighter,
  type IconNode,
  ImagePlus,
  Minus,
  PenLine,
  Plus,
  Redo2,
  Square,
  Trash2,
  Type,
  Undo2,
} from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../ui/icon.tsx";
import type { Tool, ToolKind } from "./canvas.tsx";
import { COLOURS, type Width } from "./elements.ts";
import { type OpenBoard, WRITERS } from "./open.ts";
import { words } from "./words.ts";
import "./board.css";

export const TOOLS: readonly { kind: ToolKind; icon: IconNode; key: string }[] = [
  { kind: "pen", icon: PenLine, key: "P" },
  { kind: "marker", icon: Highlighter, key: "M" },
  { kind: "eraser", icon: Eraser, key: "E" },
  { kind: "line", icon: Minus, key: "L" },
  { kind: "arrow", icon: ArrowUpRight, key: "A" },
  { kind: "rect", icon: Square, key: "R" },
  { kind: "ellipse", icon: Circle, key: "O" },
  { kind: "text", icon: Type, key: "T" },
];

interface Props {
  board: OpenBoard;
  surface: string;
  tool: Signal<Tool>;
}

/** What to write with, on any surface. Shown to who may write. */
export function BoardTools({ board, surface, tool }: Props) {
  const say = words.value;
  const { document: page } = board;
  const elements = useElements(board, surface);
  const [failed, setFailed] = useState(false);
  const insert = async () => {
    setFailed(false);
    try {
      const { insertPicture } = await import("./insert.ts");
      await insertPicture(board, surface);
    } catch {
      setFailed(true);
    }
  };
  const now = tool.value;
  const set = (part: Partial<Tool>) => {
    tool.value = { ...tool.peek(), ...part };
  };
  return (
    <div class="board-tools" role="toolbar" aria-label={say.tools} data-testid="board-tools">
      <div class="board-group">
        {TOOLS.map(({ kind, icon, key }) => (
          <ToolButton
            key={kind}
            icon={icon}
            name={say[kind]}
            keyHint={key}
            pressed={now.kind === kind}
            testId={`board-${kind}`}
            onClick={() => set({ kind })}
          />
        ))}
      </div>
      <fieldset class="board-group" aria-label={say.colour}>
        {COLOURS.map((colour) => (
          <button
            key={colour}
            type="button"
            class="button button-quiet button-icon board-colour"
            aria-label={say.colours[colour]}
            title={`${say.colours[colour]} · ${colour + 1}`}
            aria-keyshortcuts={`${colour + 1}`}
            aria-pressed={now.colour === colour}
            data-testid={`board-colour-${colour}`}
            onClick={() => set({ colour })}
          >
            <span class="board-dot" style={{ background: `var(--board-ink-${colour})` }} />
          </button>
        ))}
      </fieldset>
      <fieldset class="board-group" aria-label={say.width}>
        {([0, 1, 2] as Width[]).map((width) => (
          <button
            key={width}
            type="button"
            class="button button-quiet button-icon"
            aria-label={say.widths[width]}
            title={say.widths[width]}
            aria-pressed={now.width === width}
            data-testid={`board-width-${width}`}
            onClick={() => set({ width })}
          >
            <span class={`board-width board-width-${width}`} />
          </button>
        ))}
      </fieldset>
      <div class="board-group">
        <ToolButton
          icon={Undo2}
          name={say.undo}
          keyHint="Z"
          disabled={!page.canUndo}
          testId="board-undo"
          onClick={() => page.undo()}
        />
        <ToolButton
          icon={Redo2}
          name={say.redo}
          keyHint="Y"
          disabled={!page.canRedo}
          testId="board-redo"
          onClick={() => page.redo()}
        />
        {page.role === "teacher" && (
          <ToolButton
            icon={ImagePlus}
            name={say.image}
            testId="board-image"
            onClick={() => void insert()}
          />
        )}
        {page.arranges && (
          <ToolButton
            icon={Trash2}
            name={say.clear}
            testId="board-clear"
            disabled={elements.size === 0}
            onClick={() => page.erase(surface, page.elements(surface).keys())}
          />
        )}
      </div>
      {failed && (
        <p class="board-note" role="alert">
          {say.imageFailed}
        </p>
      )}
    </div>
  );
}

/** The board's pages: which one everyone sees, and for who leads turning and adding them. */
export function BoardPages({ board }: { board: OpenBoard }) {
  const say = words.value;
  const { document: page } = board;
  const shown = useShownPage(board);
  const pages = page.pages();
  const n = pages.indexOf(shown);
  const turn = (to: number) => {
    const target = pages[to];
    if (target) page.turnTo(target);
  };
  const arranges = page.arranges && board.mayWrite.value;
  return (
    <fieldset class="board-group" aria-label={say.pages} data-testid="board-pages">
      {arranges && (
        <ToolButton
          icon={ChevronLeft}
          name={say.previous}
          testId="board-previous"
          disabled={n <= 0}
          onClick={() => turn(n - 1)}
        />
      )}
      <span class="board-place" role="status" data-testid="board-page">
        {say.page(n + 1, pages.length)}
      </span>
      {arranges && (
        <>
          <ToolButton
            icon={ChevronRight}
            name={say.next}
            testId="board-next"
            disabled={n >= pages.length - 1}
            onClick={() => turn(n + 1)}
          />
          <ToolButton
            icon={Plus}
            name={say.add}
            testId="board-add"
            onClick={() => void page.addPage()}
          />
        </>
      )}
    </fieldset>
  );
}

/** Lets the teacher say who may write. */
export function BoardWritersChoice({ board }: { board: OpenBoard }) {
  const say = words.value;
  if (board.document.role !== "teacher") return null;
  return (
    <label class="board-writers">
      <span>{say.writers}</span>
      <select
        class="input"
        data-testid="board-writers"
        value={board.writers.value}
        onChange={(event) => {
          const choice = WRITERS.find((one) => one === event.currentTarget.value);
          // A refusal shows in the state, which stays as it was.
          if (choice) void board.setWriters(choice).catch(() => undefined);
        }}
      >
        {WRITERS.map((one) => (
          <option key={one} value={one}>
            {say.writersOf[one]}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Saves the board as a picture or as PDF. */
export function BoardExport({ board }: { board: OpenBoard }) {
  const say = words.value;
  const [open, setOpen] = useState(false);
  const [failed, setFailed] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const save = async (kind: "png" | "pdf") => {
    setOpen(false);
    setFailed(false);
    try {
      const { savePng, savePdf } = await import("./export.ts");
      const page = board.document.shownPage();
      await (kind === "png" ? savePng(board, page) : savePdf(board));
    } catch {
      setFailed(true);
    }
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Esc closes the menu, wherever the focus is in it
    <div
      ref={box}
      class="board-export"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
        box.current?.querySelector("button")?.focus();
      }}
    >
      <button
        type="button"
        class="button button-quiet"
        aria-expanded={open}
        data-testid="board-export"
        onClick={() => setOpen(!open)}
      >
        <Icon of={Download} />
        <span class="button-label">{say.export}</span>
      </button>
      {open && (
        <div class="board-menu">
          <button
            type="button"
            class="button button-quiet"
            data-testid="board-png"
            onClick={() => void save("png")}
          >
            {say.exportPng}
          </button>
          <button
            type="button"
            class="button button-quiet"
            data-testid="board-pdf"
            onClick={() => void save("pdf")}
          >
            {say.exportPdf}
          </button>
        </div>
      )}
      {failed && (
        <p class="board-note" role="alert">
          {say.exportFailed}
        </p>
      )}
    </div>
  );
}

/** The page everyone is shown, as it changes. */
export function useShownPage({ document: page }: OpenBoard): string {
  const [shown, setShown] = useState(() => page.shownPage());
  const [, setPages] = useState("");
  useEffect(() => {
    const look = () => {
      setShown(page.shownPage());
      setPages(page.pages().join(" "));
    };
    look();
    return page.onArranged(look);
  }, [page]);
  return shown;
}

/** What is said of a surface in words follows it at this pace. */
const SAID_EVERY_MS = 250;

/** What is on a surface, for what is said of it: not with every stroke, but soon after. */
export function useElements({ document: page }: OpenBoard, surface: string) {
  const [, again] = useState({});
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        again({});
      }, SAID_EVERY_MS);
    };
    const stop = page.onChange(surface, soon);
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [page, surface]);
  return page.elements(surface);
}

/** What the keys do while the focus is in the board. */
export function boardKeys(board: OpenBoard, tool: Signal<Tool>): Record<string, () => void> {
  const { document: page } = board;
  const keys: Record<string, () => void> = {
    Z: () => page.undo(),
    Y: () => page.redo(),
  };
  for (const { kind, key } of TOOLS) {
    keys[key] = () => {
      tool.value = { ...tool.peek(), kind };
    };
  }
  for (const colour of COLOURS) {
    keys[`${colour + 1}`] = () => {
      tool.value = { ...tool.peek(), colour };
    };
  }
  return keys;
}

function ToolButton(props: {
  icon: IconNode;
  name: string;
  onClick: () => void;
  testId: string;
  keyHint?: string;
  pressed?: boolean;
  disabled?: boolean;
}) {
  const { name, keyHint } = props;
  return (
    <button
      type="button"
      class="button button-quiet button-icon"
      aria-label={name}
      title={keyHint ? `${name} · ${keyHint}` : name}
      aria-keyshortcuts={keyHint}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      data-testid={props.testId}
      onClick={props.onClick}
    >
      <Icon of={props.icon} />
    </button>
  );
}
