// The strip of classrooms: picture, school, level, hand, and what can be done with each.

import { Hand, Mic, MicOff, School, UserMinus, UserPlus } from "lucide";
import { t } from "../../i18n/index.ts";
import { meterOfLevel } from "../../media/level.ts";
import { membersOf } from "../../protocol/state.ts";
import type { Member } from "../../protocol/words.ts";
import { IconButton, Level } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Video } from "../../ui/video.tsx";
import type { Desk } from "./desk.ts";
import { Reach, reachOf } from "./reach.tsx";

export function Rooms({ desk }: { desk: Desk }) {
  const { state } = desk.session;
  const words = t.value.teacher;
  const rooms = state ? membersOf(state, "classroom") : [];
  return (
    <section class="rooms" aria-label={words.classrooms} data-testid="rooms">
      {rooms.length === 0 ? (
        <p class="rooms-empty quiet">
          <Icon of={School} />
          {words.noClassrooms}
        </p>
      ) : (
        rooms.map((room) => <Room key={room.id} desk={desk} room={room} />)
      )}
    </section>
  );
}

function Room({ desk, room }: { desk: Desk; room: Member }) {
  const { session } = desk;
  const { state } = session;
  if (!state) return null;
  const words = t.value.teacher;
  const place = state.hands.findIndex((hand) => hand.member === room.id) + 1;
  const onStage = state.stage.includes(room.id);
  const muted = state.muted.includes(room.id);
  const picture = session.publishes(room.id, "camera")
    ? session.incoming(room.id, "camera")
    : undefined;
  const hasMicrophone = session.publishes(room.id, "microphone");
  const condition = muted ? words.mutedState : hasMicrophone ? words.listening : words.noMicrophone;
  return (
    <article
      class={`room ${place > 0 ? "room-hand" : ""} ${onStage ? "room-stage" : ""}`}
      aria-label={room.name}
      data-testid={`room-${room.id}`}
    >
      <div class="frame room-picture">
        {picture ? (
          <Video
            track={picture}
            label={words.pictureOf(room.name)}
            testId={`room-video-${room.id}`}
          />
        ) : (
          <span class="frame-empty">
            <Icon of={School} size={28} />
            {!session.publishes(room.id, "camera") && <span>{t.value.lesson.noPicture}</span>}
          </span>
        )}
        {place > 0 && (
          <span class="room-flag flag-hand" data-testid={`room-hand-${room.id}`}>
            <Icon of={Hand} size={16} />
            {words.handUp} {place}
          </span>
        )}
        {onStage && <span class="room-flag flag-stage">{words.onStage}</span>}
      </div>
      <div class="room-foot">
        <div class="room-words">
          <strong class="room-name" title={room.name}>
            {room.name}
          </strong>
          <span class="room-state quiet">
            {room.school} · {condition}
          </span>
          <Reach
            rung={reachOf(session.socket.rungs.value, room)}
            forMs={(rung) => session.now.value + session.socket.clockOffset.value - rung.sinceMs}
          />
          <Level
            value={muted ? 0 : meterOfLevel(session.levelOf(room.id))}
            name={t.value.check.microphone}
          />
        </div>
        <IconButton
          icon={onStage ? UserMinus : UserPlus}
          name={`${onStage ? words.dismiss : words.call}: ${room.name}`}
          testId={`${onStage ? "dismiss" : "call"}-${room.id}`}
          onClick={() => desk.ask({ do: onStage ? "dismiss" : "call", member: room.id })}
        />
        <IconButton
          icon={muted ? MicOff : Mic}
          name={`${muted ? words.unmute : words.mute}: ${room.name}`}
          testId={`mute-${room.id}`}
          onClick={() => desk.mute(room, !muted)}
        />
      </div>
    </article>
  );
}
