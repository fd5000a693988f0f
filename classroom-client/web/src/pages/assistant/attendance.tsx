// How many are there: counted, or ticked on a list that never leaves this phone.

import { CircleCheck, Clock, ListChecks } from "lucide";
import { useState } from "preact/hooks";
import { assistantWords } from "../../i18n/sections/assistant.ts";
import { Sheet } from "../../lesson/sheet.tsx";
import type { HeadCount } from "../../protocol/interactions.ts";
import type { MemberCommand } from "../../protocol/words.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import type { Helper } from "./helper.ts";
import { countOf, type Pupil, Roster, readNames } from "./roster.ts";
import { Stepper } from "./stepper.tsx";

const CLASS_KEY = "cloudschool.class-size";

/** What is reported: of a list who is ticked, else what was counted. */
export function headCount(
  present: number,
  expected: number,
  pupils: readonly Pupil[],
  ticked: ReadonlySet<string>,
): Extract<MemberCommand, { do: "count-roll-call" }> {
  const here = pupils.filter(({ id }) => ticked.has(id)).map(({ id }) => id);
  if (here.length > 0) {
    return {
      do: "count-roll-call",
      present: here.length,
      expected: pupils.length,
      ticked: here,
    };
  }
  return expected > 0
    ? { do: "count-roll-call", present, expected }
    : { do: "count-roll-call", present };
}

export function Attendance({ helper }: { helper: Helper }) {
  const { session } = helper;
  const { state, socket } = session;
  const you = socket.you.value;
  const words = assistantWords.value;
  const [roster] = useState(() => new Roster(localStorage, you?.school ?? "", you?.id ?? ""));
  const [pupils, setPupils] = useState(() => roster.load());
  const [ticked, setTicked] = useState<ReadonlySet<string>>(new Set());
  // What was set by hand on this page; until then what was reported, or is known of the class.
  const [set, setCounts] = useState<{ present?: number; expected?: number }>({});
  const [open, setOpen] = useState(false);
  if (!state || !you) return null;
  const { rollCall } = state;
  const called = rollCall !== undefined && rollCall.closedMs === undefined;
  const reported = rollCall?.counted[you.id];
  const waits = socket.waiting.value.some(({ command }) => command.do === "count-roll-call");
  const present = set.present ?? reported?.present ?? 0;
  const known = pupils.length || countOf(localStorage.getItem(CLASS_KEY) ?? "0");
  const expected = set.expected ?? reported?.expected ?? known;
  const report = () => {
    helper.askAnew(headCount(present, expected, pupils, ticked), () => true);
    localStorage.setItem(CLASS_KEY, String(expected));
  };
  const tick = (id: string) => {
    const next = new Set(ticked);
    if (!next.delete(id)) next.add(id);
    setTicked(next);
    setCounts({ ...set, present: next.size });
  };
  return (
    <section class={`card ${called && !reported ? "card-asked" : ""}`} data-testid="attendance">
      <header class="card-head">
        <h2>{words.attendance}</h2>
        <span class="spring" />
        <Button icon={ListChecks} testId="roster" onClick={() => setOpen(true)}>
          {words.roster}
        </Button>
      </header>
      <p class={called ? "asked" : "quiet"} role="status">
        {called ? words.rollCallOpen : words.rollCallNone}
      </p>
      <Stepper
        name={words.present}
        value={present}
        testId="present"
        onChange={(value) => {
          // A count typed over the ticks is the count.
          setTicked(new Set());
          setCounts({ ...set, present: value });
        }}
      />
      <Stepper
        name={words.expected}
        value={expected}
        testId="expected"
        onChange={(value) => setCounts({ ...set, expected: value })}
      />
      <Reported reported={reported} waits={waits} />
      <Button
        look={called && !reported ? "accent" : "plain"}
        className="button-big"
        disabled={!called}
        testId="report"
        onClick={report}
      >
        {reported ? words.correct : words.report}
      </Button>
      {open && (
        <RosterSheet
          pupils={pupils}
          ticked={ticked}
          onTick={tick}
          onSave={(next) => {
            roster.save(next);
            setPupils(next);
            setCounts({ ...set, expected: next.length || expected });
          }}
          onClose={() => setOpen(false)}
        />
      )}
    </section>
  );
}

function Reported({ reported, waits }: { reported: HeadCount | undefined; waits: boolean }) {
  const words = assistantWords.value;
  if (waits) {
    return (
      <p class="card-done tone-caution" role="status" data-testid="report-waits">
        <Icon of={Clock} />
        {words.reportWaits}
      </p>
    );
  }
  if (!reported) return null;
  return (
    <p class="card-done tone-good" role="status" data-testid="reported">
      <Icon of={CircleCheck} />
      {reported.expected
        ? words.reported(reported.present, reported.expected)
        : words.reportedOnly(reported.present)}
    </p>
  );
}

interface RosterProps {
  pupils: readonly Pupil[];
  ticked: ReadonlySet<string>;
  onTick: (id: string) => void;
  onSave: (pupils: Pupil[]) => void;
  onClose: () => void;
}

function RosterSheet({ pupils, ticked, onTick, onSave, onClose }: RosterProps) {
  const words = assistantWords.value;
  const [typed, setTyped] = useState<string | undefined>(pupils.length === 0 ? "" : undefined);
  return (
    <Sheet title={words.roster} testId="roster-sheet" onClose={onClose}>
      {typed === undefined ? (
        <>
          <ul class="roster">
            {pupils.map(({ id, name }) => (
              <li key={id}>
                <button
                  type="button"
                  class="pupil"
                  aria-pressed={ticked.has(id)}
                  aria-label={words.rosterTick(name)}
                  data-testid={`pupil-${id}`}
                  onClick={() => onTick(id)}
                >
                  {name}
                  {ticked.has(id) && <Icon of={CircleCheck} />}
                </button>
              </li>
            ))}
          </ul>
          <Button
            testId="roster-edit"
            onClick={() => setTyped(pupils.map(({ name }) => name).join("\n"))}
          >
            {words.rosterEdit}
          </Button>
        </>
      ) : (
        <>
          {pupils.length === 0 && <p>{words.rosterEmpty}</p>}
          <label class="field">
            <span class="field-name">{words.rosterHow}</span>
            <textarea
              class="text-input"
              rows={8}
              value={typed}
              data-testid="roster-names"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
          <Button
            look="accent"
            className="button-big"
            testId="roster-save"
            onClick={() => {
              onSave(readNames(typed, pupils));
              setTyped(undefined);
            }}
          >
            {words.rosterSave}
          </Button>
        </>
      )}
    </Sheet>
  );
}
