// The buzzer: who pressed first, and by how much.

import { useSignal } from "@preact/signals";
import { Bell } from "lucide";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { Button } from "../../../ui/controls.tsx";
import { TextInput } from "../../../ui/text-input.tsx";
import { Panel, type ToolProps } from "./panel.tsx";

/** The first few matter; the rest is a number. */
const MOST = 8;
const LONGEST = 100;

export function BuzzerPanel({ desk, state, onClose }: ToolProps) {
  const words = panelWords.value.buzzer;
  const title = useSignal("");
  const { buzzer } = state;
  const open = buzzer !== undefined && buzzer.closedMs === undefined;
  const start = () => {
    const text = title.value.trim();
    void desk.ask(text ? { do: "open-buzzer", title: text } : { do: "open-buzzer" });
    title.value = "";
  };
  return (
    <Panel
      title={deskWords.value.tool.buzzer}
      icon={Bell}
      testId="panel-buzzer"
      onClose={onClose}
      actions={
        open ? (
          <Button
            testId="buzzer-close"
            onClick={() => void desk.ask({ do: "close-buzzer", buzzer: buzzer.id })}
          >
            {words.stop}
          </Button>
        ) : (
          <Button look="accent" testId="buzzer-start" onClick={start}>
            {buzzer ? panelWords.value.again : words.start}
          </Button>
        )
      }
    >
      {buzzer?.title && <p class="question-text">{buzzer.title}</p>}
      {buzzer && buzzer.presses.length === 0 && (
        <p class="quiet" role="status">
          {open ? words.waiting : words.nobody}
        </p>
      )}
      {buzzer && buzzer.presses.length > 0 && (
        <ol class="presses" data-testid="presses" aria-live="polite">
          {buzzer.presses.slice(0, MOST).map(({ member, atMs }, index) => {
            const onStage = state.stage.includes(member);
            return (
              <li
                key={member}
                class={index === 0 ? "press press-first" : "press"}
                data-testid={`press-${member}`}
              >
                <span class="hand-place">{index + 1}</span>
                <span class="hand-who">
                  <strong>{desk.nameOf(member)}</strong>
                  <span class="quiet">
                    {desk.schoolName(desk.schoolOf(member))} ·{" "}
                    {words.after(((atMs - buzzer.openedMs) / 1000).toFixed(2))}
                  </span>
                </span>
                <Button
                  look={index === 0 ? "accent" : "quiet"}
                  disabled={onStage}
                  onClick={() => void desk.ask({ do: "call", member })}
                >
                  {onStage ? panelWords.value.pick.onStage : words.call}
                </Button>
              </li>
            );
          })}
        </ol>
      )}
      {buzzer && buzzer.presses.length > MOST && (
        <p class="quiet">{deskWords.value.more(buzzer.presses.length - MOST)}</p>
      )}
      {!open && (
        <TextInput value={title} name={words.placeholder} longest={LONGEST} onEnter={start} />
      )}
    </Panel>
  );
}
