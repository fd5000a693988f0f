// The words of the lesson socket, as the nodes' `protocol` crate writes them in JSON.

import type { InteractionCommand, InteractionEvent, Interactions, Spot } from "./interactions.ts";

export type * from "./interactions.ts";

export type Lang = "zh-CN" | "en";

export type Role = "teacher" | "assistant" | "classroom" | "student" | "observer" | "operator";

export type Source = "camera" | "microphone" | "screen" | "screen-audio";

export type Kind = "audio" | "video";

export type Codec = "opus" | "h264" | "vp8";

/** `member/source`, as in `li/camera`. Stays the same when a member publishes again. */
export type TrackId = `${string}/${Source}`;

/** One of the voices of the class that are loudest: the teacher's has a line of its own. */
export type Voice = `loudest/${1 | 2 | 3}`;

/** As many as a node gives; whoever speaks keeps a line. */
export const VOICES: readonly Voice[] = ["loudest/1", "loudest/2", "loudest/3"];

export interface Member {
  id: string;
  name: string;
  role: Role;
  school: string;
  node: string;
}

export interface LessonInfo {
  id: string;
  title: string;
  subject: string;
  grade: string;
  teacher: string;
  campus: string;
  schools: string[];
  /** What people call its schools; one without a name is called by its id. */
  schoolNames?: Record<string, string>;
  plannedStartMs?: number;
  plannedMinutes?: number;
}

export type Phase = "scheduled" | "open" | "live" | "ended" | "archived";

export interface PublishedTrack {
  track: TrackId;
  codec: Codec;
  node: string;
}

export interface Hand {
  member: string;
  /** Milliseconds since the Unix epoch. */
  atMs: number;
}

/** A lesson as its member may see it, after the event numbered `seq`. */
export interface LessonState extends Interactions {
  info: LessonInfo;
  phase: Phase;
  seq: number;
  session?: string | undefined;
  startedMs?: number | undefined;
  endedMs?: number | undefined;
  members: Record<string, Member>;
  /** The longest waiting first. */
  hands: Hand[];
  /** In the order they were called. */
  stage: string[];
  muted: string[];
  /** Nobody new comes into this run. */
  locked?: boolean | undefined;
  tracks: Record<string, PublishedTrack>;
  recording?: string | undefined;
}

export type LeaveReason = "left" | "lost" | "ended" | "removed";

export type EventBody =
  | { type: "lesson.opened"; info: LessonInfo }
  | { type: "lesson.started"; by: string; session: string }
  | { type: "lesson.ended"; by: string }
  | { type: "lesson.archived"; recording: string; durationMs: number }
  | { type: "member.joined"; member: Member }
  | { type: "member.left"; member: string; reason: LeaveReason }
  | { type: "member.removed"; member: string; name: string; school: string; by: string }
  | { type: "member.let-in"; member: string; by: string }
  | { type: "lesson.locked"; locked: boolean; by: string }
  | { type: "hand.raised"; member: string }
  | { type: "hand.lowered"; member: string; by: string }
  | { type: "member.muted"; member: string; muted: boolean; by: string }
  | { type: "stage.called"; member: string; by: string }
  | { type: "stage.left"; member: string; by: string }
  | { type: "track.published"; track: TrackId; codec: Codec; node: string }
  | { type: "track.unpublished"; track: TrackId }
  | InteractionEvent;

/** Decided by a node that could not reach the origin; without `heardMs` it is provisional. */
export interface Late {
  node: string;
  heardMs?: number;
}

export type LessonEvent = { seq: number; id: string; atMs: number; late?: Late } & EventBody;

export type MemberCommand =
  | { do: "start" }
  | { do: "end" }
  | { do: "raise-hand" }
  | { do: "lower-hand"; member?: string }
  | { do: "mute"; member: string; muted: boolean }
  | { do: "remove-member"; member: string }
  | { do: "let-in"; member: string }
  | { do: "lock"; locked: boolean }
  | { do: "call"; member: string }
  | { do: "dismiss"; member?: string }
  | InteractionCommand;

export type RefusalCode =
  | "no-such-lesson"
  | "not-invited"
  | "not-open"
  | "not-live"
  | "already-live"
  | "ended"
  | "not-a-member"
  | "no-such-member"
  | "not-allowed"
  | "hand-already-up"
  | "hand-not-up"
  | "already-on-stage"
  | "not-on-stage"
  | "already-muted"
  | "no-such-track"
  | "removed"
  | "locked"
  | "lesson-full"
  | "campus-away"
  | "not-supported"
  | "storage"
  | "not-now"
  | "already-open"
  | "already-answered"
  | "too-late"
  | "not-an-answer"
  | "too-long"
  | "too-many"
  | "too-fast"
  | "chat-off"
  | "silenced"
  | "nobody-to-pick"
  | "bad-quiz"
  | "empty"
  | "out-of-range"
  | "no-such-thing"
  | "two-groups"
  | "bad-deck"
  | "no-slides"
  | "no-such-page"
  | "board-read-only"
  | "board-not-yours"
  | "board-malformed"
  | "board-too-large"
  | "board-too-fast"
  | "board-full";

