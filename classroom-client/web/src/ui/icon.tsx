// Icons of one family (lucide), drawn as inline SVG. Always beside a label, or with a name
// of their own given to the control around them: the icon itself is hidden from readers.

import type { IconNode } from "lucide";
import { h } from "preact";

interface Props {
  of: IconNode;
  size?: number;
}

export function Icon({ of, size = 20 }: Props) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {of.map(([tag, attributes]) => h(tag, attributes))}
    </svg>
  );
}
