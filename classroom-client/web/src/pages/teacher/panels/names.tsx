// Members to choose from, as small buttons: a few at once, the rest found by name.

import { useSignal } from "@preact/signals";
import { deskWords } from "../../../i18n/sections/desk.ts";
import type { Member } from "../../../protocol/words.ts";
import { found } from "../people.ts";

/** Small buttons at once: two or three rows of a panel. */
const MOST = 12;

interface Props {
  members: readonly Member[];
  onChoose: (member: Member) => void;
  /** Marked as chosen. */
  chosen?: string | undefined;
  label: string;
  /** What a button does, for who does not see it: `name => sentence`. */
  says?: (name: string) => string;
  testId: string;
}

export function Names({ members, onChoose, chosen, label, says, testId }: Props) {
  const words = deskWords.value;
  const search = useSignal("");
  const all = found(members, search.value);
  return (
    <fieldset class="names" data-testid={testId}>
      <legend class="field-name">{label}</legend>
      {members.length > MOST && (
        <input
          type="search"
          class="text-input"
          placeholder={words.search}
          aria-label={words.search}
          value={search.value}
          onInput={(event) => {
            search.value = event.currentTarget.value;
          }}
        />
      )}
      <div class="names-row">
        {all.slice(0, MOST).map((member) => (
          <button
            type="button"
            key={member.id}
            class="name"
            aria-pressed={chosen === undefined ? undefined : chosen === member.id}
            aria-label={says?.(member.name)}
            title={member.name}
            data-testid={`${testId}-${member.id}`}
            onClick={() => onChoose(member)}
          >
            {member.name}
          </button>
        ))}
        {all.length > MOST && <span class="quiet">{words.more(all.length - MOST)}</span>}
        {all.length === 0 && <span class="quiet">{words.nobodyFound}</span>}
      </div>
    </fieldset>
  );
}
