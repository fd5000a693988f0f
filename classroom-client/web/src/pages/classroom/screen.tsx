// The classroom's screen, read from eight metres: the teacher or the slides as large as can
// be, the stage beside it, and below in words what is on and what is not.

import type { IconNode } from "lucide";
import { Hand, Mic, MicOff, School, User, VideoOff, Video as VideoOn } from "lucide";
import type { ComponentChildren } from "preact";
import { clock, listed } from "../../i18n/format.ts";
import { lang, t } from "../../i18n/index.ts";
import { classroomWords } from "../../i18n/sections/classroom.ts";
import { CaptionLine } from "../../lesson/caption.tsx";
import { nodeNow } from "../../lesson/clock.ts";
import { LineBanner } from "../../lesson/line-view.tsx";
import { sceneOf } from "../../lesson/scene.ts";
import { isAway, mayWrite, Showing, useHeld } from "../../lesson/showing.tsx";
import { SoundGate } from "../../lesson/sound-gate.tsx";
import { groupOf } from "../../lesson/wanted.ts";
import { teacherOf } from "../../protocol/state.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import { Video } from "../../ui/video.tsx";
import type { Room } from "./room.ts";
import { Countdown, TurnPanel } from "./turn.tsx";
import { turnOf } from "./turns.ts";

export function Screen({ room }: { room: Room }) {
  const { session } = room;
  const { state } = session;
  const me = session.socket.you.value;
  const away = isAway(session);
  const scene = useHeld(state && me && sceneOf(state, me.id), away);
  const result = room.result.value;
  const turn =
    state && me
      ? turnOf(
          state,
          me,
          nodeNow(session),
          result?.quiz === state.quiz?.id ? result?.sinceMs : undefined,
        )
      : undefined;
  const buzzing = turn?.show === "buzzer" && turn.buzzer.closedMs === undefined;
  const toggleHand = () => room.toggleHand();
  const toggleMicrophone = () => {
    if (session.mutedByTeacher.peek()) return;
    room.microphoneOn.value = !room.microphoneOn.peek();
  };
  useKeys({
    H: toggleHand,
    Space: buzzing ? () => room.buzz() : toggleHand,
    M: toggleMicrophone,
    R: turn?.show === "roll-call" ? () => room.answerRollCall() : undefined,
  });
  if (!state || !me || !scene) return null;
  const words = t.value;
  const teacher = teacherOf(state)?.id;
  return (
    <div
      class={`room-screen ${session.onStage.value ? "room-screen-stage" : ""}`}
      data-testid="classroom"
      data-phase={state.phase}
    >
      <header class="room-head">
        <h1>{state.info.title}</h1>
        <span class="room-teacher">{state.info.teacher}</span>
        <span class="spring" />
        <Note room={room} />
        {state.timer && (
          <span class="room-timer" data-testid="timer">
            {state.timer.title}
            <Countdown session={session} endsMs={state.timer.endsMs} />
          </span>
        )}
        {state.phase === "live" && (
          <span class="elapsed" data-testid="elapsed">
            {clock(session.elapsed.value)}
          </span>
        )}
      </header>
      <main class="room-main">
        <Showing session={session} scene={scene} writes={touched() && mayWrite(state, me)} />
        {turn && <TurnPanel room={room} state={state} turn={turn} />}
        <SoundGate session={session} />
      </main>
      <div class="room-beside">
        {scene.beside.map((id) => (
          <Picture
            key={id}
            testId={id === teacher ? "teacher-video" : `stage-${id}`}
            name={state.members[id]?.name ?? id}
            note={id === teacher ? words.classroom.teacher : words.classroom.stage}
            track={session.incoming(id, "camera")}
            icon={User}
          />
        ))}
        <Picture
          testId="own-video"
          name={words.classroom.ourPicture}
          track={room.media.camera.value ?? null}
          icon={VideoOff}
          own
        />
      </div>
      <CaptionLine session={session} />
      <LineBanner session={session} />
      <Status room={room} toggleHand={toggleHand} toggleMicrophone={toggleMicrophone} />
    </div>
  );
}

/** Whether this screen can be written on. */
function touched(): boolean {
  return matchMedia("(any-pointer: coarse)").matches;
}

interface PictureProps {
  testId: string;
  name: string;
  note?: string;
  /** `null` when there is none to come. */
  track: MediaStreamTrack | undefined | null;
  icon?: IconNode;
  own?: boolean;
}

