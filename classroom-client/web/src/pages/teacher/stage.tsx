// The middle of the page: what the class sees. Slides with ink and their tools, the board, or
// pictures; the faces stand beside slides and board.

import { Image, PenLine, Presentation } from "lucide";
import { useRef } from "preact/hooks";
import { LazyBoard, LazyOverlay } from "../../board/lazy.tsx";
import { deskWords } from "../../i18n/sections/desk.ts";
import { slideWords } from "../../i18n/sections/slides.ts";
import { sceneOf } from "../../lesson/scene.ts";
import type { LessonState } from "../../protocol/words.ts";
import { SlideTools } from "../../slides/tools.tsx";
import { SlidesViewer } from "../../slides/viewer.tsx";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import type { Desk } from "./desk.ts";
import { Pictures } from "./pictures.tsx";

export type Middle = "pictures" | "slides" | "board";

/** What stands in the middle: what the class sees, or slides that are about to be chosen. */
export function middleOf(state: LessonState, choosingSlides: boolean): Middle {
  if (choosingSlides && !state.slides) return "slides";
  const { show } = sceneOf(state, "").big;
  return show === "slides" || show === "board" ? show : "pictures";
}

const MIDDLES = [
  { middle: "pictures", icon: Image },
  { middle: "slides", icon: Presentation },
  { middle: "board", icon: PenLine },
] as const;

export function Stage({ desk }: { desk: Desk }) {
  const { session } = desk;
  const { state } = session;
  const file = useRef<HTMLInputElement>(null);
  if (!state) return null;
  const words = deskWords.value;
  const middle = middleOf(state, desk.choosingSlides.value);
  const names = { pictures: words.stage, slides: words.slidesOn, board: words.boardOn };
  const { layout, auto } = state.view;
  const empty = (layout === "slides" || layout === "slides-teacher") && !state.slides;
  return (
    <div class="stage-area" data-testid="stage-area" data-middle={middle}>
      <div class="stage-bar">
        <div class="stage-choice">
          {MIDDLES.map(({ middle: one, icon }) => (
            <button
              type="button"
              key={one}
              class="stage-one"
              aria-pressed={middle === one}
              data-testid={`middle-${one}`}
              onClick={() => desk.show(one)}
            >
              <Icon of={icon} size={16} />
              {names[one]}
            </button>
          ))}
        </div>
        <span class="quiet stage-sees" data-testid="class-sees">
          {empty
            ? words.everyoneSees(words.layoutName.auto)
            : (auto ? words.everyoneSeesNow : words.everyoneSees)(words.layoutName[layout])}
        </span>
        <span class="spring" />
        {middle === "slides" && <SlideTools session={session} file={file} />}
      </div>
      {middle === "pictures" ? (
        <Pictures desk={desk} />
      ) : (
        <div class="stage-beside">
          {middle === "slides" ? (
            <div class="frame stage-slides">
              {!state.slides && (
                <div class="frame-empty" data-testid="no-slides">
                  <Icon of={Presentation} size={40} />
                  <p>{words.noSlides}</p>
                  <Button
                    look="accent"
                    testId="slides-choose-first"
                    onClick={() => file.current?.click()}
                  >
                    {slideWords.value.open}
                  </Button>
                </div>
              )}
              <SlidesViewer
                session={session}
                points
                ink={({ deck, page, width, height }) => (
                  <LazyOverlay
                    socket={session.socket}
                    deck={deck}
                    page={page}
                    aspect={width / height}
                    tools
                  />
                )}
              />
            </div>
          ) : (
            <div class="stage-board">
              <LazyBoard socket={session.socket} />
            </div>
          )}
          <Pictures desk={desk} beside />
        </div>
      )}
    </div>
  );
}
