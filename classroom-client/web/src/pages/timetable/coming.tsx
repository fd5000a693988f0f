// The lessons to come, by day.

import { useSignal } from "@preact/signals";
import { CalendarX } from "lucide";
import { HttpProblem } from "../../http/problem.ts";
import { send } from "../../http/request.ts";
import { clock } from "../../i18n/format.ts";
import { lang } from "../../i18n/index.ts";
import { timetableWords } from "../../i18n/sections/timetable.ts";
import { shownCode } from "../../lesson/code.ts";
import { pageOfRole, withToken } from "../../lesson/entry.ts";
import { schoolName } from "../../protocol/words.ts";
import { Button, IconButton, LinkButton } from "../../ui/controls.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { notify } from "../../ui/notices.tsx";
import { days, type LessonLine, midnight } from "./plan.ts";
import type { Table } from "./table.ts";

/** From this long before a lesson on, how long it still is says more than the clock. */
const COUNT_DOWN_MS = 3_600_000;

interface Props {
  table: Table;
  role: string;
}

export function Coming({ table, role }: Props) {
  const words = timetableWords.value;
  const lines = table.lines.value;
  if (!lines) return table.problem.value ? null : <p class="quiet">{words.loading}</p>;
  const all = days(lines);
  if (all.length === 0) {
    return (
      <p class="quiet" data-testid="nothing-planned">
        {role === "operator" ? words.none : words.noneOfYours}
      </p>
    );
  }
  return (
    <>
      {all.map((day) => (
        <section key={day.startMs ?? 0} class="day">
          <h2>{dayName(day.startMs, table.now.value)}</h2>
          <ul class="day-lessons">
            {day.lessons.map((line) => (
              <Line key={line.info.id} line={line} table={table} role={role} />
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}

function dayName(startMs: number | undefined, nowMs: number): string {
  const words = timetableWords.value;
  if (startMs === undefined) return words.unplanned;
  const date = new Date(startMs).toLocaleDateString(lang.value, {
    month: "long",
    day: "numeric",
    weekday: "long",
  });
  return startMs === midnight(nowMs) ? `${words.today} · ${date}` : date;
}

function Line({ line, table, role }: Props & { line: LessonLine }) {
  const words = timetableWords.value;
  const asking = useSignal(false);
  const { info, phase } = line;
  const enters = phase === "open" || phase === "live";
  const about = [
    info.teacher,
    info.subject,
    info.grade,
    ...(info.schools ?? []).map((one) => schoolName(info, one)),
  ].filter(Boolean);
  const page = pageOfRole(role);
  return (
    <li class="planned" data-testid={`planned-${info.id}`} data-phase={phase}>
      <span class="planned-time">
        {info.plannedStartMs === undefined ? "–" : timeAt(info.plannedStartMs)}
        {info.plannedMinutes !== undefined && (
          <span class="quiet">{words.minutes(info.plannedMinutes)}</span>
        )}
      </span>
      <span class="planned-what">
        <strong>{info.title}</strong>
        <span class="quiet">{about.join(" · ")}</span>
        {role === "operator" && info.code && (
          <span class="quiet" data-testid={`code-${info.id}`}>
            {words.code(shownCode(info.code))}
          </span>
        )}
      </span>
      <span class={`planned-phase ${enters ? "tone-good" : "quiet"}`}>{standing(line, table)}</span>
      {enters && role !== "operator" && (
        <LinkButton
          look="accent"
          href={withToken(`/${page}/${encodeURIComponent(info.id)}`, { token: table.token })}
          testId={`enter-${info.id}`}
        >
          {words.enter}
        </LinkButton>
      )}
      {phase === "scheduled" && role === "operator" && (
        <IconButton
          icon={CalendarX}
          name={`${words.callOff}${info.title}`}
          testId={`call-off-${info.id}`}
          onClick={() => {
            asking.value = true;
          }}
        />
      )}
      {asking.value && (
        <CallOff
          line={line}
          table={table}
          onClose={() => {
            asking.value = false;
          }}
        />
      )}
    </li>
  );
}

function standing({ info, phase }: LessonLine, table: Table): string {
  const words = timetableWords.value;
  if (phase === "live") return words.now;
  if (phase === "open") return words.open;
  const left = (info.plannedStartMs ?? 0) - table.now.value;
  if (left <= 0) return words.opening;
  return left < COUNT_DOWN_MS ? clock(left) : "";
}

function timeAt(ms: number): string {
  return new Date(ms).toLocaleTimeString(lang.value, {
    hour: "2-digit",
    minute: "2-digit",
    hour12: false,
  });
}

interface CallOffProps {
  line: LessonLine;
  table: Table;
  onClose: () => void;
}

function CallOff({ line, table, onClose }: CallOffProps) {
  const words = timetableWords.value;
  const { id, title } = line.info;
  const callOff = async () => {
    try {
      const url = `/api/lessons/${encodeURIComponent(id)}`;
      await send<undefined>(url, { method: "DELETE", token: table.token });
    } catch (error) {
      notify(error instanceof HttpProblem ? error.message : words.failed);
    }
    onClose();
    await table.fetch();
  };
  return (
    <Dialog
      title={words.callOffSure(title)}
      onClose={onClose}
      testId="call-off-dialog"
      actions={
        <>
          <Button onClick={onClose}>{words.keep}</Button>
          <Button look="danger" testId="call-off" onClick={() => void callOff()}>
            {words.callOff}
          </Button>
        </>
      }
    >
      <p>{words.callOffText}</p>
    </Dialog>
  );
}
