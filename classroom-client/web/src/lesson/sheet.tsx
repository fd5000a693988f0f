// What is laid over a page for a while, from its lower edge on a phone: chat, reactions, choices.
// On the browser's own dialog: it keeps the focus inside, and Esc or a touch beside it lead back.

import { X } from "lucide";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { classWords } from "../i18n/sections/class.ts";
import { IconButton } from "../ui/controls.tsx";

interface Props {
  title: string;
  children: ComponentChildren;
  onClose: () => void;
  testId: string;
}

export function Sheet({ title, children, onClose, testId }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Esc does what the touch beside it does
    <dialog
      ref={element}
      class="sheet"
      aria-labelledby={name}
      data-testid={testId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <div class="sheet-inner">
        <header class="sheet-head">
          <h2 id={name}>{title}</h2>
          <IconButton
            icon={X}
            name={classWords.value.close}
            testId="sheet-close"
            onClick={onClose}
          />
        </header>
        {children}
      </div>
    </dialog>
  );
}
