// What pages show of a lesson's board. Heavy (Yjs): import it when it is first shown.
//
//   <Board session={session} />                                     the whiteboard, with tools
//   <Board session={session} bare />                                only what is on it
//   <SlideInk session={session} deck={id} page={3} aspect={4 / 3} /> ink over a page of slides
//   <SlideInk … tools />                                            and the tools to write it

import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { LessonSocket } from "../protocol/socket.ts";
import type { Tool } from "./canvas.tsx";
import { slideSurface } from "./document.ts";
import { type OpenBoard, openBoard, releaseBoard } from "./open.ts";
import { BoardTools } from "./tools.tsx";
import { BoardFrame, BoardOverlay, BoardView } from "./view.tsx";
import { words } from "./words.ts";

/** What of a page's session the board needs. */
export interface BoardSession {
  readonly socket: LessonSocket;
}

/** The lesson's board, once the page is in the lesson; given back when it is no longer shown. */
export function useBoard({ socket }: BoardSession): OpenBoard | undefined {
  const [board, setBoard] = useState<OpenBoard | undefined>(undefined);
  // Another run of the lesson has another board, and another role other rights on it.
  const which = socket.you.value && `${socket.state.value?.run} ${socket.you.value.role}`;
  useEffect(() => {
    const opened = which === undefined ? undefined : openBoard(socket);
    setBoard(opened);
    return () => {
      if (opened) releaseBoard(socket, opened);
    };
  }, [socket, which]);
  return board;
}

interface BoardProps {
  session: BoardSession;
  /** Without tools and pages, whoever looks. */
  bare?: boolean;
}

/** The shared whiteboard. Fills its box; shows tools to members that may write. */
export function Board({ session, bare = false }: BoardProps) {
  const board = useBoard(session);
  if (!board) return <p class="board-waiting">{words.value.loading}</p>;
  return <BoardView board={board} bare={bare} />;
}

interface SlideInkProps {
  session: BoardSession;
  deck: string;
  /** 1 for the first. */
  page: number;
  /** Width by height of the slide. */
  aspect: number;
  /** Shows the tools to members that may write. */
  tools?: boolean;
}

/**
 * Ink over a page of slides. Put it into the box of the slide's picture, after the picture; the
 * box has the picture's shape and `position: relative`.
 */
export function SlideInk({ session, deck, page, aspect, tools = false }: SlideInkProps) {
  const board = useBoard(session);
  const tool = useSignal<Tool>({ kind: "pen", colour: 2, width: 0 });
  if (!board) return null;
  const surface = slideSurface(deck, page);
  if (!tools || !board.mayWrite.value) {
    return <BoardOverlay board={board} surface={surface} aspect={aspect} />;
  }
  return (
    <BoardFrame board={board} tool={tool} name={words.value.tools}>
      <BoardOverlay board={board} surface={surface} tool={tool} aspect={aspect} />
      <div class="board-floating">
        <BoardTools board={board} surface={surface} tool={tool} />
      </div>
    </BoardFrame>
  );
}
