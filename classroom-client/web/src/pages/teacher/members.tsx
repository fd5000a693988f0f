// Students in the lesson: name, where, what they are at, and what can be done. Of many, some are
// shown and the others found by name.

import { useSignal } from "@preact/signals";
import { Hand, LogOut, MessageSquareOff, Mic, MicOff, Star, UserMinus, UserPlus } from "lucide";
import { t } from "../../i18n/index.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import type { LessonState, Member } from "../../protocol/words.ts";
import { IconButton } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import type { Desk } from "./desk.ts";
import { found, MOST_SHOWN } from "./people.ts";

interface Props {
  desk: Desk;
  state: LessonState;
  members: readonly Member[];
  /** Said where nobody is. */
  empty: string;
  testId: string;
}

export function Members({ desk, state, members, empty, testId }: Props) {
  const words = deskWords.value;
  const search = useSignal("");
  const many = members.length > 12;
  const all = many ? found(members, search.value) : members;
  const rest = all.length - MOST_SHOWN;
  if (members.length === 0) return <p class="quiet">{empty}</p>;
  return (
    <>
      {many && (
        <input
          type="search"
          class="text-input"
          placeholder={words.search}
          aria-label={words.search}
          value={search.value}
          onInput={(event) => {
            search.value = event.currentTarget.value;
          }}
        />
      )}
      {all.length === 0 && <p class="quiet">{words.nobodyFound}</p>}
      <ul class="students" data-testid={testId}>
        {all.slice(0, MOST_SHOWN).map((student) => (
          <Student key={student.id} desk={desk} state={state} student={student} />
        ))}
      </ul>
      {rest > 0 && <p class="quiet">{words.more(rest)}</p>}
    </>
  );
}

function Student({ desk, state, student }: { desk: Desk; state: LessonState; student: Member }) {
  const words = t.value.teacher;
  const onStage = state.stage.includes(student.id);
  const muted = state.muted.includes(student.id);
  const silenced = state.chat.silenced.includes(student.id);
  const handUp = state.hands.some((hand) => hand.member === student.id);
  return (
    <li class="student" data-testid={`student-${student.id}`}>
      <span class="student-name" title={student.name}>
        {student.name}
      </span>
      {handUp && (
        <span class="student-flag flag-hand" title={words.handUp}>
          <Icon of={Hand} size={14} />
        </span>
      )}
      {state.away.includes(student.id) && (
        <span class="student-flag flag-away">{deskWords.value.away}</span>
      )}
      {onStage && <span class="student-flag flag-stage">{words.onStage}</span>}
      {silenced && (
        <IconButton
          icon={MessageSquareOff}
          name={`${deskWords.value.unsilence}: ${student.name}`}
          testId={`unsilence-${student.id}`}
          onClick={() => desk.silence(student.id, false)}
        />
      )}
      {onStage ? (
        <IconButton
          icon={muted ? MicOff : Mic}
          name={`${muted ? words.unmute : words.mute}: ${student.name}`}
          testId={`mute-${student.id}`}
          onClick={() => desk.mute(student, !muted)}
        />
      ) : (
        <IconButton
          icon={Star}
          name={`${deskWords.value.praise}: ${student.name}`}
          testId={`praise-${student.id}`}
          onClick={() => desk.praise(student.id)}
        />
      )}
      <IconButton
        icon={onStage ? UserMinus : UserPlus}
        name={`${onStage ? words.dismiss : words.call}: ${student.name}`}
        testId={`${onStage ? "dismiss" : "call"}-${student.id}`}
        onClick={() => void desk.ask({ do: onStage ? "dismiss" : "call", member: student.id })}
      />
      <IconButton
        icon={LogOut}
        name={`${deskWords.value.remove}: ${student.name}`}
        testId={`remove-${student.id}`}
        onClick={() => {
          desk.removing.value = student;
        }}
      />
    </li>
  );
}
