// The observer's page: the lesson as a class sees it, and beside it notes with their times and a
// sheet to judge by.

import { Clock, Download, EyeOff, NotebookPen, Plus, RotateCcw, Send, Trash2 } from "lucide";
import { useId, useState } from "preact/hooks";
import { clock, timeOfDay } from "../../i18n/format.ts";
import { lang, t } from "../../i18n/index.ts";
import { observerWords } from "../../i18n/sections/observer.ts";
import { CaptionLine } from "../../lesson/caption.tsx";
import { nodeNow } from "../../lesson/clock.ts";
import { LineBadge, LineBanner } from "../../lesson/line-view.tsx";
import { sceneOf } from "../../lesson/scene.ts";
import { isAway, Showing, useHeld } from "../../lesson/showing.tsx";
import { SoundGate } from "../../lesson/sound-gate.tsx";
import { Button, IconButton, LanguageSwitch } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Video } from "../../ui/video.tsx";
import { table } from "./notes.ts";
import {
  CRITERION_MOST,
  defaultSheet,
  MOST_ROWS,
  sameSheet,
  submittable,
  total,
  withRow,
} from "./sheet.ts";
import type { Watch } from "./watch.ts";

/** The longest note the lesson takes, in characters. */
const NOTE_MOST = 1000;

interface Props {
  watch: Watch;
}

export function Lesson({ watch }: Props) {
  const { session } = watch;
  const { state } = session;
  const [tab, setTab] = useState<"notes" | "sheet">("notes");
  const words = observerWords.value;
  if (!state) return null;
  return (
    <div class="observer" data-testid="observer" data-phase={state.phase}>
      <header class="observer-head">
        <h1>{state.info.title}</h1>
        <span class="quiet observer-teacher">{state.info.teacher}</span>
        <span class="spring" />
        {state.phase === "live" && (
          <span class="elapsed" data-testid="elapsed">
            {clock(session.elapsed.value)}
          </span>
        )}
        <LineBadge session={session} />
        <LanguageSwitch compact />
      </header>
      <LineBanner session={session} />
      <main class="observer-main">
        <div class="observer-lesson">
          <Pictures watch={watch} />
          <CaptionLine session={session} />
          <p class="badge" data-testid="silent">
            <Icon of={EyeOff} />
            {words.silent}
          </p>
        </div>
        <div class="observer-side">
          <div class="tabs">
            {(["notes", "sheet"] as const).map((one) => (
              <Button
                key={one}
                look="quiet"
                pressed={tab === one}
                testId={`tab-${one}`}
                onClick={() => setTab(one)}
              >
                {words[one]}
              </Button>
            ))}
          </div>
          {tab === "notes" ? <Notes watch={watch} /> : <Sheet watch={watch} />}
        </div>
      </main>
    </div>
  );
}

function Pictures({ watch }: Props) {
  const { session } = watch;
  const { state, socket } = session;
  const me = socket.you.value?.id ?? "";
  const scene = useHeld(state && sceneOf(state, me), isAway(session));
  if (!state || !scene) return null;
  const nameOf = (id: string) => state.members[id]?.name ?? id;
  return (
    <div class="observer-pictures">
      <Showing session={session} scene={scene} named />
      {scene.beside.length > 0 && (
        <div class="observer-beside">
          {scene.beside.map((id) => (
            <figure key={id} class="frame">
              <Video
                track={session.incoming(id, "camera")}
                label={t.value.teacher.pictureOf(nameOf(id))}
                testId={`small-${id}`}
              />
              <figcaption class="frame-name">{nameOf(id)}</figcaption>
            </figure>
          ))}
        </div>
      )}
      <SoundGate session={session} />
    </div>
  );
}

/** A time of the lesson as people say it. */
function lessonTime(startedMs: number | undefined, atMs: number, before: string): string {
  return startedMs === undefined || atMs < startedMs ? before : clock(atMs - startedMs);
}

