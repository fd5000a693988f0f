// The chat as a class has it: what was said, what waits to be sent, and a line to write in. For
// who moderates, also what is done about a message.

import type { Signal } from "@preact/signals";
import { BellOff, BellRing, Clock, Send, Trash2 } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { timeOfDay } from "../i18n/format.ts";
import { lang, t } from "../i18n/index.ts";
import { classWords } from "../i18n/sections/class.ts";
import type { ChatMessage, ChatTo } from "../protocol/interactions.ts";
import type { LessonState, Member } from "../protocol/words.ts";
import { Button, IconButton } from "../ui/controls.tsx";
import { Icon } from "../ui/icon.tsx";
import { notifyRefused } from "../ui/notices.tsx";
import type { LessonSession } from "./session.ts";

/** The longest message a lesson takes, in characters. */
const MESSAGE_MOST = 500;

/** What is being written: it outlives the sheet it is written in. */
export interface Draft {
  text: Signal<string>;
  to: Signal<ChatTo>;
}

interface Props {
  session: LessonSession;
  draft: Draft;
  /** Whose messages this member may remove, and whom it may silence. */
  moderates?: (member: Member | undefined) => boolean;
  /** Silences a member or lets it write again, where a page does more than ask for it. */
  onSilence?: (member: string, silenced: boolean) => void;
}

export function Chat({ session, draft, moderates, onSilence }: Props) {
  const { state, socket } = session;
  const list = useRef<HTMLDivElement>(null);
  const words = classWords.value;
  const messages = state?.chat.messages ?? [];
  const waiting = socket.waiting.value.flatMap(({ id, command }) =>
    command.do === "say" ? [{ id, text: command.text }] : [],
  );
  const count = messages.length + waiting.length;
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [count]);
  if (!state) return null;
  return (
    <div class="chat">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      <div class="chat-list" ref={list} role="log" tabIndex={0} aria-label={words.chat}>
        <ol>
          {count === 0 && <li class="quiet chat-empty">{words.chatEmpty}</li>}
          {messages.map((message) => (
            <Said
              key={message.id}
              message={message}
              session={session}
              moderates={moderates?.(state.members[message.member]) ?? false}
              onSilence={onSilence}
            />
          ))}
          {waiting.map(({ id, text }) => (
            <li key={`waiting-${id}`} class="chat-said chat-own" data-testid="chat-waiting">
              <span class="chat-text">{text}</span>
              <span class="chat-meta tone-caution">
                <Icon of={Clock} size={14} />
                {words.messageWaits}
              </span>
            </li>
          ))}
        </ol>
      </div>
      <Composer session={session} state={state} draft={draft} />
    </div>
  );
}

function Said(props: {
  message: ChatMessage;
  session: LessonSession;
  moderates: boolean;
  onSilence: Props["onSilence"];
}) {
  const { message, session } = props;
  const { state, socket } = session;
  const words = classWords.value;
  const own = message.member === socket.you.value?.id;
  const who = state?.members[message.member]?.name ?? state?.attendance[message.member]?.name;
  const silenced = state?.chat.silenced.includes(message.member) ?? false;
  const silence = () => {
    if (props.onSilence) props.onSilence(message.member, !silenced);
    else {
      socket
        .command({ do: "silence", member: message.member, silenced: !silenced })
        .catch(notifyRefused);
    }
  };
  return (
    <li class={`chat-said ${own ? "chat-own" : ""}`} data-testid={`chat-${message.id}`}>
      <span class="chat-meta">
        <strong>{own ? t.value.lesson.you : (who ?? message.member)}</strong>
        <span>{timeOfDay(message.atMs, lang.value)}</span>
        {message.to === "teacher" && <span class="chat-private">{words.onlyTeacher}</span>}
      </span>
      <span class="chat-text">{message.text}</span>
      {props.moderates && (
        <span class="chat-do">
          <IconButton
            icon={Trash2}
            name={`${words.remove}${t.value.common.colon}${message.text}`}
            testId={`remove-${message.id}`}
            onClick={() =>
              void socket
                .command({ do: "remove-message", message: message.id })
                .catch(notifyRefused)
            }
          />
          <IconButton
            icon={silenced ? BellRing : BellOff}
            name={`${silenced ? words.unsilence : words.silence}${t.value.common.colon}${who ?? message.member}`}
            pressed={silenced}
            testId={`silence-${message.id}`}
            onClick={silence}
          />
        </span>
      )}
    </li>
  );
}

/** Why this member can't write now; `undefined` when it can. */
function hindrance(state: LessonState, me: string): "off" | "silenced" | undefined {
  if (state.chat.silenced.includes(me)) return "silenced";
  return state.chat.mode === "off" ? "off" : undefined;
}

function Composer(props: { session: LessonSession; state: LessonState; draft: Draft }) {
  const { session, state, draft } = props;
  const words = classWords.value;
  const me = session.socket.you.value?.id ?? "";
  // Who teaches writes to the class, whatever the class may write.
  const leads = session.socket.you.value?.role === "teacher";
  const why = leads ? undefined : hindrance(state, me);
  const onlyTeacher = !leads && state.chat.mode === "teacher-only";
  const to: ChatTo = leads ? "all" : onlyTeacher ? "teacher" : draft.to.value;
  const text = draft.text.value.trim();
  const send = () => {
    if (!text || why) return;
    session.socket.command({ do: "say", text, to }).catch(notifyRefused);
    draft.text.value = "";
  };
  if (why) {
    return <p class="quiet chat-why">{why === "off" ? words.chatOff : words.chatSilenced}</p>;
  }
  return (
    <form
      class="chat-write"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {onlyTeacher && <p class="quiet">{words.chatTeacherOnly}</p>}
      {!onlyTeacher && !leads && (
        <div class="chat-to">
          {(["all", "teacher"] as const).map((one) => (
            <Button
              key={one}
              look="quiet"
              pressed={to === one}
              testId={`chat-to-${one}`}
              onClick={() => {
                draft.to.value = one;
              }}
            >
              {one === "all" ? words.toAll : words.toTeacher}
            </Button>
          ))}
        </div>
      )}
      <div class="chat-line">
        <input
          class="text-input"
          type="text"
          enterKeyHint="send"
          autocomplete="off"
          maxLength={MESSAGE_MOST}
          value={draft.text.value}
          placeholder={words.message}
          aria-label={words.message}
          data-testid="chat-text"
          onInput={(event) => {
            draft.text.value = event.currentTarget.value;
          }}
        />
        <Button look="accent" icon={Send} disabled={!text} testId="chat-send" onClick={send}>
          {words.send}
        </Button>
      </div>
    </form>
  );
}
