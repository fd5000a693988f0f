// The student's page, for one thumb: the lesson above, the hand below.

import {
  Hand,
  Headphones,
  type IconNode,
  LogOut,
  Mic,
  MicOff,
  Users,
  VideoOff,
  Video as VideoOn,
} from "lucide";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import { LineBadge, LineBanner } from "../../lesson/line-view.tsx";
import { OwnMediaProblems } from "../../lesson/media-problem.tsx";
import { SoundGate } from "../../lesson/sound-gate.tsx";
import { teacherOf } from "../../protocol/state.ts";
import { Button, LanguageSwitch } from "../../ui/controls.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import { Video } from "../../ui/video.tsx";
import type { Seat } from "./seat.ts";

export function Lesson({ seat }: { seat: Seat }) {
  const { session } = seat;
  const { state } = session;
  const words = t.value;
  if (!state) return null;
  const called = session.onStage.value && seat.consent.value === undefined;
  return (
    <div class="student" data-testid="student" data-phase={state.phase}>
      <header class="student-head">
        <h1>{state.info.title}</h1>
        {state.phase === "live" && (
          <span class="elapsed" data-testid="elapsed">
            {clock(session.elapsed.value)}
          </span>
        )}
        <LineBadge session={session} />
        <LanguageSwitch compact />
      </header>
      <LineBanner session={session} />
      <main class="student-main">
        <Pictures seat={seat} />
        <SoundGate session={session} />
      </main>
      <OwnMediaProblems problems={seat.media.problems.value} />
      <Says seat={seat} />
      <Tools seat={seat} />
      {called && (
        <Dialog
          title={words.student.calledTitle}
          testId="called-dialog"
          onClose={() => seat.leaveStage()}
          actions={
            <>
              <Button
                look="accent"
                icon={VideoOn}
                testId="consent-both"
                onClick={() => void seat.goLive(["video", "audio"])}
              >
                {words.student.withBoth}
              </Button>
              <Button icon={Mic} testId="consent-voice" onClick={() => void seat.goLive(["audio"])}>
                {words.student.withVoice}
              </Button>
              <Button look="quiet" testId="consent-none" onClick={() => seat.leaveStage()}>
                {words.student.decline}
              </Button>
            </>
          }
        >
          <p>{words.student.calledText}</p>
        </Dialog>
      )}
    </div>
  );
}

/** The big picture and, beside it, everyone else who is seen. */
function Pictures({ seat }: { seat: Seat }) {
  const { session } = seat;
  const { state } = session;
  const words = t.value;
  if (!state) return null;
  const me = session.socket.you.value?.id;
  const teacher = teacherOf(state);
  const stage = state.stage.filter((id) => id !== me && session.publishes(id, "camera"));
  if (seat.audioOnly.value) {
    return (
      <button
        type="button"
        class="frame student-big student-sound"
        data-testid="sound-only"
        onClick={() => {
          seat.audioOnly.value = false;
        }}
      >
        <span class="frame-empty">
          <Icon of={Headphones} size={48} />
          <span>{words.student.audioOnlyOn}</span>
        </span>
      </button>
    );
  }
  const screen = teacher !== undefined && session.publishes(teacher.id, "screen");
  const camera = teacher !== undefined && session.publishes(teacher.id, "camera");
  const small = [
    ...(screen && camera ? [{ id: teacher.id, name: teacher.name }] : []),
    ...stage.map((id) => ({ id, name: state.members[id]?.name ?? id })),
  ];
  const own = seat.media.camera.value;
  return (
    <>
      <figure class="frame student-big">
        {teacher && (screen || camera) ? (
          <Video
            track={session.incoming(teacher.id, screen ? "screen" : "camera")}
            label={screen ? words.teacher.ownScreen : words.teacher.pictureOf(teacher.name)}
            whole={screen}
            testId="main-video"
          />
        ) : (
          <span class="frame-empty" data-testid="teacher-away">
            <Icon of={teacher ? VideoOff : Users} size={40} />
            <span>
              {teacher
                ? words.lesson.noPicture
                : state.startedMs
                  ? words.lesson.teacherAway
                  : words.lesson.waitingForTeacher}
            </span>
          </span>
        )}
        {teacher && !screen && <figcaption class="frame-name">{teacher.name}</figcaption>}
      </figure>
      {(small.length > 0 || own) && (
        <div class="student-others">
          {small.map(({ id, name }) => (
            <figure key={id} class="frame">
              <Video track={session.incoming(id, "camera")} label={name} testId={`small-${id}`} />
              <figcaption class="frame-name">{name}</figcaption>
            </figure>
          ))}
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

/** One sentence on where things stand. */
function Says({ seat }: { seat: Seat }) {
  const { session } = seat;
  const words = t.value.student;
  let icon: IconNode | undefined;
  let text = "";
  let more = "";
  if (session.onStage.value && seat.consent.value) {
    const muted = session.mutedByTeacher.value;
    icon = muted ? MicOff : Mic;
    if (muted) text = words.mutedByTeacher;
    else text = seat.consent.value.includes("video") ? words.onStageSeen : words.onStage;
  } else if (session.handPlace.value > 0) {
    icon = Hand;
    text = words.handUp;
    more = words.place(session.handPlace.value);
  } else if (!seat.mayTakePart.value) {
    text = words.observer;
  } else if (session.state?.phase === "open") {
    text = words.notLiveYet;
  }
  return (
    <div class="student-says" role="status" data-testid="says">
      {icon && (
        <span class="student-says-icon">
          <Icon of={icon} size={28} />
        </span>
      )}
      <p>{text}</p>
      {more && <p class="quiet">{more}</p>}
    </div>
  );
}

function Tools({ seat }: { seat: Seat }) {
  const { session } = seat;
  const words = t.value;
  const onStage = session.onStage.value && seat.consent.value !== undefined;
  const mayTakePart = seat.mayTakePart.value;
  const queued = session.socket.waiting.value.some(({ command }) => command.do === "raise-hand");
  const up = session.handPlace.value > 0 || queued;
  const toggleHand = () => seat.toggleHand();
  const toggleSound = () => {
    seat.audioOnly.value = !seat.audioOnly.peek();
  };
  useKeys({ H: mayTakePart && !session.onStage.value ? toggleHand : undefined, A: toggleSound });
  const microphoneOn = seat.microphoneOn.value && !session.mutedByTeacher.value;
  return (
    <footer class="student-tools">
      {mayTakePart && !session.onStage.value && (
        <Button
          look={up ? "plain" : "accent"}
          icon={Hand}
          keyHint="H"
          testId="hand"
          className="student-hand"
          onClick={toggleHand}
        >
          {up ? words.student.lower : words.student.raise}
        </Button>
      )}
      {onStage && (
        <>
          <Button
            icon={microphoneOn ? Mic : MicOff}
            className={microphoneOn ? "" : "button-off"}
            disabled={session.mutedByTeacher.value}
            testId="tool-microphone"
            onClick={() => {
              seat.microphoneOn.value = !seat.microphoneOn.peek();
            }}
          >
            {microphoneOn ? words.teacher.microphoneOn : words.teacher.microphoneOff}
          </Button>
          <Button
            look="danger"
            icon={LogOut}
            testId="leave-stage"
            onClick={() => seat.leaveStage()}
          >
            {words.student.leaveStage}
          </Button>
        </>
      )}
      <Button
        icon={Headphones}
        pressed={seat.audioOnly.value}
        keyHint="A"
        testId="audio-only"
        onClick={toggleSound}
      >
        {words.student.audioOnly}
      </Button>
    </footer>
  );
}
