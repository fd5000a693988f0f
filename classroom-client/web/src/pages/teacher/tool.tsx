// A tool at the lower edge: its icon, its word, its key.

import type { IconNode } from "lucide";
import { Key } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";

interface Props {
  icon: IconNode;
  children: string;
  keyHint: string;
  testId: string;
  onClick: () => void;
  /** Its panel is open. */
  open?: boolean;
  /** Something of it is going on. */
  busy?: boolean;
  className?: string;
  disabled?: boolean;
  title?: string | undefined;
}

export function Tool(props: Props) {
  const { icon, children, keyHint, testId, onClick, open, busy = false, className = "" } = props;
  return (
    <button
      type="button"
      class={`tool ${busy ? "tool-busy" : ""} ${className}`}
      aria-expanded={open}
      aria-keyshortcuts={keyHint}
      disabled={props.disabled}
      title={props.title}
      data-testid={testId}
      onClick={onClick}
    >
      <Icon of={icon} />
      <span class="tool-word">{children}</span>
      <Key>{keyHint}</Key>
    </button>
  );
}
