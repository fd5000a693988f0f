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
function recordingLink(
  recording: string,
  library: string | undefined,
  fragment: { token: string },
): string {
  const trusted = new URL(library ?? "", location.href);
  const url = new URL(recording, trusted);
  return url.origin === trusted.origin ? withToken(url.href, fragment) : url.href;
}

/** A service's page for this lesson; a node may be configured with the service alone. */
function pageAt(service: string, page: string): string {
  const url = new URL(service, location.href);
  if (url.pathname === "/") url.pathname = page;
  return url.href;
}

interface Props {
  session: LessonSession;
}

export function Closing({ session }: Props) {
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
              href={recordingLink(state.recording, library, { token: entry.token })}
            >
              {words.watch}
            </LinkButton>
          ) : (
            library && (
              <LinkButton
                icon={Library}
                testId="library"
                href={withToken(pageAt(library, "/library"), {
                  token: entry.token,
                  lesson: entry.lesson,
                })}
              >
                {words.library}
              </LinkButton>
            )
          )}
          {report && mayReport && (
            <LinkButton
              icon={ChartBar}
              testId="report"
              href={withToken(pageAt(report, `/report/${entry.lesson}`), { token: entry.token })}
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
