// The whole board, as a page shows it: the page everyone sees, the tools for who may write, and
// what there is to say. And the layer of ink over slides.

import { type Signal, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { BoardCanvas, PEN, type Tool } from "./canvas.tsx";
import { pageSurface } from "./document.ts";
import { HEIGHT, WIDTH } from "./elements.ts";
import type { OpenBoard } from "./open.ts";
import {
  BoardExport,
  BoardPages,
  BoardTools,
  BoardWritersChoice,
  boardKeys,
  useElements,
  useShownPage,
} from "./tools.tsx";
import { words } from "./words.ts";
import "./board.css";

interface ViewProps {
  board: OpenBoard;
  /** Without tools and pages, for a screen that only shows. */
  bare?: boolean;
}

/** The shared whiteboard. Fills its box. */
export function BoardView({ board, bare = false }: ViewProps) {
  const tool = useSignal<Tool>(PEN);
  const shown = useShownPage(board);
  const say = words.value;
  const surface = pageSurface(shown);
  const n = board.document.pages().indexOf(shown) + 1;
  const things = useElements(board, surface).size;
  // A classroom's screen that only shows has no use for a bar.
  const bar = !bare && (board.mayWrite.value || board.document.role !== "classroom");
  return (
    <BoardFrame board={board} tool={tool} name={say.name}>
      {bar && (
        <div class="board-bar">
          {board.mayWrite.value ? (
            <BoardTools board={board} surface={surface} tool={tool} />
          ) : (
            <p class="board-note">{say.readOnly}</p>
          )}
          <span class="spring" />
          <BoardPages board={board} />
          <BoardWritersChoice board={board} />
          <BoardExport board={board} />
        </div>
      )}
      <div class="board-place-for">
        <div class="board-sheet" style={{ aspectRatio: `${WIDTH} / ${HEIGHT}` }}>
          <BoardCanvas
            board={board}
            surface={surface}
            tool={tool}
            readOnly={bare}
            name={say.described(n, things)}
          />
        </div>
      </div>
      <Texts board={board} surface={surface} />
      <BoardNotes board={board} />
    </BoardFrame>
  );
}

interface OverlayProps {
  board: OpenBoard;
  /** `slideSurface(deck, page)`. */
  surface: string;
  /** The tool in hand; without one nobody writes here, and pointers go through to the slides. */
  tool?: Signal<Tool> | undefined;
  /** Width by height of the slide. */
  aspect?: number;
}

/** A layer of ink over a page of slides: put it into the slide's box, after the picture. */
export function BoardOverlay({ board, surface, tool, aspect }: OverlayProps) {
  const none = useSignal<Tool>(PEN);
  const things = useElements(board, surface).size;
  return (
    <div class="board-overlay">
      <BoardCanvas
        board={board}
        surface={surface}
        tool={tool ?? none}
        readOnly={tool === undefined}
        clear
        name={words.value.overlay(things)}
        {...(aspect === undefined ? {} : { aspect })}
      />
      <Texts board={board} surface={surface} />
    </div>
  );
}

/** What stands around a board: its keys work while the focus is inside. */
export function BoardFrame(props: {
  board: OpenBoard;
  tool: Signal<Tool>;
  name: string;
  children: preact.ComponentChildren;
}) {
  const box = useRef<HTMLElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.altKey || !props.board.mayWrite.peek()) return;
    if ((event.target as HTMLElement).closest("input, select, textarea")) return;
    const command = event.ctrlKey || event.metaKey;
    // Ctrl+Z and Ctrl+Y (or Ctrl+Shift+Z) as everywhere; every other key by itself.
    const key = command && event.shiftKey && event.key === "Z" ? "Y" : event.key.toUpperCase();
    const action = boardKeys(props.board, props.tool)[key];
    if (!action || (command && key !== "Z" && key !== "Y")) return;
    event.preventDefault();
    // The page around has keys of its own.
    event.stopPropagation();
    action();
  };
  return (
    <section
      ref={box}
      class="board"
      aria-label={props.name}
      data-testid="board"
      onKeyDown={onKeyDown}
    >
      {props.children}
    </section>
  );
}

/** The texts of a surface, for those who don't see the picture. */
function Texts({ board, surface }: { board: OpenBoard; surface: string }) {
  const texts = [...useElements(board, surface)].flatMap(([key, element]) =>
    element.kind === "text" ? [[key, element.text] as const] : [],
  );
  if (texts.length === 0) return null;
  return (
    <ul class="board-unseen">
      {texts.map(([key, text]) => (
        <li key={key}>{text}</li>
      ))}
    </ul>
  );
}

/** What waits to be sent, and what the node refused. */
export function BoardNotes({ board }: { board: OpenBoard }) {
  const { waiting, refusal, live } = board.link;
  const say = words.value;
  const waits = waiting.value > 0 && board.link.away.value;
  const writing = [...live.value.keys()].map(board.nameOf);
  return (
    <div class="board-notes" role="status" data-testid="board-notes" data-waiting={waiting.value}>
      {waits && <p class="board-note">{say.waiting(waiting.value)}</p>}
      {refusal.value && <p class="board-note board-note-bad">{refusal.value}</p>}
      {writing.length > 0 && <p class="board-note">{say.writing(writing.join("、"))}</p>}
    </div>
  );
}
