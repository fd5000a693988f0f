// Whether the class follows: understood and not, in all and by school. Nothing is shown as long
// as nobody said anything.

import { HeartPulse } from "lucide";
import { deskWords } from "../../i18n/sections/desk.ts";
import type { LessonState } from "../../protocol/words.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import type { Desk } from "./desk.ts";
import { pulseOf } from "./people.ts";

export function PulseView({ desk, state }: { desk: Desk; state: LessonState }) {
  const words = deskWords.value;
  const { understood, not, others, schools } = pulseOf(state);
  if (understood + not + others === 0) return null;
  return (
    <section class="side-part pulse" aria-labelledby="pulse-title" data-testid="pulse">
      <h2 id="pulse-title">
        <Icon of={HeartPulse} />
        {words.pulse}
        <span class="spring" />
        <Button
          look="quiet"
          testId="clear-reactions"
          onClick={() => void desk.ask({ do: "clear-reactions" })}
        >
          {words.clear}
        </Button>
      </h2>
      {understood + not > 0 && <Share understood={understood} not={not} />}
      <p class="pulse-words">
        <span>{words.understood(understood)}</span>
        <span>{words.notUnderstood(not)}</span>
        {others > 0 && <span class="quiet">{words.otherReactions(others)}</span>}
      </p>
      {schools.length > 1 && (
        <details>
          <summary>{words.pulseBySchool}</summary>
          <ul class="pulse-schools">
            {schools.map((one) => (
              <li key={one.school}>
                <span class="pulse-school">{desk.schoolName(one.school)}</span>
                <Share understood={one.understood} not={one.not} />
                <span class="pulse-figures">
                  {one.understood} / {one.not}
                </span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

function Share({ understood, not }: { understood: number; not: number }) {
  const share = (100 * understood) / (understood + not);
  return (
    <span class="pulse-bar" aria-hidden="true">
      <span class="pulse-yes" style={{ inlineSize: `${share}%` }} />
    </span>
  );
}
