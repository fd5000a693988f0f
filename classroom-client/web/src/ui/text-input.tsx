// One line of text, held in a signal. In a panel Enter does what its main button does.

import type { Signal } from "@preact/signals";

interface Props {
  value: Signal<string>;
  /** What is to be written, also for those who hear the page. */
  name: string;
  /** Most characters. */
  longest: number;
  onEnter?: () => void;
  testId?: string;
}

export function TextInput({ value, name, longest, onEnter, testId }: Props) {
  const input = (
    <input
      class="text-input"
      type="text"
      autocomplete="off"
      maxLength={longest}
      placeholder={name}
      aria-label={name}
      data-testid={testId}
      value={value.value}
      onInput={(event) => {
        value.value = event.currentTarget.value;
      }}
    />
  );
  if (!onEnter) return input;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onEnter();
      }}
    >
      {input}
    </form>
  );
}
