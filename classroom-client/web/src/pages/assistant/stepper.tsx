// A number that a thumb sets: less, more, or typed.

import { Minus, Plus } from "lucide";
import { assistantWords } from "../../i18n/sections/assistant.ts";
import { IconButton } from "../../ui/controls.tsx";
import { countOf } from "./roster.ts";

interface Props {
  name: string;
  value: number;
  onChange: (value: number) => void;
  testId: string;
  /** Beside the number, in place of its name: a choice's letter. */
  label?: string;
  disabled?: boolean;
}

export function Stepper({ name, value, onChange, testId, label, disabled = false }: Props) {
  const words = assistantWords.value;
  return (
    <div class="stepper">
      <span class="stepper-name">{label ?? name}</span>
      <IconButton
        icon={Minus}
        name={words.fewer(name)}
        testId={`${testId}-fewer`}
        onClick={() => !disabled && onChange(countOf(value - 1))}
      />
      <input
        class="stepper-value"
        type="text"
        inputMode="numeric"
        maxLength={3}
        value={String(value)}
        disabled={disabled}
        aria-label={name}
        data-testid={testId}
        onFocus={(event) => event.currentTarget.select()}
        onInput={(event) => onChange(countOf(event.currentTarget.value))}
      />
      <IconButton
        icon={Plus}
        name={words.more(name)}
        testId={`${testId}-more`}
        onClick={() => !disabled && onChange(countOf(value + 1))}
      />
    </div>
  );
}
