// Shows of hands: for each choice of a quiz or poll, and for whether it was understood.

import { CircleCheck, Clock } from "lucide";
import { useState } from "preact/hooks";
import { t } from "../../i18n/index.ts";
import { assistantWords } from "../../i18n/sections/assistant.ts";
import { classWords } from "../../i18n/sections/class.ts";
import { leftClock, nodeNow } from "../../lesson/clock.ts";
import { countable, isOpen } from "../../lesson/quiz/rules.ts";
import type { Item, Quiz } from "../../protocol/interactions.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { notify } from "../../ui/notices.tsx";
import type { Helper } from "./helper.ts";
import { Stepper } from "./stepper.tsx";

export function QuizCounts({ helper }: { helper: Helper }) {
  const { session } = helper;
  const quiz = session.state?.quiz;
  const words = assistantWords.value;
  const said = classWords.value;
  if (!quiz) {
    return (
      <section class="card" data-testid="counts">
        <h2>{said.quiz}</h2>
        <p class="quiet">{words.quizNone}</p>
      </section>
    );
  }
  const open = isOpen(quiz, nodeNow(session));
  const kind = quiz.kind === "poll" ? said.poll : said.quiz;
  return (
    <section class={`card ${open ? "card-asked" : ""}`} data-testid="counts">
      <header class="card-head">
        <h2>{quiz.title ? `${kind} · ${quiz.title}` : kind}</h2>
        <span class="spring" />
        {open ? (
          quiz.closesMs && (
            <span class="countdown" role="timer">
              <Icon of={Clock} size={16} />
              {said.left(leftClock(session, quiz.closesMs))}
            </span>
          )
        ) : (
          <span class="quiet">{words.quizClosed}</span>
        )}
      </header>
      {open && <p class="quiet">{words.quizHow}</p>}
      {quiz.items.map((item, index) => (
        <ItemCount
          key={`${quiz.id}-${index}`}
          helper={helper}
          quiz={quiz}
          item={item}
          index={index}
          open={open}
        />
      ))}
    </section>
  );
}

interface ItemProps {
  helper: Helper;
  quiz: Quiz;
  item: Item;
  index: number;
  open: boolean;
}

function ItemCount({ helper, quiz, item, index, open }: ItemProps) {
  const { socket } = helper.session;
  const words = assistantWords.value;
  const said = classWords.value;
  const labels = countable(item, said);
  const me = socket.you.value?.id ?? "";
  const sent = quiz.counts[me]?.items[index] ?? undefined;
  const queued = socket.waiting.value.findLast(
    ({ command }) =>
      command.do === "count-quiz" && command.quiz === quiz.id && command.item === index,
  )?.command;
  const waits = queued?.do === "count-quiz" ? queued.counts : undefined;
  const [typed, setTyped] = useState<readonly number[] | undefined>(undefined);
  const counts = typed ?? waits ?? sent ?? (labels ?? []).map(() => 0);
  const send = () => {
    helper.askAnew(
      { do: "count-quiz", quiz: quiz.id, item: index, counts: [...counts] },
      (one) => one.do === "count-quiz" && one.quiz === quiz.id && one.item === index,
    );
    setTyped(undefined);
  };
  return (
    <div class="count-item" data-testid={`count-${index}`}>
      <p class="quiz-prompt">
        {quiz.items.length > 1 && (
          <span class="quiet">{said.item(index + 1, quiz.items.length)} </span>
        )}
        {item.prompt}
      </p>
      {labels ? (
        <>
          {labels.map((label, choice) => (
            <Stepper
              key={label}
              label={label}
              name={`${label} ${item.choices?.[choice] ?? ""}`.trim()}
              value={counts[choice] ?? 0}
              disabled={!open}
              testId={`count-${index}-${choice}`}
              onChange={(value) =>
                setTyped(labels.map((_, at) => (at === choice ? value : (counts[at] ?? 0))))
              }
            />
          ))}
          {(waits || sent) && !typed && (
            <p
              class={`card-done ${waits ? "tone-caution" : "tone-good"}`}
              role="status"
              data-testid={`count-${index}-standing`}
              data-standing={waits ? "waits" : "counted"}
            >
              <Icon of={waits ? Clock : CircleCheck} />
              {waits
                ? words.quizWaits
                : `${words.quizSent}${t.value.common.colon}${sent?.join(" · ")}`}
            </p>
          )}
          <Button
            look={typed || !sent ? "accent" : "plain"}
            className="button-big"
            disabled={!open}
            testId={`count-${index}-send`}
            onClick={send}
          >
            {sent ? words.quizAgain : words.quizSend}
          </Button>
        </>
      ) : (
        <p class="quiet">{words.quizCantCount}</p>
      )}
    </div>
  );
}

/** How many follow, and how many don't. */
export function Understood({ helper }: { helper: Helper }) {
  const words = assistantWords.value;
  const said = classWords.value.reaction;
  const [counts, setCounts] = useState({ understood: 0, "not-understood": 0 });
  const tell = (reaction: "understood" | "not-understood") => {
    const count = counts[reaction];
    if (count === 0) return;
    helper.ask({ do: "react", reaction, count });
    notify(words.told);
    setCounts({ ...counts, [reaction]: 0 });
  };
  return (
    <section class="card" data-testid="understood">
      <h2>{words.understood}</h2>
      <p class="quiet">{words.understoodHow}</p>
      {(["understood", "not-understood"] as const).map((reaction) => (
        <div key={reaction} class="count-tell">
          <Stepper
            name={said[reaction]}
            value={counts[reaction]}
            testId={reaction}
            onChange={(value) => setCounts({ ...counts, [reaction]: value })}
          />
          <Button
            disabled={counts[reaction] === 0}
            testId={`${reaction}-tell`}
            onClick={() => tell(reaction)}
          >
            {words.tell}
          </Button>
        </div>
      ))}
    </section>
  );
}
