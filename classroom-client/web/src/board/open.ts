// The board of the lesson a page is in: opened when something first shows it, shared by all that
// do, and closed when the last of them is gone.

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import type { LessonSocket } from "../protocol/socket.ts";
import type { BoardWriters, LessonState, Member, Role } from "../protocol/words.ts";
import { BoardDocument } from "./document.ts";
import { type BoardLine, BoardLink, keepInBrowser } from "./link.ts";

export const WRITERS: readonly BoardWriters[] = ["teacher", "stage", "classrooms", "everyone"];

/** An open board. */
export interface OpenBoard {
  readonly document: BoardDocument;
  readonly link: BoardLine;
  /** The lesson it is of: its assets are under `/lessons/{lesson}/assets/`. */
  readonly lesson: string;
  /** Where its pictures are, when not at a node. */
  readonly pictureOf?: (asset: string) => Promise<string>;
  /** For requests beside the socket. */
  readonly token: string;
  readonly writers: ReadonlySignal<BoardWriters>;
  /** Whether this member may write now. */
  readonly mayWrite: ReadonlySignal<boolean>;
  /** The name of a member, for people. */
  nameOf(member: string): string;
  /** Says who may write (teacher). */
  setWriters(writers: BoardWriters): Promise<void>;
}

/** The same rule as the nodes' (`BoardWriters::admits`). */
export function admits(writers: BoardWriters, role: Role, onStage: boolean): boolean {
  switch (role) {
    case "teacher":
      return true;
    case "observer":
    case "operator":
      return false;
    case "student":
      return writers === "everyone" || (writers !== "teacher" && onStage);
    default:
      return writers === "everyone" || writers === "classrooms" || (writers === "stage" && onStage);
  }
}

interface Held {
  board: OpenBoard;
  run: number;
  users: number;
  stop: () => void;
}

const held = new WeakMap<LessonSocket, Held>();

/**
 * Opens the lesson's board, or takes part in it being open. Undefined until the page is in the
 * lesson. Give it back with {@link releaseBoard}.
 */
export function openBoard(socket: LessonSocket): OpenBoard | undefined {
  const state = socket.state.peek();
  const you = socket.you.peek();
  if (!state || !you) return undefined;
  const { run } = state;
  const known = held.get(socket);
  if (known && known.run === run && known.board.document.role === you.role) {
    known.users += 1;
    return known.board;
  }
  known?.stop();
  const opened = begin(socket, state, you, run);
  held.set(socket, opened);
  return opened.board;
}

/** Says that somebody who opened the board shows it no more. */
export function releaseBoard(socket: LessonSocket, board: OpenBoard): void {
  const known = held.get(socket);
  if (known?.board !== board) return;
  known.users -= 1;
  if (known.users > 0) return;
  known.stop();
  held.delete(socket);
}

function begin(socket: LessonSocket, state: LessonState, you: Member, run: number): Held {
  const document = new BoardDocument(you.id, you.role);
  const keep = keepInBrowser(`${state.info.id}.${run}.${you.id}`);
  const link = new BoardLink(document, socket, keep);
  const current = signal<LessonState>(state);
  const follow = effect(() => {
    const next = socket.state.value;
    if (next) current.value = next;
  });
  const keepNow = () => link.keepNow();
  window.addEventListener("pagehide", keepNow);
  const writers = computed(() => current.value.boardWriters);
  const board: OpenBoard = {
    document,
    link,
    lesson: state.info.id,
    token: socket.token,
    writers,
    mayWrite: computed(() => {
      const { phase, stage } = current.value;
      const over = phase === "ended" || phase === "archived";
      return !over && admits(writers.value, you.role, stage.includes(you.id));
    }),
    nameOf: (member) => current.peek().members[member]?.name ?? member,
    setWriters: (next) => socket.command({ do: "board-writers", writers: next }),
  };
  const stop = () => {
    window.removeEventListener("pagehide", keepNow);
    follow();
    link.close();
  };
  return { board, run, users: 1, stop };
}
