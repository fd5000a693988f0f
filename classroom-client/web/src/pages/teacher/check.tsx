// Before the lesson: one's own picture, level and voice, and the line. One button leads on.

import { useSignal } from "@preact/signals";
import {
  CircleAlert,
  CircleCheck,
  DoorOpen,
  Headphones,
  Mic,
  TriangleAlert,
  VideoOff,
  Wifi,
} from "lucide";
import { useEffect, useMemo } from "preact/hooks";
import { lang, t } from "../../i18n/index.ts";
import { checkWords } from "../../i18n/sections/check.ts";
import { DevicePicker } from "../../lesson/devices.tsx";
import { Unauthorized } from "../../lesson/gate.tsx";
import { OwnMediaProblems } from "../../lesson/media-problem.tsx";
import {
  checkNode,
  checkPath,
  losingOf,
  type NodeCheck,
  type Verdict,
  verdictOf,
} from "../../lesson/node-check.ts";
import { measureLevel } from "../../media/level.ts";
import { throughNode } from "../../media/loop.ts";
import type { Path } from "../../media/path.ts";
import { VoiceTest } from "../../media/voice-test.ts";
import { Button, LanguageSwitch, Level } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Video } from "../../ui/video.tsx";
import { BoardMode } from "./board-mode.tsx";
import type { Desk } from "./desk.ts";

/** Louder than a quiet room: someone spoke. */
const HEARD = 0.25;

interface Props {
  desk: Desk;
  onEnter: () => void;
}

interface LineCheck extends NodeCheck {
  path: Path | undefined;
}

export function Check({ desk, onEnter }: Props) {
  const { media, session } = desk;
  const { lesson, token } = session.entry;
  const words = checkWords.value;
  const node = useSignal<LineCheck | undefined>(undefined);
  const test = useMemo(() => new VoiceTest(), []);
  const opening = useSignal(true);

  const open = () => {
    opening.value = true;
    void media.open(["video", "audio"]).then(() => {
      opening.value = false;
    });
  };
  useEffect(open, []);
  useEffect(() => {
    void (async () => {
      const result = await checkNode(lesson, token, lang.peek());
      const asks = result.unauthorized === undefined && result.roundTripMs !== undefined;
      const path = asks ? await checkPath(lesson, token, lang.peek()) : undefined;
      node.value = { ...result, path };
    })();
  }, []);

  if (node.value?.unauthorized !== undefined) {
    return <Unauthorized message={node.value.unauthorized} />;
  }
  const { problems, camera, microphone } = media;
  const broken = !opening.value && !camera.value && !microphone.value;
  const title = node.value?.lesson?.title;
  return (
    <main class="check" data-testid="check">
      <header class="check-head">
        <div>
          {title && <p class="quiet">{title}</p>}
          <h1>{words.title}</h1>
        </div>
        <LanguageSwitch />
      </header>
      <div class="check-picture frame">
        <Video track={camera.value} label={t.value.teacher.ownPicture} testId="own-camera" />
        {!camera.value && (
          <div class="frame-empty">
            <Icon of={VideoOff} size={40} />
            {opening.value ? (
              <>
                <p>{words.opening}</p>
                <p class="quiet">{words.allow}</p>
              </>
            ) : (
              <p>{t.value.lesson.noPicture}</p>
            )}
          </div>
        )}
      </div>
      <div class="check-side">
        <OwnMediaProblems problems={problems.value} onRetry={open} />
        <section class="check-part" aria-labelledby="check-picture">
          <h2 id="check-picture">{words.picture}</h2>
          <DevicePicker media={media} />
          {camera.value && <BoardMode desk={desk} />}
        </section>
        {microphone.value && (
          <Voice
            desk={desk}
            test={test}
            track={microphone.value}
            live={node.value?.lesson?.phase === "live"}
          />
        )}
        <LineVerdict node={node.value} loss={test.loss.value} />
        <Button
          look="accent"
          icon={DoorOpen}
          className="check-enter"
          disabled={opening.value}
          onClick={onEnter}
          testId="enter"
        >
          {broken ? words.enterWithout : words.enter}
        </Button>
      </div>
    </main>
  );
}

