// The large picture of a class's screen: a camera, a shared screen, slides, the board, or the
// schools side by side. Slides and board are fetched when they are first shown.

import { Users, VideoOff } from "lucide";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { LazyBoard, LazyOverlay } from "../board/lazy.tsx";
import { t } from "../i18n/index.ts";
import { classWords } from "../i18n/sections/class.ts";
import { teacherOf } from "../protocol/state.ts";
import type { LessonState, Member } from "../protocol/words.ts";
import { Icon } from "../ui/icon.tsx";
import { Video } from "../ui/video.tsx";
import { lazily } from "./lazy.tsx";
import type { Scene } from "./scene.ts";
import type { LessonSession } from "./session.ts";

const Slides = lazily(async () => (await import("../slides/viewer.tsx")).SlidesViewer);

/**
 * What is shown, or while `away` what was shown last: a line that is cut takes nothing off a
 * screen that a class looks at.
 */
export function useHeld<T>(now: T, away: boolean): T {
  const last = useRef(now);
  if (!away) last.current = now;
  return last.current;
}

/** Whether a member of the class may write on the board: the nodes' own rule. */
export function mayWrite(state: LessonState, me: Member): boolean {
  const writers = state.boardWriters;
  if (writers === "everyone") return true;
  if (writers === "classrooms" && me.role !== "student") return true;
  return writers !== "teacher" && state.stage.includes(me.id);
}

/** Whether what is shown can't be kept up to date at the moment. */
export function isAway(session: LessonSession): boolean {
  return session.socket.link.value.at !== "joined" || !session.socket.campus.value;
}

interface Props {
  session: LessonSession;
  scene: Scene;
  /** Takes the smaller pictures of slides. */
  saver?: boolean;
  /** Whether this page has the tools to write, where its member may. */
  writes?: boolean;
  /** Says who is seen where the picture does not say it. */
  named?: boolean;
}

export function Showing({ session, scene, saver = false, writes = false, named = false }: Props) {
  const { state } = session;
  const words = classWords.value;
  if (!state) return null;
  const { big } = scene;
  const nameOf = (id: string) => state.members[id]?.name ?? state.attendance[id]?.name ?? id;
  switch (big.show) {
    case "slides":
      return (
        <section class="frame showing showing-slides" aria-label={words.slidesTitle}>
          <Slides
            session={session}
            small={saver}
            ink={({ deck, page, width, height }) => (
              <LazyOverlay
                socket={session.socket}
                deck={deck}
                page={page}
                aspect={width / height}
                tools={writes}
              />
            )}
          />
        </section>
      );
    case "board":
      return (
        <section class="frame showing showing-board" aria-label={words.boardTitle}>
          <LazyBoard socket={session.socket} bare={!writes} />
        </section>
      );
    case "grid":
      return (
        <section
          class="showing showing-grid"
          aria-label={words.grid}
          data-count={big.members.length}
          data-testid="grid"
        >
          {big.members.map((id) => (
            <figure key={id} class="frame">
              <Video
                track={session.incoming(id, "camera")}
                label={t.value.teacher.pictureOf(nameOf(id))}
                testId={`grid-${id}`}
              />
              <figcaption class="frame-name">{nameOf(id)}</figcaption>
            </figure>
          ))}
        </section>
      );
    case "camera":
    case "screen": {
      const screen = big.show === "screen";
      return (
        <figure class="frame showing">
          <Video
            track={session.incoming(big.member, big.show)}
            label={
              screen ? t.value.teacher.ownScreen : t.value.teacher.pictureOf(nameOf(big.member))
            }
            whole={screen}
            testId="main-video"
          />
          {named && !screen && <figcaption class="frame-name">{nameOf(big.member)}</figcaption>}
        </figure>
      );
    }
    case "nobody": {
      const teacher = teacherOf(state);
      const says = state.startedMs ? t.value.lesson.teacherAway : t.value.lesson.waitingForTeacher;
      return (
        <Empty icon={teacher ? VideoOff : Users} testId="teacher-away">
          {teacher ? t.value.lesson.noPicture : says}
        </Empty>
      );
    }
  }
}

function Empty(props: { icon: typeof Users; testId: string; children: ComponentChildren }) {
  return (
    <div class="frame showing" data-testid={props.testId}>
      <span class="frame-empty">
        <Icon of={props.icon} size={40} />
        <strong>{props.children}</strong>
      </span>
    </div>
  );
}
