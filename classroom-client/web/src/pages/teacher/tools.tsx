// The tools at the lower edge. Each is one click or one key away.

import { useSignal } from "@preact/signals";
import {
  Bell,
  Bookmark,
  BookOpen,
  ChartColumn,
  CircleHelp,
  Dices,
  LayoutGrid,
  ListChecks,
  Mic,
  MicOff,
  MonitorOff,
  MonitorUp,
  PenLine,
  Play,
  Presentation,
  Square,
  Star,
  Timer,
  UserCheck,
  UsersRound,
  Video,
  VideoOff,
} from "lucide";
import { t } from "../../i18n/index.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import { panelWords } from "../../i18n/sections/panels.ts";
import { Button } from "../../ui/controls.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { useKeys } from "../../ui/keys.ts";
import { type Desk, otherCameras, type PanelName } from "./desk.ts";
import { Tool } from "./tool.tsx";

type ToolWord = keyof ReturnType<typeof deskWords.peek>["tool"];

/** Tools that open a panel; those with `live` want a lesson that has begun. */
const PANELS: readonly {
  panel: PanelName;
  word: ToolWord;
  icon: typeof Mic;
  key: string;
  live?: true;
}[] = [
  { panel: "layout", word: "layout", icon: LayoutGrid, key: "L" },
  { panel: "question", word: "question", icon: CircleHelp, key: "Q", live: true },
  { panel: "quiz", word: "quiz", icon: ListChecks, key: "T", live: true },
  { panel: "buzzer", word: "buzzer", icon: Bell, key: "X", live: true },
  { panel: "poll", word: "poll", icon: ChartColumn, key: "P", live: true },
  { panel: "roll-call", word: "rollCall", icon: UserCheck, key: "R" },
  { panel: "pick", word: "pick", icon: Dices, key: "D", live: true },
  { panel: "groups", word: "groups", icon: UsersRound, key: "G", live: true },
  { panel: "timer", word: "timer", icon: Timer, key: "C" },
  { panel: "praise", word: "praise", icon: Star, key: "H", live: true },
  { panel: "chapters", word: "chapter", icon: Bookmark, key: "N", live: true },
];

