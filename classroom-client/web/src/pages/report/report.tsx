// What happened in a lesson, on one A4 page: who was there, who spoke, who was asked.

import { Printer } from "lucide";
import type { ComponentChildren } from "preact";
import { clock, dateTime, percent, timeOfDay } from "../../i18n/format.ts";
import { lang, t } from "../../i18n/index.ts";
import { reportWords } from "../../i18n/sections/report.ts";
import { schoolName } from "../../protocol/words.ts";
import { Button, LanguageSwitch } from "../../ui/controls.tsx";
import { runsOf, type Summary } from "./summary.ts";

export function Report({ summary }: { summary: Summary }) {
  const words = reportWords.value;
  const { lesson, attendance, hands } = summary;
  const running = lesson.phase === "open" || lesson.phase === "live";
  const came = attendance.filter((one) => one.attended).length;
  const people = attendance.reduce((sum, one) => sum + one.members.total, 0);
  const raised = hands.reduce((sum, one) => sum + one.raised, 0);
  const started = summary.startedAt && dateTime(Date.parse(summary.startedAt), lang.value);
  return (
    <main class="report" data-testid="report">
      <header class="report-head">
        <div>
          <p class="report-kind">{words.title}</p>
          <h1>{lesson.title}</h1>
          <p>
            {[lesson.teacher, lesson.subject, lesson.grade, started].filter(Boolean).join(" · ")}
          </p>
        </div>
        <div class="report-tools">
          <Button icon={Printer} onClick={() => window.print()}>
            {words.print}
          </Button>
          <LanguageSwitch />
        </div>
      </header>
      {running && <p class="report-note">{words.soFar}</p>}
      <dl class="figures">
        <Figure name={words.length} value={clock(summary.durationMs)} />
        <Figure name={words.schools} value={`${came} / ${attendance.length}`} />
        <Figure name={words.people} value={String(people)} />
        <Figure name={words.talkTotal} value={clock(summary.talk.totalMs)} />
        <Figure name={words.handsRaised} value={String(raised)} />
      </dl>
      <AttendanceTable summary={summary} />
      <TalkPart summary={summary} />
      <TakingPart summary={summary} />
      <SideToSide summary={summary} />
      <p class="report-foot">{words.generated(dateTime(Date.parse(summary.asOf), lang.value))}</p>
    </main>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div class="figure">
      <dd>{value}</dd>
      <dt>{name}</dt>
    </div>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="report-part">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function siteWord(kind: "host" | "remote"): string {
  return kind === "host" ? reportWords.value.host : reportWords.value.remote;
}

function AttendanceTable({ summary }: { summary: Summary }) {
  const words = reportWords.value;
  const time = (at: string | null) => (at ? timeOfDay(Date.parse(at), lang.value) : "–");
  return (
    <Part title={words.attendance}>
      <table data-testid="attendance">
        <thead>
          <tr>
            <th scope="col">{words.school}</th>
            <th scope="col">{words.members}</th>
            <th scope="col">{words.firstJoin}</th>
            <th scope="col">{words.lastLeave}</th>
            <th scope="col" class="wide">
              {words.present}
            </th>
          </tr>
        </thead>
        <tbody>
          {summary.attendance.map((one) => {
            const { members } = one;
            return (
              <tr key={one.school} data-testid={`attendance-${one.school}`}>
                <th scope="row">
                  {schoolName(summary.lesson, one.school)}{" "}
                  <span class="tag">{siteWord(one.siteKind)}</span>
                </th>
                <td>
                  {one.attended
                    ? words.membersText(
                        members.classroom,
                        members.student,
                        members.teacher + members.assistant,
                      )
                    : words.absent}
                </td>
                <td class="number">{time(one.firstJoin)}</td>
                <td class="number">{time(one.lastLeave)}</td>
                <td>
                  <Bar share={one.shareOfLesson ?? 0} tone={one.siteKind}>
                    {words.minutes(one.minutesPresent.toFixed(1))}
                  </Bar>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Part>
  );
}

function Bar(props: { share: number; tone: string; children: ComponentChildren }) {
  const width = `${Math.min(100, Math.max(0, props.share * 100))}%`;
  return (
    <span class="bar">
      <span class="bar-track">
        {props.share > 0 && (
          <span class={`bar-fill bar-${props.tone}`} style={{ inlineSize: width }} />
        )}
      </span>
      <span class="bar-value">{props.children}</span>
    </span>
  );
}

function TalkPart({ summary }: { summary: Summary }) {
  const words = reportWords.value;
  const { talk } = summary;
  const roles = { T: words.roleT, A: words.roleA, S: words.roleS, C: words.roleC };
  const rows = (
    title: string,
    lines: {
      key: string;
      name: string;
      tone: string;
      ms: number;
      share: number | null;
      turns: number;
    }[],
  ) => (
    <div class="talk-group">
      <h3>{title}</h3>
      <ul class="bars">
        {lines.map((line) => (
          <li key={line.key} data-testid={`talk-${line.key}`} data-ms={line.ms}>
            <span class="bar-name">{line.name}</span>
            <Bar share={line.share ?? 0} tone={line.tone}>
              {clock(line.ms)}
              {line.share !== null && ` · ${percent(line.share)}`} · {words.turns(line.turns)}
            </Bar>
          </li>
        ))}
      </ul>
    </div>
  );
  return (
    <Part title={words.talk}>
      {talk.totalMs === 0 && <p class="quiet">{words.noTalk}</p>}
      {rows(
        words.bySide,
        talk.bySide.map((one) => ({
          ...one,
          key: one.siteKind,
          name: siteWord(one.siteKind),
          tone: one.siteKind,
        })),
      )}
      {rows(
        words.byRole,
        talk.byRole
          .filter((one) => one.role !== "A" || one.ms > 0)
          .map((one) => ({
            ...one,
            key: one.role,
            name: roles[one.role],
            tone: one.role === "T" ? "host" : "remote",
          })),
      )}
      {talk.bySchool.length > 2 &&
        rows(
          words.bySchool,
          talk.bySchool.map((one) => ({
            ...one,
            key: one.school,
            name: schoolName(summary.lesson, one.school),
            tone: one.siteKind,
          })),
        )}
      <p class="report-small">{words.talkNote(talk.source.confidence?.toFixed(2) ?? "–")}</p>
    </Part>
  );
}

function TakingPart({ summary }: { summary: Summary }) {
  const words = reportWords.value;
  const floor = new Map(summary.floor.map((one) => [one.school, one]));
  const never = summary.floor
    .filter((one) => one.times === 0)
    .map((one) => schoolName(summary.lesson, one.school));
  const separator = t.value.lang === "en" ? ", " : "、";
  return (
    <Part title={words.participation}>
      <table data-testid="participation">
        <thead>
          <tr>
            <th scope="col">{words.school}</th>
            <th scope="col">{words.raised}</th>
            <th scope="col">{words.answered}</th>
            <th scope="col">{words.wait}</th>
            <th scope="col">{words.floor}</th>
          </tr>
        </thead>
        <tbody>
          {summary.hands.map((one) => {
            const stage = floor.get(one.school);
            return (
              <tr key={one.school}>
                <th scope="row">
                  {schoolName(summary.lesson, one.school)}{" "}
                  <span class="tag">{siteWord(one.siteKind)}</span>
                </th>
                <td class="number">{words.times(one.raised)}</td>
                <td class="number">{words.times(one.answered)}</td>
                <td class="number">{one.medianWaitMs === null ? "–" : clock(one.medianWaitMs)}</td>
                <td class="number">
                  {stage ? `${words.times(stage.times)} · ${clock(stage.ms)}` : "–"}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <p>
        {words.coverage(percent(summary.equity.coverage))}
        {t.value.lang === "en" ? ". " : "。"}
        {never.length > 0 ? words.neverCalled(never.join(separator)) : words.allCalled}
      </p>
    </Part>
  );
}

/** The S–T sequence as a strip: dark where the teacher speaks. */
function SideToSide({ summary }: { summary: Summary }) {
  const words = reportWords.value;
  const { st } = summary;
  return (
    <Part title={words.st}>
      {st.n === 0 || st.type === null ? (
        <p class="quiet">{words.stNone}</p>
      ) : (
        <>
          <svg
            class="st-strip"
            viewBox={`0 0 ${st.n} 10`}
            preserveAspectRatio="none"
            role="img"
            aria-label={words.st}
          >
            {runsOf(st.sequence).map(({ letter, from, length }) => (
              <rect
                key={from}
                x={from}
                y="0"
                width={length}
                height="10"
                class={letter === "T" ? "st-t" : "st-s"}
              />
            ))}
          </svg>
          <p class="st-legend">
            <span class="st-key st-key-t" /> {words.stTeacher}
            <span class="st-key st-key-s" /> {words.stStudent}
          </p>
          <p>
            <strong>{words.stType[st.type]}</strong> ·{" "}
            {words.stText(st.rt?.toFixed(2) ?? "–", st.ch?.toFixed(2) ?? "–")}
          </p>
        </>
      )}
    </Part>
  );
}
