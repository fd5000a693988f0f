// The teacher's page: the big picture, the hands, the classrooms, the tools.

import { useSignal } from "@preact/signals";
import { Circle, DoorClosed, Settings2 } from "lucide";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import { DevicePicker } from "../../lesson/devices.tsx";
import { LineBadge, LineBanner } from "../../lesson/line-view.tsx";
import { MediaProblemView, OwnMediaProblems } from "../../lesson/media-problem.tsx";
import { SoundGate } from "../../lesson/sound-gate.tsx";
import { membersOf } from "../../protocol/state.ts";
import { Button, LanguageSwitch } from "../../ui/controls.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import { BoardMode } from "./board-mode.tsx";
import type { Desk } from "./desk.ts";
import { DoorKey, Removing } from "./door.tsx";
import { OpenPanel } from "./panels/index.tsx";
import { Rooms } from "./rooms.tsx";
import { Running } from "./running.tsx";
import { SchoolDialog } from "./school.tsx";
import { Side } from "./side.tsx";
import { Stage } from "./stage.tsx";
import { Tools } from "./tools.tsx";

export function Lesson({ desk }: { desk: Desk }) {
  const choosingDevices = useSignal(false);
  const { session } = desk;
  const { state } = session;
  const words = t.value;
  useKeys({
    ESCAPE: () => {
      desk.panel.value = undefined;
    },
  });
  if (!state) return null;
  const rooms = membersOf(state, "classroom").length;
  const students = membersOf(state, "student").length;
  return (
    <div class="teacher" data-testid="teacher" data-phase={state.phase}>
      <header class="teacher-head">
        <h1 class="teacher-title">{state.info.title}</h1>
        {state.phase === "live" ? (
          <>
            <span class="elapsed" title={words.lesson.elapsed} data-testid="elapsed">
              {clock(session.elapsed.value)}
            </span>
            <span class="recording" title={words.lesson.recordingHint} data-testid="recording-dot">
              <Icon of={Circle} size={12} />
              {words.lesson.recording}
            </span>
          </>
        ) : (
          <span class="badge" data-testid="not-started">
            {words.lesson.notStarted}
          </span>
        )}
        <span class="teacher-people quiet">{words.teacher.people(rooms, students)}</span>
        {state.locked && (
          <span class="badge badge-caution" data-testid="locked-badge">
            <Icon of={DoorClosed} size={16} />
            {deskWords.value.locked}
          </span>
        )}
        <Running desk={desk} />
        <span class="spring" />
        <LineBadge session={session} />
        <Button
          look="quiet"
          icon={Settings2}
          testId="settings"
          onClick={() => {
            void desk.media.refresh();
            choosingDevices.value = true;
          }}
        >
          {words.teacher.settings}
        </Button>
        <LanguageSwitch />
      </header>
      <LineBanner session={session} />
      <main class="teacher-main">
        <Stage desk={desk} />
        <SoundGate session={session} />
        <Problems desk={desk} />
      </main>
      <Side desk={desk} />
      <Rooms desk={desk} />
      <Tools desk={desk} />
      <OpenPanel desk={desk} />
      <SchoolDialog desk={desk} />
      <Removing desk={desk} />
      <DoorKey desk={desk} />
      {choosingDevices.value && (
        <Dialog
          title={words.teacher.settings}
          testId="devices-dialog"
          onClose={() => {
            choosingDevices.value = false;
          }}
          actions={
            <Button
              look="accent"
              onClick={() => {
                choosingDevices.value = false;
              }}
            >
              {words.common.close}
            </Button>
          }
        >
          <DevicePicker media={desk.media} />
          <div class="devices-more">
            <BoardMode desk={desk} />
          </div>
        </Dialog>
      )}
    </div>
  );
}

/** What keeps the teacher from being seen or heard. */
function Problems({ desk }: { desk: Desk }) {
  const { video, audio } = desk.media.problems.value;
  const screen = desk.screenProblem.value;
  const publishing = desk.own.publisher.state.value;
  const words = t.value.publish;
  const refused = publishing.at === "refused";
  if (!video && !audio && !screen && !refused && publishing.at !== "retrying") return null;
  return (
    <div class="teacher-problems">
      <OwnMediaProblems
        problems={desk.media.problems.value}
        onRetry={() => void desk.own.retry()}
      />
      {screen && <MediaProblemView of="screen" problem={screen} />}
      {publishing.at === "retrying" && (
        <p class="problem" role="status">
          <span class="spinner spinner-small" /> {words.retrying}
        </p>
      )}
      {publishing.at === "refused" && (
        <div class="problem" role="alert" data-testid="publish-refused">
          <p>{words.refused(publishing.message)}</p>
          <Button onClick={() => desk.own.publisher.restart()}>{t.value.check.retry}</Button>
        </div>
      )}
    </div>
  );
}