/** What one m-line of the watch connection shows: a track, a voice, or nothing. */
export interface Slot {
  mid: string;
  track: TrackId | null;
  loudest?: number;
  /** The smallest picture there is will do, whatever the line takes. */
  small?: boolean;
}

function isVoice(shown: string | null): shown is Voice {
  return (VOICES as readonly (string | null)[]).includes(shown);
}

/** How the node is told what an m-line shows. */
export function slotShowing(mid: string, shown: TrackId | Voice | null, small: boolean): Slot {
  if (isVoice(shown)) return { mid, track: null, loudest: VOICES.indexOf(shown) + 1 };
  const picture = shown !== null && trackKind(shown) === "video";
  return { mid, track: shown, ...(small && picture ? { small } : {}) };
}

export type ClientMessage =
  | { type: "join"; token: string; lang: Lang }
  | { type: "command"; id: number; command: MemberCommand }
  | { type: "watch-offer"; id: number; sdp: string }
  | { type: "watch"; id: number; slots: Slot[] }
  /** The member points at something on the slides, or no more. Not answered. */
  | { type: "pointer"; at?: Spot }
  | { type: "leave" };

export type ByeReason =
  | "unauthorized"
  | "replaced"
  | "ended"
  | "removed"
  | "protocol"
  | "too-slow"
  | "shutdown";

export interface Links {
  library?: string;
  report?: string;
}

/** A STUN or TURN server, with credentials of our own where it wants some. */
export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

/** How much of a lesson reaches a school over its line, the best first. */
export type Rung = "full" | "reduced" | "slides" | "stills" | "sound";

/** Why it gets no more. */
export type RungReason = "whole" | "settling" | "cap" | "line";

/** What reaches one school behind a line of its own. */
export interface SchoolRung {
  school: string;
  node: string;
  rung: Rung;
  reason: RungReason;
  sinceMs: number;
}

export type ServerMessage =
  | {
      type: "welcome";
      you: Member;
      state: LessonState;
      nowMs: number;
      campus: boolean;
      links: Links;
      iceServers?: IceServer[];
    }
  | { type: "event"; event: LessonEvent }
  /** In place of the state the page has: what the node decided alone has met the campus's. */
  | { type: "state"; state: LessonState }
  | { type: "done"; id: number }
  | { type: "refused"; id: number; code: RefusalCode; message: string }
  | { type: "failed"; id: number; message: string }
  | { type: "watch-answer"; id: number; sdp: string }
  | { type: "campus"; reachable: boolean }
  | { type: "speakers"; tracks: [TrackId, number][] }
  /** The layers of an own source that someone watches, by their names in the offer. */
  | { type: "layers"; source: Source; active: string[] }
  /** To who teaches: what reaches each school, all of them. */
  | { type: "rungs"; schools: SchoolRung[] }
  /** Where `by` points on the slides, or that it points no more. */
  | { type: "pointer"; by: string; at?: Spot }
  | { type: "bye"; reason: ByeReason; message: string };

const SERVER_MESSAGES: ReadonlySet<string> = new Set<ServerMessage["type"]>([
  "welcome",
  "event",
  "state",
  "done",
  "refused",
  "failed",
  "watch-answer",
  "campus",
  "speakers",
  "layers",
  "rungs",
  "pointer",
  "bye",
]);

/**
 * Reads one message of the node. `null` for a kind this client does not know: a newer node
 * may say more than an older page understands.
 */
export function parseServerMessage(text: string): ServerMessage | null {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof message !== "object" || message === null || !("type" in message)) return null;
  const { type } = message;
  return typeof type === "string" && SERVER_MESSAGES.has(type) ? (message as ServerMessage) : null;
}

/** What people call a school. */
export function schoolName(
  { schoolNames }: Pick<LessonInfo, "schoolNames">,
  school: string,
): string {
  return schoolNames?.[school] ?? school;
}

export function trackId(member: string, source: Source): TrackId {
  return `${member}/${source}`;
}

export function trackMember(track: TrackId): string {
  return track.slice(0, track.lastIndexOf("/"));
}

export function trackSource(track: TrackId): Source {
  return track.slice(track.lastIndexOf("/") + 1) as Source;
}

export function trackKind(track: TrackId | Voice): Kind {
  return /\/(camera|screen)$/.test(track) ? "video" : "audio";
}
