// Choosing camera, microphone and speaker. Used before the lesson and in it.

import type { IconNode } from "lucide";
import { Mic, Video, Volume2 } from "lucide";
import { t } from "../i18n/index.ts";
import type { LocalMedia } from "../media/local.ts";
import { Icon } from "../ui/icon.tsx";

interface Props {
  media: LocalMedia;
}

export function DevicePicker({ media }: Props) {
  const words = t.value.check;
  const inUse = (track: MediaStreamTrack | undefined) => track?.getSettings().deviceId ?? "";
  return (
    <div class="devices">
      <Choice
        media={media}
        kind="videoinput"
        icon={Video}
        name={words.camera}
        chosen={inUse(media.camera.value)}
      />
      <Choice
        media={media}
        kind="audioinput"
        icon={Mic}
        name={words.microphone}
        chosen={inUse(media.microphone.value)}
      />
      {"setSinkId" in HTMLMediaElement.prototype && (
        <Choice
          media={media}
          kind="audiooutput"
          icon={Volume2}
          name={words.speaker}
          chosen={media.speaker.value}
        />
      )}
    </div>
  );
}

function Choice(props: {
  media: LocalMedia;
  kind: MediaDeviceKind;
  icon: IconNode;
  name: string;
  chosen: string;
}) {
  const words = t.value.check;
  const devices = props.media.devices.value.filter((device) => device.kind === props.kind);
  return (
    <label class="field">
      <span class="field-name">
        <Icon of={props.icon} />
        {props.name}
      </span>
      <select
        value={props.chosen}
        disabled={devices.length === 0}
        data-testid={`choose-${props.kind}`}
        onChange={(event) => void props.media.choose(props.kind, event.currentTarget.value)}
      >
        {devices.length === 0 && <option value="">{words.noDevice}</option>}
        {props.kind === "audiooutput" && devices.length > 0 && (
          <option value="">{words.systemDefault}</option>
        )}
        {devices.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {device.label || `${props.name} ${index + 1}`}
          </option>
        ))}
      </select>
    </label>
  );
}