function Notes({ watch }: Props) {
  const { session } = watch;
  const { state } = session;
  const words = observerWords.value;
  const notes = watch.notes.value;
  const { text, atMs } = watch.draft.value;
  const field = useId();
  if (!state) return null;
  const now = nodeNow(session);
  const time = (ms: number) => lessonTime(state.startedMs, ms, words.before);
  const save = () => watch.note(nodeNow(session));
  const download = () => {
    const { columns } = words;
    const rows = notes.map((note) => [
      time(note.atMs),
      timeOfDay(note.atMs, lang.value),
      note.text,
    ]);
    const csv = table([[columns.clock, columns.time, columns.text], ...rows]);
    const url = URL.createObjectURL(new Blob([csv], { type: "text/csv;charset=utf-8" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `${words.exportName}-${session.entry.lesson}.csv`;
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <section class="notes" aria-label={words.notes} data-testid="notes">
      <form
        class="note-write"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <label for={field}>{words.write}</label>
        <textarea
          id={field}
          class="text-input"
          rows={3}
          maxLength={NOTE_MOST}
          value={text}
          data-testid="note-text"
          onInput={(event) => watch.write(event.currentTarget.value, nodeNow(session))}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
              event.preventDefault();
              save();
            }
          }}
        />
        <div class="card-line">
          <span class="quiet note-at">{words.at(time(atMs ?? now))}</span>
          <Button
            look="accent"
            icon={NotebookPen}
            disabled={text.trim() === ""}
            testId="note-add"
            onClick={save}
          >
            {words.add}
          </Button>
        </div>
        <p class="quiet note-how">{words.addHow}</p>
      </form>
      {notes.length === 0 ? (
        <p class="quiet note-none">{words.none}</p>
      ) : (
        <>
          <div class="card-line">
            <span class="quiet">{words.count(notes.length)}</span>
            <Button icon={Download} testId="note-export" onClick={download}>
              {words.exportNotes}
            </Button>
          </div>
          <ol class="note-list" data-testid="note-list">
            {notes.map((note) => (
              <li key={note.key} class="note" data-waits={note.waits}>
                <span class="note-time">{time(note.atMs)}</span>
                <span class="note-said">
                  {note.text}
                  {note.waits && (
                    <span class="note-waits tone-caution">
                      <Icon of={Clock} size={14} />
                      {words.waits}
                    </span>
                  )}
                </span>
              </li>
            ))}
          </ol>
        </>
      )}
    </section>
  );
}

function Sheet({ watch }: Props) {
  const { session } = watch;
  const words = observerWords.value;
  const me = session.socket.you.value?.id ?? "";
  const sent = session.state?.sheets[me];
  const sheet = watch.sheet.value ?? sent ?? defaultSheet(words.criteria);
  const ready = submittable(sheet);
  const waits = session.socket.waiting.value.some(({ command }) => command.do === "score");
  const same = sent !== undefined && sameSheet(ready, sent);
  const sum = total(sheet);
  return (
    <section class="score" aria-label={words.sheet} data-testid="sheet">
      <p class="quiet">{words.sheetHow}</p>
      <table class="score-table">
        <thead>
          <tr>
            <th scope="col">{words.criterion}</th>
            <th scope="col">{words.points}</th>
            <th scope="col">{words.of}</th>
            <th>
              <span class="unseen">{words.removeRow("")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sheet.map((row, at) => {
            const name = row.criterion || `${words.criterion} ${at + 1}`;
            const change = (next: Partial<typeof row>) => watch.fill(withRow(sheet, at, next));
            return (
              <tr key={`row-${at}`}>
                <td>
                  <textarea
                    class="text-input"
                    rows={2}
                    maxLength={CRITERION_MOST}
                    value={row.criterion}
                    aria-label={`${words.criterion} ${at + 1}`}
                    onInput={(event) => change({ criterion: event.currentTarget.value })}
                  />
                </td>
                <td>
                  <input
                    class="text-input score-number"
                    type="number"
                    min={0}
                    max={row.of}
                    value={row.points}
                    aria-label={`${words.points}${t.value.common.colon}${name}`}
                    data-testid={`points-${at}`}
                    onInput={(event) => change({ points: event.currentTarget.valueAsNumber })}
                  />
                </td>
                <td>
                  <input
                    class="text-input score-number"
                    type="number"
                    min={1}
                    max={100}
                    value={row.of}
                    aria-label={`${words.of}${t.value.common.colon}${name}`}
                    onInput={(event) => change({ of: event.currentTarget.valueAsNumber })}
                  />
                </td>
                <td>
                  <IconButton
                    icon={Trash2}
                    name={words.removeRow(name)}
                    onClick={() => watch.fill(sheet.filter((_, index) => index !== at))}
                  />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <div class="card-line">
        <strong class="score-total" data-testid="total">
          {words.total(sum.points, sum.of)}
        </strong>
        <span class="score-edit">
          <Button
            look="quiet"
            icon={Plus}
            disabled={sheet.length >= MOST_ROWS}
            testId="row-add"
            onClick={() => watch.fill([...sheet, { criterion: "", points: 0, of: 10 }])}
          >
            {words.addRow}
          </Button>
          <Button look="quiet" icon={RotateCcw} onClick={() => watch.fill(undefined)}>
            {words.reset}
          </Button>
        </span>
      </div>
      <p
        class={waits ? "tone-caution" : same ? "tone-good" : "quiet"}
        role="status"
        data-testid="sheet-standing"
        data-standing={waits ? "waits" : same ? "counted" : "unsent"}
      >
        {waits ? words.sheetWaits : same ? words.submitted : words.unsent}
      </p>
      <Button
        look="accent"
        icon={Send}
        className="button-big"
        disabled={ready.length === 0}
        testId="sheet-submit"
        onClick={() => watch.ask({ do: "score", sheet: ready })}
      >
        {words.submit}
      </Button>
    </section>
  );
}
