// The big picture: whoever is on stage, else the shared screen, else one's own camera. The
// others stand beside it, and a click makes any of them the big one.

import { useSignal } from "@preact/signals";
import { VideoOff } from "lucide";
import { t } from "../../i18n/index.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import { Video } from "../../ui/video.tsx";
import type { Desk } from "./desk.ts";

interface Picture {
  id: string;
  label: string;
  track: MediaStreamTrack | undefined;
  whole?: boolean;
  off?: boolean;
}

function pictures(desk: Desk): Picture[] {
  const { session } = desk;
  const words = t.value.teacher;
  const state = session.state;
  const stage = (state?.stage ?? []).flatMap((id): Picture[] => {
    const name = state?.members[id]?.name ?? id;
    const seen: Picture[] = [];
    if (session.publishes(id, "screen")) {
      seen.push({
        id: `${id}/screen`,
        label: words.pictureOf(name),
        track: session.incoming(id, "screen"),
        whole: true,
      });
    }
    seen.push({
      id,
      label: name,
      track: session.incoming(id, "camera"),
      off: !session.publishes(id, "camera"),
    });
    return seen;
  });
  const screen = desk.screen.value;
  const own: Picture[] = screen
    ? [
        {
          id: "own-screen",
          label: desk.screenIs.value === "camera" ? deskWords.value.tool.document : words.ownScreen,
          track: screen,
          whole: true,
        },
      ]
    : [];
  own.push({
    id: "own-camera",
    label: words.ownPicture,
    track: desk.media.camera.value,
    off: !desk.cameraOn.value || !desk.media.camera.value,
  });
  return [...stage.reverse(), ...own];
}

interface Props {
  desk: Desk;
  /** Small, beside something else that is large. */
  beside?: boolean;
}

/** Faces beside slides or board: more would make those small. */
const MOST_BESIDE = 4;

export function Pictures({ desk, beside = false }: Props) {
  const chosen = useSignal<string | undefined>(undefined);
  const all = pictures(desk);
  const big = all.find((one) => one.id === chosen.value) ?? all[0];
  useKeys({
    ESCAPE: () => {
      chosen.value = undefined;
    },
  });
  if (!big) return null;
  if (beside) {
    // One's own picture needs no room beside what is written on.
    const faces = all.filter(({ id }) => !id.startsWith("own-")).slice(0, MOST_BESIDE);
    if (faces.length === 0) return null;
    return (
      <div class="pictures-beside">
        {faces.map((one) => (
          <figure key={one.id} class="pictures-small frame">
            <Shown picture={one} testId={`picture-${one.id}`} />
          </figure>
        ))}
      </div>
    );
  }
  const others = all.filter((one) => one !== big);
  return (
    <div class="pictures">
      <figure class="pictures-big frame" data-testid="big-picture" data-shows={big.id}>
        <Shown picture={big} testId="big-video" />
      </figure>
      {others.length > 0 && (
        <div class="pictures-others">
          {others.map((one) => (
            <button
              type="button"
              key={one.id}
              class="pictures-small frame"
              title={t.value.teacher.enlarge}
              onClick={() => {
                chosen.value = one.id === all[0]?.id ? undefined : one.id;
              }}
            >
              <Shown picture={one} testId={`picture-${one.id}`} />
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

function Shown({ picture, testId }: { picture: Picture; testId: string }) {
  const { label, track, whole, off } = picture;
  return (
    <>
      {off ? (
        <span class="frame-empty">
          <Icon of={VideoOff} size={28} />
          <span>{t.value.lesson.noPicture}</span>
        </span>
      ) : (
        <Video track={track} label={label} whole={whole ?? false} testId={testId} />
      )}
      <span class="frame-name">{label}</span>
    </>
  );
}
