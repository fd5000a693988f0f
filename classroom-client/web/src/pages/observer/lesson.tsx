// The observer's page: the lesson as a class sees it, and beside it notes with their times and a
// sheet to judge by.

import { EyeOff } from "lucide";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import { observerWords } from "../../i18n/sections/observer.ts";
import { CaptionLine } from "../../lesson/caption.tsx";
import { nodeNow } from "../../lesson/clock.ts";
import { LineBadge, LineBanner } from "../../lesson/line-view.tsx";
import { sceneOf } from "../../lesson/scene.ts";
import { isAway, Showing, useHeld } from "../../lesson/showing.tsx";
import { SoundGate } from "../../lesson/sound-gate.tsx";
import { Review } from "../../review/review.tsx";
import { LanguageSwitch } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Video } from "../../ui/video.tsx";
import type { Watch } from "./watch.ts";

interface Props {
  watch: Watch;
}

export function Lesson({ watch }: Props) {
  const { session } = watch;
  const { state } = session;
  const words = observerWords.value;
  if (!state) return null;
  return (
    <div class="observer" data-testid="observer" data-phase={state.phase}>
      <header class="observer-head">
        <h1>{state.info.title}</h1>
        <span class="quiet observer-teacher">{state.info.teacher}</span>
        <span class="spring" />
        {state.phase === "live" && (
          <span class="elapsed" data-testid="elapsed">
            {clock(session.elapsed.value)}
          </span>
        )}
        <LineBadge session={session} />
        <LanguageSwitch compact />
      </header>
      <LineBanner session={session} />
      <main class="observer-main">
        <div class="observer-lesson">
          <Pictures watch={watch} />
          <CaptionLine session={session} />
          <p class="badge" data-testid="silent">
            <Icon of={EyeOff} />
            {words.silent}
          </p>
        </div>
        <Review
          book={watch}
          nowMs={() => nodeNow(session)}
          time={(ms) => lessonTime(state.startedMs, ms, words.before)}
          name={session.entry.lesson}
        />
      </main>
    </div>
  );
}

function Pictures({ watch }: Props) {
  const { session } = watch;
  const { state, socket } = session;
  const me = socket.you.value?.id ?? "";
  const scene = useHeld(state && sceneOf(state, me), isAway(session));
  if (!state || !scene) return null;
  const nameOf = (id: string) => state.members[id]?.name ?? id;
  return (
    <div class="observer-pictures">
      <Showing session={session} scene={scene} named />
      {scene.beside.length > 0 && (
        <div class="observer-beside">
          {scene.beside.map((id) => (
            <figure key={id} class="frame">
              <Video
                track={session.incoming(id, "camera")}
                label={t.value.teacher.pictureOf(nameOf(id))}
                testId={`small-${id}`}
              />
              <figcaption class="frame-name">{nameOf(id)}</figcaption>
            </figure>
          ))}
        </div>
      )}
      <SoundGate session={session} />
    </div>
  );
}

/** A time of the lesson as people say it. */
function lessonTime(startedMs: number | undefined, atMs: number, before: string): string {
  return startedMs === undefined || atMs < startedMs ? before : clock(atMs - startedMs);
}
