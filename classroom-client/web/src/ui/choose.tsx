// One of a few, side by side: a radio group that looks like one control.

interface Props<T extends string | number> {
  name: string;
  choices: readonly { value: T; label: string }[];
  chosen: T;
  onChoose: (value: T) => void;
  /** Say the name above it. */
  named?: boolean;
  testId?: string;
}

export function Choose<T extends string | number>(props: Props<T>) {
  const { name, choices, chosen, onChoose, named = false, testId } = props;
  return (
    <fieldset class="choose" data-testid={testId}>
      <legend class={named ? "field-name" : "unseen"}>{name}</legend>
      <div class="choose-row">
        {choices.map(({ value, label }) => (
          <label key={value} class={`choose-one ${value === chosen ? "choose-chosen" : ""}`}>
            <input
              type="radio"
              class="unseen"
              name={`${testId ?? name}`}
              checked={value === chosen}
              data-testid={testId ? `${testId}-${value}` : undefined}
              onChange={() => onChoose(value)}
            />
            {label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
