// The state of the line, in words: a badge in the header, and a banner when it matters.

import { Activity, CloudOff, Send, SignalHigh, SignalLow, SignalMedium, WifiOff } from "lucide";
import { t } from "../i18n/index.ts";
import type { MemberCommand } from "../protocol/words.ts";
import { Button } from "../ui/controls.tsx";
import { Icon } from "../ui/icon.tsx";
import type { LessonSession } from "./session.ts";

const ICONS = { good: SignalHigh, fair: SignalMedium, poor: SignalLow };

export function LineBadge({ session }: { session: LessonSession }) {
  const words = t.value.line;
  const line = session.line.value;
  if (session.socket.link.value.at !== "joined") {
    return (
      <span class="badge badge-bad" data-testid="line">
        <Icon of={WifiOff} />
        {words.away}
      </span>
    );
  }
  if (!line) {
    return (
      <span class="badge" data-testid="line">
        <Icon of={Activity} />
        {words.measuring}
      </span>
    );
  }
  const detail = words.detail(
    (line.bitrate / 1e6).toFixed(1),
    (line.loss * 100).toFixed(1),
    line.rttMs === undefined ? "–" : line.rttMs.toFixed(0),
  );
  const tone = { good: "good", fair: "caution", poor: "bad" }[line.verdict];
  return (
    <span class={`badge badge-${tone}`} title={detail} data-testid="line">
      <Icon of={ICONS[line.verdict]} />
      {words[line.verdict]}
    </span>
  );
}

function commandName(command: MemberCommand): string {
  const words = t.value.command;
  return command.do === "mute" && !command.muted ? words.unmute : words[command.do];
}

/** What is wrong right now and what was asked meanwhile; nothing when all is well. */
export function LineBanner({ session }: { session: LessonSession }) {
  const { socket, watcher } = session;
  const link = socket.link.value;
  const words = t.value.line;
  const waiting = socket.waiting.value;
  const away = link.at !== "joined";
  const campusAway = !away && !socket.campus.value;
  const mediaLost = !away && !campusAway && watcher.link.value === "lost";
  if (!away && !campusAway && !mediaLost && waiting.length === 0) return null;
  const left = link.at === "waiting" ? Math.ceil((link.retryAtMs - session.now.value) / 1000) : 0;
  return (
    <div class="banner" role="status" data-testid="banner">
      {away && (
        <span class="banner-line">
          <Icon of={WifiOff} />
          {left > 0 ? words.retryIn(left) : words.reconnecting}
          {left > 0 && (
            <Button look="quiet" onClick={() => socket.hurry()}>
              {words.retryNow}
            </Button>
          )}
        </span>
      )}
      {campusAway && (
        <span class="banner-line">
          <Icon of={CloudOff} />
          {words.campusAway}
        </span>
      )}
      {mediaLost && (
        <span class="banner-line">
          <span class="spinner spinner-small" />
          {words.mediaLost}
        </span>
      )}
      {waiting.map(({ id, command }) => (
        <span key={id} class="banner-line" data-testid="waiting-command">
          <Icon of={Send} />
          {words.waitingToSend(commandName(command))}
          <Button look="quiet" onClick={() => socket.cancel(id)}>
            {words.cancel}
          </Button>
        </span>
      ))}
    </div>
  );
}
