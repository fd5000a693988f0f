// What is going on, in words over the stage: each leads to its panel. Nothing is there when
// nothing is.

import { clock } from "../../i18n/format.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import { leftClock } from "../../lesson/clock.ts";
import { resultOf } from "../../lesson/results.ts";
import type { LessonState } from "../../protocol/words.ts";
import type { Desk, PanelName } from "./desk.ts";
import { expectedAnswers } from "./people.ts";

interface Chip {
  panel: PanelName;
  text: string;
}

function chips(desk: Desk, state: LessonState): Chip[] {
  const words = deskWords.value;
  const { rollCall, question, quiz, buzzer, groups, timer, proposals } = state;
  const found: Chip[] = [];
  if (timer) {
    found.push({ panel: "timer", text: words.runningTimer(leftClock(desk.session, timer.endsMs)) });
  }
  if (rollCall && rollCall.closedMs === undefined) {
    const answered = Object.keys(rollCall.answered).length;
    const text = words.runningRollCall(answered, expectedAnswers(state).length);
    found.push({ panel: "roll-call", text });
  }
  if (question && question.closedMs === undefined) {
    const time = clock(desk.nowMs - question.askedMs);
    found.push({ panel: "question", text: words.runningQuestion(time, question.answered.length) });
  }
  if (quiz && !quiz.tallies) {
    const { kind } = quiz;
    const { answered, of } = resultOf(state, quiz, 0);
    const open = kind === "quiz" ? words.runningQuiz : words.runningPoll;
    const closed = kind === "quiz" ? words.quizClosed : words.pollClosed;
    found.push({ panel: kind, text: quiz.closedMs === undefined ? open(answered, of) : closed });
  }
  if (buzzer && buzzer.closedMs === undefined) {
    found.push({ panel: "buzzer", text: words.runningBuzzer(buzzer.presses.length) });
  }
  if (groups) found.push({ panel: "groups", text: words.runningGroups(groups.groups.length) });
  if (proposals.length > 0) {
    found.push({ panel: "chapters", text: words.runningProposals(proposals.length) });
  }
  return found;
}

export function Running({ desk }: { desk: Desk }) {
  const { state } = desk.session;
  if (!state) return null;
  const all = chips(desk, state);
  if (all.length === 0) return null;
  return (
    <nav class="running" aria-label={deskWords.value.running} data-testid="running">
      {all.map(({ panel, text }) => (
        <button
          type="button"
          key={panel}
          class="running-chip"
          data-testid={`running-${panel}`}
          aria-expanded={desk.panel.value === panel}
          onClick={() => desk.toggle(panel)}
        >
          {text}
        </button>
      ))}
    </nav>
  );
}
