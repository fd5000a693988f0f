// Answering the items of a quiz or poll by hand, one after the other. A choice that is tapped is
// an answer; where several may be chosen, or something is written, a button sends it.

import { Check, CircleCheck, Clock, Lightbulb, Send } from "lucide";
import { useState } from "preact/hooks";
import { t } from "../../i18n/index.ts";
import { classWords } from "../../i18n/sections/class.ts";
import type { Answer, Item, Quiz, Tally } from "../../protocol/interactions.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import type { OwnAnswer } from "./answers.ts";
import { isRight, letterOf, readNumber, sayAnswer, severalOf, TEXT_MOST } from "./rules.ts";

interface ItemsProps {
  quiz: Quiz;
  own: Readonly<Record<number, OwnAnswer>>;
  /** Whether answers are taken. */
  open: boolean;
  onAnswer: (item: number, answer: Answer) => void;
}

export function Items({ quiz, own, open, onAnswer }: ItemsProps) {
  return (
    <ol class="quiz-items">
      {quiz.items.map((item, index) => (
        <li key={index} class="quiz-item" data-testid={`item-${index}`}>
          {quiz.items.length > 1 && (
            <p class="quiet">{classWords.value.item(index + 1, quiz.items.length)}</p>
          )}
          <OneItem
            item={item}
            own={own[index]}
            open={open}
            tally={quiz.tallies?.[index]}
            onAnswer={(answer) => onAnswer(index, answer)}
          />
        </li>
      ))}
    </ol>
  );
}

interface ItemProps {
  item: Item;
  own: OwnAnswer | undefined;
  open: boolean;
  tally: Tally | undefined;
  onAnswer: (answer: Answer) => void;
}

function OneItem(props: ItemProps) {
  const { item } = props;
  const Widget = {
    single: Choices,
    multiple: Several,
    "true-false": Truth,
    number: Typed,
    text: Typed,
  }[item.kind];
  return (
    <fieldset class="plain-fields">
      <legend class="quiz-prompt">{item.prompt}</legend>
      {(props.open && !props.own) || "choices" in item || item.kind === "true-false" ? (
        <Widget {...props} />
      ) : null}
      <Standing {...props} />
    </fieldset>
  );
}

interface Pick {
  id: string;
  label: string;
  text: string;
  answer: Answer;
}

/** One button a choice: what is tapped is the answer. */
function Picks(props: ItemProps & { picks: Pick[] }) {
  const { own, open } = props;
  return (
    <div class="quiz-picks">
      {props.picks.map(({ id, label, text, answer }) => {
        const chosen = own !== undefined && isRight(own.answer, answer);
        return (
          <button
            key={id}
            type="button"
            class="quiz-pick"
            aria-pressed={chosen}
            disabled={!open || own !== undefined}
            data-testid={`pick-${id}`}
            onClick={() => props.onAnswer(answer)}
          >
            <span class="quiz-letter">{label}</span>
            <span class="quiz-choice">{text}</span>
            {chosen && <Icon of={Check} />}
          </button>
        );
      })}
    </div>
  );
}

function Choices(props: ItemProps) {
  const picks = (props.item.choices ?? []).map((text, choice) => ({
    id: letterOf(choice),
    label: letterOf(choice),
    text,
    answer: { choice },
  }));
  return <Picks {...props} picks={picks} />;
}

function Truth(props: ItemProps) {
  const words = classWords.value;
  const picks = [
    { id: "true", label: words.yes, text: "", answer: { truth: true } },
    { id: "false", label: words.no, text: "", answer: { truth: false } },
  ];
  return <Picks {...props} picks={picks} />;
}

function Several(props: ItemProps) {
  const { item, own, open } = props;
  const words = classWords.value;
  const [chosen, setChosen] = useState<readonly number[]>([]);
  const shown = own && "choices" in own.answer ? own.answer.choices : chosen;
  const ready = severalOf(chosen);
  const toggle = (choice: number) =>
    setChosen(chosen.includes(choice) ? chosen.filter((c) => c !== choice) : [...chosen, choice]);
  return (
    <>
      <p class="quiet">{words.several}</p>
      <div class="quiz-picks">
        {(item.choices ?? []).map((text, choice) => (
          <button
            key={letterOf(choice)}
            type="button"
            class="quiz-pick"
            aria-pressed={shown.includes(choice)}
            disabled={!open || own !== undefined}
            data-testid={`pick-${letterOf(choice)}`}
            onClick={() => toggle(choice)}
          >
            <span class="quiz-letter">{letterOf(choice)}</span>
            <span class="quiz-choice">{text}</span>
            {shown.includes(choice) && <Icon of={Check} />}
          </button>
        ))}
      </div>
      {open && !own && (
        <Button
          look="accent"
          icon={Send}
          disabled={!ready}
          testId="submit"
          className="quiz-submit"
          onClick={() => ready && props.onAnswer(ready)}
        >
          {words.submit}
        </Button>
      )}
    </>
  );
}

function Typed({ item, onAnswer }: ItemProps) {
  const words = classWords.value;
  const [typed, setTyped] = useState("");
  const number = item.kind === "number";
  const value = number ? readNumber(typed) : typed.trim();
  const ready = value !== undefined && value !== "";
  const submit = () => {
    if (typeof value === "number") onAnswer({ number: value });
    else if (value) onAnswer({ text: value });
  };
  return (
    <form
      class="quiz-typed"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <input
        class="text-input"
        type="text"
        inputMode={number ? "decimal" : "text"}
        maxLength={TEXT_MOST}
        autocomplete="off"
        value={typed}
        placeholder={number ? words.numberHere : words.textHere}
        aria-label={`${item.prompt} ${number ? words.numberHere : words.textHere}`}
        data-testid="typed"
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <Button look="accent" icon={Send} disabled={!ready} testId="submit" onClick={submit}>
        {words.submit}
      </Button>
    </form>
  );
}

/** What became of the answer; right or wrong is said to who gave it, and kindly. */
function Standing({ item, own, tally, open }: ItemProps) {
  const words = classWords.value;
  if (!own) {
    return open || tally ? null : <p class="quiz-says quiet">{words.timeUp}</p>;
  }
  const said = "choices" in item || item.kind === "true-false" ? "" : sayAnswer(own.answer, words);
  const correct = tally?.correct;
  if (correct && own.standing === "counted") {
    const right = isRight(own.answer, correct, item.tolerance);
    return (
      <p class={`quiz-says ${right ? "tone-good" : ""}`} role="status" data-testid="verdict">
        <Icon of={right ? CircleCheck : Lightbulb} />
        {said && `${words.yourAnswer(said)} `}
        {right ? words.right : words.wrong(sayAnswer(correct, words))}
      </p>
    );
  }
  const late = own.standing === "refused";
  const waits = own.standing === "waits";
  return (
    <p
      class={`quiz-says ${waits || late ? "tone-caution" : "tone-good"}`}
      role="status"
      data-testid="standing"
      data-standing={own.standing}
    >
      <Icon of={waits || late ? Clock : CircleCheck} />
      {late ? words.notCounted : waits ? words.waitingToSend : words.given}
      {said && `${t.value.common.colon}${said}`}
    </p>
  );
}
