//! Members of a lesson: who they are and in what role they take part.

use crate::id::{MemberId, NodeId, SchoolId};
use serde::{Deserialize, Serialize};

/// What a member may do in a lesson (角色).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// 主讲: gives the lesson.
    Teacher,
    /// 辅讲: helps in a school's classroom.
    Assistant,
    /// 教室端: a whole class behind one screen, camera and microphone.
    Classroom,
    /// A student alone on a device.
    Student,
    /// 听评课: sees and hears, is not seen.
    Observer,
    /// 运维: runs nodes.
    Operator,
}

impl Role {
    /// Whether members of this role may publish sources of their own.
    #[must_use]
    pub fn may_publish(self) -> bool {
        matches!(self, Role::Teacher | Role::Assistant | Role::Classroom | Role::Student)
    }

    /// Whether members of this role are taught: they raise hands and answer. They are heard, and
    /// don't lead.
    #[must_use]
    pub fn takes_part(self) -> bool {
        matches!(self, Role::Assistant | Role::Classroom | Role::Student)
    }

    /// Whether a member of this role is a whole class.
    #[must_use]
    pub fn is_classroom(self) -> bool {
        matches!(self, Role::Classroom)
    }

    /// Whether members of this role may count for a class without devices.
    #[must_use]
    pub fn counts_for_class(self) -> bool {
        matches!(self, Role::Assistant | Role::Classroom)
    }

    /// Whether members of this role run the lesson: start, end, mute and call others up.
    #[must_use]
    pub fn leads(self) -> bool {
        matches!(self, Role::Teacher)
    }
}

/// One member as every other may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub id: MemberId,
    /// The name shown to people, 1–64 characters of any script.
    pub name: String,
    pub role: Role,
    /// The school whose attendance this member counts for.
    pub school: SchoolId,
    /// The node the member is connected to.
    pub node: NodeId,
}
