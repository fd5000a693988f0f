// How a page shows the board without carrying it: this is small, the board is loaded when it is
// first shown. Props are those of `board.tsx`.

import { signal } from "@preact/signals";
import type { ComponentProps } from "preact";
import { useEffect } from "preact/hooks";
import { t } from "../i18n/index.ts";
import type { LessonSocket } from "../protocol/socket.ts";
import type { SlideInk } from "./board.tsx";

type Code = typeof import("./board.tsx");

const code = signal<Code | undefined>(undefined);
const failed = signal(false);

async function load(): Promise<void> {
  if (code.peek()) return;
  failed.value = false;
  try {
    code.value = await import("./board.tsx");
  } catch {
    failed.value = true;
  }
}

function useCode(): Code | undefined {
  useEffect(() => void load(), []);
  return code.value;
}

/** The shared whiteboard. Fills its box. */
export function LazyBoard(props: { socket: LessonSocket; bare?: boolean }) {
  const loaded = useCode();
  if (loaded) return <loaded.Board session={props} bare={props.bare ?? false} />;
  return (
    <div class="board-waiting" role="status" data-testid="board-waiting">
      {failed.value && (
        <button type="button" class="button button-plain" onClick={() => void load()}>
          {t.value.line.retryNow}
        </button>
      )}
    </div>
  );
}

type OverlayProps = Omit<ComponentProps<typeof SlideInk>, "session"> & { socket: LessonSocket };

/** Ink over a page of slides; nothing until it is loaded. */
export function LazyOverlay({ socket, ...props }: OverlayProps) {
  const loaded = useCode();
  return loaded ? <loaded.SlideInk session={{ socket }} {...props} /> : null;
}
