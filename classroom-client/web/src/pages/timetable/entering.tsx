// A classroom's screen enters its lessons by itself; who came with a person can stay a moment.

import { useSignal, useSignalEffect } from "@preact/signals";
import { CalendarClock, DoorOpen } from "lucide";
import { clock } from "../../i18n/format.ts";
import { timetableWords } from "../../i18n/sections/timetable.ts";
import { pageOfRole, withToken } from "../../lesson/entry.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { nextOf, toEnter } from "./plan.ts";
import type { Table } from "./table.ts";

/** Time to say no. */
const GRACE_S = 10;

export function Entering({ table, role }: { table: Table; role: string }) {
  const words = timetableWords.value;
  /** The lesson it goes to, and how many seconds there are to say no. */
  const going = useSignal<{ id: string; left: number } | undefined>(undefined);
  const declined = useSignal<ReadonlySet<string>>(new Set());
  const automatic = role === "classroom";

  // Once a second, with the clock.
  useSignalEffect(() => {
    const now = table.now.value;
    const lesson = automatic ? toEnter(table.lines.peek() ?? [], now) : undefined;
    const id = lesson?.info.id;
    const before = going.peek();
    if (!id || declined.peek().has(id)) {
      going.value = undefined;
    } else if (before?.id !== id) {
      going.value = { id, left: GRACE_S };
    } else if (before.left > 1) {
      going.value = { id, left: before.left - 1 };
    } else {
      const page = `/${pageOfRole(role)}/${encodeURIComponent(id)}`;
      location.assign(withToken(page, { token: table.token }));
    }
  });

  const lines = table.lines.value ?? [];
  const target = lines.find((line) => line.info.id === going.value?.id);
  if (going.value && target) {
    const { id, left } = going.value;
    return (
      <section class="entering" data-testid="entering">
        <Icon of={DoorOpen} size={40} />
        <p class="entering-what">
          <strong>{target.info.title}</strong>
          <span>{words.entering(left)}</span>
        </p>
        <Button
          testId="stay"
          onClick={() => {
            declined.value = new Set([...declined.peek(), id]);
            going.value = undefined;
          }}
        >
          {words.stay}
        </Button>
      </section>
    );
  }
  const next = nextOf(lines);
  if (!next) return automatic ? <p class="quiet">{words.autoEnter}</p> : null;
  const left = (next.info.plannedStartMs ?? 0) - table.now.value;
  return (
    <section class="entering" data-testid="next-lesson">
      <Icon of={CalendarClock} size={40} />
      <p class="entering-what">
        <span class="quiet">{words.nextLesson}</span>
        <strong>{next.info.title}</strong>
        <span>{left > 0 ? clock(left) : words.opening}</span>
      </p>
      {automatic && <p class="quiet">{words.autoEnter}</p>}
    </section>
  );
}