export function Tools({ desk }: { desk: Desk }) {
  const ending = useSignal(false);
  const words = t.value.teacher;
  const { state } = desk.session;
  const live = state?.phase === "live";
  const microphoneOn = desk.microphoneOn.value && desk.media.microphone.value !== undefined;
  const cameraOn = desk.cameraOn.value && desk.media.camera.value !== undefined;
  const sharing = desk.screen.value !== undefined && desk.screenIs.value === "screen";
  const showsCamera = desk.screen.value !== undefined && desk.screenIs.value === "camera";

  const toggleMicrophone = () => {
    if (!desk.media.microphone.peek()) void desk.own.retry();
    else desk.microphoneOn.value = !desk.microphoneOn.peek();
  };
  const toggleCamera = () => {
    if (!desk.media.camera.peek()) void desk.own.retry();
    else desk.cameraOn.value = !desk.cameraOn.peek();
  };
  const start = () => void desk.ask({ do: "start" });
  const askEnd = () => {
    ending.value = true;
  };
  const goOn = () => {
    ending.value = false;
  };
  const usable = PANELS.filter((tool) => live || !tool.live);
  useKeys({
    M: toggleMicrophone,
    V: toggleCamera,
    S: () => void desk.share(),
    Z: otherCameras(desk.media).length > 0 ? () => desk.toggle("document") : undefined,
    K: () => desk.show("slides"),
    W: () => desk.show("board"),
    B: live ? undefined : start,
    E: live ? askEnd : undefined,
    ...Object.fromEntries(usable.map(({ key, panel }) => [key, () => desk.toggle(panel)])),
  });
  const going: Partial<Record<PanelName, boolean>> = {
    question: state?.question !== undefined && state.question.closedMs === undefined,
    quiz: state?.quiz?.kind === "quiz" && state.quiz.closedMs === undefined,
    poll: state?.quiz?.kind === "poll" && state.quiz.closedMs === undefined,
    buzzer: state?.buzzer !== undefined && state.buzzer.closedMs === undefined,
    "roll-call": state?.rollCall !== undefined && state.rollCall.closedMs === undefined,
    groups: state?.groups !== undefined,
    timer: state?.timer !== undefined,
  };

  return (
    <section class="tools" aria-label={words.tools}>
      <Tool
        icon={microphoneOn ? Mic : MicOff}
        className={microphoneOn ? "" : "tool-off"}
        keyHint="M"
        testId="tool-microphone"
        onClick={toggleMicrophone}
      >
        {microphoneOn ? deskWords.value.tool.microphone : deskWords.value.tool.microphoneOff}
      </Tool>
      <Tool
        icon={cameraOn ? Video : VideoOff}
        className={cameraOn ? "" : "tool-off"}
        keyHint="V"
        testId="tool-camera"
        onClick={toggleCamera}
      >
        {cameraOn ? deskWords.value.tool.camera : deskWords.value.tool.cameraOff}
      </Tool>
      <Tool
        icon={sharing ? MonitorOff : MonitorUp}
        busy={sharing}
        keyHint="S"
        testId="tool-share"
        onClick={() => void desk.share()}
      >
        {sharing ? deskWords.value.tool.stopShare : deskWords.value.tool.share}
      </Tool>
      {(otherCameras(desk.media).length > 0 || showsCamera) && (
        <Tool
          icon={BookOpen}
          keyHint="Z"
          testId="tool-document"
          open={desk.panel.value === "document"}
          busy={showsCamera}
          onClick={() => desk.toggle("document")}
        >
          {deskWords.value.tool.document}
        </Tool>
      )}
      <span class="tools-line" />
      <Tool
        icon={Presentation}
        keyHint="K"
        testId="tool-slides"
        busy={state?.slides !== undefined}
        onClick={() => desk.show("slides")}
      >
        {deskWords.value.tool.slides}
      </Tool>
      <Tool
        icon={PenLine}
        keyHint="W"
        testId="tool-board"
        busy={state?.view.layout === "board"}
        onClick={() => desk.show("board")}
      >
        {deskWords.value.tool.board}
      </Tool>
      {PANELS.map(({ panel, word, icon, key, live: needsLive }) => (
        <Tool
          key={panel}
          icon={icon}
          keyHint={key}
          testId={`tool-${panel}`}
          open={desk.panel.value === panel}
          busy={going[panel] ?? false}
          disabled={needsLive === true && !live}
          title={needsLive && !live ? panelWords.value.opensAfterStart : undefined}
          onClick={() => desk.toggle(panel)}
        >
          {deskWords.value.tool[word]}
        </Tool>
      ))}
      <span class="spring" />
      {live ? (
        <Tool
          key="end"
          icon={Square}
          className="tool-end"
          keyHint="E"
          testId="tool-end"
          onClick={askEnd}
        >
          {deskWords.value.tool.end}
        </Tool>
      ) : (
        <Tool
          key="start"
          icon={Play}
          className="tool-start"
          keyHint="B"
          title={words.startHint}
          testId="tool-start"
          onClick={start}
        >
          {deskWords.value.tool.start}
        </Tool>
      )}
      {ending.value && (
        <Dialog
          title={words.endTitle}
          testId="end-dialog"
          onClose={goOn}
          actions={
            <>
              <Button onClick={goOn}>{words.keepGoing}</Button>
              <Button
                look="danger"
                testId="end-confirm"
                onClick={() => {
                  goOn();
                  void desk.ask({ do: "end" });
                }}
              >
                {words.endConfirm}
              </Button>
            </>
          }
        >
          <p>{words.endText}</p>
        </Dialog>
      )}
    </section>
  );
}
