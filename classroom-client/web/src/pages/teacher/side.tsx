// The column beside the stage: hands, how the class follows, and below one of chat and members.

import { signal, useSignal } from "@preact/signals";
import { MessageCircle, UsersRound } from "lucide";
import { useEffect } from "preact/hooks";
import { deskWords } from "../../i18n/sections/desk.ts";
import { Chat, type Draft } from "../../lesson/chat.tsx";
import { membersOf } from "../../protocol/state.ts";
import type { ChatMode, LessonState } from "../../protocol/words.ts";
import { Choose } from "../../ui/choose.tsx";
import { Key } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import type { Desk } from "./desk.ts";
import { Door, Removed } from "./door.tsx";
import { Hands } from "./hands.tsx";
import { Members } from "./members.tsx";
import { PulseView } from "./pulse.tsx";

type Tab = "chat" | "members";
const TABS: readonly Tab[] = ["chat", "members"];
const MODES: readonly ChatMode[] = ["off", "teacher-only", "all"];

/** What the teacher is writing: it outlives a look at the members. */
const draft: Draft = { text: signal(""), to: signal("all") };

export function Side({ desk }: { desk: Desk }) {
  const { state } = desk.session;
  if (!state) return null;
  return (
    <aside class="side">
      <Hands desk={desk} state={state} />
      <PulseView desk={desk} state={state} />
      <Tabs desk={desk} state={state} />
    </aside>
  );
}

function Tabs({ desk, state }: { desk: Desk; state: LessonState }) {
  const words = deskWords.value;
  const tab = useSignal<Tab>("chat");
  const me = desk.session.socket.you.value?.id;
  const last = state.chat.messages.at(-1);
  const seen = useSignal(last?.atMs ?? 0);
  const reading = tab.value === "chat";
  useEffect(() => {
    if (reading && last) seen.value = last.atMs;
  }, [reading, last]);
  const unread = state.chat.messages.filter(
    ({ atMs, member }) => atMs > seen.value && member !== me,
  ).length;
  const students = membersOf(state, "student");
  useKeys({
    J: () => {
      tab.value = tab.peek() === "chat" ? "members" : "chat";
    },
  });
  const choose = (next: Tab) => {
    tab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <section class="side-tabs">
      <div
        role="tablist"
        class="tabs"
        aria-label={`${words.chat} / ${words.members}`}
        onKeyDown={(event) => {
          if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
          event.preventDefault();
          choose(reading ? "members" : "chat");
        }}
      >
        {TABS.map((one) => (
          <button
            type="button"
            role="tab"
            key={one}
            id={`tab-${one}`}
            class="tab"
            aria-selected={tab.value === one}
            aria-controls="side-tab"
            tabIndex={tab.value === one ? 0 : -1}
            aria-keyshortcuts="J"
            data-testid={`tab-${one}`}
            onClick={() => {
              tab.value = one;
            }}
          >
            <Icon of={one === "chat" ? MessageCircle : UsersRound} size={16} />
            {words[one]}
            {one === "members" && <span class="count">{students.length}</span>}
            {one === "chat" && unread > 0 && (
              <span class="count count-new" title={words.unread(unread)} data-testid="unread">
                {unread}
              </span>
            )}
            {tab.value !== one && <Key>J</Key>}
          </button>
        ))}
      </div>
      <div id="side-tab" role="tabpanel" class="tab-panel" aria-labelledby={`tab-${tab.value}`}>
        {reading ? (
          <>
            <Choose
              name={words.chatMode}
              testId="chat-mode"
              chosen={state.chat.mode}
              choices={MODES.map((value) => ({ value, label: words.mode[value] }))}
              onChoose={(mode) => void desk.ask({ do: "set-chat", mode })}
            />
            <Chat
              session={desk.session}
              draft={draft}
              moderates={(who) => who?.id !== me}
              onSilence={(member, silenced) => desk.silence(member, silenced)}
            />
          </>
        ) : (
          <div class="tab-members">
            <Door desk={desk} state={state} />
            <Members
              desk={desk}
              state={state}
              members={students}
              empty={words.noMembers}
              testId="students"
            />
            <Removed desk={desk} state={state} />
          </div>
        )}
      </div>
    </section>
  );
}
