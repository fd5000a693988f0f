//! The board (板书): who may write on it, and the messages about it between pages and nodes
//! ([`Frame`], binary messages of the lesson socket) and between nodes ([`BoardWord`], in
//! [`Control::Board`](crate::trunk::Control::Board)).
//!
//! A board is one Yjs document per run of a lesson. Every change to it is a Yjs update (v1
//! encoding), which may come twice and in any order; what of an update a node takes is in
//! [`update`]. Changes never enter the lesson's event log.

pub mod bytes;
pub mod pictures;
pub mod update;

use crate::blob::Blob;
use crate::id::MemberId;
use crate::lesson::State;
use crate::member::{Member, Role};
use crate::refusal::{Lang, Refusal};
use bytes::{Reader, put_bytes, put_var};
use serde::{Deserialize, Serialize};

/// Most bytes of a board's changes in one message, on a socket and on a trunk: 130 ms of a line
/// of 2 Mbit/s, so that little waits behind it. Longer changes go in pieces.
pub const MAX_PIECE: usize = 32 * 1024;

/// Most bytes of one message about a stroke that is being drawn.
pub const MAX_INK: usize = 2048;

/// Most strokes under way in one [`BoardWord::Ink`].
pub const MAX_INKS: usize = 64;

/// A writer is said to have drawn ([`board.drawn`](crate::event::EventBody::BoardDrawn)) at most
/// once in so long, milliseconds, with all it wrote meanwhile.
pub const DRAWN_EVERY_MS: u64 = 10_000;

/// Who may write on the board. Teachers always may, observers and operators never.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum BoardWriters {
    /// The teacher alone.
    #[default]
    Teacher,
    /// And whoever is on stage.
    Stage,
    /// And classrooms with their assistants.
    Classrooms,
    /// And students.
    Everyone,
}

impl BoardWriters {
    /// All of them, each with more writers than the one before.
    pub const ALL: [Self; 4] = [Self::Teacher, Self::Stage, Self::Classrooms, Self::Everyone];

    /// Whether `member`, on stage or not, may write.
    #[must_use]
    pub fn admits(self, member: &Member, on_stage: bool) -> bool {
        match member.role {
            Role::Teacher => true,
            Role::Observer | Role::Operator => false,
            Role::Assistant | Role::Classroom => {
                self >= Self::Classrooms || (self == Self::Stage && on_stage)
            }
            Role::Student => self == Self::Everyone || (self >= Self::Stage && on_stage),
        }
    }
}

/// Whether the lesson lets `member` write on its board now. A page asks the same of its copy of
/// the state; its node asks for each change.
#[must_use]
pub fn may_write(state: &State, member: &MemberId) -> bool {
    let present = state.members.get(member);
    present.is_some_and(|m| state.board_writers.admits(m, state.stage.contains(member)))
}

/// Whether a role may also change what others drew, turn pages and add them.
#[must_use]
pub fn may_arrange(role: Role) -> bool {
    matches!(role, Role::Teacher | Role::Assistant)
}

/// The upper 21 bits of every Yjs client id (53 bits) a member's pages use, so that a node can
/// tell without any table that a change is its author's own: FNV-1a (32 bit) of the member's
/// id, its upper half folded onto the lower.
#[must_use]
pub fn author_of(member: &MemberId) -> u32 {
    let hash = member
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 21)) & 0x1f_ffff
}

/// The author part of a client id.
#[must_use]
pub fn author_in(client: u64) -> u32 {
    // 53 bits less 32: it fits.
    u32::try_from(client >> 32).unwrap_or(u32::MAX)
}

const OPEN: u8 = 1;
const CHANGE: u8 = 2;
const TAKEN: u8 = 3;
const REFUSED: u8 = 4;
const INK: u8 = 5;
const CLOSE: u8 = 6;

/// Why a binary message was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no message about the board")]
pub struct NoFrame;

/// A binary message of the lesson socket: one byte that says which, then its fields. Numbers
/// are variable-length (7 bits a byte, the lowest first), bytes have their length before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Page to node (1): shows the board from now on. `vector` is the Yjs state vector of what
    /// the page has: the node sends what it lacks, and goes on with what changes.
    Open { vector: Vec<u8> },
    /// Page to node (2): change number `n` (of the page's choice), a Yjs update. Sent again, as
    /// another number or together with others, until it is answered.
    ///
    /// Node to page: a piece of a change; `n` is 0 when it is the last piece, else 1.
    Change { n: u64, update: Vec<u8> },
    /// Node to page (3): change `n` is on the node's disk.
    Taken { n: u64 },
    /// Node to page (4): change `n` was refused, why, and the sentence to show.
    Refused { n: u64, code: Refusal, sentence: String },
    /// Either way (5): a stroke that is being drawn. Passed on to whoever shows the board, never
    /// kept, and left out where the line is slow. The node fills in `member`.
    Ink { member: String, data: Vec<u8> },
    /// Page to node (6): no longer shows the board.
    Close,
}

