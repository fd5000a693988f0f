// Groups: by school, by chance or by hand, with a time; the teacher walks in and out.

import { useSignal } from "@preact/signals";
import { DoorOpen, UsersRound } from "lucide";
import { t } from "../../../i18n/index.ts";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { leftClock } from "../../../lesson/clock.ts";
import type { Groups, LessonState } from "../../../protocol/words.ts";
import { Choose } from "../../../ui/choose.tsx";
import { Button } from "../../../ui/controls.tsx";
import { Dialog } from "../../../ui/dialog.tsx";
import type { Desk } from "../desk.ts";
import { MOST_SHOWN, takingPart } from "../people.ts";
import { Panel, type ToolProps } from "./panel.tsx";
import { atRandom, bySchool, empty, MOST_GROUPS, type Plan } from "./plan.ts";

type By = "school" | "random" | "hand";
const MINUTES = [0, 3, 5, 10, 15] as const;

export function GroupsPanel({ desk, state, onClose }: ToolProps) {
  const { groups } = state;
  const words = panelWords.value.groups;
  const ending = useSignal(false);
  const by = useSignal<By>("school");
  const count = useSignal(4);
  const minutes = useSignal<number>(5);
  const members = takingPart(state);
  const plan = (): Plan[] => {
    if (by.value === "school") return bySchool(members, (school) => desk.schoolName(school));
    return by.value === "random"
      ? atRandom(members, count.value, words.name, Math.random)
      : empty(count.value, words.name);
  };
  const start = () => {
    const command = { do: "open-groups", groups: plan() } as const;
    void desk.ask(minutes.value > 0 ? { ...command, seconds: minutes.value * 60 } : command);
  };
  const end = () => {
    ending.value = false;
    void desk.ask({ do: "close-groups" });
  };
  return (
    <Panel
      title={deskWords.value.tool.groups}
      icon={UsersRound}
      testId="panel-groups"
      onClose={onClose}
      actions={
        groups ? (
          <Button
            testId="groups-close"
            onClick={() => {
              ending.value = true;
            }}
          >
            {words.stop}
          </Button>
        ) : (
          <Button
            look="accent"
            disabled={members.length === 0}
            testId="groups-start"
            onClick={start}
          >
            {words.start}
          </Button>
        )
      }
    >
      {groups ? (
        <Running desk={desk} state={state} groups={groups} />
      ) : (
        <>
          <Choose
            name={words.by}
            named
            testId="groups-by"
            chosen={by.value}
            choices={[
              { value: "school", label: words.bySchool },
              { value: "random", label: words.random },
              { value: "hand", label: words.byHand },
            ]}
            onChoose={(next) => {
              by.value = next;
            }}
          />
          <p class="quiet">{words.how[by.value]}</p>
          {by.value !== "school" && (
            <label class="field">
              <span class="field-name">{words.count}</span>
              <input
                class="text-input"
                type="number"
                min={1}
                max={MOST_GROUPS}
                value={count.value}
                data-testid="groups-count"
                onInput={(event) => {
                  const wanted = event.currentTarget.valueAsNumber;
                  count.value = Math.min(MOST_GROUPS, Math.max(1, Math.trunc(wanted) || 1));
                }}
              />
            </label>
          )}
          <Choose
            name={panelWords.value.time}
            named
            testId="groups-minutes"
            chosen={minutes.value}
            choices={MINUTES.map((value) => ({
              value,
              label: value === 0 ? panelWords.value.noLimit : panelWords.value.minutes(value),
            }))}
            onChoose={(next) => {
              minutes.value = next;
            }}
          />
          <p class="quiet">
            {members.length === 0
              ? words.nobody
              : words.preview(
                  by.value === "school"
                    ? new Set(members.map(({ school }) => school)).size
                    : count.value,
                  members.length,
                )}
          </p>
        </>
      )}
      {ending.value && (
        <Dialog
          title={words.stopTitle}
          testId="groups-end"
          onClose={() => {
            ending.value = false;
          }}
          actions={
            <>
              <Button
                onClick={() => {
                  ending.value = false;
                }}
              >
                {t.value.teacher.keepGoing}
              </Button>
              <Button look="danger" testId="groups-end-confirm" onClick={end}>
                {words.stop}
              </Button>
            </>
          }
        >
          <p>{words.stopText}</p>
        </Dialog>
      )}
    </Panel>
  );
}

function Running(props: { desk: Desk; state: LessonState; groups: Groups }) {
  const { desk, state, groups } = props;
  const words = panelWords.value.groups;
  const me = desk.session.socket.you.value?.id ?? "";
  const visiting = groups.visiting[me];
  const grouped = new Set(groups.groups.flatMap(({ members }) => members));
  const rest = takingPart(state).filter(({ id }) => !grouped.has(id));
  return (
    <>
      {groups.endsMs !== undefined && (
        <p class="panel-lead">{words.endsIn(leftClock(desk.session, groups.endsMs))}</p>
      )}
      <ul class="plain-list" data-testid="groups">
        {groups.groups.map((group) => {
          const here = visiting === group.id;
          const visit = here
            ? ({ do: "visit-group" } as const)
            : ({ do: "visit-group", group: group.id } as const);
          return (
            <li key={group.id} class={here ? "group group-here" : "group"}>
              <div class="group-head">
                <strong>{group.name}</strong>
                <span class="quiet">
                  {words.members(group.members.length)}
                  {here && ` · ${words.visiting}`}
                </span>
                <span class="spring" />
                <Button
                  icon={DoorOpen}
                  look={here ? "accent" : "plain"}
                  testId={`visit-${group.name}`}
                  onClick={() => void desk.ask(visit)}
                >
                  {here ? words.leave : words.visit}
                </Button>
              </div>
              <div class="names-row">
                {group.members.slice(0, MOST_SHOWN).map((member) => (
                  <Mover key={member} desk={desk} groups={groups} member={member} at={group.id} />
                ))}
              </div>
            </li>
          );
        })}
      </ul>
      {rest.length > 0 && (
        <section>
          <h3>{words.none}</h3>
          <div class="names-row">
            {rest.slice(0, MOST_SHOWN).map(({ id }) => (
              <Mover key={id} desk={desk} groups={groups} member={id} at="" />
            ))}
          </div>
        </section>
      )}
    </>
  );
}

/** A name that is moved by choosing another group for it. */
function Mover(props: { desk: Desk; groups: Groups; member: string; at: string }) {
  const { desk, groups, member, at } = props;
  const words = panelWords.value.groups;
  const name = desk.nameOf(member);
  return (
    <label class="mover">
      <span aria-hidden="true">{name}</span>
      <select
        aria-label={words.move(name)}
        value={at}
        data-testid={`move-${member}`}
        onChange={(event) => {
          const group = event.currentTarget.value;
          const move = { do: "move-to-group", member } as const;
          void desk.ask(group === "" ? move : { ...move, group });
        }}
      >
        <option value="">{words.none}</option>
        {groups.groups.map(({ id, name: other }) => (
          <option key={id} value={id}>
            {other}
          </option>
        ))}
      </select>
    </label>
  );
}
