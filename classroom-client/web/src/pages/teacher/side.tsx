// The column beside the picture: who waits with a hand up, in order, and who is at home.

import { Hand, Mic, MicOff, User, UserMinus, UserPlus } from "lucide";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import { membersOf } from "../../protocol/state.ts";
import type { LessonState, Member } from "../../protocol/words.ts";
import { Button, IconButton, Key } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import type { Desk } from "./desk.ts";

/** Keys 1 to 9 call up the first nine in line. */
const KEYED = 9;

export function Side({ desk }: { desk: Desk }) {
  const { state } = desk.session;
  if (!state) return null;
  return (
    <aside class="side">
      <Hands desk={desk} state={state} />
      <AtHome desk={desk} state={state} />
    </aside>
  );
}

interface Props {
  desk: Desk;
  state: LessonState;
}

function Hands({ desk, state }: Props) {
  const words = t.value.teacher;
  const { now, socket } = desk.session;
  const nowMs = now.value + socket.clockOffset.value;
  const { hands } = state;
  useKeys(
    Object.fromEntries(
      hands
        .slice(0, KEYED)
        .map(({ member }, index) => [String(index + 1), () => desk.ask({ do: "call", member })]),
    ),
  );
  return (
    <section class="side-part" aria-labelledby="hands-title">
      <h2 id="hands-title">
        <Icon of={Hand} />
        {words.hands}
        <span class="count" data-testid="hand-count">
          {hands.length}
        </span>
      </h2>
      {hands.length === 0 && <p class="quiet">{words.noHands}</p>}
      <ol class="hands" data-testid="hands" aria-live="polite">
        {hands.map(({ member, atMs }, index) => {
          const who = state.members[member];
          return (
            <li key={member} class="hand" data-testid={`hand-${member}`}>
              <span class="hand-place">{index + 1}</span>
              <span class="hand-who">
                <strong>{who?.name ?? member}</strong>
                <span class="quiet">
                  {who ? `${t.value.role[who.role]} · ` : ""}
                  {words.waited(clock(nowMs - atMs))}
                </span>
              </span>
              <span class="hand-actions">
                <Button
                  look="accent"
                  testId={`call-hand-${member}`}
                  onClick={() => desk.ask({ do: "call", member })}
                >
                  {words.call}
                  {index < KEYED && <Key>{String(index + 1)}</Key>}
                </Button>
                <Button
                  look="quiet"
                  testId={`lower-${member}`}
                  onClick={() => desk.ask({ do: "lower-hand", member })}
                >
                  {words.lowerHand}
                </Button>
              </span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function AtHome({ desk, state }: Props) {
  const words = t.value.teacher;
  const students = membersOf(state, "student");
  return (
    <section class="side-part side-grow" aria-labelledby="home-title">
      <h2 id="home-title">
        <Icon of={User} />
        {words.homeStudents}
        <span class="count">{students.length}</span>
      </h2>
      {students.length === 0 && <p class="quiet">{words.noHomeStudents}</p>}
      <ul class="students" data-testid="students">
        {students.map((student) => (
          <Student key={student.id} desk={desk} state={state} student={student} />
        ))}
      </ul>
    </section>
  );
}

function Student({ desk, state, student }: Props & { student: Member }) {
  const words = t.value.teacher;
  const onStage = state.stage.includes(student.id);
  const muted = state.muted.includes(student.id);
  const handUp = state.hands.some((hand) => hand.member === student.id);
  return (
    <li class="student" data-testid={`student-${student.id}`}>
      <span class="student-name" title={student.name}>
        {student.name}
      </span>
      {handUp && (
        <span class="student-flag flag-hand">
          <Icon of={Hand} size={14} />
          {words.handUp}
        </span>
      )}
      {onStage && <span class="student-flag flag-stage">{words.onStage}</span>}
      {onStage && (
        <IconButton
          icon={muted ? MicOff : Mic}
          name={`${muted ? words.unmute : words.mute}: ${student.name}`}
          testId={`mute-${student.id}`}
          onClick={() => desk.mute(student, !muted)}
        />
      )}
      <IconButton
        icon={onStage ? UserMinus : UserPlus}
        name={`${onStage ? words.dismiss : words.call}: ${student.name}`}
        testId={`${onStage ? "dismiss" : "call"}-${student.id}`}
        onClick={() => desk.ask({ do: onStage ? "dismiss" : "call", member: student.id })}
      />
    </li>
  );
}