function Picture(props: PictureProps) {
  const { track, name } = props;
  return (
    <figure class={`frame ${props.own ? "room-own" : ""}`}>
      {track === null ? (
        <span class="frame-empty">
          {props.icon && <Icon of={props.icon} size={48} />}
          <span>{t.value.lesson.noPicture}</span>
        </span>
      ) : (
        <Video track={track} label={name} testId={props.testId} />
      )}
      <figcaption class="frame-name">{props.note ? `${props.note} · ${name}` : name}</figcaption>
    </figure>
  );
}

/** What the class should know right now, beside the title. */
function Note({ room }: { room: Room }) {
  const { session } = room;
  const words = t.value;
  const own = classroomWords.value;
  let text = "";
  const { state, socket } = session;
  const me = socket.you.value;
  const hands = Object.values(state?.handCounts ?? {}).find(
    ({ school, count }) => school === me?.school && count > 0,
  );
  const group = state && me && groupOf(state, me.id);
  if (session.onStage.value) text = words.classroom.onStage;
  else if (session.handPlace.value > 0) text = words.classroom.handUp;
  else if (hands) text = own.ourHands(hands.count);
  else if (group) {
    const others = group.members.filter((id) => id !== me?.id);
    text = own.inGroup(
      group.name,
      listed(
        others.flatMap((id) => state.members[id]?.name ?? []),
        lang.value,
      ),
    );
  } else if (isAway(session)) text = own.awayKept;
  else if (session.state?.phase === "open") text = words.lesson.waitingForStart;
  return (
    <strong class="room-note" role="status" data-testid="note">
      {text}
    </strong>
  );
}

interface StatusProps {
  room: Room;
  toggleHand: () => void;
  toggleMicrophone: () => void;
}

/** One line of words: microphone, camera, campus, lesson, hand. */
function Status({ room, toggleHand, toggleMicrophone }: StatusProps) {
  const { session, media } = room;
  const words = t.value;
  const { socket, onStage, handPlace } = session;
  const queued = socket.waiting.value.some(({ command }) => command.do === "raise-hand");
  const up = handPlace.value > 0 || queued;
  return (
    <footer class="room-status" data-testid="status">
      <MicrophoneWord room={room} toggle={toggleMicrophone} />
      {media.problems.value.video ? (
        <Word tone="caution" icon={VideoOff} testId="camera-word">
          {words.classroom.cameraBroken}
          {words.common.colon}
          {words.problem[media.problems.value.video].what}
        </Word>
      ) : (
        media.camera.value && (
          <Word tone="good" icon={VideoOn} testId="camera-word">
            {words.classroom.cameraOn}
          </Word>
        )
      )}
      <Word tone={socket.campus.value ? "good" : "bad"} icon={School} testId="campus-word">
        {socket.campus.value ? words.line.campusHere : words.line.campusGone}
      </Word>
      <span class="spring" />
      {!onStage.value && (
        <Button
          look={up ? "accent" : "plain"}
          icon={Hand}
          keyHint="H"
          testId="hand"
          onClick={toggleHand}
        >
          {up ? words.classroom.lowerHint : words.classroom.handHint}
        </Button>
      )}
    </footer>
  );
}

function MicrophoneWord({ room, toggle }: { room: Room; toggle: () => void }) {
  const { session, media } = room;
  const words = t.value.classroom;
  const problem = media.problems.value.audio;
  if (problem) {
    return (
      <Word tone="bad" icon={MicOff} testId="microphone-word">
        {words.microphoneBroken}
        {t.value.common.colon}
        {t.value.problem[problem].what}
      </Word>
    );
  }
  const muted = session.mutedByTeacher.value;
  const on = room.microphoneOn.value && !muted && media.microphone.value !== undefined;
  const text = muted ? words.microphoneMuted : on ? words.microphoneOn : words.microphoneOff;
  return (
    <button
      type="button"
      class={`word word-button tone-${on ? "good" : "caution"}`}
      aria-keyshortcuts="M"
      onClick={toggle}
      disabled={muted}
      data-testid="microphone-word"
    >
      <Icon of={on ? Mic : MicOff} size={40} />
      {text}
    </button>
  );
}

function Word(props: {
  tone: string;
  icon: IconNode;
  testId: string;
  children: ComponentChildren;
}) {
  return (
    <span class={`word tone-${props.tone}`} data-testid={props.testId}>
      <Icon of={props.icon} size={40} />
      {props.children}
    </span>
  );
}