impl Frame {
    /// The bytes of the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Open { vector } => {
                out.push(OPEN);
                put_bytes(&mut out, vector);
            }
            Self::Change { n, update } => {
                out.push(CHANGE);
                put_var(&mut out, *n);
                put_bytes(&mut out, update);
            }
            Self::Taken { n } => {
                out.push(TAKEN);
                put_var(&mut out, *n);
            }
            Self::Refused { n, code, sentence } => {
                out.push(REFUSED);
                put_var(&mut out, *n);
                let word = serde_json::to_value(code).unwrap_or_default();
                put_bytes(&mut out, word.as_str().unwrap_or_default().as_bytes());
                put_bytes(&mut out, sentence.as_bytes());
            }
            Self::Ink { member, data } => {
                out.push(INK);
                put_bytes(&mut out, member.as_bytes());
                put_bytes(&mut out, data);
            }
            Self::Close => out.push(CLOSE),
        }
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`NoFrame`].
    pub fn decode(message: &[u8]) -> Result<Self, NoFrame> {
        let mut reader = Reader::new(message);
        let frame = Self::read(&mut reader).ok_or(NoFrame)?;
        if reader.is_empty() { Ok(frame) } else { Err(NoFrame) }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(match reader.byte()? {
            OPEN => Self::Open { vector: reader.bytes()?.to_vec() },
            CHANGE => Self::Change { n: reader.var()?, update: reader.bytes()?.to_vec() },
            TAKEN => Self::Taken { n: reader.var()? },
            REFUSED => {
                let n = reader.var()?;
                let code = serde_json::Value::from(reader.text()?);
                let code = serde_json::from_value(code).ok()?;
                Self::Refused { n, code, sentence: reader.text()?.to_owned() }
            }
            INK => Self::Ink { member: reader.text()?.to_owned(), data: reader.bytes()?.to_vec() },
            CLOSE => Self::Close,
            _ => return None,
        })
    }

    /// The answer to change `n`, refused.
    #[must_use]
    pub fn refused(n: u64, code: Refusal, lang: Lang) -> Self {
        Self::Refused { n, code, sentence: code.sentence(lang).to_owned() }
    }
}

/// A stroke that is being drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InkUnderWay {
    pub member: MemberId,
    pub data: Blob,
}

/// What one node says to another of a lesson's board. `run` counts the lesson's runs: a word of
/// another run than the hearer's means nothing to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum BoardWord {
    /// Its state vector: the other end answers with the changes that are lacking and goes on
    /// with new ones. With `ask`, it says what it has, too.
    Have {
        vector: Blob,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ask: bool,
    },
    /// A piece of a Yjs update, at most [`MAX_PIECE`]; the next one comes when this is answered
    /// with [`Self::Got`].
    Change { piece: Blob, last: bool },
    /// The piece is taken; where it was the last, the change is on the disk.
    Got,
    /// Strokes under way.
    Ink { strokes: Vec<InkUnderWay> },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{NodeId, SchoolId};
    use proptest::prelude::*;

    fn member(role: Role) -> Member {
        Member {
            id: MemberId::new("wang").unwrap(),
            name: "wang".into(),
            role,
            school: SchoolId::new("school-01").unwrap(),
            node: NodeId::new("school-01-a").unwrap(),
        }
    }

    #[test]
    fn each_choice_admits_whom_it_names() {
        use BoardWriters::{Classrooms, Everyone, Stage, Teacher};
        // By choice: off stage, on stage.
        for (role, off, on) in [
            (Role::Teacher, &BoardWriters::ALL[..], &BoardWriters::ALL[..]),
            (Role::Assistant, &[Classrooms, Everyone], &[Stage, Classrooms, Everyone]),
            (Role::Classroom, &[Classrooms, Everyone], &[Stage, Classrooms, Everyone]),
            (Role::Student, &[Everyone], &[Stage, Classrooms, Everyone]),
            (Role::Observer, &[], &[]),
            (Role::Operator, &[], &[]),
        ] {
            for (on_stage, admitting) in [(false, off), (true, on)] {
                for choice in [Teacher, Stage, Classrooms, Everyone] {
                    let admitted = choice.admits(&member(role), on_stage);
                    let wanted = admitting.contains(&choice);
                    assert_eq!(admitted, wanted, "{role:?} {choice:?} on stage: {on_stage}");
                }
            }
        }
    }

    #[test]
    fn the_author_in_a_client_id_is_as_documented() {
        // The pages compute the same.
        let li = author_of(&MemberId::new("li").unwrap());
        assert_eq!(li, 1_163_079);
        assert_eq!(author_in((u64::from(li) << 32) | 7), li);
        assert!(u64::from(li) << 32 < 1 << 53);
    }

    #[test]
    fn frames_look_as_documented() {
        let change = Frame::Change { n: 300, update: vec![0, 0] };
        assert_eq!(change.encode(), [2, 0xac, 2, 2, 0, 0]);
        let refused = Frame::refused(1, Refusal::BoardFull, Lang::En);
        assert!(refused.encode().starts_with(b"\x04\x01\x0aboard-full"));
        assert_eq!(Frame::decode(&refused.encode()), Ok(refused));
        assert_eq!(Frame::decode(b""), Err(NoFrame));
        assert_eq!(Frame::decode(&[6, 0]), Err(NoFrame), "something follows");
    }

    #[test]
    fn words_between_nodes_look_as_documented() {
        let change = BoardWord::Change { piece: Blob(vec![1, 2, 3]), last: true };
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(json, r#"{"word":"change","piece":"AQID","last":true}"#);
        assert_eq!(serde_json::from_str::<BoardWord>(&json).unwrap(), change);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(frame) = Frame::decode(&bytes) {
                prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
            }
        }
    }
}
