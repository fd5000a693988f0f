// A small panel over the lesson, without covering it: one tool's controls. The focus comes in
// when it opens and goes back where it was when it closes; Esc closes it from anywhere in it.

import type { IconNode } from "lucide";
import { X } from "lucide";
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { deskWords } from "../../../i18n/sections/desk.ts";
import type { LessonState } from "../../../protocol/words.ts";
import { IconButton } from "../../../ui/controls.tsx";
import { Icon } from "../../../ui/icon.tsx";
import type { Desk } from "../desk.ts";

/** What every tool's panel is given. */
export interface ToolProps {
  desk: Desk;
  state: LessonState;
  onClose: () => void;
}

interface Props {
  title: string;
  icon: IconNode;
  testId: string;
  onClose: () => void;
  children: ComponentChildren;
  /** Stays in sight at the lower edge. */
  actions?: ComponentChildren;
  wide?: boolean;
}

export function Panel({ title, icon, testId, onClose, children, actions, wide = false }: Props) {
  const element = useRef<HTMLElement>(null);
  const heading = useId();
  // At once, not after the next picture: what is typed right after the tool's key belongs here.
  useLayoutEffect(() => {
    const before = document.activeElement;
    element.current?.focus();
    return () => {
      const gone = document.activeElement === document.body || document.activeElement === null;
      if (before instanceof HTMLElement && gone) before.focus();
    };
  }, []);
  return (
    <section
      ref={element}
      class={`panel ${wide ? "panel-wide" : ""}`}
      aria-labelledby={heading}
      tabIndex={-1}
      data-testid={testId}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || event.isComposing) return;
        event.preventDefault();
        event.stopPropagation();
        onClose();
      }}
    >
      <header class="panel-head">
        <Icon of={icon} />
        <h2 id={heading}>{title}</h2>
        <IconButton
          icon={X}
          name={deskWords.value.closePanel}
          testId="panel-close"
          onClick={onClose}
        />
      </header>
      <div class="panel-body">{children}</div>
      {actions && <footer class="panel-actions">{actions}</footer>}
    </section>
  );
}
