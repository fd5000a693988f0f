// What is asked of a student at the moment: roll call, buzzer, quiz, question, group. Each is a
// card; what was answered stays there to be seen.

import { AlarmClock, CircleCheck, Clock, Mic, MicOff, Users, X, Zap } from "lucide";
import type { ComponentChildren } from "preact";
import { listed } from "../../i18n/format.ts";
import { lang } from "../../i18n/index.ts";
import { classWords } from "../../i18n/sections/class.ts";
import { studentWords } from "../../i18n/sections/student.ts";
import { leftClock, leftOf, nodeNow } from "../../lesson/clock.ts";
import { Items } from "../../lesson/quiz/items.tsx";
import { Results } from "../../lesson/quiz/results.tsx";
import type { Quiz } from "../../protocol/interactions.ts";
import type { LessonState } from "../../protocol/words.ts";
import { Button, IconButton } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import type { Seat } from "./seat.ts";

/** How long the page goes on saying that this child was picked. */
const PICKED_MS = 60_000;
/** … and how quick it was at the buzzer, once that is closed. */
const BUZZED_MS = 20_000;

interface Props {
  seat: Seat;
  state: LessonState;
  me: string;
}

export function Tasks({ seat }: { seat: Seat }) {
  const { state, socket } = seat.session;
  const me = socket.you.value?.id;
  if (!state || !me) return null;
  const props = { seat, state, me };
  return (
    <>
      <Away {...props} />
      <Picked {...props} />
      <RollCall {...props} />
      <Buzz {...props} />
      <QuizCard {...props} />
      <Question {...props} />
      <Group {...props} />
      <TimerCard {...props} />
    </>
  );
}

function Card(props: {
  title: string;
  testId: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="card" aria-label={props.title} data-testid={props.testId}>
      <header class="card-head">
        <h2>{props.title}</h2>
        <span class="spring" />
        {props.aside}
      </header>
      {props.children}
    </section>
  );
}

/** What is left of a time, whole seconds. */
export function Countdown({ seat, endsMs }: { seat: Seat; endsMs: number }) {
  const words = classWords.value;
  const over = leftOf(seat.session, endsMs) === 0;
  return (
    <span class="countdown" role="timer" data-testid="countdown">
      <Icon of={Clock} size={16} />
      {over ? words.timeUp : words.left(leftClock(seat.session, endsMs))}
    </span>
  );
}

function Away({ seat }: Props) {
  const words = studentWords.value;
  if (!seat.isAway.value) return null;
  return (
    <section class="card card-line" data-testid="away-card">
      <p>{words.awayOn}</p>
      <Button look="accent" testId="back" onClick={() => seat.ask({ do: "away", away: false })}>
        {words.back}
      </Button>
    </section>
  );
}

function Picked({ seat, state, me }: Props) {
  const { picked, rollCall, buzzer, quiz, question } = state;
  if (picked?.member !== me || nodeNow(seat.session) - picked.atMs > PICKED_MS) return null;
  // What is asked of everybody since then is what counts.
  const asked = [rollCall?.openedMs, buzzer?.openedMs, quiz?.openedMs, question?.askedMs];
  if (asked.some((ms) => ms !== undefined && ms > picked.atMs)) return null;
  return (
    <p class="card card-call" role="alert" data-testid="picked">
      {studentWords.value.pickedYou}
    </p>
  );
}

function RollCall({ seat, state, me }: Props) {
  const words = studentWords.value;
  const { rollCall } = state;
  if (!rollCall || rollCall.closedMs !== undefined) return null;
  const waits = seat.session.socket.waiting.value.some(
    ({ command }) => command.do === "answer-roll-call",
  );
  const done = me in rollCall.answered;
  return (
    <Card
      title={words.hereAsked}
      testId="roll-call"
      aside={rollCall.closesMs && !done && <Countdown seat={seat} endsMs={rollCall.closesMs} />}
    >
      {done || waits ? (
        <p class={`card-done ${waits ? "tone-caution" : "tone-good"}`} role="status">
          <Icon of={waits ? Clock : CircleCheck} />
          {waits ? words.hereWaits : words.hereDone}
        </p>
      ) : (
        <Button
          look="accent"
          className="button-big"
          testId="here"
          onClick={() => seat.ask({ do: "answer-roll-call" })}
        >
          {words.here}
        </Button>
      )}
    </Card>
  );
}

