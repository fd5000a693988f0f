// Care for eyes at home: after a while of looking a rest, after a long day sound alone. Asked
// for, never forced; not in the middle of an answer or on stage. The numbers: lesson/policy.ts.

import { Eye } from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import { studentWords } from "../../i18n/sections/student.ts";
import { dueOf, type Looking, look, putOff, readLooking, rested } from "../../lesson/looking.ts";
import { REST_MS } from "../../lesson/policy.ts";
import { Button } from "../../ui/controls.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import type { Seat } from "./seat.ts";

const KEY = "cloudschool.looking";
/** A page that was asleep did not look at anything: longer steps count as this. */
const STEP_MOST_MS = 5_000;

function today(): string {
  const now = new Date();
  const two = (n: number) => String(n).padStart(2, "0");
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
}

export function Eyes({ seat }: { seat: Seat }) {
  const [eyes, setEyes] = useState(() => readLooking(localStorage.getItem(KEY), today()));
  const last = useRef(Date.now());
  const { session } = seat;
  const now = session.now.value;
  const live = session.state?.phase === "live";
  const keep = (next: Looking) => {
    setEyes(next);
    localStorage.setItem(KEY, JSON.stringify(next));
  };
  useEffect(() => {
    const ms = Math.min(STEP_MOST_MS, Math.max(0, now - last.current));
    last.current = now;
    const looking = live && document.visibilityState === "visible" && !seat.audioOnly.peek();
    if (ms > 0) keep(look(eyes, today(), ms, looking));
  }, [now]);
  const busy =
    session.onStage.value ||
    seat.answers.open ||
    (session.state?.buzzer !== undefined && session.state.buzzer.closedMs === undefined);
  const due = seat.mayTakePart.value && live && !busy ? dueOf(eyes) : undefined;
  if (due === "limit") return <Limit seat={seat} eyes={eyes} keep={keep} />;
  if (due === "rest") return <Rest eyes={eyes} keep={keep} />;
  return null;
}

interface Props {
  eyes: Looking;
  keep: (next: Looking) => void;
}

function Rest({ eyes, keep }: Props) {
  const words = studentWords.value;
  const [leftMs, setLeft] = useState(REST_MS);
  useEffect(() => {
    const timer = setInterval(() => setLeft((left) => left - 1000), 1000);
    return () => clearInterval(timer);
  }, []);
  const over = leftMs <= 0;
  const later = () => keep(putOff(eyes));
  return (
    <Dialog
      title={words.restTitle}
      testId="rest-dialog"
      onClose={later}
      actions={
        <>
          <Button look="accent" disabled={!over} testId="rested" onClick={() => keep(rested(eyes))}>
            {over ? words.restDone : words.restLeft(Math.ceil(leftMs / 1000))}
          </Button>
          <Button look="quiet" testId="rest-later" onClick={later}>
            {words.restLater}
          </Button>
        </>
      }
    >
      <p class="card-icon-line">
        <Icon of={Eye} size={28} />
        {words.restText}
      </p>
    </Dialog>
  );
}

function Limit({ seat, eyes, keep }: Props & { seat: Seat }) {
  const words = studentWords.value;
  const said = () => keep({ ...rested(eyes), limitSaid: true });
  return (
    <Dialog
      title={words.limitTitle}
      testId="limit-dialog"
      onClose={said}
      actions={
        <>
          <Button
            look="accent"
            testId="limit-sound"
            onClick={() => {
              said();
              seat.take("none");
            }}
          >
            {words.limitSound}
          </Button>
          <Button look="quiet" testId="limit-go-on" onClick={said}>
            {words.limitGoOn}
          </Button>
        </>
      }
    >
      <p>{words.limitText(Math.round(eyes.todayMs / 60_000))}</p>
    </Dialog>
  );
}
