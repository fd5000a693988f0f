// Which panel is open.

import type { ComponentType } from "preact";
import type { LessonState, QuizKind } from "../../../protocol/words.ts";
import type { Desk, PanelName } from "../desk.ts";
import { QuizPanel } from "../quiz/panel.tsx";
import { BuzzerPanel } from "./buzzer.tsx";
import { ChaptersPanel } from "./chapters.tsx";
import { GroupsPanel } from "./groups.tsx";
import { LayoutPanel } from "./layout.tsx";
import { PickPanel } from "./pick.tsx";
import { PraisePanel } from "./praise.tsx";
import { QuestionPanel } from "./question.tsx";
import { RollCallPanel } from "./roll-call.tsx";
import { TimerPanel } from "./timer.tsx";

interface Props {
  desk: Desk;
  state: LessonState;
  onClose: () => void;
}

const quizOf = (kind: QuizKind) => (props: Props) => <QuizPanel {...props} kind={kind} />;

const PANELS: Record<PanelName, ComponentType<Props>> = {
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
