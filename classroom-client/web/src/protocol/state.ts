// A lesson's state as a projection of its events: the same rules as the nodes' own
// (`protocol/src/lesson.rs`). It decides nothing.

import {
  endOfMoments,
  firstHand,
  forgotten,
  interactionChange,
  isOver,
  withArrival,
  withCall,
  withDeparture,
  withoutMember,
} from "./changes.ts";
import {
  type Hand,
  type LessonEvent,
  type LessonState,
  type Member,
  type Removed,
  type Role,
  trackMember,
} from "./words.ts";

/**
 * The next state. Events come in order, but not all: what a member may not see is left out, so
 * numbers may skip. One that was applied already changes nothing.
 */
export function applyEvent(state: LessonState, event: LessonEvent): LessonState {
  if (event.seq <= state.seq) return state;
  return { ...state, ...change(state, event), seq: event.seq };
}

function change(state: LessonState, event: LessonEvent): Partial<LessonState> {
  switch (event.type) {
    case "lesson.opened": {
      const run = state.phase === "open" ? state.run : state.run + 1;
      // Opened again after an earlier run, it is a new one.
      const anew = isOver(state) ? { ...forgotten(), ...UNBEGUN } : {};
      return { ...anew, info: event.info, phase: "open", run };
    }
    case "lesson.started":
      return { phase: "live", session: event.session, startedMs: event.atMs };
    case "lesson.ended":
      return {
        phase: "ended",
        endedMs: event.atMs,
        hands: [],
        stage: [],
        ...endOfMoments(state, event.atMs),
      };
    case "lesson.archived":
      return { phase: "archived", recording: event.recording };
    case "member.joined":
      return {
        members: { ...state.members, [event.member.id]: event.member },
        attendance: withArrival(state, event),
      };
    case "member.left":
      return {
        members: without(state.members, (id) => id === event.member),
        hands: state.hands.filter((hand) => hand.member !== event.member),
        stage: state.stage.filter((member) => member !== event.member),
        tracks: without(state.tracks, (_, { track }) => trackMember(track) === event.member),
        ...withoutMember(state, event.member),
        attendance: withDeparture(state, event),
      };
    case "member.removed": {
      const { member, name, school, by, atMs } = event;
      return { removed: withRemoved(state.removed, member, { name, school, by, atMs }) };
    }
    case "member.let-in":
      return { removed: without(state.removed, (id) => id === event.member) };
    case "lesson.locked":
      return { locked: event.locked };
    case "hand.raised":
      return {
        hands: isOver(state) ? state.hands : withHand(state.hands, event),
        ...firstHand(state, event.atMs),
      };
    case "hand.lowered":
      return { hands: state.hands.filter((hand) => hand.member !== event.member) };
    case "member.muted": {
      const others = state.muted.filter((member) => member !== event.member);
      return { muted: event.muted ? [...others, event.member] : others };
    }
    case "stage.called":
      if (isOver(state)) return withCall(state, event.member);
      return {
        hands: state.hands.filter((hand) => hand.member !== event.member),
        stage: state.stage.includes(event.member) ? state.stage : [...state.stage, event.member],
        ...withCall(state, event.member),
      };
    case "stage.left":
      return { stage: state.stage.filter((member) => member !== event.member) };
    case "track.published": {
      const { track, codec, node } = event;
      return { tracks: { ...state.tracks, [track]: { track, codec, node } } };
    }
    case "track.unpublished":
      return { tracks: without(state.tracks, (id) => id === event.track) };
    default:
      // Also an event of a newer node: it counts, and changes nothing this page shows.
      return interactionChange(state, event);
  }
}

const UNBEGUN = {
  session: undefined,
  startedMs: undefined,
  endedMs: undefined,
  recording: undefined,
  locked: undefined,
};

/** Most people a lesson keeps out: beyond it the first are forgotten. */
const MAX_REMOVED = 500;

function withRemoved(before: LessonState["removed"], member: string, one: Removed) {
  const removed = { ...before, [member]: one };
  const all = Object.entries(removed);
  if (all.length <= MAX_REMOVED) return removed;
  const first = all.reduce((a, b) => (a[1].atMs <= b[1].atMs ? a : b));
  return without(removed, (id) => id === first[0]);
}

/** One that was heard of late may have waited longer than others. */
function withHand(hands: readonly Hand[], { member, atMs }: { member: string; atMs: number }) {
  const after = hands.findIndex((hand) => hand.atMs > atMs);
  return hands.toSpliced(after < 0 ? hands.length : after, 0, { member, atMs });
}

function without<T>(record: Record<string, T>, drop: (key: string, value: T) => boolean) {
  return Object.fromEntries(Object.entries(record).filter(([key, value]) => !drop(key, value)));
}

/** The member that gives the lesson, when present. */
export function teacherOf(state: LessonState): Member | undefined {
  return Object.values(state.members).find((member) => member.role === "teacher");
}

/** Looked up many times while members don't change; sorting two thousand takes its time. */
const sortedMembers = new WeakMap<LessonState["members"], Map<Role, readonly Member[]>>();
const collator = new Intl.Collator();

/** Members of the given role, by school and then by name. */
export function membersOf({ members }: LessonState, role: Role): readonly Member[] {
  const roles = sortedMembers.get(members) ?? new Map<Role, readonly Member[]>();
  sortedMembers.set(members, roles);
  let found = roles.get(role);
  if (!found) {
    found = Object.values(members)
      .filter((member) => member.role === role)
      .sort((a, b) => collator.compare(a.school, b.school) || collator.compare(a.name, b.name));
    roles.set(role, found);
  }
  return found;
}
