// What is done in a lesson beside being seen and heard: roll calls, questions, quizzes, chat,
// groups and the like. Their commands, their events, and what they leave in the state, as the
// nodes' `protocol` crate writes them. Times are milliseconds since the Unix epoch.

/** The latest roll call. It stays to be looked at after it closed. */
export interface RollCall {
  id: string;
  openedMs: number;
  closesMs?: number;
  closedMs?: number;
  /** When each answered. */
  answered: Record<string, number>;
  /** Heads that an assistant or a classroom counted, by who counted. */
  counted: Record<string, HeadCount>;
}

export interface HeadCount {
  school: string;
  present: number;
  expected?: number;
  /** Of the school's roster. */
  ticked?: string[];
}

/** Of everyone who came to this run of the lesson, be they still there or not. */
export interface Attendance {
  name: string;
  role: string;
  school: string;
  /** The first time. */
  joinedMs: number;
  leftMs?: number;
  /** In all, without what runs since `awaySinceMs`. */
  awayMs: number;
  awaySinceMs?: number;
  late: boolean;
}

/** Hands counted in a classroom whose pupils have no devices. */
export interface HandCount {
  school: string;
  count: number;
  atMs: number;
}

export interface Picked {
  member: string;
  atMs: number;
  /** Among how many. */
  among: number;
  /** How often the member had been asked before. */
  asked: number;
}

export type Among = "students" | "classrooms" | "everyone";

export interface Question {
  id: string;
  text?: string;
  askedMs: number;
  firstHandMs?: number;
  closedMs?: number;
  /** Who answered it, in order. */
  answered: string[];
}

export type ItemKind = "single" | "multiple" | "true-false" | "number" | "text";

/** What a member answers to one item, and what is right. */
export type Answer =
  | { choice: number }
  | { choices: number[] }
  | { truth: boolean }
  | { number: number }
  | { text: string };

export interface Item {
  prompt: string;
  kind: ItemKind;
  /** Of `single` and `multiple`. */
  choices?: string[];
  /** Told to pupils only after the reveal. */
  correct?: Answer;
  /** Of `number`: how far from the right one still is right. */
  tolerance?: number;
}

export type QuizKind = "quiz" | "poll";

export interface GivenAnswer {
  answer: Answer;
  atMs: number;
}

/** How an item was answered by all together. */
export interface Tally {
  answered: number;
  /** For each choice; of true or false: true first. */
  counts?: number[];
  correct?: Answer;
  right?: number;
}

export interface QuizContent {
  id: string;
  kind: QuizKind;
  title?: string;
  items: Item[];
}

/** The latest quiz or poll. */
export interface Quiz extends QuizContent {
  openedMs: number;
  closesMs?: number;
  closedMs?: number;
  /** By member, one place for each item; a pupil's page knows its own only. */
  answers: Record<string, (GivenAnswer | null)[]>;
  /**
   * By who counted: shows of hands in classrooms without devices. One place for each item, each
   * with one count for each choice.
   */
  counts: Record<string, { school: string; items: (number[] | null)[] }>;
  /** Once revealed, one for each item. */
  tallies?: Tally[];
}

export interface Buzzer {
  id: string;
  title?: string;
  openedMs: number;
  closedMs?: number;
  /** The first first. */
  presses: { member: string; atMs: number }[];
}

export type ChatMode = "off" | "teacher-only" | "all";
export type ChatTo = "all" | "teacher";

export interface ChatMessage {
  id: string;
  member: string;
  text: string;
  to: ChatTo;
  atMs: number;
}

export interface Chat {
  mode: ChatMode;
  /** The last of them, the oldest first. */
  messages: ChatMessage[];
  silenced: string[];
}

export type ReactionKind =
  | "understood"
  | "not-understood"
  | "thumbs-up"
  | "clap"
  | "heart"
  | "laugh";

export interface Reaction {
  reaction: ReactionKind;
  /** Of a classroom: how many of its pupils. */
  count: number;
  atMs: number;
}

export interface Praise {
  member: string;
  atMs: number;
  text?: string;
}

export interface Timer {
  endsMs: number;
  seconds: number;
  title?: string;
}

export interface Group {
  id: string;
  name: string;
  members: string[];
}

export interface Groups {
  groups: Group[];
  endsMs?: number;
  /** Which group a teacher or an assistant looks in on. */
  visiting: Record<string, string>;
}

