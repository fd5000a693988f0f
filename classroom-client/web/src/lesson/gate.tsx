// What stands between an address and a lesson: the page is shown once the member is in and
// its role fits, else one sentence says what is in the way. After the lesson: the closing page.

import {
  CircleAlert,
  DoorClosed,
  Hourglass,
  KeyRound,
  Link2Off,
  LogIn,
  MonitorSmartphone,
  WifiOff,
} from "lucide";
import type { ComponentChildren } from "preact";
import { t } from "../i18n/index.ts";
import type { Role } from "../protocol/words.ts";
import { Button, LinkButton } from "../ui/controls.tsx";
import { StopPage } from "../ui/stop.tsx";
import { Closing } from "./closing.tsx";
import { type Entry, pageOfRole, withToken } from "./entry.ts";
import type { LessonSession } from "./session.ts";

/** Why an address can't lead into a lesson at all; `undefined` when it may. */
export function BadAddress({ entry }: { entry: Entry }) {
  const words = entry.lesson ? t.value.stop.noToken : t.value.stop.noLesson;
  return (
    <StopPage icon={Link2Off} title={words.title} testId="stop-address">
      <p>{words.text}</p>
    </StopPage>
  );
}

export function Unauthorized({ message }: { message: string }) {
  const words = t.value.stop.unauthorized;
  return (
    <StopPage icon={KeyRound} title={words.title} testId="stop-unauthorized">
      {message && <p class="stop-said">{message}</p>}
      <p>{words.text}</p>
    </StopPage>
  );
}

interface Props {
  session: LessonSession;
  /** Roles this page is made for. */
  roles: readonly Role[];
  children: () => ComponentChildren;
}

export function LessonGate({ session, roles, children }: Props) {
  const { socket, entry } = session;
  const link = socket.link.value;
  const words = t.value.stop;
  if (link.at === "closed" && link.reason === "unauthorized") {
    return <Unauthorized message={link.message} />;
  }
  if (link.at === "closed" && link.reason === "replaced") {
    return (
      <StopPage
        icon={MonitorSmartphone}
        title={words.replaced.title}
        testId="stop-replaced"
        actions={
          <Button look="accent" icon={LogIn} onClick={() => socket.start()}>
            {words.replaced.action}
          </Button>
        }
      >
        <p>{words.replaced.text}</p>
      </StopPage>
    );
  }
  if (link.at === "closed" && link.reason === "removed") {
    return (
      <StopPage icon={DoorClosed} title={words.removed.title} testId="stop-removed">
        {link.message && <p class="stop-said">{link.message}</p>}
        <p>{words.removed.text}</p>
      </StopPage>
    );
  }
  if (session.over.value) return <Closing session={session} />;
  if (link.at === "closed" && link.reason === "refused") {
    return (
      <StopPage icon={CircleAlert} title={words.refused.title} testId="stop-refused">
        <p class="stop-said">{link.message}</p>
        <p>{words.refused.text}</p>
      </StopPage>
    );
  }
  if (link.at === "closed") {
    return (
      <StopPage
        icon={CircleAlert}
        title={words.protocol.title}
        testId="stop-protocol"
        actions={
          <Button look="accent" onClick={() => location.reload()}>
            {words.protocol.action}
          </Button>
        }
      >
        <p>{link.message || words.protocol.text}</p>
      </StopPage>
    );
  }
  const you = socket.you.value;
  if (!socket.state.value || !you) return <Joining session={session} />;
  if (!roles.includes(you.role)) {
    const wrong = words.wrongPage(t.value.role[you.role]);
    const address = `/${pageOfRole(you.role)}/${encodeURIComponent(entry.lesson)}`;
    return (
      <StopPage
        icon={Link2Off}
        title={wrong.title}
        testId="stop-role"
        actions={
          <LinkButton look="accent" href={withToken(address, { token: entry.token })}>
            {wrong.action}
          </LinkButton>
        }
      >
        <p>{wrong.text}</p>
      </StopPage>
    );
  }
  return <>{children()}</>;
}

function Joining({ session }: { session: LessonSession }) {
  const link = session.socket.link.value;
  const words = t.value;
  if (link.at === "connecting" && link.attempt === 0) {
    return (
      <main class="stop" data-testid="joining">
        <div class="stop-card" role="status">
          <span class="spinner" />
          <p>{words.stop.joining}</p>
        </div>
      </main>
    );
  }
  const why = link.at === "waiting" || link.at === "connecting" ? link.why : "";
  const left = link.at === "waiting" ? Math.ceil((link.retryAtMs - session.now.value) / 1000) : 0;
  return (
    <StopPage
      icon={why ? Hourglass : WifiOff}
      title={why ? words.stop.notYet.title : words.stop.unreachable.title}
      testId="stop-unreachable"
      actions={<Button onClick={() => session.socket.hurry()}>{words.line.retryNow}</Button>}
    >
      {why ? <p class="stop-said">{why}</p> : <p>{words.stop.unreachable.text}</p>}
      <p class="quiet">{left > 0 ? words.line.retryIn(left) : words.line.reconnecting}</p>
    </StopPage>
  );
}
