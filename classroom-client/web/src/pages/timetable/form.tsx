// A lesson, field by field. What was typed stays until it is stored.

import { type Signal, useSignal } from "@preact/signals";
import { CircleAlert } from "lucide";
import { HttpProblem } from "../../http/problem.ts";
import { send } from "../../http/request.ts";
import { timetableWords } from "../../i18n/sections/timetable.ts";
import { Icon } from "../../ui/icon.tsx";
import { notify } from "../../ui/notices.tsx";
import { schoolsTyped } from "./plan.ts";
import type { Table } from "./table.ts";

const EMPTY = {
  id: "",
  lessonTitle: "",
  teacher: "",
  start: "",
  length: "40",
  campus: "",
  schools: "",
  subject: "",
  grade: "",
};
type Field = keyof typeof EMPTY;

const NEEDED: readonly Field[] = ["id", "lessonTitle", "teacher", "campus"];

export function LessonForm({ table }: { table: Table }) {
  const words = timetableWords.value;
  const values = useSignal(EMPTY);
  const busy = useSignal(false);
  const problem = useSignal("");

  const save = async () => {
    const { id, lessonTitle, teacher, start, length, campus, schools, subject, grade } =
      values.peek();
    busy.value = true;
    problem.value = "";
    const home = schoolsTyped(campus);
    const invited = schoolsTyped(schools);
    const schoolNames = { ...home.names, ...invited.names };
    try {
      const body = {
        id: id.trim(),
        title: lessonTitle.trim(),
        teacher: teacher.trim(),
        campus: home.ids[0] ?? "",
        schools: invited.ids,
        ...(Object.keys(schoolNames).length > 0 ? { schoolNames } : {}),
        subject: subject.trim(),
        grade: grade.trim(),
        ...(start ? { plannedStartMs: new Date(start).getTime() } : {}),
        ...(length ? { plannedMinutes: Number(length) } : {}),
      };
      await send<unknown>("/api/lessons", { method: "POST", token: table.token, body });
      notify(words.saved(body.title));
      values.value = { ...values.peek(), id: "", lessonTitle: "" };
      await table.fetch();
    } catch (error) {
      problem.value = error instanceof HttpProblem ? error.message : words.failed;
    } finally {
      busy.value = false;
    }
  };

  return (
    <form
      class="lesson-form"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      {(Object.keys(EMPTY) as Field[]).map((field) => (
        <label key={field} class="field" for={`lesson-${field}`}>
          <span class="field-name">{words[field]}</span>
          <Input field={field} values={values} />
        </label>
      ))}
      {problem.value && (
        <p class="problem" role="alert" data-testid="lesson-problem">
          <Icon of={CircleAlert} />
          {problem.value}
        </p>
      )}
      <button
        type="submit"
        class="button button-accent"
        disabled={busy.value}
        data-testid="save-lesson"
      >
        <span class="button-label">{busy.value ? words.saving : words.save}</span>
      </button>
    </form>
  );
}

function Input({ field, values }: { field: Field; values: Signal<typeof EMPTY> }) {
  const shared = {
    value: values.value[field],
    required: NEEDED.includes(field),
    id: `lesson-${field}`,
    "data-testid": `lesson-${field}`,
    onInput: (event: { currentTarget: HTMLInputElement }) => {
      values.value = { ...values.peek(), [field]: event.currentTarget.value };
    },
  };
  switch (field) {
    case "start":
      return <input type="datetime-local" {...shared} />;
    case "length":
      return <input type="number" min={1} max={1440} {...shared} />;
    case "id": {
      const hint = timetableWords.value.idHint;
      return (
        <input type="text" pattern="[A-Za-z0-9._\-]+" maxLength={64} title={hint} {...shared} />
      );
    }
    default:
      return <input type="text" maxLength={200} {...shared} />;
  }
}
