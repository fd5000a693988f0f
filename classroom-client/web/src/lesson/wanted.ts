// What a page wants to see and hear of a lesson. Pure: state in, names of tracks out.

import { membersOf, teacherOf } from "../protocol/state.ts";
import { type LessonState, type Source, type TrackId, trackId } from "../protocol/words.ts";

/** Tiles a teacher's screen and machine can take at once. */
const MOST_CLASSROOMS_SEEN = 12;
/** More open microphones than this are noise. */
const MOST_CLASSROOMS_HEARD = 8;
/** Members on stage shown at once. */
const MOST_ON_STAGE = 4;

function published(state: LessonState, member: string, ...sources: Source[]): TrackId[] {
  return sources.map((source) => trackId(member, source)).filter((id) => id in state.tracks);
}

function heard(state: LessonState, member: string): TrackId[] {
  return state.muted.includes(member) ? [] : published(state, member, "microphone");
}

/** The teacher sees and hears the classrooms, and whoever is on stage. */
export function wantedByTeacher(state: LessonState, me: string): TrackId[] {
  const stage = state.stage.filter((member) => member !== me).slice(-MOST_ON_STAGE);
  // Where there are more than fit, who asks for the floor comes first.
  const waits = (id: string) => state.hands.some((hand) => hand.member === id);
  const rooms = membersOf(state, "classroom")
    .map((member) => member.id)
    .sort((a, b) => Number(waits(b)) - Number(waits(a)));
  const wanted = [
    ...stage.flatMap((member) => heard(state, member)),
    ...stage.flatMap((member) => published(state, member, "screen", "camera")),
    ...rooms.slice(0, MOST_CLASSROOMS_HEARD).flatMap((member) => heard(state, member)),
    ...rooms.slice(0, MOST_CLASSROOMS_SEEN).flatMap((member) => published(state, member, "camera")),
  ];
  return [...new Set(wanted)];
}

/** A class or a student sees and hears the teacher, and whoever is on stage. */
export function wantedByClass(state: LessonState, me: string, audioOnly: boolean): TrackId[] {
  const teacher = teacherOf(state)?.id;
  const stage = state.stage.filter((member) => member !== me).slice(-MOST_ON_STAGE);
  const sounds = [
    ...(teacher ? published(state, teacher, "microphone", "screen-audio") : []),
    ...stage.flatMap((member) => heard(state, member)),
  ];
  const pictures = [
    ...(teacher ? published(state, teacher, "screen", "camera") : []),
    ...stage.flatMap((member) => published(state, member, "camera")),
  ];
  return audioOnly ? sounds : [...sounds, ...pictures];
}
