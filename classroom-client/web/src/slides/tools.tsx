// The teacher's tools for slides: choose a file, turn, see all pages, put them away.

import { signal, useComputed } from "@preact/signals";
import { ChevronLeft, ChevronRight, LayoutGrid, Presentation, X } from "lucide";
import type { RefObject } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { slideWords } from "../i18n/sections/slides.ts";
import type { LessonSession } from "../lesson/session.ts";
import type { Deck, Slides } from "../protocol/words.ts";
import { Button, IconButton } from "../ui/controls.tsx";
import { useKeys } from "../ui/keys.ts";
import { notify, notifyRefused } from "../ui/notices.tsx";
import { Overview } from "./overview.tsx";
import { browserMeans, DeckUpload, MAX_PAGES, type UploadState } from "./upload.ts";
import "./slides.css";

/** Keys that turn pages; what the little remote controls of teachers send is among them. */
const BACK = ["ARROWLEFT", "PAGEUP"];
const ON = ["ARROWRIGHT", "PAGEDOWN"];

/** Decks this page has opened, the latest first, and where each was left. */
const shelf = signal<readonly Slides[]>([]);
const SHELF = 5;

/** Keeps a deck, and where it was left, for when it is wanted again. */
function shelve(slides: Slides): void {
  const others = shelf.peek().filter(({ deck }) => deck.id !== slides.deck.id);
  shelf.value = [slides, ...others].slice(0, SHELF);
}

interface Props {
  session: LessonSession;
  /** Where the chooser of files is: others may open it too. */
  file: RefObject<HTMLInputElement | null>;
}

export function SlideTools({ session, file }: Props) {
  const slides = session.socket.state.value?.slides;
  const [upload, setUpload] = useState<DeckUpload | undefined>(undefined);
  const words = slideWords.value;
  useEffect(() => {
    if (slides) shelve(slides);
  }, [slides]);
  const choose = () => file.current?.click();
  const begin = (chosen: File | undefined) => {
    if (!chosen) return;
    upload?.cancel();
    setUpload(new DeckUpload(chosen, browserMeans(session.entry)));
  };
  return (
    <div class="slide-tools" role="toolbar" aria-label={words.tools} data-testid="slide-tools">
      {slides ? <Turning session={session} slides={slides} /> : <Shelf session={session} />}
      {!upload && (
        <Button
          icon={Presentation}
          look={slides ? "quiet" : "plain"}
          onClick={choose}
          testId="slides-choose"
        >
          {slides ? words.openOther : words.open}
        </Button>
      )}
      <input
        ref={file}
        type="file"
        accept="application/pdf,.pdf"
        hidden
        data-testid="slides-file"
        onChange={(event) => {
          const input = event.currentTarget;
          begin(input.files?.[0]);
          // The same file may be chosen again.
          input.value = "";
        }}
      />
      {upload && <Progress session={session} upload={upload} onOver={() => setUpload(undefined)} />}
    </div>
  );
}

function open(session: LessonSession, deck: Deck, page?: number): void {
  const command = { do: "slides-open", deck, ...(page ? { page } : {}) } as const;
  session.socket.command(command).catch(notifyRefused);
}

/** Decks that were open before, to go on with. */
function Shelf({ session }: { session: LessonSession }) {
  const words = slideWords.value;
  return (
    <>
      {shelf.value.slice(0, 2).map(({ deck, page }) => (
        <Button
          key={deck.id}
          look="quiet"
          onClick={() => open(session, deck, page)}
          testId="slides-again"
        >
          {words.again(deck.title)}
        </Button>
      ))}
    </>
  );
}

function Turning({ session, slides }: { session: LessonSession; slides: Slides }) {
  const [overview, setOverview] = useState(false);
  const words = slideWords.value;
  const { deck, page } = slides;
  const of = deck.pages.length;
  const turn = useTurning(session, slides);
  const keys = useMemo(() => {
    const all: Record<string, () => void> = {};
    for (const key of BACK) all[key] = () => turn.by(-1);
    for (const key of ON) all[key] = () => turn.by(1);
    return all;
  }, [turn]);
  useKeys(keys);
  return (
    <>
      <IconButton
        icon={ChevronLeft}
        name={`${words.previous} (←)`}
        onClick={() => turn.by(-1)}
        testId="slides-previous"
      />
      <Button
        icon={LayoutGrid}
        look="quiet"
        title={words.overview}
        onClick={() => setOverview(true)}
        testId="slides-overview"
        className="slide-count"
      >
        {`${page} / ${of}`}
      </Button>
      <IconButton
        icon={ChevronRight}
        name={`${words.next} (→)`}
        onClick={() => turn.by(1)}
        testId="slides-next"
      />
      <Button
        icon={X}
        look="quiet"
        testId="slides-close"
        onClick={() => {
          session.socket.command({ do: "slides-close" }).catch(notifyRefused);
        }}
      >
        {words.close}
      </Button>
      {overview && (
        <Overview
          files={session.entry}
          slides={slides}
          onChoose={(chosen) => {
            setOverview(false);
            turn.to(chosen);
          }}
          onClose={() => setOverview(false)}
        />
      )}
    </>
  );
}

/** Turns pages, also faster than the lesson answers: three presses are three pages. */
function useTurning(session: LessonSession, { deck, page }: Slides) {
  const last = useRef(page);
  const under = useRef(0);
  if (under.current === 0) last.current = page;
  const count = deck.pages.length;
  return useMemo(() => {
    const to = (wanted: number) => {
      const target = Math.min(Math.max(wanted, 1), count);
      if (target === last.current) return;
      last.current = target;
      under.current += 1;
      session.socket
        .command({ do: "slides-turn", page: target })
        .catch(notifyRefused)
        .finally(() => {
          under.current -= 1;
        });
    };
    return { to, by: (pages: number) => to(last.current + pages) };
  }, [session, count]);
}

/** How far a file is, and what to do when it does not go on. */
function Progress({
  session,
  upload,
  onOver,
}: {
  session: LessonSession;
  upload: DeckUpload;
  onOver: () => void;
}) {
  const state = upload.state.value;
  const words = slideWords.value;
  useEffect(() => {
    if (state.at === "done") open(session, state.deck);
    if (state.at === "unreadable") notify(unreadable(state.why), { tone: "bad" });
    if (state.at === "done" || state.at === "unreadable" || state.at === "cancelled") onOver();
  }, [state.at]);
  const text = useComputed(() => said(upload.state.value));
  return (
    <div class="slide-progress" data-testid="slides-progress" data-at={state.at}>
      {"of" in state && <progress max={state.of} value={state.done} aria-label={words.tools} />}
      <span role="status">{text}</span>
      {state.at === "failed" && (
        <Button look="accent" onClick={() => upload.resume()} testId="slides-retry">
          {words.retry}
        </Button>
      )}
      <Button look="quiet" onClick={() => upload.cancel()} testId="slides-cancel">
        {words.cancel}
      </Button>
    </div>
  );
}

function said(state: UploadState): string {
  const words = slideWords.value;
  switch (state.at) {
    case "working":
      return words.preparing(state.done, state.of);
    case "failed":
      return words.failedPage(state.page, state.why ?? words.offline);
    case "reading":
      return words.reading;
    default:
      return "";
  }
}

function unreadable(why: "not-pdf" | "locked" | "too-many-pages"): string {
  const words = slideWords.value;
  if (why === "too-many-pages") return words.tooManyPages(MAX_PAGES);
  return why === "locked" ? words.locked : words.notPdf;
}
