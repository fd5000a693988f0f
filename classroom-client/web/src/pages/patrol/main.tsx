// 巡课: every lesson of a node as a small picture and a word, those first that need somebody.

import { signal } from "@preact/signals";
import { CircleAlert, KeyRound, LayoutGrid } from "lucide";
import { getJson } from "../../http/get.ts";
import { HttpProblem } from "../../http/problem.ts";
import { patrolWords } from "../../i18n/sections/patrol.ts";
import { boot } from "../../lesson/boot.ts";
import { holderOf } from "../../lesson/entry.ts";
import { Button, LanguageSwitch } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { mount } from "../../ui/mount.tsx";
import { StopPage } from "../../ui/stop.tsx";
import { needsSomebody, type Patrol } from "./glance.ts";
import { Tile } from "./tile.tsx";
import "./patrol.css";

const EVERY_MS = 3_000;

const { token } = boot();
const patrol = signal<Patrol | undefined>(undefined);
const problem = signal("");
const onlyWrong = signal(false);

async function look(): Promise<void> {
  try {
    patrol.value = await getJson<Patrol>("/api/patrol", token);
    problem.value = "";
  } catch (error) {
    problem.value = error instanceof HttpProblem ? error.message : patrolWords.peek().failed;
  }
  setTimeout(() => void look(), EVERY_MS);
}

function Wall() {
  const words = patrolWords.value;
  document.title = words.title;
  const seen = patrol.value;
  const observes = holderOf(token)?.role === "observer";
  const lessons = seen?.lessons ?? [];
  const wrong = lessons.filter(needsSomebody);
  const shown = onlyWrong.value ? wrong : lessons;
  return (
    <main class="patrol" data-testid="patrol">
      <header class="patrol-head">
        <h1>
          <Icon of={LayoutGrid} size={28} />
          {words.title}
        </h1>
        <span class="quiet" role="status" data-testid="patrol-count">
          {seen && words.counts(lessons.length)}
        </span>
        <span class="spring" />
        <Button
          pressed={!onlyWrong.value}
          onClick={() => {
            onlyWrong.value = false;
          }}
        >
          {words.all}
        </Button>
        <Button
          pressed={onlyWrong.value}
          testId="only-wrong"
          onClick={() => {
            onlyWrong.value = true;
          }}
        >
          {`${words.wrong} ${wrong.length}`}
        </Button>
        <LanguageSwitch />
      </header>
      {problem.value && (
        <p class="problem" role="status" data-testid="patrol-problem">
          <Icon of={CircleAlert} />
          {problem.value}
        </p>
      )}
      {seen && !seen.campus && (
        <p class="banner" role="status">
          <span class="banner-line">{words.campusAway}</span>
        </p>
      )}
      {!seen && !problem.value && <p class="quiet">{words.loading}</p>}
      {seen && shown.length === 0 && (
        <p class="quiet" data-testid="nothing-open">
          {words.none}
        </p>
      )}
      <div class="glances">
        {shown.map((glance) => (
          <Tile
            key={glance.info.id}
            glance={glance}
            token={token}
            nowMs={seen?.nowMs ?? 0}
            observes={observes}
          />
        ))}
      </div>
    </main>
  );
}

if (token) {
  void look();
  mount(Wall);
} else {
  mount(() => (
    <StopPage icon={KeyRound} title={patrolWords.value.title} testId="stop-address">
      <p>{patrolWords.value.noToken}</p>
    </StopPage>
  ));
}
