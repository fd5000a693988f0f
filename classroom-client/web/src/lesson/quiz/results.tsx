// How an item was answered by all together: a bar a choice, figures in words, no names.

import { Check } from "lucide";
import { percent } from "../../i18n/format.ts";
import { classWords } from "../../i18n/sections/class.ts";
import type { Item, Tally } from "../../protocol/interactions.ts";
import { Icon } from "../../ui/icon.tsx";
import { sayAnswer, sharesOf } from "./rules.ts";

export function Results({ item, tally }: { item: Item; tally: Tally }) {
  const words = classWords.value;
  const shares = sharesOf(item, tally, words);
  if (shares.length === 0) {
    return (
      <p class="result-line" data-testid="result">
        {words.answered(tally.answered)}
        {tally.correct && (
          <strong class="tone-good">
            {words.correctAnswer} {sayAnswer(tally.correct, words)}
          </strong>
        )}
      </p>
    );
  }
  return (
    <ul class="result" data-testid="result">
      {shares.map(({ label, text, count, share, correct }) => (
        <li key={label} class={`result-row ${correct ? "result-correct" : ""}`}>
          <span class="quiz-letter">{label}</span>
          <span class="result-what">
            <span class="result-text">
              {text}
              {correct && (
                <span class="result-mark">
                  <Icon of={Check} />
                  {words.correctAnswer}
                </span>
              )}
            </span>
            <span class="result-bar" aria-hidden="true">
              <span class="result-fill" style={{ inlineSize: percent(share) }} />
            </span>
          </span>
          <span class="result-count">
            {words.people(count)} · {percent(share)}
          </span>
        </li>
      ))}
    </ul>
  );
}
