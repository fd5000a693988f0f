//! What members say beside the lesson: chat, reactions and the teacher's praise.

use super::{Phase, State};
use crate::id::MemberId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Messages kept in the state; older ones are in the log.
pub const MAX_MESSAGES: usize = 200;

/// Praise kept in the state; what was given before is in the log.
pub const MAX_PRAISE: usize = 20;

/// Who may say what to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChatMode {
    /// Teachers and assistants alone may say something.
    Off,
    /// Everybody may say something to the teacher.
    #[default]
    TeacherOnly,
    /// Everybody may say something to everybody.
    All,
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    All,
    /// The teacher, and the assistants of the author's school.
    Teacher,
}

/// The chat.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Chat {
    pub mode: ChatMode,
    /// The latest, in the order they became known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Said>,
    /// Who may not say anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<MemberId>,
}

/// A message. Its text is plain: nothing in it is markup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    pub id: Uuid,
    pub member: MemberId,
    pub text: String,
    pub to: Audience,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What one may say without words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    /// 听懂了
    Understood,
    /// 没听懂
    NotUnderstood,
    ThumbsUp,
    Clap,
    Heart,
    Laugh,
}

/// The latest reaction of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reacted {
    pub reaction: Reaction,
    /// Of how many: a class may count hands.
    pub count: u16,
    pub at_ms: u64,
}

/// Praise (表扬) from the teacher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Praise {
    pub member: MemberId,
    pub at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl State {
    pub(super) fn said(&mut self, said: Said) {
        let messages = &mut self.chat.messages;
        messages.push(said);
        if messages.len() > MAX_MESSAGES {
            messages.remove(0);
        }
    }

    pub(super) fn set_silenced(&mut self, member: &MemberId, silenced: bool) {
        self.chat.silenced.retain(|m| m != member);
        if silenced {
            self.chat.silenced.push(member.clone());
        }
    }

    pub(super) fn reacted(&mut self, member: &MemberId, reacted: Reacted) {
        if self.phase < Phase::Ended {
            self.reactions.insert(member.clone(), reacted);
        }
    }

    pub(super) fn praised(&mut self, praise: Praise) {
        self.praise.push(praise);
        if self.praise.len() > MAX_PRAISE {
            self.praise.remove(0);
        }
    }
}
