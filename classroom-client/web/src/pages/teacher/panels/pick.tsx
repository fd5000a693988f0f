// A random pick that is fair and says so: who was asked less has the better chance.

import { useSignal } from "@preact/signals";
import { Dices, UserPlus } from "lucide";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { membersOf } from "../../../protocol/state.ts";
import type { Among, LessonState, Member } from "../../../protocol/words.ts";
import { Choose } from "../../../ui/choose.tsx";
import { Button } from "../../../ui/controls.tsx";
import { schoolViews } from "../people.ts";
import { Panel, type ToolProps } from "./panel.tsx";

const AMONG: readonly Among[] = ["students", "classrooms", "everyone"];

function candidates(state: LessonState, among: Among, school: string): Member[] {
  const students = among === "classrooms" ? [] : membersOf(state, "student");
  const rooms = among === "students" ? [] : membersOf(state, "classroom");
  return [...students, ...rooms].filter(
    (member) => !state.away.includes(member.id) && (school === "" || member.school === school),
  );
}

export function PickPanel({ desk, state, onClose }: ToolProps) {
  const words = panelWords.value;
  const hasStudents = membersOf(state, "student").length > 0;
  const among = useSignal<Among>(hasStudents ? "students" : "classrooms");
  const school = useSignal("");
  const { picked } = state;
  const count = candidates(state, among.value, school.value).length;
  const onStage = picked !== undefined && state.stage.includes(picked.member);
  const pick = () => {
    const command = { do: "pick", among: among.value } as const;
    void desk.ask(school.value === "" ? command : { ...command, school: school.value });
  };
  return (
    <Panel
      title={deskWords.value.tool.pick}
      icon={Dices}
      testId="panel-pick"
      onClose={onClose}
      actions={
        <Button
          look={picked ? "plain" : "accent"}
          disabled={count === 0}
          testId="pick-start"
          onClick={pick}
        >
          {picked ? words.pick.again : words.pick.start}
        </Button>
      }
    >
      {picked && (
        <div class="picked" role="status" data-testid="picked" data-member={picked.member}>
          <p class="picked-name">{desk.nameOf(picked.member)}</p>
          <p class="quiet">{desk.schoolName(desk.schoolOf(picked.member))}</p>
          <p class="quiet">{words.pick.fair(picked.among, picked.asked)}</p>
          <Button
            look="accent"
            icon={UserPlus}
            disabled={onStage}
            testId="picked-call"
            onClick={() => void desk.ask({ do: "call", member: picked.member })}
          >
            {onStage ? words.pick.onStage : words.pick.call}
          </Button>
        </div>
      )}
      <Choose
        name={words.pick.among}
        named
        testId="pick-among"
        chosen={among.value}
        choices={AMONG.map((value) => ({ value, label: words.pick[value] }))}
        onChoose={(next) => {
          among.value = next;
        }}
      />
      <label class="field">
        <span class="field-name">{words.school}</span>
        <select
          value={school.value}
          onChange={(event) => {
            school.value = event.currentTarget.value;
          }}
        >
          <option value="">{words.allSchools}</option>
          {schoolViews(state).map((one) => (
            <option key={one.school} value={one.school}>
              {desk.schoolName(one.school)}
            </option>
          ))}
        </select>
      </label>
      <p class="quiet">
        {words.pick.candidates(count)} · {words.pick.note}
      </p>
    </Panel>
  );
}
