// A table of lessons: first what it would do, row by row, then, when nothing is wrong, done at once.

import { useSignal } from "@preact/signals";
import { CircleAlert, Upload } from "lucide";
import { useRef } from "preact/hooks";
import { HttpProblem } from "../../http/problem.ts";
import { send } from "../../http/request.ts";
import { lang } from "../../i18n/index.ts";
import { timetableWords } from "../../i18n/sections/timetable.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { notify } from "../../ui/notices.tsx";
import type { Table } from "./table.ts";

interface Taken {
  taken: boolean;
  lessons: { line: number; outcome: "new" | "changed" | "same" }[];
  faults: { line: number; message: string }[];
  faulty: number;
}

/** The zone of this machine, as `+08:00`. */
function zone(): string {
  const minutes = -new Date().getTimezoneOffset();
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(size / 60)}:${two(size % 60)}`;
}

export function Sheet({ table }: { table: Table }) {
  const words = timetableWords.value;
  const chosen = useSignal<{ file: Blob; seen: Taken } | undefined>(undefined);
  const problem = useSignal("");
  const input = useRef<HTMLInputElement>(null);

  const submit = (file: Blob, dryRun: boolean) => {
    const query = new URLSearchParams({ zone: zone(), lang: lang.peek(), "dry-run": `${dryRun}` });
    const body = new Blob([file], { type: "text/csv" });
    const { token } = table;
    return send<Taken>(`/api/timetable?${query}`, { method: "POST", token, body, also: [422] });
  };
  const attempt = async (what: () => Promise<void>) => {
    problem.value = "";
    try {
      await what();
    } catch (error) {
      problem.value = error instanceof HttpProblem ? error.message : words.failed;
    }
  };
  const choose = (file: File | undefined) =>
    attempt(async () => {
      if (file) chosen.value = { file, seen: await submit(file, true) };
    });
  const take = (file: Blob) =>
    attempt(async () => {
      const done = await submit(file, false);
      if (done.taken) {
        chosen.value = undefined;
        notify(words.taken);
      } else {
        chosen.value = { file, seen: done };
      }
      await table.fetch();
    });

  const seen = chosen.value?.seen;
  const count = (outcome: string) => seen?.lessons.filter((l) => l.outcome === outcome).length ?? 0;
  const template = `\ufeff${words.templateHead}\r\n${words.templateRow}\r\n`;
  return (
    <div class="sheet">
      <p class="quiet">{words.sheetText}</p>
      <p class="sheet-actions">
        <input
          ref={input}
          type="file"
          accept=".csv,text/csv"
          hidden
          data-testid="sheet-file"
          onChange={(event) => {
            void choose(event.currentTarget.files?.[0]);
            event.currentTarget.value = "";
          }}
        />
        <Button icon={Upload} onClick={() => input.current?.click()}>
          {words.choose}
        </Button>
        <a
          class="button button-quiet"
          download="timetable.csv"
          href={`data:text/csv;charset=utf-8,${encodeURIComponent(template)}`}
        >
          {words.template}
        </a>
      </p>
      {problem.value && (
        <p class="problem" role="alert" data-testid="sheet-problem">
          <Icon of={CircleAlert} />
          {problem.value}
        </p>
      )}
      {chosen.value && seen && (
        <section class="sheet-seen" data-testid="sheet-seen">
          <p>
            {words.fresh(count("new"))} · {words.changed(count("changed"))} ·{" "}
            {words.same(count("same"))}
          </p>
          {seen.faulty > 0 && (
            <>
              <p class="tone-bad">{words.faulty(seen.faulty)}</p>
              <ul class="sheet-faults">
                {seen.faults.map((fault) => (
                  <li key={`${fault.line} ${fault.message}`}>
                    <strong>{words.line(fault.line)}</strong> {fault.message}
                  </li>
                ))}
              </ul>
            </>
          )}
          <p class="sheet-actions">
            <Button
              look="accent"
              disabled={seen.faulty > 0}
              testId="take-sheet"
              onClick={() => chosen.value && void take(chosen.value.file)}
            >
              {words.take}
            </Button>
            <Button
              onClick={() => {
                chosen.value = undefined;
              }}
            >
              {words.cancel}
            </Button>
          </p>
        </section>
      )}
    </div>
  );
}
