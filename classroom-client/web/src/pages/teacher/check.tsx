// Before the lesson: one's own picture, level and voice, and the line. One button leads on.

import { useSignal } from "@preact/signals";
import { CircleAlert, CircleCheck, DoorOpen, Headphones, Mic, VideoOff, Wifi } from "lucide";
import { useEffect, useMemo } from "preact/hooks";
import { lang, t } from "../../i18n/index.ts";
import { DevicePicker } from "../../lesson/devices.tsx";
import { Unauthorized } from "../../lesson/gate.tsx";
import { OwnMediaProblems } from "../../lesson/media-problem.tsx";
import { checkNode, type NodeCheck } from "../../lesson/node-check.ts";
import { measureLevel } from "../../media/level.ts";
import { VoiceTest } from "../../media/voice-test.ts";
import { Button, LanguageSwitch, Level } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Video } from "../../ui/video.tsx";
import type { Desk } from "./desk.ts";

/** Louder than a quiet room: someone spoke. */
const HEARD = 0.25;

interface Props {
  desk: Desk;
  onEnter: () => void;
}

export function Check({ desk, onEnter }: Props) {
  const { media, session } = desk;
  const words = t.value;
  const node = useSignal<NodeCheck | undefined>(undefined);
  const opening = useSignal(true);

  const open = () => {
    opening.value = true;
    void media.open(["video", "audio"]).then(() => {
      opening.value = false;
    });
  };
  useEffect(open, []);
  useEffect(() => {
    void checkNode(session.entry.token, lang.value).then((result) => {
      node.value = result;
    });
  }, []);

  if (node.value?.unauthorized !== undefined) {
    return <Unauthorized message={node.value.unauthorized} />;
  }
  const { problems, camera, microphone } = media;
  const broken = !opening.value && !camera.value && !microphone.value;
  return (
    <main class="check" data-testid="check">
      <header class="check-head">
        <h1>{words.check.title}</h1>
        <LanguageSwitch />
      </header>
      <div class="check-picture frame">
        <Video track={camera.value} label={words.teacher.ownPicture} testId="own-camera" />
        {!camera.value && (
          <div class="frame-empty">
            <Icon of={VideoOff} size={40} />
            {opening.value ? (
              <>
                <p>{words.check.opening}</p>
                <p class="quiet">{words.check.allow}</p>
              </>
            ) : (
              <p>{words.lesson.noPicture}</p>
            )}
          </div>
        )}
      </div>
      <div class="check-side">
        <OwnMediaProblems problems={problems.value} onRetry={open} />
        <DevicePicker media={media} />
        {microphone.value && <Voice track={microphone.value} speaker={media.speaker.value} />}
        <LineVerdict node={node.value} />
        <Button
          look="accent"
          icon={DoorOpen}
          className="check-enter"
          disabled={opening.value}
          onClick={onEnter}
          testId="enter"
        >
          {broken ? words.check.enterWithout : words.check.enter}
        </Button>
      </div>
    </main>
  );
}

function Voice({ track, speaker }: { track: MediaStreamTrack; speaker: string }) {
  const words = t.value.check;
  const level = useSignal(0);
  const heard = useSignal(false);
  const test = useMemo(() => new VoiceTest(), []);
  useEffect(() => measureLevel(track, level), [track]);
  if (level.value > HEARD) heard.value = true;
  const saying = {
    idle: words.tryVoice,
    recording: words.recordingVoice,
    playing: words.playingVoice,
  };
  return (
    <section class="check-voice">
      <div class="check-meter">
        <Icon of={Mic} />
        <Level value={level.value} name={words.microphone} testId="own-level" />
      </div>
      <p class="quiet">
        {words.speakHere} · {heard.value ? words.heard : words.quiet}
      </p>
      <Button
        icon={Headphones}
        disabled={test.state.value !== "idle"}
        onClick={() => void test.run(track, speaker).catch(() => undefined)}
      >
        {saying[test.state.value]}
      </Button>
    </section>
  );
}

/** Beyond these, in ms, a teacher notices: commands lag, then a dialogue does. */
const FAIR_MS = 80;
const POOR_MS = 250;

function LineVerdict({ node }: { node: NodeCheck | undefined }) {
  const words = t.value.check;
  let tone = "";
  let text = words.lineTesting;
  let icon = Wifi;
  if (node) {
    const { roundTripMs } = node;
    if (roundTripMs === undefined) {
      [tone, text, icon] = ["bad", words.lineDown, CircleAlert];
    } else {
      const ms = Math.max(1, Math.round(roundTripMs));
      if (ms <= FAIR_MS) [tone, text, icon] = ["good", words.lineGood(ms), CircleCheck];
      else if (ms <= POOR_MS) [tone, text] = ["caution", words.lineFair(ms)];
      else [tone, text, icon] = ["bad", words.linePoor(ms), CircleAlert];
    }
  }
  return (
    <p class={`check-line tone-${tone}`} data-testid="line-verdict">
      <Icon of={icon} />
      <span>
        <strong>{words.lineTitle}</strong> {text}
      </span>
    </p>
  );
}
