// The assistant's page: what a class does without devices, counted and told with one thumb. What
// is asked at the moment comes first.

import { Hand, LifeBuoy, MessageCircle, Mic, MicOff, Minus, Plus } from "lucide";
import { useState } from "preact/hooks";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import { assistantWords } from "../../i18n/sections/assistant.ts";
import { Chat } from "../../lesson/chat.tsx";
import { nodeNow } from "../../lesson/clock.ts";
import { LineBadge, LineBanner } from "../../lesson/line-view.tsx";
import { isOpen } from "../../lesson/quiz/rules.ts";
import { Sheet } from "../../lesson/sheet.tsx";
import { schoolName } from "../../protocol/words.ts";
import { Button, LanguageSwitch } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { notify } from "../../ui/notices.tsx";
import { Attendance } from "./attendance.tsx";
import { QuizCounts, Understood } from "./count.tsx";
import type { Helper } from "./helper.ts";
import { Members } from "./members.tsx";
import { countOf } from "./roster.ts";

interface Props {
  helper: Helper;
}

export function Lesson({ helper }: Props) {
  const { session } = helper;
  const { state, socket } = session;
  const [open, setOpen] = useState<"chat" | "support" | undefined>();
  const words = assistantWords.value;
  const you = socket.you.value;
  if (!state || !you) return null;
  const asked = state.quiz !== undefined && isOpen(state.quiz, nodeNow(session));
  return (
    <div class="assistant" data-testid="assistant" data-phase={state.phase}>
      <header class="assistant-head">
        <div>
          <h1>{you.name}</h1>
          <p>
            <span class="assistant-state">
              {state.phase === "live"
                ? `${words.live} ${clock(session.elapsed.value)}`
                : words.notLive}
            </span>
            {` · ${schoolName(state.info, you.school)} · ${state.info.title}`}
          </p>
        </div>
        <span class="spring" />
        <LineBadge session={session} />
      </header>
      <LineBanner session={session} />
      <main class="assistant-main">
        {asked && <QuizCounts helper={helper} />}
        <Attendance helper={helper} />
        <Hands helper={helper} />
        {!asked && <QuizCounts helper={helper} />}
        <Understood helper={helper} />
        <Microphones helper={helper} />
        <Members helper={helper} />
        <div class="assistant-foot">
          <LanguageSwitch />
        </div>
      </main>
      <footer class="assistant-tools">
        <Button icon={MessageCircle} testId="chat" onClick={() => setOpen("chat")}>
          {words.chat}
        </Button>
        <Button icon={LifeBuoy} testId="support" onClick={() => setOpen("support")}>
          {words.support}
        </Button>
      </footer>
      {open === "chat" && (
        <Sheet title={words.chat} testId="chat-sheet" onClose={() => setOpen(undefined)}>
          <Chat
            session={session}
            draft={helper.draft}
            moderates={(member) => helper.cares(member)}
          />
        </Sheet>
      )}
      {open === "support" && (
        <Sheet title={words.support} testId="support-sheet" onClose={() => setOpen(undefined)}>
          <Support helper={helper} onSent={() => setOpen(undefined)} />
        </Sheet>
      )}
    </div>
  );
}

function Hands({ helper }: Props) {
  const words = assistantWords.value;
  const count = helper.hands.value;
  return (
    <section class="card" data-testid="hands">
      <header class="card-head">
        <h2 class="card-icon-line">
          <Icon of={Hand} />
          {words.hands}
        </h2>
        <span class="spring" />
        <Button
          look="quiet"
          disabled={count === 0}
          testId="hands-clear"
          onClick={() => helper.countHands(0)}
        >
          {words.handsClear}
        </Button>
      </header>
      <div class="hands-row">
        <Button
          className="hands-step"
          icon={Minus}
          testId="hands-fewer"
          onClick={() => helper.countHands(countOf(count - 1))}
        >
          <span class="unseen">{words.fewer(words.hands)}</span>
        </Button>
        <output class="hands-count" aria-label={words.handsNow(count)} data-testid="hands-count">
          {count}
        </output>
        <Button
          look="accent"
          className="hands-step"
          icon={Plus}
          testId="hands-more"
          onClick={() => helper.countHands(countOf(count + 1))}
        >
          <span class="unseen">{words.more(words.hands)}</span>
        </Button>
      </div>
    </section>
  );
}

/** Opens and shuts the microphones of the own school's classrooms. */
function Microphones({ helper }: Props) {
  const { state } = helper.session;
  const words = assistantWords.value;
  const rooms = helper.rooms.value;
  return (
    <section class="card" data-testid="microphones">
      <h2>{words.microphone}</h2>
      {rooms.length === 0 && <p class="quiet">{words.noRoom}</p>}
      {rooms.map(({ id, name }) => {
        const muted = state?.muted.includes(id) ?? false;
        return (
          <div key={id} class="card-line">
            <p class={`card-icon-line ${muted ? "tone-caution" : "tone-good"}`}>
              <Icon of={muted ? MicOff : Mic} />
              <span>
                <strong>{name}</strong>
                {t.value.common.colon}
                {muted ? words.muted : words.open}
              </span>
            </p>
            <Button
              icon={muted ? Mic : MicOff}
              testId={`mute-${id}`}
              onClick={() => helper.ask({ do: "mute", member: id, muted: !muted })}
            >
              {muted ? words.unmute : words.mute}
            </Button>
          </div>
        );
      })}
    </section>
  );
}

const PROBLEMS = ["sound", "picture", "microphone", "slow", "other"] as const;

function Support({ helper, onSent }: Props & { onSent: () => void }) {
  const words = assistantWords.value;
  const [problem, setProblem] = useState<(typeof PROBLEMS)[number]>("sound");
  const [more, setMore] = useState("");
  const { state, socket } = helper.session;
  const id = socket.you.value?.school ?? "";
  const school = state ? schoolName(state.info, id) : id;
  const send = () => {
    const what = more.trim()
      ? `${words.problems[problem]} ${more.trim()}`
      : words.problems[problem];
    helper.ask({ do: "say", to: "teacher", text: words.supportText(school, what) });
    notify(words.supportSent);
    onSent();
  };
  return (
    <div class="support">
      <p>{words.supportHow}</p>
      <fieldset class="plain-fields">
        <legend class="unseen">{words.support}</legend>
        {PROBLEMS.map((one) => (
          <label key={one} class="choice">
            <input
              type="radio"
              name="problem"
              checked={problem === one}
              data-testid={`problem-${one}`}
              onChange={() => setProblem(one)}
            />
            {words.problems[one]}
          </label>
        ))}
      </fieldset>
      <label class="field">
        <span class="field-name">{words.supportWords}</span>
        <textarea
          class="text-input"
          rows={2}
          maxLength={200}
          value={more}
          onInput={(event) => setMore(event.currentTarget.value)}
        />
      </label>
      <Button look="accent" className="button-big" testId="support-send" onClick={send}>
        {words.supportSend}
      </Button>
    </div>
  );
}
