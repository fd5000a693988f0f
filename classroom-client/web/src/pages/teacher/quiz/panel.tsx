// Quiz and poll: one click for an answer sheet, prepared questions, an editor, a file; while one
// is open its results as they come.

import { useSignal } from "@preact/signals";
import { ChartColumn, FileUp, ListChecks, Pencil, Play, Plus, Trash2 } from "lucide";
import { useRef } from "preact/hooks";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { quizDeskWords } from "../../../i18n/sections/quiz-desk.ts";
import type { LessonState, QuizKind } from "../../../protocol/words.ts";
import { Choose } from "../../../ui/choose.tsx";
import { Button, IconButton } from "../../../ui/controls.tsx";
import { notify } from "../../../ui/notices.tsx";
import type { Desk } from "../desk.ts";
import { Panel } from "../panels/panel.tsx";
import {
  type Draft,
  loadDrafts,
  newDraft,
  opening,
  problemOf,
  removeDraft,
  saveDraft,
} from "./draft.ts";
import { Editor } from "./editor.tsx";
import { decode, type Imported, importQuestions } from "./import.ts";
import { Results, ResultsActions } from "./results.tsx";
import { openingSheet, polls, type Sheet, sheets } from "./sheets.ts";

const SECONDS = [0, 30, 60, 120] as const;
/** A file of questions is text: anything larger is something else. */
const LARGEST_FILE = 1_000_000;

interface Props {
  desk: Desk;
  state: LessonState;
  kind: QuizKind;
  onClose: () => void;
}

export function QuizPanel({ desk, state, kind, onClose }: Props) {
  const words = quizDeskWords.value;
  const anew = useSignal("");
  const editing = useSignal<Draft | undefined>(undefined);
  const drafts = useSignal<readonly Draft[]>(loadDrafts(localStorage));
  const quiz = state.quiz?.kind === kind ? state.quiz : undefined;
  const shown = quiz && anew.value !== quiz.id ? quiz : undefined;
  const start = (draft: Draft) => {
    void desk.ask(opening(draft)).then((done) => {
      if (done) editing.value = undefined;
    });
  };
  const save = (draft: Draft) => {
    drafts.value = saveDraft(localStorage, { ...draft, changedMs: Date.now() });
    notify(words.saved);
  };
  return (
    <Panel
      title={deskWords.value.tool[kind]}
      icon={kind === "quiz" ? ListChecks : ChartColumn}
      testId={`panel-${kind}`}
      onClose={onClose}
      wide
      actions={
        shown && (
          <ResultsActions
            desk={desk}
            quiz={shown}
            onNew={() => {
              anew.value = shown.id;
            }}
          />
        )
      }
    >
      {shown ? (
        <Results key={shown.id} desk={desk} state={state} quiz={shown} />
      ) : (
        <>
          <OneClick desk={desk} kind={kind} />
          <Drafts
            kind={kind}
            drafts={drafts.value.filter((draft) => draft.kind === kind)}
            onStart={start}
            onEdit={(draft) => {
              editing.value = draft;
            }}
            onRemove={(draft) => {
              drafts.value = removeDraft(localStorage, draft.id);
              notify(words.removed(draft.title || words.untitled), {
                undo: () => {
                  drafts.value = saveDraft(localStorage, draft);
                },
              });
            }}
          />
        </>
      )}
      {editing.value && (
        <Editor
          key={editing.value.id}
          draft={editing.value}
          onSave={save}
          onStart={(draft) => {
            save(draft);
            start(draft);
          }}
          onClose={() => {
            editing.value = undefined;
          }}
        />
      )}
    </Panel>
  );
}

