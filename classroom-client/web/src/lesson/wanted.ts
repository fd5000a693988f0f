// What a page wants to see and hear of a lesson. Pure: state in, names of tracks out.

import type { Shown } from "../media/slots.ts";
import type { Group } from "../protocol/interactions.ts";
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
import { MOST_ON_STAGE, sceneOf } from "./scene.ts";

/** Tiles a teacher's screen and machine can take at once. */
const MOST_CLASSROOMS_SEEN = 12;
/** Of a group, beside oneself. */
const MOST_COMPANIONS = 6;

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

/** How much of the pictures a page takes. */
export type Pictures = "all" | "one" | "none";

/**
 * A class, a student or an observer sees what the scene shows and hears all; who is in a group
 * hears the group, and the teacher unless the teacher is with another.
 */
export function wantedByClass(state: LessonState, me: string, pictures: Pictures): Shown[] {
  const sounds = heardByClass(state, me);
  if (pictures === "none") return sounds;
  const { big, beside } = sceneOf(state, me);
  const large =
    big.show === "camera" || big.show === "screen"
      ? published(state, big.member, big.show)
      : big.show === "grid"
        ? big.members.flatMap((member) => published(state, member, "camera"))
        : [];
  if (pictures === "one") return [...sounds, ...large.slice(0, 1)];
  const faces = [...beside, ...companions(state, me)];
  const small = faces.flatMap((member) => published(state, member, "camera"));
  return [...new Set([...sounds, ...large, ...small])];
}

function heardByClass(state: LessonState, me: string): Shown[] {
  const teacher = teacherOf(state)?.id;
  const own = groupOf(state, me);
  if (!own) {
    return [
      ...(teacher ? published(state, teacher, "microphone", "screen-audio") : []),
      ...voices(state, me),
    ];
  }
  const visited = teacher === undefined ? undefined : state.groups?.visiting[teacher];
  const leads = teacher !== undefined && (visited === undefined || visited === own.id);
  return [
    ...(leads ? published(state, teacher, "microphone", "screen-audio") : []),
    ...companions(state, me).flatMap((member) => published(state, member, "microphone")),
  ];
}

/** The others of the own group whose pictures and voices are taken. */
function companions(state: LessonState, me: string): string[] {
  const others = groupOf(state, me)?.members.filter((member) => member !== me) ?? [];
  return others.slice(0, MOST_COMPANIONS);
}

/** The group a member is in. */
export function groupOf(state: LessonState, member: string): Group | undefined {
  return state.groups?.groups.find(({ members }) => members.includes(member));
}
