// The classroom's screen, read from eight metres: the teacher or the slides as large as can
// be, the stage beside it, and below in words what is on and what is not.

import type { IconNode } from "lucide";
import { Hand, Mic, MicOff, School, User, Users, VideoOff, Video as VideoOn } from "lucide";
import type { ComponentChildren } from "preact";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import { LineBanner } from "../../lesson/line-view.tsx";
import { SoundGate } from "../../lesson/sound-gate.tsx";
import { teacherOf } from "../../protocol/state.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import { Video } from "../../ui/video.tsx";
import type { Room } from "./room.ts";

export function Screen({ room }: { room: Room }) {
  const { session } = room;
  const { state } = session;
  const toggleHand = () => room.toggleHand();
  const toggleMicrophone = () => {
    if (session.mutedByTeacher.peek()) return;
    room.microphoneOn.value = !room.microphoneOn.peek();
  };
  useKeys({ H: toggleHand, Space: toggleHand, M: toggleMicrophone });
  if (!state) return null;
  const words = t.value;
  const me = session.socket.you.value?.id;
  const stage = state.stage.filter((member) => member !== me);
  const teacher = teacherOf(state);
  const screen = teacher !== undefined && session.publishes(teacher.id, "screen");
  const beside = screen || stage.length > 0;
  return (
    <div
      class={`room-screen ${beside ? "room-screen-beside" : ""} ${session.onStage.value ? "room-screen-stage" : ""}`}
      data-testid="classroom"
      data-phase={state.phase}
    >
      <header class="room-head">
        <h1>{state.info.title}</h1>
        <span class="room-teacher">{state.info.teacher}</span>
        <span class="spring" />
        <Note room={room} />
        {state.phase === "live" && (
          <span class="elapsed" data-testid="elapsed">
            {clock(session.elapsed.value)}
          </span>
        )}
      </header>
      <main class="room-main">
        {screen ? (
          <Picture
            testId="main-video"
            name={words.teacher.ownScreen}
            hideName
            whole
            track={session.incoming(teacher.id, "screen")}
          />
        ) : (
          <TeacherPicture room={room} testId="main-video" big />
        )}
        <SoundGate session={session} />
      </main>
      <div class="room-beside">
        {screen && <TeacherPicture room={room} testId="teacher-video" />}
        {stage.map((member) => (
          <Picture
            key={member}
            testId={`stage-${member}`}
            name={state.members[member]?.name ?? member}
            note={words.classroom.stage}
            track={session.publishes(member, "camera") ? session.incoming(member, "camera") : null}
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
      <LineBanner session={session} />
      <Status room={room} toggleHand={toggleHand} toggleMicrophone={toggleMicrophone} />
    </div>
  );
}

function TeacherPicture({ room, testId, big }: { room: Room; testId: string; big?: boolean }) {
  const { session } = room;
  const words = t.value;
  const state = session.state;
  const teacher = state && teacherOf(state);
  if (!state || !teacher) {
    return (
      <div class="frame" data-testid="teacher-away">
        <span class="frame-empty">
          <Icon of={Users} size={64} />
          <strong>
            {state?.startedMs ? words.lesson.teacherAway : words.lesson.waitingForTeacher}
          </strong>
        </span>
      </div>
    );
  }
  return (
    <Picture
      testId={testId}
      name={teacher.name}
      note={words.classroom.teacher}
      hideName={big ?? false}
      track={
        session.publishes(teacher.id, "camera") ? session.incoming(teacher.id, "camera") : null
      }
      icon={VideoOff}
    />
  );
}

interface PictureProps {
  testId: string;
  name: string;
  note?: string;
  /** `null` when there is none to come. */
  track: MediaStreamTrack | undefined | null;
  icon?: IconNode;
  own?: boolean;
  whole?: boolean;
  hideName?: boolean;
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
        <Video track={track} label={name} whole={props.whole ?? false} testId={props.testId} />
      )}
      {!props.hideName && (
        <figcaption class="frame-name">{props.note ? `${props.note} · ${name}` : name}</figcaption>
      )}
    </figure>
  );
}

/** What the class should know right now, beside the title. */
function Note({ room }: { room: Room }) {
  const { session } = room;
  const words = t.value;
  let text = "";
  if (session.onStage.value) text = words.classroom.onStage;
  else if (session.handPlace.value > 0) text = words.classroom.handUp;
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
