// Coming in by a code: eight digits, then a name, and where it isn't clear the school.

import { useSignal } from "@preact/signals";
import { CircleAlert, DoorOpen } from "lucide";
import { useRef } from "preact/hooks";
import { getJson } from "../../http/get.ts";
import { HttpProblem } from "../../http/problem.ts";
import { send } from "../../http/request.ts";
import { joiningWords } from "../../i18n/sections/joining.ts";
import { CODE_LENGTH, digitsOf, shownCode } from "../../lesson/code.ts";
import { withToken } from "../../lesson/entry.ts";
import { schoolName } from "../../protocol/words.ts";
import { Button } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";

/** What a code leads to. */
interface Found {
  lesson: string;
  title: string;
  teacher: string;
  schools: string[];
  schoolNames?: Record<string, string>;
}

interface Entered {
  lesson: string;
  token: string;
}

const NAME_KEY = "cloudschool.name";

export function Join({ code: given }: { code: string | null }) {
  const code = useSignal(digitsOf(given ?? ""));
  const found = useSignal<Found | undefined>(undefined);
  const name = useSignal(localStorage.getItem(NAME_KEY) ?? "");
  const school = useSignal("");
  const busy = useSignal(false);
  const problem = useSignal("");
  const nameField = useRef<HTMLInputElement>(null);
  const words = joiningWords.value;

  const attempt = async (what: () => Promise<void>) => {
    if (busy.peek()) return;
    busy.value = true;
    problem.value = "";
    try {
      await what();
    } catch (error) {
      problem.value = error instanceof HttpProblem ? error.message : words.failed;
    } finally {
      busy.value = false;
    }
  };
  const look = () =>
    attempt(async () => {
      const lesson = await getJson<Found>(`/api/join/${code.peek()}`, "");
      found.value = lesson;
      school.value = lesson.schools.length === 1 ? (lesson.schools[0] ?? "") : "";
      requestAnimationFrame(() => nameField.current?.focus());
    });
  const enter = () =>
    attempt(async () => {
      const body = { code: code.peek(), name: name.peek().trim(), school: school.peek() };
      const entered = await send<Entered>("/api/join", { method: "POST", body });
      localStorage.setItem(NAME_KEY, body.name);
      const page = `/student/${encodeURIComponent(entered.lesson)}`;
      location.assign(withToken(page, { token: entered.token }));
    });

  const lesson = found.value;
  return (
    <section class="join" aria-labelledby="join-title" data-testid="join">
      <h2 id="join-title">{lesson ? lesson.title : words.title}</h2>
      {!lesson ? (
        <form
          class="join-form"
          onSubmit={(event) => {
            event.preventDefault();
            void look();
          }}
        >
          <label class="field">
            <span class="field-name">{words.code}</span>
            <input
              class="join-code"
              type="text"
              inputMode="numeric"
              autoComplete="off"
              aria-describedby="join-hint"
              value={shownCode(code.value)}
              data-testid="join-code"
              onInput={(event) => {
                code.value = digitsOf(event.currentTarget.value);
                event.currentTarget.value = shownCode(code.value);
              }}
            />
          </label>
          <p id="join-hint" class="quiet">
            {words.codeHint}
          </p>
          <button
            type="submit"
            class="button button-accent"
            disabled={busy.value || code.value.length < CODE_LENGTH}
            data-testid="join-next"
          >
            <span class="button-label">{busy.value ? words.looking : words.next}</span>
          </button>
        </form>
      ) : (
        <form
          class="join-form"
          onSubmit={(event) => {
            event.preventDefault();
            void enter();
          }}
        >
          <p class="quiet">{words.by(lesson.teacher)}</p>
          <label class="field">
            <span class="field-name">{words.name}</span>
            <input
              ref={nameField}
              type="text"
              autoComplete="name"
              maxLength={64}
              required
              aria-describedby="join-name-hint"
              value={name.value}
              data-testid="join-name"
              onInput={(event) => {
                name.value = event.currentTarget.value;
              }}
            />
          </label>
          <p id="join-name-hint" class="quiet">
            {words.nameHint}
          </p>
          {lesson.schools.length > 1 && (
            <label class="field">
              <span class="field-name">{words.school}</span>
              <select
                value={school.value}
                required
                data-testid="join-school"
                onChange={(event) => {
                  school.value = event.currentTarget.value;
                }}
              >
                <option value="">{words.chooseSchool}</option>
                {lesson.schools.map((one) => (
                  <option key={one} value={one}>
                    {schoolName(lesson, one)}
                  </option>
                ))}
              </select>
            </label>
          )}
          <button
            type="submit"
            class="button button-accent"
            disabled={busy.value || !name.value.trim() || !school.value}
            data-testid="join-enter"
          >
            <Icon of={DoorOpen} />
            <span class="button-label">{busy.value ? words.entering : words.enter}</span>
          </button>
          <Button
            look="quiet"
            onClick={() => {
              found.value = undefined;
              code.value = "";
              problem.value = "";
            }}
          >
            {words.another}
          </Button>
        </form>
      )}
      {problem.value && (
        <p class="problem" role="alert" data-testid="join-problem">
          <Icon of={CircleAlert} />
          {problem.value}
        </p>
      )}
    </section>
  );
}
