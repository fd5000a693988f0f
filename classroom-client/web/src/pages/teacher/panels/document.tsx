// A second camera for the class: above a book, at the bench, on the board. It goes as the second
// source, in place of a shared screen.

import { useSignal } from "@preact/signals";
import { BookOpen } from "lucide";
import { useEffect } from "preact/hooks";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import { Button } from "../../../ui/controls.tsx";
import { Video } from "../../../ui/video.tsx";
import { otherCameras } from "../desk.ts";
import { Panel, type ToolProps } from "./panel.tsx";

const CHOICE_KEY = "cloudschool.document-camera";

export function DocumentPanel({ desk, onClose }: ToolProps) {
  const words = panelWords.value.document;
  const cameras = otherCameras(desk.media);
  const chosen = useSignal(localStorage.getItem(CHOICE_KEY) ?? "");
  useEffect(() => void desk.media.refresh(), []);
  const camera = cameras.find(({ deviceId }) => deviceId === chosen.value) ?? cameras[0];
  const shown = desk.screen.value !== undefined && desk.screenIs.value === "camera";
  const show = (deviceId: string) => {
    localStorage.setItem(CHOICE_KEY, deviceId);
    void desk.shareCamera(deviceId);
  };
  return (
    <Panel
      title={deskWords.value.tool.document}
      icon={BookOpen}
      testId="panel-document"
      onClose={onClose}
      actions={
        shown ? (
          <Button testId="document-stop" onClick={() => desk.stopSharing()}>
            {words.stop}
          </Button>
        ) : (
          camera && (
            <Button look="accent" testId="document-start" onClick={() => show(camera.deviceId)}>
              {words.show}
            </Button>
          )
        )
      }
    >
      <p class="quiet">{cameras.length > 0 ? words.text : words.none}</p>
      {cameras.length > 0 && (
        <label class="field">
          <span class="field-name">{words.which}</span>
          <select
            value={camera?.deviceId ?? ""}
            data-testid="document-camera"
            onChange={(event) => {
              chosen.value = event.currentTarget.value;
              if (shown) show(chosen.value);
            }}
          >
            {cameras.map(({ deviceId, label }, index) => (
              <option key={deviceId} value={deviceId}>
                {label || words.camera(index + 2)}
              </option>
            ))}
          </select>
        </label>
      )}
      {shown && (
        <div class="frame document-picture">
          <Video
            track={desk.screen.value}
            label={deskWords.value.tool.document}
            whole
            testId="document-video"
          />
        </div>
      )}
    </Panel>
  );
}
