// A timer everybody sees.

import { useSignal } from "@preact/signals";
import { Timer as TimerIcon } from "lucide";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { leftClock, leftOf } from "../../../lesson/clock.ts";
import { Button } from "../../../ui/controls.tsx";
import { notify } from "../../../ui/notices.tsx";
import { TextInput } from "../../../ui/text-input.tsx";
import { Panel, type ToolProps } from "./panel.tsx";

const SECONDS = [30, 60, 120, 180, 300, 600] as const;
const LONGEST_TITLE = 100;
const MOST_MINUTES = 120;

export function TimerPanel({ desk, state, onClose }: ToolProps) {
  const words = panelWords.value;
  const title = useSignal("");
  const minutes = useSignal(15);
  const { timer } = state;
  const start = (seconds: number, what = title.value.trim()) => {
    const command = { do: "start-timer", seconds } as const;
    void desk.ask(what ? { ...command, title: what } : command);
  };
  const stop = () => {
    const left = timer && Math.round(leftOf(desk.session, timer.endsMs) / 1000);
    void desk.ask({ do: "stop-timer" }).then((done) => {
      if (!done || left === undefined || left < 5) return;
      notify(words.timer.stopped, { undo: () => start(left, timer?.title) });
    });
  };
  return (
    <Panel
      title={deskWords.value.tool.timer}
      icon={TimerIcon}
      testId="panel-timer"
      onClose={onClose}
      actions={
        timer && (
          <Button testId="timer-stop" onClick={stop}>
            {words.timer.stop}
          </Button>
        )
      }
    >
      {timer && (
        <div class="picked">
          {timer.title && <p class="question-text">{timer.title}</p>}
          <p class="panel-figure" data-testid="timer-left">
            {leftClock(desk.session, timer.endsMs)}
          </p>
        </div>
      )}
      <TextInput value={title} name={words.timer.title} longest={LONGEST_TITLE} />
      <div class="names-row">
        {SECONDS.map((seconds) => (
          <Button key={seconds} testId={`timer-${seconds}`} onClick={() => start(seconds)}>
            {seconds < 60 ? words.seconds(seconds) : words.minutes(seconds / 60)}
          </Button>
        ))}
      </div>
      <form
        class="inline-form"
        onSubmit={(event) => {
          event.preventDefault();
          start(minutes.value * 60);
        }}
      >
        <label class="field">
          <span class="field-name">{words.timer.custom}</span>
          <input
            class="text-input"
            type="number"
            min={1}
            max={MOST_MINUTES}
            required
            value={minutes.value}
            onInput={(event) => {
              minutes.value = event.currentTarget.valueAsNumber || 1;
            }}
          />
        </label>
        <Button submit>{words.timer.start}</Button>
      </form>
    </Panel>
  );
}
