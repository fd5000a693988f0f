// Results as they come: bars for the whole class, figures by school. No child is named and none
// is ranked; who answered what stays with the lesson's report.

import { useSignal } from "@preact/signals";
import { Check, ChevronLeft, ChevronRight, Eye, Square } from "lucide";
import { percent } from "../../../i18n/format.ts";
import { quizDeskWords } from "../../../i18n/sections/quiz-desk.ts";
import { leftClock } from "../../../lesson/clock.ts";
import { type ItemResult, letter, resultOf } from "../../../lesson/results.ts";
import {
  type Answer,
  type Item,
  type LessonInfo,
  type LessonState,
  type Quiz,
  schoolName,
} from "../../../protocol/words.ts";
import { Button, IconButton } from "../../../ui/controls.tsx";
import { Icon } from "../../../ui/icon.tsx";
import type { Desk } from "../desk.ts";
import { marksRight } from "./draft.ts";

interface Props {
  desk: Desk;
  state: LessonState;
  quiz: Quiz;
}

export function Results({ desk, state, quiz }: Props) {
  const words = quizDeskWords.value;
  const at = useSignal(0);
  const index = Math.min(at.value, quiz.items.length - 1);
  const item = quiz.items[index];
  if (!item) return null;
  const result = resultOf(state, quiz, index);
  const open = quiz.closedMs === undefined;
  const revealed = quiz.tallies !== undefined;
  return (
    <div class="results" data-testid="results" data-open={open} data-revealed={revealed}>
      {quiz.title && <p class="quiet">{quiz.title}</p>}
      {quiz.items.length > 1 && (
        <div class="results-turn">
          <IconButton
            icon={ChevronLeft}
            name={words.previous}
            onClick={() => {
              at.value = Math.max(0, index - 1);
            }}
          />
          <span>{words.itemOf(index + 1, quiz.items.length)}</span>
          <IconButton
            icon={ChevronRight}
            name={words.next}
            testId="results-next"
            onClick={() => {
              at.value = Math.min(quiz.items.length - 1, index + 1);
            }}
          />
        </div>
      )}
      <p class="results-prompt">{item.prompt}</p>
      <p class="panel-lead">
        <strong data-testid="results-answered">
          {result.of > 0
            ? words.answered(result.answered, result.of)
            : words.answeredOnly(result.answered)}
        </strong>
        {result.right !== undefined && (
          <span data-testid="results-right"> · {words.rightCount(result.right)}</span>
        )}
        {open && quiz.closesMs !== undefined && (
          <span class="quiet"> · {words.closesIn(leftClock(desk.session, quiz.closesMs))}</span>
        )}
      </p>
      <Bars item={item} result={result} />
      {result.schools.length > 1 && <BySchool info={state.info} item={item} result={result} />}
      <p class="quiet" role="status">
        {revealed ? words.revealed : open ? words.onlyYou : `${words.closed} · ${words.onlyYou}`}
      </p>
    </div>
  );
}

export function ResultsActions(props: { desk: Desk; quiz: Quiz; onNew: () => void }) {
  const { desk, quiz, onNew } = props;
  const words = quizDeskWords.value;
  const open = quiz.closedMs === undefined;
  return (
    <>
      {open && (
        <Button
          icon={Square}
          testId="quiz-close"
          onClick={() => void desk.ask({ do: "close-quiz", quiz: quiz.id })}
        >
          {words.close}
        </Button>
      )}
      {!quiz.tallies && (
        <Button
          key={open ? "early" : "due"}
          icon={Eye}
          look={open ? "plain" : "accent"}
          testId="quiz-reveal"
          onClick={() => void desk.ask({ do: "reveal-quiz", quiz: quiz.id })}
        >
          {words.reveal}
        </Button>
      )}
      {!open && (
        <Button
          key={quiz.tallies ? "next" : "other"}
          look={quiz.tallies ? "accent" : "plain"}
          testId="quiz-new"
          onClick={onNew}
        >
          {words.newOne}
        </Button>
      )}
    </>
  );
}

/** What stands beside a bar. */
function labels(item: Item): { short: string; text: string }[] {
  const words = quizDeskWords.value;
  if (item.kind === "true-false") {
    return [words.yes, words.no].map((short) => ({ short, text: "" }));
  }
  return (item.choices ?? []).map((choice, index) => {
    const short = letter(index);
    return { short, text: choice === short ? "" : choice };
  });
}

function Bars({ item, result }: { item: Item; result: ItemResult }) {
  const words = quizDeskWords.value;
  if (result.counts.length === 0) return <Written item={item} result={result} />;
  return (
    <ul class="bars" data-testid="bars">
      {labels(item).map(({ short, text }, index) => {
        const count = result.counts[index] ?? 0;
        const share = result.answered > 0 ? count / result.answered : 0;
        const right = marksRight(item, index);
        return (
          <li
            key={short}
            class={right ? "bar bar-right" : "bar"}
            data-testid={`bar-${index}`}
            data-count={count}
          >
            <span class="bar-letter">{short}</span>
            <span class="bar-what">
              <span class="bar-text">
                {text}
                {right && (
                  <span class="bar-mark">
                    <Icon of={Check} size={14} />
                    {words.correct}
                  </span>
                )}
              </span>
              <span class="bar-line" aria-hidden="true">
                <span class="bar-fill" style={{ inlineSize: percent(share) }} />
              </span>
            </span>
            <span class="bar-count">
              {words.people(count)} · {percent(share)}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function rightOf(correct: Answer | undefined): string | undefined {
  if (!correct) return undefined;
  if ("text" in correct) return correct.text;
  return "number" in correct ? String(correct.number) : undefined;
}

function Written({ item, result }: { item: Item; result: ItemResult }) {
  const words = quizDeskWords.value;
  const right = rightOf(item.correct);
  return (
    <>
      {right !== undefined && (
        <p class="tone-good">
          {words.correct}: {right}
        </p>
      )}
      {result.words.length === 0 && <p class="quiet">{words.writtenNone}</p>}
      <ul class="written" data-testid="written">
        {result.words.map(({ text, times }) => (
          <li key={text}>
            <span class="written-text">{text}</span>
            <span class="count">{times}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function BySchool({ info, item, result }: { info: LessonInfo; item: Item; result: ItemResult }) {
  const words = quizDeskWords.value;
  const heads = labels(item);
  return (
    <table class="panel-table results-schools">
      <caption class="field-name">{words.bySchool}</caption>
      <tbody>
        {result.schools.map(({ school, answered, of, counts, right }) => (
          <tr key={school} data-testid={`results-${school}`}>
            <th scope="row">{schoolName(info, school)}</th>
            <td>
              {answered} / {Math.max(of, answered)}
            </td>
            <td class="quiet">
              {counts.map((count, index) => `${heads[index]?.short ?? ""} ${count}`).join(" · ")}
            </td>
            <td>{right === undefined ? "" : words.rightCount(right)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
