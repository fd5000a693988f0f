// The tools at the lower edge. Each has its key.

import { useSignal } from "@preact/signals";
import { Mic, MicOff, MonitorOff, MonitorUp, Play, Square, Video, VideoOff } from "lucide";
import { t } from "../../i18n/index.ts";
import { Button } from "../../ui/controls.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { useKeys } from "../../ui/keys.ts";
import type { Desk } from "./desk.ts";

export function Tools({ desk }: { desk: Desk }) {
  const ending = useSignal(false);
  const words = t.value.teacher;
  const live = desk.session.state?.phase === "live";
  const microphoneOn = desk.microphoneOn.value && desk.media.microphone.value !== undefined;
  const cameraOn = desk.cameraOn.value && desk.media.camera.value !== undefined;
  const sharing = desk.screen.value !== undefined;

  const toggleMicrophone = () => {
    if (!desk.media.microphone.peek()) void desk.own.retry();
    else desk.microphoneOn.value = !desk.microphoneOn.peek();
  };
  const toggleCamera = () => {
    if (!desk.media.camera.peek()) void desk.own.retry();
    else desk.cameraOn.value = !desk.cameraOn.peek();
  };
  const start = () => desk.ask({ do: "start" });
  const askEnd = () => {
    ending.value = true;
  };
  const goOn = () => {
    ending.value = false;
  };
  useKeys({
    M: toggleMicrophone,
    V: toggleCamera,
    S: () => void desk.share(),
    B: live ? undefined : start,
    E: live ? askEnd : undefined,
  });

  return (
    <section class="tools" aria-label={words.tools}>
      <Button
        icon={microphoneOn ? Mic : MicOff}
        className={microphoneOn ? "" : "button-off"}
        keyHint="M"
        testId="tool-microphone"
        onClick={toggleMicrophone}
      >
        {microphoneOn ? words.microphoneOn : words.microphoneOff}
      </Button>
      <Button
        icon={cameraOn ? Video : VideoOff}
        className={cameraOn ? "" : "button-off"}
        keyHint="V"
        testId="tool-camera"
        onClick={toggleCamera}
      >
        {cameraOn ? words.cameraOn : words.cameraOff}
      </Button>
      <Button
        icon={sharing ? MonitorOff : MonitorUp}
        keyHint="S"
        testId="tool-share"
        onClick={() => void desk.share()}
      >
        {sharing ? words.stopShare : words.share}
      </Button>
      <span class="spring" />
      {live ? (
        <Button look="danger" icon={Square} keyHint="E" testId="tool-end" onClick={askEnd}>
          {words.end}
        </Button>
      ) : (
        <Button
          look="accent"
          icon={Play}
          keyHint="B"
          title={words.startHint}
          testId="tool-start"
          onClick={start}
        >
          {words.start}
        </Button>
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
                  desk.ask({ do: "end" });
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
