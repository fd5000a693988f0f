// Short notices at the edge of the page: what just happened, and for a while how to undo it.

import { signal } from "@preact/signals";
import { t } from "../i18n/index.ts";
import { Refused } from "../protocol/socket.ts";
import { Button } from "./controls.tsx";

/** Long enough to be read, or to be undone. */
const SHOWN_MS = 5_000;

interface Notice {
  id: number;
  text: string;
  tone: "plain" | "bad";
  undo?: () => void;
}

const notices = signal<readonly Notice[]>([]);
let nextId = 1;

function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

/** Shows `text` for five seconds; with `undo` it can be taken back as long. */
export function notify(text: string, options: { tone?: "bad"; undo?: () => void } = {}): void {
  const id = nextId++;
  const notice: Notice = { id, text, tone: options.tone ?? "plain" };
  if (options.undo) notice.undo = options.undo;
  // The same said again takes the place of what still stands there.
  const others = notices.value.filter((one) => one.text !== text || one.undo || options.undo);
  notices.value = [...others.slice(-2), notice];
  setTimeout(() => dismiss(id), SHOWN_MS);
}

/** Shows why something asked for was not done. */
export function notifyRefused(error: unknown): void {
  if (error instanceof Refused) notify(error.message, { tone: "bad" });
}

export function Notices() {
  return (
    <div class="notices" role="status" data-testid="notices">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`notice notice-${notice.tone}`}>
          <span>{notice.text}</span>
          {notice.undo && (
            <Button
              look="quiet"
              testId="undo"
              onClick={() => {
                dismiss(notice.id);
                notice.undo?.();
              }}
            >
              {t.value.teacher.undo}
            </Button>
          )}
        </div>
      ))}
    </div>
  );
}
