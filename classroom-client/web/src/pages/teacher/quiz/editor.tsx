// Writing a quiz or poll: items one under the other, each of a kind, with what is right marked.

import { useSignal } from "@preact/signals";
import { ArrowDown, ArrowUp, Plus, Trash2, X } from "lucide";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { quizDeskWords } from "../../../i18n/sections/quiz-desk.ts";
import { letter } from "../../../lesson/results.ts";
import type { Item, ItemKind, QuizKind } from "../../../protocol/words.ts";
import { Button, IconButton } from "../../../ui/controls.tsx";
import { Dialog } from "../../../ui/dialog.tsx";
import {
  asKind,
  type Draft,
  emptyItem,
  marksRight,
  problemOf,
  toggleRight,
  withoutChoice,
} from "./draft.ts";
import { LIMITS } from "./limits.ts";

const QUIZ_KINDS: readonly ItemKind[] = ["single", "multiple", "true-false", "number", "text"];
const POLL_KINDS: readonly ItemKind[] = ["single", "multiple", "text"];
const SECONDS = [0, 30, 60, 120, 180, 300, 600] as const;

interface Props {
  draft: Draft;
  onSave: (draft: Draft) => void;
  onStart: (draft: Draft) => void;
  onClose: () => void;
}

export function Editor({ draft: given, onSave, onStart, onClose }: Props) {
  const words = quizDeskWords.value;
  const draft = useSignal(given);
  const { kind, items, title, seconds } = draft.value;
  const change = (next: Partial<Draft>) => {
    draft.value = { ...draft.value, ...next };
  };
  const put = (index: number, item: Item) => change({ items: items.with(index, item) });
  const swap = (index: number, other: number) => {
    const [a, b] = [items[index], items[other]];
    if (a && b) change({ items: items.with(index, b).with(other, a) });
  };
  const unready = items.filter((item) => problemOf(item)).length;
  return (
    <Dialog
      wide
      title={kind === "quiz" ? words.editorQuiz : words.editorPoll}
      testId="quiz-editor"
      onClose={onClose}
      actions={
        <>
          <span class="editor-note quiet" role="status">
            {unready > 0 ? words.problems(unready) : ""}
          </span>
          <Button onClick={onClose}>{words.cancel}</Button>
          <Button testId="editor-save" onClick={() => onSave(draft.value)}>
            {words.save}
          </Button>
          <Button
            look="accent"
            disabled={unready > 0 || items.length === 0}
            testId="editor-start"
            onClick={() => onStart(draft.value)}
          >
            {words.start}
          </Button>
        </>
      }
    >
      <div class="editor-head">
        <label class="field">
          <span class="field-name">{words.title}</span>
          <input
            class="text-input"
            type="text"
            autocomplete="off"
            maxLength={LIMITS.title}
            value={title}
            data-testid="editor-title"
            onInput={(event) => change({ title: event.currentTarget.value })}
          />
        </label>
        <label class="field">
          <span class="field-name">{words.seconds}</span>
          <select
            value={String(seconds ?? 0)}
            onChange={(event) => {
              const chosen = Number(event.currentTarget.value);
              change({ seconds: chosen > 0 ? chosen : undefined });
            }}
          >
            {SECONDS.map((value) => (
              <option key={value} value={String(value)}>
                {value === 0 ? panelWords.value.noLimit : panelWords.value.seconds(value)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <ol class="editor-items">
        {items.map((item, index) => (
          <ItemEditor
            key={index}
            index={index}
            of={items.length}
            kind={kind}
            item={item}
            onChange={(next) => put(index, next)}
            onMove={(by) => swap(index, index + by)}
            onRemove={() => change({ items: items.toSpliced(index, 1) })}
          />
        ))}
      </ol>
      {items.length < LIMITS.items ? (
        <Button
          icon={Plus}
          testId="editor-add"
          onClick={() => change({ items: [...items, emptyItem(items.at(-1)?.kind ?? "single")] })}
        >
          {words.addItem}
        </Button>
      ) : (
        <p class="quiet">{words.tooMany(LIMITS.items)}</p>
      )}
    </Dialog>
  );
}

interface ItemProps {
  index: number;
  of: number;
  kind: QuizKind;
  item: Item;
  onChange: (item: Item) => void;
  onMove: (by: 1 | -1) => void;
  onRemove: () => void;
}

function ItemEditor({ index, of, kind, item, onChange, onMove, onRemove }: ItemProps) {
  const words = quizDeskWords.value;
  const problem = problemOf(item);
  const kinds = kind === "quiz" ? QUIZ_KINDS : POLL_KINDS;
  const name = words.item(index + 1);
  return (
    <li class="editor-item">
      <fieldset aria-label={name}>
        <div class="editor-item-head">
          <strong>{name}</strong>
          <select
            aria-label={`${name}: ${words.kind}`}
            value={item.kind}
            data-testid={`item-kind-${index}`}
            onChange={(event) => onChange(asKind(item, event.currentTarget.value as ItemKind))}
          >
            {kinds.map((one) => (
              <option key={one} value={one}>
                {words.kinds[one]}
              </option>
            ))}
          </select>
          <span class="spring" />
          {index > 0 && (
            <IconButton icon={ArrowUp} name={`${name}: ${words.up}`} onClick={() => onMove(-1)} />
          )}
          {index < of - 1 && (
            <IconButton
              icon={ArrowDown}
              name={`${name}: ${words.down}`}
              onClick={() => onMove(1)}
            />
          )}
          {of > 1 && (
            <IconButton icon={Trash2} name={`${name}: ${words.removeItem}`} onClick={onRemove} />
          )}
        </div>
        <textarea
          class="text-input"
          rows={2}
          maxLength={LIMITS.prompt}
          placeholder={words.prompt}
          aria-label={`${name}: ${words.prompt}`}
          data-testid={`item-prompt-${index}`}
          value={item.prompt}
          onInput={(event) => onChange({ ...item, prompt: event.currentTarget.value })}
        />
        {(item.kind === "single" || item.kind === "multiple") && (
          <Choices index={index} kind={kind} item={item} onChange={onChange} />
        )}
        {kind === "quiz" && item.kind === "true-false" && (
          <div class="names-row">
            {[words.yes, words.no].map((word, choice) => (
              <button
                type="button"
                key={word}
                class="name"
                aria-pressed={marksRight(item, choice)}
                aria-label={words.right(word)}
                onClick={() => onChange(toggleRight(item, choice))}
              >
                {word}
              </button>
            ))}
          </div>
        )}
        {kind === "quiz" && item.kind === "number" && (
          <NumberRight item={item} onChange={onChange} />
        )}
        {kind === "quiz" && item.kind === "text" && <TextRight item={item} onChange={onChange} />}
        {problem && item.prompt !== "" && <p class="tone-caution">{words.problem[problem]}</p>}
      </fieldset>
    </li>
  );
}

function Choices(props: {
  index: number;
  kind: QuizKind;
  item: Item;
  onChange: (item: Item) => void;
}) {
  const { index, kind, item, onChange } = props;
  const words = quizDeskWords.value;
  const choices = item.choices ?? [];
  return (
    <div class="editor-choices">
      {kind === "quiz" && <p class="quiet">{words.rightHint}</p>}
      {choices.map((choice, at) => (
        <div key={at} class="editor-choice">
          {kind === "quiz" ? (
            <button
              type="button"
              class="choice-letter"
              aria-pressed={marksRight(item, at)}
              aria-label={words.right(letter(at))}
              data-testid={`right-${index}-${at}`}
              onClick={() => onChange(toggleRight(item, at))}
            >
              {letter(at)}
            </button>
          ) : (
            <span class="choice-letter">{letter(at)}</span>
          )}
          <input
            class="text-input"
            type="text"
            autocomplete="off"
            maxLength={LIMITS.choice}
            aria-label={words.choice(letter(at))}
            data-testid={`choice-${index}-${at}`}
            value={choice}
            onInput={(event) =>
              onChange({ ...item, choices: choices.with(at, event.currentTarget.value) })
            }
          />
          {choices.length > 2 && (
            <IconButton
              icon={X}
              name={words.removeChoice(letter(at))}
              onClick={() => onChange(withoutChoice(item, at))}
            />
          )}
        </div>
      ))}
      {choices.length < LIMITS.choices && (
        <Button
          icon={Plus}
          look="quiet"
          testId={`add-choice-${index}`}
          onClick={() => onChange({ ...item, choices: [...choices, ""] })}
        >
          {words.addChoice}
        </Button>
      )}
    </div>
  );
}

function NumberRight({ item, onChange }: { item: Item; onChange: (item: Item) => void }) {
  const words = quizDeskWords.value;
  const { correct, tolerance, ...rest } = item;
  const right = correct && "number" in correct ? correct.number : undefined;
  const put = (number: number | undefined, within: number | undefined) => {
    if (number === undefined) onChange(rest);
    else {
      const next: Item = { ...rest, correct: { number } };
      onChange(within === undefined ? next : { ...next, tolerance: within });
    }
  };
  const value = (input: HTMLInputElement) =>
    Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : undefined;
  return (
    <div class="inline-form">
      <label class="field">
        <span class="field-name">{words.rightNumber}</span>
        <input
          class="text-input"
          type="number"
          step="any"
          value={right}
          onInput={(event) => put(value(event.currentTarget), tolerance)}
        />
      </label>
      <label class="field">
        <span class="field-name">{words.tolerance}</span>
        <input
          class="text-input"
          type="number"
          step="any"
          min={0}
          disabled={right === undefined}
          value={tolerance}
          onInput={(event) => put(right, value(event.currentTarget))}
        />
      </label>
    </div>
  );
}

function TextRight({ item, onChange }: { item: Item; onChange: (item: Item) => void }) {
  const words = quizDeskWords.value;
  const { correct, ...rest } = item;
  return (
    <label class="field">
      <span class="field-name">{words.rightText}</span>
      <input
        class="text-input"
        type="text"
        autocomplete="off"
        maxLength={LIMITS.text}
        value={correct && "text" in correct ? correct.text : ""}
        onInput={(event) => {
          const text = event.currentTarget.value;
          onChange(text === "" ? rest : { ...rest, correct: { text } });
        }}
      />
    </label>
  );
}
