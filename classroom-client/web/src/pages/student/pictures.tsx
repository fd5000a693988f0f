// What a student sees: one thing large, and below it the faces of who else is seen. The
// teacher's can be laid over the large picture and moved about there.

import { Headphones } from "lucide";
import { useRef, useState } from "preact/hooks";
import { t } from "../../i18n/index.ts";
import { studentWords } from "../../i18n/sections/student.ts";
import { sceneOf } from "../../lesson/scene.ts";
import { isAway, mayWrite, Showing, useHeld } from "../../lesson/showing.tsx";
import { Zoomable } from "../../lesson/zoomable.tsx";
import { teacherOf } from "../../protocol/state.ts";
import type { LessonState } from "../../protocol/words.ts";
import { Icon } from "../../ui/icon.tsx";
import { Video } from "../../ui/video.tsx";
import { moved, type Place, readPlace, START } from "./place.ts";
import type { Seat } from "./seat.ts";

const PLACE_KEY = "cloudschool.teacher-tile";
/** Less is a finger that trembles, not one that drags. */
const DRAG_PX = 8;
/** What an arrow key moves: a tenth of the way. */
const STEP = 0.1;

export function Pictures({ seat }: { seat: Seat }) {
  const { session } = seat;
  const { state, socket } = session;
  const you = socket.you.value;
  const me = you?.id ?? "";
  const scene = useHeld(state && sceneOf(state, me), isAway(session));
  const words = t.value;
  if (!state || !scene) return null;
  if (seat.audioOnly.value) {
    return (
      <button
        type="button"
        class="frame student-sound"
        data-testid="sound-only"
        onClick={() => seat.take("all")}
      >
        <span class="frame-empty">
          <Icon of={Headphones} size={48} />
          <span>{words.student.audioOnlyOn}</span>
        </span>
      </button>
    );
  }
  const saver = seat.pictures.value === "one";
  const teacher = teacherOf(state)?.id;
  const companions = seat.group.value?.members ?? [];
  const faces = saver
    ? []
    : [...new Set([...scene.beside, ...companions])].filter(
        (id) => id !== me && session.publishes(id, "camera"),
      );
  const own = seat.media.camera.value;
  const nameOf = (id: string) => state.members[id]?.name ?? id;
  const writes = seat.mayTakePart.value && you !== undefined && mayWrite(state, you);
  const drawn = writes && (scene.big.show === "board" || scene.big.show === "slides");
  const showing = <Showing session={session} scene={scene} saver={saver} writes={writes} named />;
  return (
    <>
      <div
        class="student-big"
        data-shows={scene.big.show}
        data-writes={drawn}
        style={{ "--ratio": ratioOf(state) }}
      >
        {drawn ? showing : <Zoomable>{showing}</Zoomable>}
      </div>
      {(faces.length > 0 || own) && (
        <div class="student-others">
          {faces.map((id) =>
            id === teacher ? (
              <Movable key={id} name={nameOf(id)}>
                <Video
                  track={session.incoming(id, "camera")}
                  label={nameOf(id)}
                  testId={`small-${id}`}
                />
                <span class="frame-name">{nameOf(id)}</span>
              </Movable>
            ) : (
              <figure key={id} class="frame">
                <Video
                  track={session.incoming(id, "camera")}
                  label={nameOf(id)}
                  testId={`small-${id}`}
                />
                <figcaption class="frame-name">{nameOf(id)}</figcaption>
              </figure>
            ),
          )}
          {own && (
            <figure class="frame">
              <Video track={own} label={words.lesson.you} mirrored testId="own-video" />
              <figcaption class="frame-name">{words.lesson.you}</figcaption>
            </figure>
          )}
        </div>
      )}
    </>
  );
}

/** Proportions of the page of slides that is open; pages upright are shown as if they were 4:3. */
function ratioOf({ slides }: LessonState): string {
  const page = slides?.deck.pages[slides.page - 1];
  return String(page ? Math.min(Math.max(page.width / page.height, 4 / 3), 2) : 16 / 9);
}

/** A tile that a tap lifts onto the page and puts back, and a finger or arrow keys move there. */
function Movable({ name, children }: { name: string; children: preact.ComponentChildren }) {
  const [place, setPlace] = useState<Place | undefined>(() =>
    readPlace(localStorage.getItem(PLACE_KEY)),
  );
  const held = useRef<{ x: number; y: number; from: Place; moved: boolean } | undefined>(undefined);
  const dragged = useRef(false);
  const put = (next: Place | undefined) => {
    setPlace(next);
    if (next) localStorage.setItem(PLACE_KEY, JSON.stringify(next));
    else localStorage.removeItem(PLACE_KEY);
  };
  const byKey: Record<string, [number, number]> = {
    ArrowLeft: [-STEP, 0],
    ArrowRight: [STEP, 0],
    ArrowUp: [0, -STEP],
    ArrowDown: [0, STEP],
  };
  return (
    <button
      type="button"
      class={`frame movable ${place ? "movable-lifted" : ""}`}
      aria-label={`${name}${t.value.common.colon}${studentWords.value.teacherTile}`}
      aria-pressed={place !== undefined}
      data-testid="teacher-tile"
      style={
        place ? { "--x": String(place.x), "--y": String(place.y) } : { "--x": null, "--y": null }
      }
      onClick={() => {
        if (dragged.current) dragged.current = false;
        else put(place ? undefined : START);
      }}
      onKeyDown={(event) => {
        const step = byKey[event.key];
        if (!step || !place) return;
        event.preventDefault();
        put(moved(place, step[0], step[1]));
      }}
      onPointerDown={(event) => {
        if (!place) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        held.current = { x: event.clientX, y: event.clientY, from: place, moved: false };
      }}
      onPointerMove={(event) => {
        const grip = held.current;
        if (!grip) return;
        const [dx, dy] = [event.clientX - grip.x, event.clientY - grip.y];
        if (!grip.moved && Math.hypot(dx, dy) < DRAG_PX) return;
        grip.moved = true;
        const { offsetWidth, offsetHeight } = event.currentTarget;
        const room = [innerWidth - offsetWidth, innerHeight - offsetHeight] as const;
        setPlace(moved(grip.from, dx / Math.max(1, room[0]), dy / Math.max(1, room[1])));
      }}
      onPointerUp={() => {
        if (held.current?.moved) {
          dragged.current = true;
          put(place);
        }
        held.current = undefined;
      }}
      onPointerCancel={() => {
        held.current = undefined;
      }}
    >
      {children}
    </button>
  );
}
