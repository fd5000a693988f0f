// What a page wants to see and hear of a lesson. Pure: state in, names of tracks out.

import type { Shown } from "../media/slots.ts";
import { membersOf, teacherOf } from "../protocol/state.ts";
import {
  type LessonState,
  type Source,
  type TrackId,
  trackId,
  trackMember,
  trackSource,
  VOICES,
} from "../protocol/words.ts";

/** Tiles a teacher's screen and machine can take at once. */
const MOST_CLASSROOMS_SEEN = 12;
/** Members on stage shown at once. */
const MOST_ON_STAGE = 4;

function published(state: LessonState, member: string, ...sources: Source[]): TrackId[] {
  return sources.map((source) => trackId(member, source)).filter((id) => id in state.tracks);
}

/** The loudest of the class, once there is a microphone: the node chooses who that is. */
function voices(state: LessonState, me: string): readonly Shown[] {
  const silent = [me, teacherOf(state)?.id, ...state.muted];
  const heard = (track: TrackId) =>
    trackSource(track) === "microphone" && !silent.includes(trackMember(track));
  return Object.values(state.tracks).some(({ track }) => heard(track)) ? VOICES : [];
}

/** The teacher sees the classrooms and whoever is on stage, and hears the class. */
export function wantedByTeacher(state: LessonState, me: string): Shown[] {
  const stage = state.stage.filter((member) => member !== me).slice(-MOST_ON_STAGE);
  // Where there are more than fit, who asks for the floor comes first.
  const waits = (id: string) => state.hands.some((hand) => hand.member === id);
  const rooms = membersOf(state, "classroom")
    .map((member) => member.id)
    .sort((a, b) => Number(waits(b)) - Number(waits(a)));
  const wanted = [
    ...voices(state, me),
    ...stage.flatMap((member) => published(state, member, "screen", "camera")),
    ...rooms.slice(0, MOST_CLASSROOMS_SEEN).flatMap((member) => published(state, member, "camera")),
  ];
  return [...new Set(wanted)];
}

/** A class or a student sees the teacher and whoever is on stage, and hears all. */
export function wantedByClass(state: LessonState, me: string, audioOnly: boolean): Shown[] {
  const teacher = teacherOf(state)?.id;
  const stage = state.stage.filter((member) => member !== me).slice(-MOST_ON_STAGE);
  const sounds = [
    ...(teacher ? published(state, teacher, "microphone", "screen-audio") : []),
    ...voices(state, me),
  ];
  const pictures = [
    ...(teacher ? published(state, teacher, "screen", "camera") : []),
    ...stage.flatMap((member) => published(state, member, "camera")),
  ];
  return audioOnly ? sounds : [...sounds, ...pictures];
}