function Buzz({ seat, state, me }: Props) {
  const words = studentWords.value;
  const { buzzer } = state;
  const open = buzzer !== undefined && buzzer.closedMs === undefined;
  const place = (buzzer?.presses.findIndex(({ member }) => member === me) ?? -1) + 1;
  const press = () => {
    if (buzzer && place === 0) seat.ask({ do: "buzz", buzzer: buzzer.id });
  };
  useKeys({ B: open && place === 0 ? press : undefined });
  if (!buzzer || (!open && place === 0)) return null;
  // A buzzer of a while ago is past.
  if (!open && nodeNow(seat.session) - (buzzer.closedMs ?? 0) > BUZZED_MS) return null;
  return (
    <Card title={buzzer.title || words.buzzTitle} testId="buzzer">
      {place === 0 ? (
        <button
          type="button"
          class="buzzer"
          aria-keyshortcuts="B"
          data-testid="buzz"
          onClick={press}
        >
          <Icon of={Zap} size={48} />
          {words.buzz}
        </button>
      ) : (
        <p class="card-place" role="status" data-testid="buzz-rank">
          {place === 1 ? words.buzzFirst : words.buzzRank(place)}
        </p>
      )}
    </Card>
  );
}

function QuizCard({ seat, state }: Props) {
  const { quiz } = state;
  const words = classWords.value;
  const own = seat.answers.own.value;
  if (!quiz || seat.putAway.value === quiz.id) return null;
  const { open } = seat.answers;
  const kind = quiz.kind === "poll" ? words.poll : words.quiz;
  return (
    <Card
      title={quiz.title ? `${kind} · ${quiz.title}` : kind}
      testId="quiz"
      aside={
        open ? (
          quiz.closesMs && <Countdown seat={seat} endsMs={quiz.closesMs} />
        ) : (
          <IconButton
            icon={X}
            name={studentWords.value.dismissResult}
            testId="put-away"
            onClick={() => {
              seat.putAway.value = quiz.id;
            }}
          />
        )
      }
    >
      <Items
        key={quiz.id}
        quiz={quiz}
        own={own}
        open={open}
        onAnswer={(item, answer) => seat.answers.give(item, answer)}
      />
      {!open && !quiz.tallies && <p class="quiet">{words.closed}</p>}
      {quiz.tallies && <Revealed quiz={quiz} />}
    </Card>
  );
}

function Revealed({ quiz }: { quiz: Quiz }) {
  return (
    <section class="revealed" aria-label={classWords.value.revealed} data-testid="revealed">
      <h3>{classWords.value.revealed}</h3>
      {quiz.items.map((item, index) => {
        const tally = quiz.tallies?.[index];
        return (
          tally && (
            <div key={index}>
              {quiz.items.length > 1 && <p class="quiet">{item.prompt}</p>}
              <Results item={item} tally={tally} />
            </div>
          )
        );
      })}
    </section>
  );
}

function Question({ state }: Props) {
  const words = classWords.value;
  const { question } = state;
  if (!question || question.closedMs !== undefined) return null;
  return (
    <Card title={words.question} testId="question">
      <p class="question-text">{question.text || words.questionNoText}</p>
    </Card>
  );
}

function Group({ seat, state, me }: Props) {
  const words = studentWords.value;
  const group = seat.group.value;
  if (!group) return null;
  const others = group.members.filter((id) => id !== me);
  const names = others.flatMap((id) => state.members[id]?.name ?? []);
  const visited = Object.entries(state.groups?.visiting ?? {}).some(
    ([who, which]) => which === group.id && state.members[who]?.role === "teacher",
  );
  const talking = seat.consent.value !== undefined && !seat.session.onStage.value;
  const endsMs = state.groups?.endsMs;
  return (
    <Card
      title={classWords.value.group(group.name)}
      testId="group"
      aside={endsMs && <Countdown seat={seat} endsMs={endsMs} />}
    >
      <p class="card-icon-line">
        <Icon of={Users} />
        {names.length > 0 ? words.groupOf(listed(names, lang.value)) : words.groupAlone}
      </p>
      {visited && <p class="tone-good">{words.visited}</p>}
      {!seat.session.onStage.value &&
        (talking ? (
          <div class="card-line">
            <p class="tone-good" role="status">
              {words.groupTalking}
            </p>
            <Button icon={MicOff} testId="group-quiet" onClick={() => seat.quiet()}>
              {words.groupQuiet}
            </Button>
          </div>
        ) : (
          <Button icon={Mic} testId="group-talk" onClick={() => void seat.goLive(["audio"])}>
            {words.groupTalk}
          </Button>
        ))}
    </Card>
  );
}

function TimerCard({ seat, state }: Props) {
  const { timer } = state;
  if (!timer) return null;
  return (
    <section class="card card-line" aria-label={classWords.value.timer} data-testid="timer">
      <p class="card-icon-line">
        <Icon of={AlarmClock} />
        {timer.title || classWords.value.timer}
      </p>
      <Countdown seat={seat} endsMs={timer.endsMs} />
    </section>
  );
}
