// Notes with their times and a sheet to judge by (听评课): beside a lesson, and beside its replay.

import { Clock, Download, NotebookPen, Plus, RotateCcw, Send, Trash2 } from "lucide";
import { useId, useState } from "preact/hooks";
import { timeOfDay } from "../i18n/format.ts";
import { lang, t } from "../i18n/index.ts";
import { observerWords } from "../i18n/sections/observer.ts";
import type { Score } from "../protocol/interactions.ts";
import { Button, IconButton } from "../ui/controls.tsx";
import { Icon } from "../ui/icon.tsx";
import { type Book, NOTE_MOST } from "./book.ts";
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
import "../lesson/class.css";
import "./review.css";

interface Props {
  book: Book;
  /** The moment a note begun now is about. */
  nowMs: () => number;
  /** Changes with the time that is shown, where nothing else draws this anew. */
  now?: number;
  /** A moment as people say it. */
  time: (atMs: number) => string;
  /** Of files that are exported. */
  name: string;
  /** Leads to what a note is about. */
  onSeek?: (atMs: number) => void;
}

export function Review(props: Props) {
  const [tab, setTab] = useState<"notes" | "sheet">("notes");
  const words = observerWords.value;
  return (
    <div class="review" data-testid="review">
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
      {tab === "notes" ? <Notes {...props} /> : <Sheet {...props} />}
    </div>
  );
}

function download(name: string, rows: string[][]): void {
  const url = URL.createObjectURL(new Blob([table(rows)], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

function Notes({ book, nowMs, time, name, onSeek }: Props) {
  const words = observerWords.value;
  const notes = book.notes.value;
  const { text, atMs } = book.draft.value;
  const field = useId();
  const save = () => book.note(nowMs());
  const exported = () => {
    const { columns } = words;
    const rows = notes.map((note) => [
      time(note.atMs),
      timeOfDay(note.atMs, lang.value),
      note.text,
    ]);
    download(`${words.exportName}-${name}.csv`, [
      [columns.clock, columns.time, columns.text],
      ...rows,
    ]);
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
          onInput={(event) => book.write(event.currentTarget.value, nowMs())}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
              event.preventDefault();
              save();
            }
          }}
        />
        <div class="card-line">
          <span class="quiet note-at">{words.at(time(atMs ?? nowMs()))}</span>
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
            <Button icon={Download} testId="note-export" onClick={exported}>
              {words.exportNotes}
            </Button>
          </div>
          <ol class="note-list" data-testid="note-list">
            {notes.map((note) => (
              <li key={note.key} class="note" data-waits={note.waits}>
                {onSeek ? (
                  <button
                    type="button"
                    class="note-time note-seek"
                    aria-label={words.seek(time(note.atMs))}
                    onClick={() => onSeek(note.atMs)}
                  >
                    {time(note.atMs)}
                  </button>
                ) : (
                  <span class="note-time">{time(note.atMs)}</span>
                )}
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

function Sheet({ book, name: of }: Props) {
  const words = observerWords.value;
  const sent = book.submitted.value;
  const sheet = book.sheet.value ?? sent ?? defaultSheet(words.criteria);
  const ready = submittable(sheet);
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
            const change = (next: Partial<typeof row>) => book.fill(withRow(sheet, at, next));
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
                    onClick={() => book.fill(sheet.filter((_, index) => index !== at))}
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
            onClick={() => book.fill([...sheet, { criterion: "", points: 0, of: 10 }])}
          >
            {words.addRow}
          </Button>
          <Button look="quiet" icon={RotateCcw} onClick={() => book.fill(undefined)}>
            {words.reset}
          </Button>
        </span>
      </div>
      <Submit book={book} ready={ready} sent={sent} />
      <Button
        icon={Download}
        disabled={ready.length === 0}
        testId="sheet-export"
        onClick={() =>
          download(`${words.sheetName}-${of}.csv`, [
            [words.criterion, words.points, words.of],
            ...ready.map((row) => [row.criterion, String(row.points), String(row.of)]),
          ])
        }
      >
        {words.exportNotes}
      </Button>
    </section>
  );
}

function Submit(props: { book: Book; ready: Score[]; sent: readonly Score[] | undefined }) {
  const { book, ready, sent } = props;
  const words = observerWords.value;
  const waits = book.sheetWaits.value;
  const same = sent !== undefined && sameSheet(ready, sent);
  return (
    <>
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
        onClick={() => book.submit(ready)}
      >
        {words.submit}
      </Button>
    </>
  );
}
