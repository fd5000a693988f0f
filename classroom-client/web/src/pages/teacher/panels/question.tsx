// A question asked aloud: the wait runs until the first hand, and who answers is tied to it.

import { useSignal } from "@preact/signals";
import { CircleHelp } from "lucide";
import { clock } from "../../../i18n/format.ts";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { Button } from "../../../ui/controls.tsx";
import { TextInput } from "../../../ui/text-input.tsx";
import { takingPart } from "../people.ts";
import { Names } from "./names.tsx";
import { Panel, type ToolProps } from "./panel.tsx";

const LONGEST = 300;

export function QuestionPanel({ desk, state, onClose }: ToolProps) {
  const words = panelWords.value.question;
  const text = useSignal("");
  const { question } = state;
  const open = question !== undefined && question.closedMs === undefined;
  const ask = () => {
    const asked = text.value.trim();
    void desk.ask(asked ? { do: "ask-question", text: asked } : { do: "ask-question" });
    text.value = "";
  };
  const rest = takingPart(state).filter(({ id }) => !question?.answered.includes(id));
  return (
    <Panel
      title={deskWords.value.tool.question}
      icon={CircleHelp}
      testId="panel-question"
      onClose={onClose}
      actions={
        <>
          {open && (
            <Button testId="question-close" onClick={() => void desk.ask({ do: "close-question" })}>
              {words.stop}
            </Button>
          )}
          <Button look={open ? "plain" : "accent"} testId="question-ask" onClick={ask}>
            {open ? words.next : words.ask}
          </Button>
        </>
      }
    >
      {question && (
        <div class="question-now">
          {question.text && <p class="question-text">{question.text}</p>}
          <p class="panel-figure" data-testid="question-wait">
            {clock((question.firstHandMs ?? question.closedMs ?? desk.nowMs) - question.askedMs)}
          </p>
          <p class="quiet">
            {question.firstHandMs !== undefined
              ? words.firstHand(clock(question.firstHandMs - question.askedMs))
              : open
                ? words.noHand
                : words.closed}
          </p>
          <h3>{words.answeredBy}</h3>
          {question.answered.length === 0 ? (
            <p class="quiet">{words.nobody}</p>
          ) : (
            <ol class="plain-list" data-testid="question-answered">
              {question.answered.map((member) => (
                <li key={member}>
                  {desk.nameOf(member)}{" "}
                  <span class="quiet">{desk.schoolName(desk.schoolOf(member))}</span>
                </li>
              ))}
            </ol>
          )}
          {open && rest.length > 0 && (
            <Names
              label={words.creditTitle}
              members={rest}
              says={words.credit}
              testId="credit"
              onChoose={({ id }) => void desk.ask({ do: "credit-answer", member: id })}
            />
          )}
        </div>
      )}
      <TextInput
        value={text}
        name={words.placeholder}
        longest={LONGEST}
        onEnter={ask}
        testId="question-text"
      />
      {!question && <p class="quiet">{words.text}</p>}
    </Panel>
  );
}
