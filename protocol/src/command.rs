//! Commands: what a member or a node asks of a lesson. The origin answers each with events
//! or with a [`Refusal`](crate::refusal::Refusal).

use crate::board::BoardWriters;
use crate::event::LeaveReason;
use crate::id::{MemberId, SchoolId};
use crate::lesson::asking::Among;
use crate::lesson::chat::{Audience, ChatMode, Reaction};
use crate::lesson::grouping::GroupPlan;
use crate::lesson::quiz::{Answer, Item, QuizKind};
use crate::lesson::showing::{Draft, Layout, Mark};
use crate::media::{Codec, TrackId};
use crate::member::Member;
use crate::slides::Deck;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a member may ask for over its lesson socket: `{"do":"raise-hand"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum MemberCommand {
    /// Begin the lesson (teacher).
    Start,
    /// End the lesson for everyone (teacher).
    End,
    RaiseHand,
    /// Take down one's own hand, or another's (teacher).
    LowerHand {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<MemberId>,
    },
    /// Close or reopen a member's microphone (teacher).
    Mute {
        member: MemberId,
        muted: bool,
    },
    /// Take a member out of the lesson, and keep it out (teacher; assistant, the class and
    /// students of its own school).
    RemoveMember {
        member: MemberId,
    },
    /// Let one that was removed come in again (teacher; assistant, of its own school).
    LetIn {
        member: MemberId,
    },
    /// Let nobody new into this run of the lesson, or anybody again (teacher).
    Lock {
        locked: bool,
    },
    /// Call a member to the stage (teacher).
    Call {
        member: MemberId,
    },
    /// Send a member off the stage: any (teacher), or oneself.
    Dismiss {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<MemberId>,
    },
    /// Call every classroom of a school to the stage (teacher).
    CallSchool {
        school: SchoolId,
    },
    /// Send everybody off the stage (teacher).
    DismissAll,
    /// Ask who is there (teacher).
    OpenRollCall {
        /// It closes by itself after so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
    },
    /// Here.
    AnswerRollCall,
    /// So many of a class are here (assistant, classroom). Counting again corrects.
    CountRollCall {
        present: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<u16>,
        /// Who they are, by their ids in the class's roster.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ticked: Vec<MemberId>,
    },
    CloseRollCall,
    /// Leave one's device for a while, or come back to it.
    Away {
        away: bool,
    },
    /// So many hands are up in a class (assistant, classroom). 0 takes them down.
    CountHands {
        count: u16,
    },
    /// Let chance pick somebody, the likelier the less often asked (teacher).
    Pick {
        among: Among,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        school: Option<SchoolId>,
    },
    /// Mark a question that is being asked; an open one is closed first (teacher).
    AskQuestion {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Somebody answered the open question (teacher). A call says so by itself.
    CreditAnswer {
        member: MemberId,
    },
    CloseQuestion,
    OpenQuiz {
        kind: QuizKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        items: Vec<Item>,
        /// It closes by itself after so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
    },
    AnswerQuiz {
        quiz: Uuid,
        /// Index of the item.
        item: u8,
        answer: Answer,
    },
    /// So many hands of a class for each choice (assistant, classroom). Counting again corrects.
    CountQuiz {
        quiz: Uuid,
        item: u8,
        counts: Vec<u16>,
    },
    CloseQuiz {
        quiz: Uuid,
    },
    /// Show everybody what came of it; an open one is closed first (teacher).
    RevealQuiz {
        quiz: Uuid,
    },
    OpenBuzzer {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    Buzz {
        buzzer: Uuid,
    },
    CloseBuzzer {
        buzzer: Uuid,
    },
    /// Say who may say what to whom (teacher).
    SetChat {
        mode: ChatMode,
    },
    Say {
        text: String,
        to: Audience,
    },
    /// Take a message out of the chat (teacher, assistant).
    RemoveMessage {
        message: Uuid,
    },
    /// Keep somebody from saying anything (teacher; assistant, of its own school).
    Silence {
        member: MemberId,
        silenced: bool,
    },
    React {
        reaction: Reaction,
        /// Of how many (assistant, classroom).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u16>,
    },
    ClearReactions,
    Praise {
        member: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Start a timer everybody sees, in place of one that runs (teacher).
    StartTimer {
        seconds: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    StopTimer,
    OpenGroups {
        groups: Vec<GroupPlan>,
        /// They end by themselves after so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
    },
    /// Put somebody into a group, or into none (teacher; assistant, of its own school).
    MoveToGroup {
        member: MemberId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<Uuid>,
    },
    /// Be with a group, or with none (teacher, assistant).
    VisitGroup {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<Uuid>,
    },
    CloseGroups,
    /// Choose what the screens show (teacher, operator).
    Direct {
        layout: Layout,
        /// Who is shown large.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        focus: Option<MemberId>,
    },
    /// A line of what is being said (assistant). Times are milliseconds since the Unix epoch.
    Caption {
        text: String,
        start_ms: u64,
        end_ms: u64,
        /// Language tag: `zh-CN`.
        lang: String,
    },
    /// Propose something to the teacher (assistant).
    Propose {
        proposal: Draft,
    },
    AcceptProposal {
        proposal: Uuid,
    },
    DeclineProposal {
        proposal: Uuid,
    },
    /// A chapter of the recording begins (teacher).
    MarkChapter {
        title: String,
    },
    /// Note something about the lesson (observer).
    Note {
        text: String,
        /// The moment it is about, milliseconds since the Unix epoch; now when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_ms: Option<u64>,
    },
    /// Score the lesson (observer). Scoring again corrects.
    Score {
        sheet: Vec<Mark>,
    },
    /// Say who may write on the board (teacher).
    BoardWriters {
        writers: BoardWriters,
    },
    /// Show slides, in place of those that are shown (teacher).
    SlidesOpen {
        deck: Box<Deck>,
        /// To begin with; the first when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<u16>,
    },
    /// Turn to a page of them, 1 for the first (teacher).
    SlidesTurn {
        page: u16,
    },
    /// Show slides no more (teacher).
    SlidesClose,
}

/// A command with who gives it, as it travels up the trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Command {
    /// A member asks.
    Member {
        by: MemberId,
        command: MemberCommand,
    },
    /// A node let a member in whose token it had checked.
    Join {
        member: Member,
    },
    /// A member is gone from the node that reports it. A member that has meanwhile joined
    /// at another node stays.
    Leave {
        member: MemberId,
        reason: LeaveReason,
    },
    /// A member's source is being published at the node that reports it.
    Publish {
        track: TrackId,
        codec: Codec,
    },
    Unpublish {
        track: TrackId,
    },
    /// A member whom the screens may show large began to speak at the node that reports it, or
    /// was silent for a while. Of this alone nothing is logged.
    Speaks {
        member: MemberId,
        speaks: bool,
    },
    /// A member wrote on the board at the node that reports it: so many changes since `from_ms`.
    Drew {
        member: MemberId,
        strokes: u32,
        /// Milliseconds since the Unix epoch.
        from_ms: u64,
    },
    /// The recorder has the lesson in the library.
    Archived {
        recording: String,
        duration_ms: u64,
    },
    /// One that this release does not know or can't read, as it came: nodes in between pass it
    /// on, an origin refuses it with [`Refusal::NotSupported`](crate::refusal::Refusal).
    #[serde(untagged)]
    Unknown(serde_json::Value),
}
