// Praise: for whom, and a word with it. Those on stage and those who just answered come first.

import { useSignal } from "@preact/signals";
import { Star } from "lucide";
import { listed } from "../../../i18n/format.ts";
import { lang } from "../../../i18n/index.ts";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import type { LessonState, Member } from "../../../protocol/words.ts";
import { Button } from "../../../ui/controls.tsx";
import { TextInput } from "../../../ui/text-input.tsx";
import { takingPart } from "../people.ts";
import { Names } from "./names.tsx";
import { Panel, type ToolProps } from "./panel.tsx";

const LONGEST = 60;
const RECENT = 5;

/** Everybody, those who were just heard first. */
function inOrder(state: LessonState): Member[] {
  const heard = [
    ...state.stage,
    ...(state.question?.answered ?? []).toReversed(),
    state.picked?.member,
    state.buzzer?.presses[0]?.member,
  ];
  const place = ({ id }: Member) => {
    const at = heard.indexOf(id);
    return at < 0 ? heard.length : at;
  };
  return takingPart(state).sort((a, b) => place(a) - place(b));
}

export function PraisePanel({ desk, state, onClose }: ToolProps) {
  const words = panelWords.value.praise;
  const who = useSignal("");
  const text = useSignal("");
  const all = inOrder(state);
  const chosen = all.find(({ id }) => id === who.value) ?? all[0];
  const give = () => {
    if (!chosen) return;
    desk.praise(chosen.id, text.value.trim());
    text.value = "";
  };
  return (
    <Panel
      title={deskWords.value.tool.praise}
      icon={Star}
      testId="panel-praise"
      onClose={onClose}
      actions={
        <Button look="accent" icon={Star} disabled={!chosen} testId="praise-give" onClick={give}>
          {chosen ? `${words.give} ${chosen.name}` : words.give}
        </Button>
      }
    >
      <Names
        label={words.who}
        members={all}
        chosen={chosen?.id ?? ""}
        testId="praise-who"
        onChoose={({ id }) => {
          who.value = id;
        }}
      />
      <div class="names-row">
        {words.words.map((word) => (
          <button
            type="button"
            key={word}
            class="name"
            aria-pressed={text.value === word}
            onClick={() => {
              text.value = text.value === word ? "" : word;
            }}
          >
            {word}
          </button>
        ))}
      </div>
      <TextInput value={text} name={words.what} longest={LONGEST} />
      {state.praise.length > 0 && (
        <p class="quiet" data-testid="praised">
          {words.recent}:{" "}
          {listed(
            state.praise
              .slice(-RECENT)
              .reverse()
              .map(({ member }) => desk.nameOf(member)),
            lang.value,
          )}
        </p>
      )}
    </Panel>
  );
}
