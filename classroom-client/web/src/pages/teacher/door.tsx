// The lesson's door: locked to who has not been in, and who was taken out of the lesson.

import { DoorClosed, DoorOpen, UserCheck } from "lucide";
import { deskWords } from "../../i18n/sections/desk.ts";
import { RemoveDialog } from "../../lesson/remove-dialog.tsx";
import type { LessonState } from "../../protocol/words.ts";
import { Button, IconButton } from "../../ui/controls.tsx";
import { useKeys } from "../../ui/keys.ts";
import type { Desk } from "./desk.ts";

interface Props {
  desk: Desk;
  state: LessonState;
}

/** Above the members: whether anybody may come in, and one button to change it. */
export function Door({ desk, state }: Props) {
  const words = deskWords.value;
  const locked = state.locked === true;
  return (
    <div class={`door ${locked ? "door-locked" : ""}`}>
      <p role="status" data-testid="door" data-locked={locked}>
        {locked ? words.doorLocked : words.doorOpen}
      </p>
      <Button
        icon={locked ? DoorOpen : DoorClosed}
        keyHint="O"
        testId="lock"
        onClick={() => desk.lock(!locked)}
      >
        {locked ? words.unlock : words.lock}
      </Button>
    </div>
  );
}

/** The key of the door, wherever the teacher is on the page. */
export function DoorKey({ desk }: { desk: Desk }) {
  useKeys({ O: () => desk.lock(desk.session.state?.locked !== true) });
  return null;
}

/** Who was taken out, the last first, each to be let in again. */
export function Removed({ desk, state }: Props) {
  const words = deskWords.value;
  const all = Object.entries(state.removed).sort(([, a], [, b]) => b.atMs - a.atMs);
  if (all.length === 0) return null;
  return (
    <section class="removed" aria-labelledby="removed-title">
      <h3 id="removed-title">{words.removedTitle(all.length)}</h3>
      <ul class="students" data-testid="removed">
        {all.map(([id, { name, school }]) => (
          <li key={id} class="student">
            <span class="student-name" title={name}>
              {name} <span class="quiet">{desk.schoolName(school)}</span>
            </span>
            <IconButton
              icon={UserCheck}
              name={`${words.letIn}: ${name}`}
              testId={`let-in-${id}`}
              onClick={() => desk.letIn({ id, name })}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Asks whether who is about to be taken out really is to be. */
export function Removing({ desk }: { desk: Desk }) {
  const who = desk.removing.value;
  if (!who) return null;
  const close = () => {
    desk.removing.value = undefined;
  };
  return (
    <RemoveDialog
      name={who.name}
      words={deskWords.value}
      onClose={close}
      onRemove={() => desk.remove(who)}
    />
  );
}
