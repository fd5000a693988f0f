// The strip of schools: each classroom with its picture, heads, what reaches it, level and hands;
// schools that are there with students' own devices alone as a smaller tile. A school's students
// are one click deeper.

import { Hand, Mic, MicOff, School, UserMinus, UserPlus, UsersRound } from "lucide";
import { t } from "../../i18n/index.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import { meterOfLevel } from "../../media/level.ts";
import type { LessonState, Member } from "../../protocol/words.ts";
import { IconButton, Level } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Video } from "../../ui/video.tsx";
import type { Desk } from "./desk.ts";
import { type SchoolView, schoolViews } from "./people.ts";
import { Reach, reachOf } from "./reach.tsx";

export function Rooms({ desk }: { desk: Desk }) {
  const { state } = desk.session;
  const words = t.value.teacher;
  const schools = state ? schoolViews(state) : [];
  const noRooms = schools.every(({ classrooms }) => classrooms.length === 0);
  return (
    <section class="rooms" aria-label={words.classrooms} data-testid="rooms">
      {state &&
        schools.map((school) =>
          school.classrooms.length > 0 ? (
            school.classrooms.map((room) => (
              <Room key={room.id} desk={desk} state={state} room={room} school={school} />
            ))
          ) : (
            <AtHome key={school.school} desk={desk} state={state} school={school} />
          ),
        )}
      {noRooms && (
        <p class="rooms-empty quiet">
          <Icon of={School} />
          {words.noClassrooms}
        </p>
      )}
    </section>
  );
}

interface Props {
  desk: Desk;
  state: LessonState;
  school: SchoolView;
}

/** Children counted or with devices; nothing where nobody has been counted yet. */
function headsOf({ heads, expected }: SchoolView): string {
  const words = deskWords.value;
  if (expected !== undefined) return words.headsOf(heads, expected);
  return heads > 0 ? words.heads(heads) : "";
}

function Open({ desk, school }: { desk: Desk; school: SchoolView }) {
  return (
    <IconButton
      icon={UsersRound}
      name={deskWords.value.openSchool(desk.schoolName(school.school))}
      testId={`school-${school.school}`}
      onClick={() => {
        desk.school.value = school.school;
      }}
    />
  );
}

/** A school without a classroom's screen: only students with their own devices. */
function AtHome({ desk, state, school }: Props) {
  const { rungs } = desk.session.socket;
  const [one] = school.students;
  return (
    <article class={`room room-home ${school.hands > 0 ? "room-hand" : ""}`}>
      <div class="room-foot">
        <div class="room-words">
          <strong class="room-name" title={desk.schoolName(school.school)}>
            {school.school === state.info.campus
              ? t.value.teacher.homeStudents
              : desk.schoolName(school.school)}
          </strong>
          <span class="room-state quiet">{headsOf(school)}</span>
          {one && <ReachOf desk={desk} rung={reachOf(rungs.value, one)} />}
        </div>
        <div class="room-do">
          {school.hands > 0 && (
            <span class="student-flag flag-hand">
              <Icon of={Hand} size={14} />
              {deskWords.value.hands(school.hands)}
            </span>
          )}
          <span class="spring" />
          <Open desk={desk} school={school} />
        </div>
      </div>
    </article>
  );
}

function ReachOf({ desk, rung }: { desk: Desk; rung: ReturnType<typeof reachOf> }) {
  return <Reach rung={rung} forMs={(one) => desk.nowMs - one.sinceMs} />;
}

function Room({ desk, state, school, room }: Props & { room: Member }) {
  const { session } = desk;
  const words = t.value.teacher;
  const place = state.hands.findIndex((hand) => hand.member === room.id) + 1;
  const onStage = state.stage.includes(room.id);
  const muted = state.muted.includes(room.id);
  const picture = session.publishes(room.id, "camera")
    ? session.incoming(room.id, "camera")
    : undefined;
  const hasMicrophone = session.publishes(room.id, "microphone");
  const condition = muted ? words.mutedState : hasMicrophone ? "" : words.noMicrophone;
  const hands = deskWords.value.hands(school.hands);
  return (
    <article
      class={`room ${school.hands > 0 ? "room-hand" : ""} ${onStage ? "room-stage" : ""}`}
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
        {school.hands > 0 && (
          <span class="room-flag flag-hand" data-testid={`room-hand-${room.id}`}>
            <Icon of={Hand} size={16} />
            {place > 0 && school.hands === 1 ? `${words.handUp} ${place}` : hands}
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
            {[desk.schoolName(room.school), headsOf(school), condition].filter(Boolean).join(" · ")}
          </span>
          <ReachOf desk={desk} rung={reachOf(session.socket.rungs.value, room)} />
        </div>
        <div class="room-do">
          <Level
            value={muted ? 0 : meterOfLevel(session.levelOf(room.id))}
            name={t.value.check.microphone}
          />
          <Open desk={desk} school={school} />
          <IconButton
            icon={onStage ? UserMinus : UserPlus}
            name={`${onStage ? words.dismiss : words.call}: ${room.name}`}
            testId={`${onStage ? "dismiss" : "call"}-${room.id}`}
            onClick={() => void desk.ask({ do: onStage ? "dismiss" : "call", member: room.id })}
          />
          <IconButton
            icon={muted ? MicOff : Mic}
            name={`${muted ? words.unmute : words.mute}: ${room.name}`}
            testId={`mute-${room.id}`}
            onClick={() => desk.mute(room, !muted)}
          />
        </div>
      </div>
    </article>
  );
}
