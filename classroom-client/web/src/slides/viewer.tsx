// The slides as everybody sees them: the page the teacher is at, as large as there is room, with
// the board's ink and the teacher's pointer on it. Mounted on every page of a lesson.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { slideWords } from "../i18n/sections/slides.ts";
import type { LessonSession } from "../lesson/session.ts";
import type { Deck, DeckPage, Slides } from "../protocol/words.ts";
import { getAsset } from "./asset.ts";
import { usePicture, useSoon } from "./picture.ts";
import { Pointer, PointerTeller, spotOf } from "./pointer.tsx";
import { readText } from "./text.ts";
import "./slides.css";

/** What can be written on: one page of one deck. */
export interface Surface {
  /** `deck/page`: names the ink that belongs to it. */
  key: string;
  deck: string;
  /** 1 for the first. */
  page: number;
  /** Of the page's picture, in pixels: what is drawn over it has the same proportions. */
  width: number;
  height: number;
}

interface Props {
  session: LessonSession;
  /** Laid over the page and exactly as large: the board's ink. */
  ink?: (surface: Surface) => ComponentChildren;
  /** Smaller pictures, and none before they are needed. */
  small?: boolean;
  /** This member's pointer is shown to everybody (teacher). */
  points?: boolean;
}

/** Shows the slides that are open; nothing when none are. */
export function SlidesViewer({ session, ink, small = false, points = false }: Props) {
  const slides = session.socket.state.value?.slides;
  if (!slides) return null;
  return <Open session={session} slides={slides} ink={ink} small={small} points={points} />;
}

interface OpenProps {
  session: LessonSession;
  slides: Slides;
  ink: Props["ink"];
  small: boolean;
  points: boolean;
}

function Open({ session, slides, ink, small, points }: OpenProps) {
  const { deck, page } = slides;
  const of = (at: DeckPage) => (small ? (at.small ?? at.asset) : at.asset);
  const wanted = deck.pages[page - 1];
  const meanwhile = small ? undefined : wanted?.small;
  const key = surfaceKey(deck.id, page);
  const shown = usePicture(session.entry, { key, full: wanted && of(wanted), small: meanwhile });
  const next = deck.pages[page];
  useSoon(session.entry, shown?.key === key && next && !small ? of(next) : undefined);
  const known = useKnown(slides);
  const texts = useTexts(session, deck, small);
  // What is seen is the page whose picture is there, and its ink with it.
  const seen = shown && known.get(shown.key);
  const words = slideWords.value;
  const late = useLate(shown?.key === key ? undefined : key);
  return (
    <div class="slides" data-testid="slides" data-page={page}>
      {shown && seen && (
        <Sheet session={session} at={seen} points={points}>
          <img
            class="slide-picture"
            src={shown.src}
            alt={pageName(seen, deck)}
            width={seen.surface.width}
            height={seen.surface.height}
            draggable={false}
            data-testid="slide"
            data-page={seen.surface.page}
          />
          {texts && <p class="visually-hidden">{texts[seen.surface.page - 1]}</p>}
          {ink?.(seen.surface)}
          <Pointer session={session} />
        </Sheet>
      )}
      <p class="slide-late" role="status" data-testid="slide-late">
        {late ? words.loading(page) : ""}
      </p>
    </div>
  );
}

interface Known {
  surface: Surface;
  title?: string | undefined;
}

export function surfaceKey(deck: string, page: number): string {
  return `${deck}/${page}`;
}

function pageName({ surface, title }: Known, deck: Deck): string {
  const words = slideWords.value;
  const of = deck.pages.length;
  return title ? words.pageTitled(surface.page, of, title) : words.page(surface.page, of);
}

/** The pages that were wanted so far, by key: one that is still seen may be of a deck before. */
function useKnown({ deck, page }: Slides): Map<string, Known> {
  const known = useRef(new Map<string, Known>());
  const at = deck.pages[page - 1];
  if (at) {
    const key = surfaceKey(deck.id, page);
    const { width, height, title } = at;
    known.current.set(key, { surface: { key, deck: deck.id, page, width, height }, title });
  }
  return known.current;
}

/** Whether a page has been waited for long enough to say so. */
function useLate(waitingFor: string | undefined): boolean {
  const [late, setLate] = useState<string | undefined>(undefined);
  useEffect(() => {
    if (!waitingFor) return;
    const timer = setTimeout(() => setLate(waitingFor), 800);
    return () => clearTimeout(timer);
  }, [waitingFor]);
  return late !== undefined && late === waitingFor;
}

/** The text of all pages, for who listens to the page instead of seeing it. */
function useTexts(session: LessonSession, deck: Deck, small: boolean): string[] | undefined {
  const [texts, setTexts] = useState<{ of: string; pages: string[] } | undefined>(undefined);
  const { text } = deck;
  useEffect(() => {
    if (!text || small) return;
    const stop = new AbortController();
    const read = async () => {
      const file = await getAsset(session.entry, text, { signal: stop.signal });
      setTexts({ of: text, pages: readText(JSON.parse(await file.text())) });
    };
    // Without it the page has its number and title.
    read().catch(() => undefined);
    return () => stop.abort();
  }, [session, text, small]);
  return texts?.of === text ? texts?.pages : undefined;
}

/** The page's own rectangle, in the middle of the room there is. */
function Sheet({
  session,
  at,
  points,
  children,
}: {
  session: LessonSession;
  at: Known;
  points: boolean;
  children: ComponentChildren;
}) {
  const sheet = useRef<HTMLDivElement>(null);
  const teller = useMemo(() => new PointerTeller((spot) => session.socket.point(spot)), [session]);
  const { width, height } = at.surface;
  const move = (event: PointerEvent) => {
    const page = sheet.current?.getBoundingClientRect();
    if (page) teller.move(spotOf(event, page));
  };
  const pointing = points
    ? { onPointerMove: move, onPointerLeave: () => teller.move(undefined) }
    : {};
  return (
    <div
      ref={sheet}
      class="slide-sheet"
      style={{ "--slide-ratio": width / height, aspectRatio: `${width} / ${height}` }}
      {...pointing}
    >
      {children}
    </div>
  );
}
