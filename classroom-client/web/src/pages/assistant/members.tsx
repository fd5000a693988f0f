// Who of the own school is there with a device: an assistant takes one out who disturbs, and lets
// it in again.

import { useState } from "preact/hooks";
import { t } from "../../i18n/index.ts";
import { assistantWords } from "../../i18n/sections/assistant.ts";
import { RemoveDialog } from "../../lesson/remove-dialog.tsx";
import type { Member } from "../../protocol/words.ts";
import { Button } from "../../ui/controls.tsx";
import type { Helper } from "./helper.ts";

/** A class with more devices than this is looked after by its teacher's search. */
const MOST_SHOWN = 60;

export function Members({ helper }: { helper: Helper }) {
  const { state, socket } = helper.session;
  const [removing, setRemoving] = useState<Member | undefined>();
  const words = assistantWords.value;
  const school = socket.you.value?.school;
  if (!state) return null;
  const members = Object.values(state.members).filter(
    (member) => member.role === "student" && helper.cares(member),
  );
  const removed = Object.entries(state.removed).filter(([, one]) => one.school === school);
  return (
    <section class="card" data-testid="members">
      <h2>{words.members(members.length)}</h2>
      {members.length === 0 && <p class="quiet">{words.noMembers}</p>}
      {members.slice(0, MOST_SHOWN).map((member) => (
        <div key={member.id} class="card-line">
          <span>{member.name}</span>
          <Button testId={`remove-${member.id}`} onClick={() => setRemoving(member)}>
            {words.remove}
            <span class="unseen">
              {t.value.common.colon}
              {member.name}
            </span>
          </Button>
        </div>
      ))}
      {removed.map(([id, { name }]) => (
        <div key={id} class="card-line">
          <span class="quiet">
            {name} · {words.removed}
          </span>
          <Button testId={`let-in-${id}`} onClick={() => helper.ask({ do: "let-in", member: id })}>
            {words.letIn}
            <span class="unseen">
              {t.value.common.colon}
              {name}
            </span>
          </Button>
        </div>
      ))}
      {removing && (
        <RemoveDialog
          name={removing.name}
          words={words}
          onClose={() => setRemoving(undefined)}
          onRemove={() => helper.ask({ do: "remove-member", member: removing.id })}
        />
      )}
    </section>
  );
}
