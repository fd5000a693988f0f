// What is asked of the class, large over the lesson: a roll call, a buzzer, a quiz and its
// result, a question, the name of who was picked.

import { Clock, Zap } from "lucide";
import type { ComponentChildren } from "preact";
import { classWords } from "../../i18n/sections/class.ts";
import { classroomWords } from "../../i18n/sections/classroom.ts";
import { leftClock, leftOf } from "../../lesson/clock.ts";
import { Results } from "../../lesson/quiz/results.tsx";
import { countable } from "../../lesson/quiz/rules.ts";
import type { LessonSession } from "../../lesson/session.ts";
import type { Item } from "../../protocol/interactions.ts";
import { type LessonState, schoolName } from "../../protocol/words.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import type { Room } from "./room.ts";
import type { Turn } from "./turns.ts";

interface Props {
  room: Room;
  state: LessonState;
  turn: Turn;
}

export function TurnPanel({ room, state, turn }: Props) {
  switch (turn.show) {
    case "picked":
      return <Picked state={state} turn={turn} />;
    case "roll-call":
      return <RollCall room={room} state={state} turn={turn} />;
    case "buzzer":
      return <BuzzerPanel room={room} state={state} turn={turn} />;
    case "quiz":
      return <QuizPanel session={room.session} turn={turn} />;
    case "question": {
      const words = classWords.value;
      return (
        <Panel title={words.question} testId="question" low>
          <p class="turn-text">{turn.question.text || words.questionNoText}</p>
        </Panel>
      );
    }
  }
}

function Panel(props: {
  title: string;
  testId: string;
  /** Leaves the upper part of the lesson in sight. */
  low?: boolean;
  aside?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section
      class={`turn ${props.low ? "turn-low" : ""}`}
      aria-label={props.title}
      aria-live="polite"
      data-testid={props.testId}
    >
      <header class="turn-head">
        <h2>{props.title}</h2>
        <span class="spring" />
        {props.aside}
      </header>
      {props.children}
    </section>
  );
}

export function Countdown({ session, endsMs }: { session: LessonSession; endsMs: number }) {
  const words = classWords.value;
  const over = leftOf(session, endsMs) === 0;
  return (
    <span class="countdown turn-count" role="timer" data-testid="countdown">
      <Icon of={Clock} />
      {over ? words.timeUp : words.left(leftClock(session, endsMs))}
    </span>
  );
}

function nameOf(state: LessonState, id: string): string {
  return state.members[id]?.name ?? state.attendance[id]?.name ?? id;
}

function Picked({ state, turn }: { state: LessonState; turn: Turn & { show: "picked" } }) {
  const words = classWords.value;
  const { member, among } = turn.picked;
  const school = state.members[member]?.school ?? state.attendance[member]?.school;
  const name = nameOf(state, member);
  return (
    <section class="turn turn-picked" role="alert" data-testid="picked">
      {school && <p class="turn-school">{schoolName(state.info, school)}</p>}
      <p class="turn-name">{words.picked(name)}</p>
      <p class="quiet">{words.fair(among)}</p>
    </section>
  );
}

function RollCall(props: { room: Room; state: LessonState; turn: Turn & { show: "roll-call" } }) {
  const { room, state } = props;
  const { rollCall } = props.turn;
  const { session } = room;
  const words = classroomWords.value;
  const me = session.socket.you.value;
  const count = Object.values(rollCall.counted).findLast(({ school }) => school === me?.school);
  const done = me !== undefined && me.id in rollCall.answered;
  return (
    <Panel
      title={words.rollCall}
      testId="roll-call"
      low
      aside={rollCall.closesMs && <Countdown session={session} endsMs={rollCall.closesMs} />}
    >
      <div class="turn-row" data-members={Object.keys(state.members).length}>
        <p class="turn-text" role="status">
          {count
            ? count.expected
              ? words.counted(count.present, count.expected)
              : words.countedOnly(count.present)
            : done
              ? words.hereDone
              : words.rollCallDo}
        </p>
        {!done && (
          <Button look="accent" keyHint="R" testId="here" onClick={() => room.answerRollCall()}>
            {words.here}
          </Button>
        )}
      </div>
    </Panel>
  );
}

function BuzzerPanel(props: { room: Room; state: LessonState; turn: Turn & { show: "buzzer" } }) {
  const { room, state } = props;
  const { buzzer } = props.turn;
  const words = classroomWords.value;
  const me = room.session.socket.you.value?.id;
  const place = buzzer.presses.findIndex(({ member }) => member === me) + 1;
  const [first] = buzzer.presses;
  const open = buzzer.closedMs === undefined;
  return (
    <Panel title={buzzer.title || words.buzz} testId="buzzer" low>
      <div class="turn-row">
        <p class="turn-text" role="status" data-testid="buzz-rank">
          {place > 0
            ? words.buzzed(place)
            : first
              ? words.firstIs(nameOf(state, first.member))
              : words.buzzDo}
        </p>
        {open && place === 0 && (
          <Button look="accent" icon={Zap} testId="buzz" onClick={() => room.buzz()}>
            {words.buzz}
          </Button>
        )}
      </div>
    </Panel>
  );
}

/** Whether an item needs the room that smaller letters leave. */
function long({ prompt, choices = [] }: Item): boolean {
  const written = choices.reduce((sum, choice) => sum + choice.length, prompt.length);
  return written > 120 || choices.length > 4;
}

function QuizPanel(props: { session: LessonSession; turn: Turn & { show: "quiz" } }) {
  const { quiz, item: index, part } = props.turn;
  const words = classWords.value;
  const own = classroomWords.value;
  const item = quiz.items[index];
  const tally = quiz.tallies?.[index];
  if (!item) return null;
  const kind = quiz.kind === "poll" ? words.poll : words.quiz;
  const choices = countable(item, words);
  return (
    <Panel
      title={quiz.title ? `${kind} · ${quiz.title}` : kind}
      testId="quiz"
      aside={
        <>
          {quiz.items.length > 1 && <span>{words.item(index + 1, quiz.items.length)}</span>}
          {part === "open" && quiz.closesMs && (
            <Countdown session={props.session} endsMs={quiz.closesMs} />
          )}
        </>
      }
    >
      <p class={`turn-prompt ${part === "result" || long(item) ? "turn-long" : ""}`}>
        {item.prompt}
      </p>
      {part === "result" && tally ? (
        <Results item={item} tally={tally} />
      ) : (
        <>
          {choices && (
            <ol class="turn-choices" data-count={choices.length}>
              {choices.map((label, choice) => (
                <li key={label}>
                  <span class="quiz-letter">{label}</span>
                  <span>{item.choices?.[choice] ?? ""}</span>
                </li>
              ))}
            </ol>
          )}
          <p class="quiet">{part === "closed" ? own.wait : choices ? own.choose : own.think}</p>
        </>
      )}
    </Panel>
  );
}
