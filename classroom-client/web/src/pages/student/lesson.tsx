// The student's page, for one thumb: the lesson above, what is asked below it, the hand at the
// lower edge.

import { Hand, type IconNode, Mic, MicOff, Video as VideoOn } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import { studentWords } from "../../i18n/sections/student.ts";
import { CaptionLine } from "../../lesson/caption.tsx";
import { LineBadge, LineBanner } from "../../lesson/line-view.tsx";
import { OwnMediaProblems } from "../../lesson/media-problem.tsx";
import { SoundGate } from "../../lesson/sound-gate.tsx";
import { Button } from "../../ui/controls.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { notify } from "../../ui/notices.tsx";
import { Pictures } from "./pictures.tsx";
import { Eyes } from "./rest.tsx";
import type { Seat } from "./seat.ts";
import { Tasks } from "./tasks.tsx";
import { Tools } from "./tools.tsx";

export function Lesson({ seat }: { seat: Seat }) {
  const { session } = seat;
  const { state } = session;
  usePraise(seat);
  if (!state) return null;
  return (
    <div class="student" data-testid="student" data-phase={state.phase}>
      <header class="student-head">
        <h1>{state.info.title}</h1>
        {state.phase === "live" && (
          <span class="elapsed" data-testid="elapsed">
            {clock(session.elapsed.value)}
          </span>
        )}
        {seat.pictures.value === "one" && <span class="badge">{studentWords.value.saving}</span>}
        <LineBadge session={session} />
      </header>
      <LineBanner session={session} />
      <main class="student-main">
        <div class="student-pictures">
          <Pictures seat={seat} />
          <SoundGate session={session} />
        </div>
        <CaptionLine session={session} />
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
        <div class="student-area" tabIndex={0}>
          <OwnMediaProblems problems={seat.media.problems.value} />
          {seat.mayTakePart.value && <Tasks seat={seat} />}
          <Says seat={seat} />
        </div>
      </main>
      <Tools seat={seat} />
      <Called seat={seat} />
      <Eyes seat={seat} />
    </div>
  );
}

function Called({ seat }: { seat: Seat }) {
  const words = t.value.student;
  if (!seat.session.onStage.value || seat.consent.value !== undefined) return null;
  return (
    <Dialog
      title={words.calledTitle}
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
            {words.withBoth}
          </Button>
          <Button icon={Mic} testId="consent-voice" onClick={() => void seat.goLive(["audio"])}>
            {words.withVoice}
          </Button>
          <Button look="quiet" testId="consent-none" onClick={() => seat.leaveStage()}>
            {words.decline}
          </Button>
        </>
      }
    >
      <p>{words.calledText}</p>
    </Dialog>
  );
}

/** Says it when the teacher praises this child; what was before the page came in is past. */
function usePraise(seat: Seat): void {
  const { you, state } = seat.session.socket;
  const me = you.value?.id;
  const last = state.value?.praise.findLast(({ member }) => member === me);
  const told = useRef<number | undefined>(undefined);
  const at = last?.atMs ?? 0;
  useEffect(() => {
    const before = told.current;
    told.current = at;
    if (before === undefined || at <= before || !last) return;
    const words = studentWords.peek();
    notify(last.text ? `${words.praised}${t.peek().common.colon}${last.text}` : words.praised);
  }, [at, last]);
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
