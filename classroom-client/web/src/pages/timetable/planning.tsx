// One more lesson, or many from a table.

import { CalendarPlus, FileSpreadsheet } from "lucide";
import { timetableWords } from "../../i18n/sections/timetable.ts";
import { Icon } from "../../ui/icon.tsx";
import { LessonForm } from "./form.tsx";
import { Sheet } from "./sheet.tsx";
import type { Table } from "./table.ts";

export function Planning({ table }: { table: Table }) {
  const words = timetableWords.value;
  return (
    <div class="planning">
      <details class="planning-part" data-testid="add-lesson">
        <summary>
          <Icon of={CalendarPlus} />
          {words.add}
        </summary>
        <LessonForm table={table} />
      </details>
      <details class="planning-part" data-testid="import-sheet">
        <summary>
          <Icon of={FileSpreadsheet} />
          {words.sheet}
        </summary>
        <Sheet table={table} />
      </details>
    </div>
  );
}
