// Roll call and attendance: who answered, by school; heads counted; who came late, went, is away.

import { useSignal } from "@preact/signals";
import { UserCheck } from "lucide";
import { clock, listed, timeOfDay } from "../../../i18n/format.ts";
import { lang } from "../../../i18n/index.ts";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { leftClock } from "../../../lesson/clock.ts";
import { schoolsOf } from "../../../lesson/results.ts";
import type { Attendance, LessonState, RollCall } from "../../../protocol/words.ts";
import { Choose } from "../../../ui/choose.tsx";
import { Button } from "../../../ui/controls.tsx";
import type { Desk } from "../desk.ts";
import { expectedAnswers, MOST_SHOWN } from "../people.ts";
import { Panel, type ToolProps } from "./panel.tsx";

const SECONDS = [0, 30, 60, 120] as const;

export function RollCallPanel({ desk, state, onClose }: ToolProps) {
  const words = panelWords.value;
  const tab = useSignal<"call" | "attendance">("call");
  const seconds = useSignal<number>(60);
  const { rollCall } = state;
  const open = rollCall !== undefined && rollCall.closedMs === undefined;
  const start = () => {
    const command = { do: "open-roll-call" } as const;
    void desk.ask(seconds.value > 0 ? { ...command, seconds: seconds.value } : command);
  };
  const action = open ? (
    <Button testId="roll-call-close" onClick={() => void desk.ask({ do: "close-roll-call" })}>
      {words.rollCall.stop}
    </Button>
  ) : (
    <Button look="accent" testId="roll-call-start" onClick={start}>
      {rollCall ? words.again : words.rollCall.start}
    </Button>
  );
  return (
    <Panel
      title={deskWords.value.tool.rollCall}
      icon={UserCheck}
      testId="panel-roll-call"
      onClose={onClose}
      actions={tab.value === "call" ? action : undefined}
    >
      <Choose
        name={deskWords.value.tool.rollCall}
        testId="roll-call-tab"
        chosen={tab.value}
        choices={[
          { value: "call", label: words.rollCall.tabCall },
          { value: "attendance", label: words.rollCall.tabAttendance },
        ]}
        onChoose={(next) => {
          tab.value = next;
        }}
      />
      {tab.value === "attendance" && <AttendanceList state={state} desk={desk} />}
      {tab.value === "call" && rollCall && <Answers desk={desk} state={state} call={rollCall} />}
      {tab.value === "call" && !open && (
        <>
          {!rollCall && <p class="quiet">{words.rollCall.text}</p>}
          <Choose
            name={words.time}
            named
            testId="roll-call-seconds"
            chosen={seconds.value}
            choices={SECONDS.map((value) => ({
              value,
              label: value === 0 ? words.noLimit : words.seconds(value),
            }))}
            onChoose={(next) => {
              seconds.value = next;
            }}
          />
        </>
      )}
    </Panel>
  );
}

function Answers({ desk, state, call }: { desk: Desk; state: LessonState; call: RollCall }) {
  const words = panelWords.value.rollCall;
  const expected = expectedAnswers(state);
  const missing = expected.filter(({ id }) => call.answered[id] === undefined);
  const closed = call.closedMs !== undefined;
  const lines = schoolsOf(state).flatMap((school) => {
    const here = Object.keys(call.answered).filter((id) => desk.schoolOf(id) === school).length;
    const of = expected.filter((member) => member.school === school).length;
    const counts = Object.values(call.counted).filter((one) => one.school === school);
    return here + of + counts.length > 0 ? [{ school, here, of, counts }] : [];
  });
  return (
    <>
      <p class="panel-lead" data-testid="roll-call-answered">
        <strong>{words.answered(Object.keys(call.answered).length)}</strong>
        {closed && ` · ${words.finished}`}
        {!closed &&
          call.closesMs !== undefined &&
          ` · ${words.closesIn(leftClock(desk.session, call.closesMs))}`}
      </p>
      <table class="panel-table">
        <tbody>
          {lines.map(({ school, here, of, counts }) => (
            <tr key={school} data-testid={`roll-call-${school}`}>
              <th scope="row">{desk.schoolName(school)}</th>
              <td>
                {here} / {Math.max(here, of)}
              </td>
              <td class="quiet">
                {counts
                  .map(({ present, expected: all }) =>
                    all === undefined ? words.headsOnly(present) : words.heads(present, all),
                  )
                  .join(" · ")}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {missing.length === 0 && expected.length > 0 && <p class="tone-good">{words.everybody}</p>}
      {missing.length > 0 && (
        <details>
          <summary data-testid="roll-call-missing">{words.waitingFor(missing.length)}</summary>
          <p class="panel-names">
            {listed(
              missing
                .slice(0, MOST_SHOWN)
                .map(({ name, school }) => `${name} (${desk.schoolName(school)})`),
              lang.value,
            )}
            {missing.length > MOST_SHOWN && ` ${deskWords.value.more(missing.length - MOST_SHOWN)}`}
          </p>
        </details>
      )}
    </>
  );
}

function AttendanceList({ desk, state }: { desk: Desk; state: LessonState }) {
  const words = panelWords.value.rollCall;
  const search = useSignal("");
  const wanted = search.value.trim().toLowerCase();
  const all = Object.entries(state.attendance)
    .filter(([, { role }]) => role === "student" || role === "classroom" || role === "assistant")
    .filter(([, { name, school }]) =>
      `${name} ${desk.schoolName(school)}`.toLowerCase().includes(wanted),
    )
    .sort(
      ([, a], [, b]) =>
        remarkable(b) - remarkable(a) ||
        a.school.localeCompare(b.school) ||
        a.name.localeCompare(b.name),
    );
  return (
    <>
      <input
        type="search"
        class="text-input"
        placeholder={deskWords.value.search}
        aria-label={deskWords.value.search}
        value={search.value}
        onInput={(event) => {
          search.value = event.currentTarget.value;
        }}
      />
      {all.length === 0 && <p class="quiet">{words.nobody}</p>}
      <ul class="attendance" data-testid="attendance">
        {all.slice(0, MOST_SHOWN).map(([id, one]) => (
          <li key={id}>
            <span class="attendance-who">
              <strong>{one.name}</strong>
              <span class="quiet">
                {desk.schoolName(one.school)} · {words.cameAt(timeOfDay(one.joinedMs, lang.value))}
                {one.leftMs !== undefined &&
                  ` · ${words.leftAt(timeOfDay(one.leftMs, lang.value))}`}
                {one.awayMs > 0 && ` · ${words.awayFor(clock(one.awayMs))}`}
              </span>
            </span>
            <Standing one={one} nowMs={desk.nowMs} />
          </li>
        ))}
      </ul>
      {all.length > MOST_SHOWN && (
        <p class="quiet">{deskWords.value.more(all.length - MOST_SHOWN)}</p>
      )}
    </>
  );
}

/** Those a teacher looks for come first: away, gone, late. */
function remarkable(one: Attendance): number {
  if (one.awaySinceMs !== undefined) return 3;
  if (one.leftMs !== undefined) return 2;
  return one.late ? 1 : 0;
}

function Standing({ one, nowMs }: { one: Attendance; nowMs: number }) {
  const words = panelWords.value.rollCall;
  if (one.leftMs !== undefined) return <span class="quiet">{words.left}</span>;
  if (one.awaySinceMs !== undefined) {
    return (
      <span class="tone-caution">
        {words.away} {clock(nowMs - one.awaySinceMs)}
      </span>
    );
  }
  return one.late ? (
    <span class="tone-caution">{words.late}</span>
  ) : (
    <span class="tone-good">{words.present}</span>
  );
}
