// Which panel is open.

import type { ComponentType } from "preact";
import type { QuizKind } from "../../../protocol/words.ts";
import type { Desk, PanelName } from "../desk.ts";
import { QuizPanel } from "../quiz/panel.tsx";
import { BuzzerPanel } from "./buzzer.tsx";
import { ChaptersPanel } from "./chapters.tsx";
import { DocumentPanel } from "./document.tsx";
import { GroupsPanel } from "./groups.tsx";
import { LayoutPanel } from "./layout.tsx";
import type { ToolProps } from "./panel.tsx";
import { PickPanel } from "./pick.tsx";
import { PraisePanel } from "./praise.tsx";
import { QuestionPanel } from "./question.tsx";
import { RollCallPanel } from "./roll-call.tsx";
import { TimerPanel } from "./timer.tsx";

const quizOf = (kind: QuizKind) => (props: ToolProps) => <QuizPanel {...props} kind={kind} />;

const PANELS: Record<PanelName, ComponentType<ToolProps>> = {
  layout: LayoutPanel,
  question: QuestionPanel,
  quiz: quizOf("quiz"),
  poll: quizOf("poll"),
  buzzer: BuzzerPanel,
  "roll-call": RollCallPanel,
  pick: PickPanel,
  groups: GroupsPanel,
  timer: TimerPanel,
  praise: PraisePanel,
  chapters: ChaptersPanel,
  document: DocumentPanel,
};

export function OpenPanel({ desk }: { desk: Desk }) {
  const { state } = desk.session;
  const name = desk.panel.value;
  if (!state || !name) return null;
  const Shown = PANELS[name];
  return (
    <div class="panel-place">
      <Shown
        key={name}
        desk={desk}
        state={state}
        onClose={() => {
          desk.panel.value = undefined;
        }}
      />
    </div>
  );
}