function Voice(props: { desk: Desk; test: VoiceTest; track: MediaStreamTrack; live: boolean }) {
  const { desk, test, track, live } = props;
  const { lesson, token } = desk.session.entry;
  const words = checkWords.value;
  const level = useSignal(0);
  const heard = useSignal(false);
  useEffect(() => measureLevel(track, level), [track]);
  if (level.value > HEARD) heard.value = true;
  const saying = {
    idle: words.tryVoice,
    connecting: words.connectingVoice,
    recording: words.recordingVoice,
    playing: words.playingVoice,
  };
  // A lesson that goes on hears no voice but the one that comes in.
  const through = live
    ? undefined
    : (microphone: MediaStreamTrack) =>
        throughNode(microphone, { lesson, token, lang: lang.peek() });
  const listen = () =>
    void test.run(track, desk.media.speaker.peek(), through).catch(() => undefined);
  const way = test.way.value;
  return (
    <section class="check-part check-voice" aria-labelledby="check-voice">
      <h2 id="check-voice">{words.voice}</h2>
      <div class="check-meter">
        <Icon of={Mic} />
        <Level value={level.value} name={t.value.check.microphone} testId="own-level" />
      </div>
      <p class="quiet">
        {words.speakHere} · {heard.value ? words.heard : words.quiet}
      </p>
      <Button
        icon={Headphones}
        disabled={test.state.value !== "idle"}
        testId="try-voice"
        onClick={listen}
      >
        {saying[test.state.value]}
      </Button>
      {way === undefined || live ? (
        <p class="quiet">{live ? words.onlyHere : words.throughNode}</p>
      ) : (
        <p
          class={`check-line tone-${way === "node" ? "good" : "caution"}`}
          role="status"
          data-testid="voice-way"
          data-way={way}
        >
          <Icon of={way === "node" ? CircleCheck : TriangleAlert} />
          {way === "node" ? words.cameBack : words.stayedHere}
        </p>
      )}
    </section>
  );
}

const TONES: Record<Verdict, "good" | "caution" | "bad"> = {
  good: "good",
  fair: "caution",
  tcp: "caution",
  poor: "bad",
  none: "bad",
  down: "bad",
};
const TONE_ICONS = { good: CircleCheck, caution: TriangleAlert, bad: CircleAlert };

/** A share as a person says it: whole percents, tenths of small ones. */
function percent(share: number): string {
  const hundredths = share * 100;
  return hundredths < 1 ? hundredths.toFixed(1) : hundredths.toFixed(0);
}

function LineVerdict(props: { node: LineCheck | undefined; loss: number | undefined }) {
  const { node, loss } = props;
  const words = checkWords.value;
  if (!node) {
    return (
      <p class="check-line check-verdict" data-testid="line-verdict">
        <Icon of={Wifi} />
        <span>
          <strong>{words.line}</strong> {words.lineTesting}
        </span>
      </p>
    );
  }
  const { roundTripMs, path } = node;
  const verdict = verdictOf(roundTripMs, path, loss);
  const losing = loss === undefined ? undefined : losingOf(loss);
  const tone = TONES[verdict];
  const ms = Math.max(1, Math.round(roundTripMs ?? 0));
  const said: Record<Verdict, string> = {
    down: words.lineDown,
    none: words.noMedia,
    tcp: words.tcp,
    poor: losing === "much" ? words.lineLossy(ms) : words.linePoor(ms),
    fair: losing === "some" ? words.lineLosing(ms) : words.lineFair(ms),
    good: words.lineGood(ms),
  };
  return (
    <p
      class={`check-line check-verdict check-${tone} tone-${tone}`}
      role="status"
      data-testid="line-verdict"
      data-verdict={verdict}
      data-by={path?.by}
      data-losing={losing}
    >
      <Icon of={TONE_ICONS[tone]} />
      <span>
        <strong>{words.line}</strong> {said[verdict]}
        {path?.by === "udp" && verdict !== "poor" && ` · ${words.udp}`}
        {loss !== undefined && losing && ` · ${words.losing[losing](percent(loss))}`}
      </span>
    </p>
  );
}
