// The tools at the lower edge, where a thumb reaches: hand, reactions, chat, sound only, more.

import { Ellipsis, Hand, Headphones, LogOut, MessageCircle, Mic, MicOff, Smile } from "lucide";
import { useEffect, useState } from "preact/hooks";
import { t } from "../../i18n/index.ts";
import { classWords } from "../../i18n/sections/class.ts";
import { studentWords } from "../../i18n/sections/student.ts";
import { Chat } from "../../lesson/chat.tsx";
import { Reactions } from "../../lesson/reactions.tsx";
import { Sheet } from "../../lesson/sheet.tsx";
import type { Pictures } from "../../lesson/wanted.ts";
import { Button, LanguageSwitch } from "../../ui/controls.tsx";
import { useKeys } from "../../ui/keys.ts";
import { notify } from "../../ui/notices.tsx";
import type { Seat } from "./seat.ts";

type Open = "react" | "chat" | "more" | undefined;

export function Tools({ seat }: { seat: Seat }) {
  const { session } = seat;
  const [open, setOpen] = useState<Open>();
  const words = t.value;
  const own = studentWords.value;
  const onStage = session.onStage.value && seat.consent.value !== undefined;
  const takesPart = seat.mayTakePart.value;
  const handTool = takesPart && !session.onStage.value;
  const queued = session.socket.waiting.value.some(({ command }) => command.do === "raise-hand");
  const up = session.handPlace.value > 0 || queued;
  const unread = useUnread(seat, open === "chat");
  const toggleHand = () => seat.toggleHand();
  useKeys({
    H: handTool ? toggleHand : undefined,
    A: () => seat.toggleSound(),
    R: takesPart ? () => setOpen("react") : undefined,
    C: takesPart ? () => setOpen("chat") : undefined,
  });
  const microphoneOn = seat.microphoneOn.value && !session.mutedByTeacher.value;
  return (
    <footer class="student-tools">
      {handTool && (
        <Button
          look={up ? "plain" : "accent"}
          icon={Hand}
          keyHint="H"
          testId="hand"
          className="student-hand"
          onClick={toggleHand}
        >
          {up ? words.student.lower : words.student.raise}
        </Button>
      )}
      {onStage && (
        <>
          <Button
            icon={microphoneOn ? Mic : MicOff}
            className={`tool ${microphoneOn ? "" : "button-off"}`}
            disabled={session.mutedByTeacher.value}
            testId="tool-microphone"
            onClick={() => {
              seat.microphoneOn.value = !seat.microphoneOn.peek();
            }}
          >
            {microphoneOn ? words.teacher.microphoneOn : words.teacher.microphoneOff}
          </Button>
          <Button
            look="danger"
            icon={LogOut}
            className="tool"
            testId="leave-stage"
            onClick={() => seat.leaveStage()}
          >
            {words.student.leaveStage}
          </Button>
        </>
      )}
      {takesPart && (
        <>
          <Button
            icon={Smile}
            keyHint="R"
            testId="react"
            className="tool"
            onClick={() => setOpen("react")}
          >
            {own.react}
          </Button>
          <Button
            icon={MessageCircle}
            keyHint="C"
            testId="chat"
            className="tool"
            {...(unread > 0 ? { title: own.unread(unread) } : {})}
            onClick={() => setOpen("chat")}
          >
            {own.chat}
            {unread > 0 && (
              <span class="unread">
                <span aria-hidden="true">{unread > 99 ? "99+" : unread}</span>
                <span class="unseen">{own.unread(unread)}</span>
              </span>
            )}
          </Button>
        </>
      )}
      <Button
        icon={Headphones}
        pressed={seat.audioOnly.value}
        keyHint="A"
        testId="audio-only"
        className="tool"
        onClick={() => seat.toggleSound()}
      >
        {words.student.audioOnly}
      </Button>
      <Button icon={Ellipsis} testId="more" className="tool" onClick={() => setOpen("more")}>
        {own.more}
      </Button>
      {open === "react" && (
        <Sheet title={own.reactTitle} testId="react-sheet" onClose={() => setOpen(undefined)}>
          <Reactions
            onPick={(reaction) => {
              seat.ask({ do: "react", reaction });
              notify(own.reacted(classWords.peek().reaction[reaction]));
              setOpen(undefined);
            }}
          />
        </Sheet>
      )}
      {open === "chat" && (
        <Sheet title={own.chat} testId="chat-sheet" onClose={() => setOpen(undefined)}>
          <Chat session={session} draft={seat.draft} />
        </Sheet>
      )}
      {open === "more" && (
        <Sheet title={own.more} testId="more-sheet" onClose={() => setOpen(undefined)}>
          <More seat={seat} />
        </Sheet>
      )}
    </footer>
  );
}

/** Messages of others that came since the chat was last looked at. */
function useUnread(seat: Seat, looking: boolean): number {
  const messages = seat.session.state?.chat.messages ?? [];
  const me = seat.session.socket.you.value?.id;
  const last = messages.at(-1)?.id;
  useEffect(() => {
    // What was said before the page came in counts as read.
    if (looking || seat.chatSeen.peek() === undefined) seat.chatSeen.value = last ?? "";
  }, [seat, looking, last]);
  const seen = seat.chatSeen.value;
  if (looking || seen === undefined) return 0;
  const from = messages.findIndex(({ id }) => id === seen) + 1;
  return messages.slice(from).filter(({ member }) => member !== me).length;
}

const PICTURES: readonly Pictures[] = ["all", "one", "none"];

function More({ seat }: { seat: Seat }) {
  const words = studentWords.value;
  const away = seat.isAway.value;
  return (
    <div class="more">
      <fieldset class="plain-fields">
        <legend>{words.pictures}</legend>
        {PICTURES.map((one) => (
          <label key={one} class="choice">
            <input
              type="radio"
              name="pictures"
              value={one}
              checked={seat.pictures.value === one}
              data-testid={`pictures-${one}`}
              onChange={() => seat.take(one)}
            />
            <span>
              <strong>{words[one].name}</strong>
              <span class="quiet">{words[one].text}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {seat.mayTakePart.value && (
        <Button pressed={away} testId="away" onClick={() => seat.ask({ do: "away", away: !away })}>
          {away ? words.back : words.away}
        </Button>
      )}
      <LanguageSwitch />
    </div>
  );
}
