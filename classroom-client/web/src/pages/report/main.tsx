import { useSignal } from "@preact/signals";
import { CircleAlert, KeyRound } from "lucide";
import { useEffect } from "preact/hooks";
import { getJson } from "../../http/get.ts";
import { HttpProblem } from "../../http/problem.ts";
import { t } from "../../i18n/index.ts";
import { reportWords } from "../../i18n/sections/report.ts";
import { boot } from "../../lesson/boot.ts";
import { Button } from "../../ui/controls.tsx";
import { mount } from "../../ui/mount.tsx";
import { StopPage } from "../../ui/stop.tsx";
import { Report } from "./report.tsx";
import { type Summary, summaryAddress } from "./summary.ts";
import "./report.css";

const { lesson, token } = boot();

/** While a lesson runs its figures grow. */
const REFRESH_MS = 10_000;

function Page() {
  const summary = useSignal<Summary | undefined>(undefined);
  const failed = useSignal<string | undefined>(undefined);
  const words = t.value;

  const load = async () => {
    failed.value = undefined;
    try {
      summary.value = await getJson<Summary>(summaryAddress(lesson), token);
    } catch (error) {
      // What is shown stays; the next turn may succeed.
      if (summary.peek()) return;
      failed.value = error instanceof HttpProblem ? error.message : "";
    }
  };
  useEffect(() => {
    void load();
    const timer = setInterval(() => {
      if (summary.peek()?.lesson.phase !== "archived") void load();
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);

  if (failed.value !== undefined) {
    return (
      <StopPage
        icon={CircleAlert}
        title={reportWords.value.failed}
        testId="report-failed"
        actions={<Button onClick={() => void load()}>{words.check.retry}</Button>}
      >
        <p>{failed.value}</p>
      </StopPage>
    );
  }
  if (!summary.value) {
    return (
      <main class="stop" data-testid="report-loading">
        <div class="stop-card" role="status">
          <span class="spinner" />
          <p>{reportWords.value.loading}</p>
        </div>
      </main>
    );
  }
  return <Report summary={summary.value} />;
}

mount(() => {
  if (token && lesson) return <Page />;
  const words = lesson ? t.value.stop.noToken : t.value.stop.noLesson;
  return (
    <StopPage icon={KeyRound} title={words.title} testId="stop-address">
      <p>{words.text}</p>
    </StopPage>
  );
});