export type Layout =
  | "auto"
  | "teacher"
  | "slides"
  | "slides-teacher"
  | "board"
  | "screen"
  | "stage"
  | "grid";

/** What the remote screens show. */
export interface View {
  layout: Layout;
  focus?: string;
  /** Whether the node chose it by what happens, and goes on choosing. */
  auto: boolean;
}

export interface Caption {
  text: string;
  startMs: number;
  endMs: number;
  lang: string;
}

export type ProposalContent =
  | { kind: "chapter"; title: string; atMs: number }
  | { kind: "quiz"; title?: string; items: Item[] };

/** What an assistant, a person or a program, would have the teacher do. */
export interface Proposal {
  id: string;
  member: string;
  content: ProposalContent;
}

export interface Chapter {
  title: string;
  atMs: number;
}

export interface Note {
  id: string;
  member: string;
  text: string;
  atMs: number;
}

/** One line of an observer's sheet. */
export interface Score {
  criterion: string;
  points: number;
  of: number;
}

/** Who may write on the board, each with more writers than the one before. */
export type BoardWriters = "teacher" | "stage" | "classrooms" | "everyone";

export interface DeckPage {
  /** Its picture, to be had at the node by this id. */
  asset: string;
  /** Of the picture, in pixels. */
  width: number;
  height: number;
  /** A smaller picture of it, for overviews and for who saves data. */
  small?: string;
  title?: string;
}

/** Slides to show: pages that were made into pictures once. */
export interface Deck {
  id: string;
  title: string;
  pages: DeckPage[];
  /** The asset with the text of its pages. */
  text?: string;
}

/** The deck that is open, and the page everybody sees, 1 for the first. */
export interface Slides {
  deck: Deck;
  page: number;
}

/** Where the teacher points on a page: ten-thousandths of its width and height. */
export interface Spot {
  x: number;
  y: number;
}

/** One who was taken out of this run, and may not come back before it is let in. */
export interface Removed {
  name: string;
  school: string;
  by: string;
  atMs: number;
}

/** What interactions leave in a lesson's state. Nodes leave out what is empty. */
export interface Interactions {
  rollCall?: RollCall | undefined;
  attendance: Record<string, Attendance>;
  /** By id; a pupil's page knows of none. */
  removed: Record<string, Removed>;
  away: string[];
  /** By who counted. */
  handCounts: Record<string, HandCount>;
  /** How often each was called or picked. */
  asked: Record<string, number>;
  picked?: Picked | undefined;
  question?: Question | undefined;
  quiz?: Quiz | undefined;
  buzzer?: Buzzer | undefined;
  chat: Chat;
  reactions: Record<string, Reaction>;
  praise: Praise[];
  timer?: Timer | undefined;
  groups?: Groups | undefined;
  view: View;
  slides?: Slides | undefined;
  boardWriters: BoardWriters;
  /** How often the lesson was opened anew, 1 for its first run. */
  run: number;
  caption?: Caption | undefined;
  proposals: Proposal[];
  chapters: Chapter[];
  notes: Note[];
  sheets: Record<string, Score[]>;
}

