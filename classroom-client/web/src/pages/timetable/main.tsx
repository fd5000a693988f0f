// The timetable. For who looks after lessons: what is planned, one more, many from a table. For
// everybody else: their lessons, and a classroom's screen enters them by itself.

import { CalendarDays, CircleAlert, KeyRound } from "lucide";
import { timetableWords } from "../../i18n/sections/timetable.ts";
import { boot } from "../../lesson/boot.ts";
import { holderOf } from "../../lesson/entry.ts";
import { LanguageSwitch } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { mount } from "../../ui/mount.tsx";
import { Notices } from "../../ui/notices.tsx";
import { StopPage } from "../../ui/stop.tsx";
import { Coming } from "./coming.tsx";
import { Entering } from "./entering.tsx";
import { Planning } from "./planning.tsx";
import { Table } from "./table.ts";
import "./timetable.css";

const { token } = boot();
const holder = holderOf(token);

if (!token || !holder) {
  mount(() => (
    <StopPage icon={KeyRound} title={timetableWords.value.title} testId="stop-address">
      <p>{timetableWords.value.noToken}</p>
    </StopPage>
  ));
} else {
  const table = new Table(token);
  const plans = holder.role === "operator";
  mount(() => {
    const words = timetableWords.value;
    document.title = words.title;
    return (
      <main class="timetable" data-testid="timetable" data-role={holder.role}>
        <header class="timetable-head">
          <h1>
            <Icon of={CalendarDays} size={28} />
            {words.title}
          </h1>
          <LanguageSwitch />
        </header>
        {table.problem.value && (
          <p class="problem" role="status" data-testid="timetable-problem">
            <Icon of={CircleAlert} />
            {table.problem.value}
          </p>
        )}
        {!plans && <Entering table={table} role={holder.role} />}
        {plans && <Planning table={table} />}
        <Coming table={table} role={holder.role} />
        <Notices />
      </main>
    );
  });
}
