// The page everyone sees when the lesson is over; leads to the recording once there is one.

import { ChartBar, CircleCheck, Clapperboard, Library } from "lucide";
import { useEffect } from "preact/hooks";
import { clock } from "../i18n/format.ts";
import { t } from "../i18n/index.ts";
import { LinkButton } from "../ui/controls.tsx";
import { Icon } from "../ui/icon.tsx";
import { StopPage } from "../ui/stop.tsx";
import { withToken } from "./entry.ts";
import type { LessonSession } from "./session.ts";

/** The recording's address with the token, which only the library of this node may see. */
function recordingLink(recording: string, library: string | undefined, token: string): string {
  const trusted = new URL(library ?? "", location.href);
  const url = new URL(recording, trusted);
  return url.origin === trusted.origin ? withToken(url.href, { token }) : url.href;
}

/** The report's address: the node gives that of all reports, or of this lesson's. */
function reportLink(report: string, lesson: string, token: string): string {
  const url = new URL(report, location.href);
  const path = url.pathname.replace(/\/$/, "");
  url.pathname = path.endsWith(`/${lesson}`) ? path : `${path}/${lesson}`;
  return withToken(url.href, { token });
}

export function Closing({ session }: { session: LessonSession }) {
  const { socket, entry } = session;
  const state = socket.state.value;
  const { library, report } = socket.links.value;
  const words = t.value.closing;
  const role = socket.you.value?.role;
  const again = state?.phase === "open" || state?.phase === "live";

  // The same lesson opened for another run: come in again as at the first time.
  useEffect(() => {
    if (again) location.reload();
  }, [again]);

  const mayReport = role === "teacher" || role === "assistant" || role === "observer";
  return (
    <StopPage
      icon={CircleCheck}
      title={words.title}
      testId="closing"
      actions={
        <>
          {state?.recording ? (
            <LinkButton
              look="accent"
              icon={Clapperboard}
              testId="recording"
              href={recordingLink(state.recording, library, entry.token)}
            >
              {words.watch}
            </LinkButton>
          ) : (
            library && (
              <LinkButton
                icon={Library}
                testId="library"
                href={withToken(library, { token: entry.token, lesson: entry.lesson })}
              >
                {words.library}
              </LinkButton>
            )
          )}
          {report && mayReport && (
            <LinkButton
              icon={ChartBar}
              testId="report"
              href={reportLink(report, entry.lesson, entry.token)}
            >
              {words.report}
            </LinkButton>
          )}
        </>
      }
    >
      {state && <p class="stop-lesson">{state.info.title}</p>}
      {session.elapsed.value > 0 && <p>{words.length(clock(session.elapsed.value))}</p>}
      <p>{words.thanks}</p>
      {state && (
        <p class="quiet" role="status" data-testid="archive-state">
          {state.recording ? (
            <>
              <Icon of={CircleCheck} size={16} /> {words.archived}
            </>
          ) : (
            <>
              <span class="spinner spinner-small" /> {words.archiving}
            </>
          )}
        </p>
      )}
    </StopPage>
  );
}