export type InteractionEvent =
  | { type: "roll-call.opened"; rollCall: string; by: string; closesMs?: number }
  | { type: "roll-call.answered"; rollCall: string; member: string }
  | ({ type: "roll-call.counted"; rollCall: string; member: string } & HeadCount)
  | { type: "roll-call.closed"; rollCall: string; by?: string }
  | { type: "member.away"; member: string; away: boolean }
  | { type: "hands.counted"; member: string; school: string; count: number }
  | { type: "member.picked"; member: string; by: string; among: number; asked: number }
  | { type: "question.asked"; question: string; by: string; text?: string }
  | { type: "question.answered"; question: string; member: string; by: string }
  | { type: "question.closed"; question: string; by: string }
  | { type: "quiz.opened"; quiz: QuizContent; by: string; closesMs?: number }
  | { type: "quiz.answered"; quiz: string; item: number; member: string; answer: Answer }
  | {
      type: "quiz.counted";
      quiz: string;
      item: number;
      member: string;
      school: string;
      counts: number[];
    }
  | { type: "quiz.closed"; quiz: string; by?: string }
  | { type: "quiz.revealed"; quiz: string; by: string; tallies: Tally[] }
  | { type: "buzzer.opened"; buzzer: string; by: string; title?: string }
  | { type: "buzzer.pressed"; buzzer: string; member: string; rank: number; afterMs: number }
  | { type: "buzzer.closed"; buzzer: string; by: string }
  | { type: "chat.set"; mode: ChatMode; by: string }
  | { type: "chat.said"; message: string; member: string; text: string; to: ChatTo }
  | { type: "chat.removed"; message: string; by: string }
  | { type: "chat.silenced"; member: string; silenced: boolean; by: string }
  | { type: "reaction.given"; member: string; reaction: ReactionKind; count?: number }
  | { type: "reactions.cleared"; by: string }
  | { type: "praise.given"; member: string; by: string; text?: string }
  | { type: "timer.started"; endsMs: number; seconds: number; by: string; title?: string }
  | { type: "timer.stopped"; by?: string }
  | { type: "groups.opened"; groups: Group[]; by: string; endsMs?: number }
  | { type: "groups.moved"; member: string; group?: string; by: string }
  | { type: "groups.visited"; member: string; group?: string }
  | { type: "groups.closed"; by?: string }
  | { type: "view.directed"; layout: Layout; focus?: string; by?: string; auto: boolean }
  | { type: "slides.opened"; deck: Deck; page: number; by: string }
  | { type: "slides.turned"; deck: string; page: number; by: string }
  | { type: "slides.closed"; by: string }
  | { type: "board.writers"; writers: BoardWriters; by: string }
  | ({ type: "caption.posted"; member: string } & Caption)
  | { type: "proposal.made"; proposal: string; member: string; content: ProposalContent }
  | {
      type: "proposal.accepted" | "proposal.declined";
      proposal: string;
      /** Who had made it. */
      member: string;
      by: string;
    }
  | { type: "chapter.marked"; title: string; fromMs: number; by: string }
  | { type: "note.taken"; note: string; member: string; text: string; aboutMs: number }
  | { type: "sheet.scored"; member: string; sheet: Score[] };

export type InteractionCommand =
  | { do: "open-roll-call"; seconds?: number }
  | { do: "answer-roll-call" }
  | { do: "count-roll-call"; present: number; expected?: number; ticked?: string[] }
  | { do: "close-roll-call" }
  | { do: "away"; away: boolean }
  | { do: "count-hands"; count: number }
  | { do: "call-school"; school: string }
  | { do: "dismiss-all" }
  | { do: "pick"; among: Among; school?: string }
  | { do: "ask-question"; text?: string }
  | { do: "credit-answer"; member: string }
  | { do: "close-question" }
  | { do: "open-quiz"; kind: QuizKind; title?: string; items: Item[]; seconds?: number }
  | { do: "answer-quiz"; quiz: string; item: number; answer: Answer }
  | { do: "count-quiz"; quiz: string; item: number; counts: number[] }
  | { do: "close-quiz"; quiz: string }
  | { do: "reveal-quiz"; quiz: string }
  | { do: "open-buzzer"; title?: string }
  | { do: "buzz"; buzzer: string }
  | { do: "close-buzzer"; buzzer: string }
  | { do: "set-chat"; mode: ChatMode }
  | { do: "say"; text: string; to: ChatTo }
  | { do: "remove-message"; message: string }
  | { do: "silence"; member: string; silenced: boolean }
  | { do: "react"; reaction: ReactionKind; count?: number }
  | { do: "clear-reactions" }
  | { do: "praise"; member: string; text?: string }
  | { do: "start-timer"; seconds: number; title?: string }
  | { do: "stop-timer" }
  | { do: "open-groups"; groups: Omit<Group, "id">[]; seconds?: number }
  | { do: "move-to-group"; member: string; group?: string }
  | { do: "visit-group"; group?: string }
  | { do: "close-groups" }
  | { do: "direct"; layout: Layout; focus?: string }
  | { do: "board-writers"; writers: BoardWriters }
  | { do: "slides-open"; deck: Deck; page?: number }
  | { do: "slides-turn"; page: number }
  | { do: "slides-close" }
  | ({ do: "caption" } & Caption)
  | { do: "propose"; proposal: ProposalContent }
  | { do: "accept-proposal" | "decline-proposal"; proposal: string }
  | { do: "mark-chapter"; title: string }
  | { do: "note"; text: string; atMs?: number }
  | { do: "score"; sheet: Score[] };