function OneClick({ desk, kind }: { desk: Desk; kind: QuizKind }) {
  const words = quizDeskWords.value;
  const seconds = useSignal<number>(0);
  const offered = kind === "quiz" ? sheets(words) : polls(words);
  const open = (sheet: Sheet) => void desk.ask(openingSheet(kind, sheet, seconds.value));
  return (
    <section aria-labelledby="sheet-title">
      <h3 id="sheet-title">{words.sheet}</h3>
      <p class="quiet">{words.sheetText}</p>
      <div class="names-row">
        {offered.map((sheet) => (
          <Button key={sheet.id} testId={`sheet-${sheet.id}`} onClick={() => open(sheet)}>
            {sheet.label}
          </Button>
        ))}
      </div>
      <Choose
        name={panelWords.value.time}
        named
        testId={`${kind}-seconds`}
        chosen={seconds.value}
        choices={SECONDS.map((value) => ({
          value,
          label: value === 0 ? panelWords.value.noLimit : panelWords.value.seconds(value),
        }))}
        onChoose={(next) => {
          seconds.value = next;
        }}
      />
    </section>
  );
}

interface DraftsProps {
  kind: QuizKind;
  drafts: readonly Draft[];
  onStart: (draft: Draft) => void;
  onEdit: (draft: Draft) => void;
  onRemove: (draft: Draft) => void;
}

function Drafts({ kind, drafts, onStart, onEdit, onRemove }: DraftsProps) {
  const words = quizDeskWords.value;
  const file = useRef<HTMLInputElement>(null);
  const said = useSignal<Imported | undefined>(undefined);
  const take = async (chosen: File | undefined) => {
    if (!chosen) return;
    const bytes = new Uint8Array(await chosen.slice(0, LARGEST_FILE).arrayBuffer());
    const imported = importQuestions(decode(bytes));
    said.value = imported;
    if (imported.items.length === 0) return;
    const title = imported.title || chosen.name.replace(/\.[^.]+$/, "");
    onEdit({ ...newDraft(kind, Date.now()), title, items: imported.items });
  };
  return (
    <section aria-labelledby="drafts-title">
      <h3 id="drafts-title">{words.drafts}</h3>
      {drafts.length === 0 && <p class="quiet">{words.noDrafts}</p>}
      <ul class="plain-list" data-testid="drafts">
        {drafts.map((draft) => {
          const title = draft.title || draft.items[0]?.prompt || words.untitled;
          const ready = draft.items.length > 0 && !draft.items.some(problemOf);
          return (
            <li key={draft.id} class="draft">
              <span class="hand-who">
                <strong class="draft-title">{title}</strong>
                <span class="quiet">{words.draftItems(draft.items.length)}</span>
              </span>
              <Button
                icon={Play}
                disabled={!ready}
                testId="draft-start"
                onClick={() => onStart(draft)}
              >
                {words.open}
              </Button>
              <IconButton
                icon={Pencil}
                name={`${words.edit}: ${title}`}
                onClick={() => onEdit(draft)}
              />
              <IconButton
                icon={Trash2}
                name={`${words.remove}: ${title}`}
                onClick={() => onRemove(draft)}
              />
            </li>
          );
        })}
      </ul>
      <div class="names-row">
        <Button icon={Plus} testId="draft-new" onClick={() => onEdit(newDraft(kind, Date.now()))}>
          {kind === "quiz" ? words.newQuiz : words.newPoll}
        </Button>
        <Button icon={FileUp} testId="draft-import" onClick={() => file.current?.click()}>
          {words.import}
        </Button>
        <input
          ref={file}
          type="file"
          class="unseen"
          accept=".txt,.csv,.md,text/plain,text/csv"
          tabIndex={-1}
          aria-label={words.import}
          data-testid="draft-file"
          onChange={(event) => {
            void take(event.currentTarget.files?.[0]);
            event.currentTarget.value = "";
          }}
        />
      </div>
      {said.value && <ImportSaid imported={said.value} />}
    </section>
  );
}

function ImportSaid({ imported }: { imported: Imported }) {
  const words = quizDeskWords.value;
  const { items, problems } = imported;
  return (
    <div role="status" data-testid="imported">
      <p>{items.length > 0 ? words.imported(items.length) : words.importNothing}</p>
      {problems.length > 0 && (
        <p class="tone-caution">
          {words.importSkipped}{" "}
          {problems
            .map(
              ({ line, problem }) => `${words.importLine(line)} (${words.importProblem[problem]})`,
            )
            .join("、")}
        </p>
      )}
    </div>
  );
}
