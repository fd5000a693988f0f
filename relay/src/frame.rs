//! What a trunk is told about a frame, and what it says became of it.

use std::time::Duration;

/// What a frame is to the frames after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameKind {
    /// Decodes by itself, and everything after it needs it.
    Keyframe,
    /// Needs the frames before it, and those after it need it.
    Delta,
    /// Needs frames before it, and none needs it: the top of a temporal ladder.
    Discardable,
    /// Decodes by itself, or nobody knows: leaving it out says nothing about the next.
    #[default]
    Independent,
}

/// How a frame is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameOptions {
    /// Higher goes first; below [`AUDIO_PRIORITY`](crate::AUDIO_PRIORITY).
    pub priority: i32,
    pub kind: FrameKind,
    /// After it, what is not through is given up. `None`: as long as live video is worth
    /// something on this path, [`PathState::deadline`](crate::PathState::deadline).
    pub deadline: Option<Duration>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// On its way. It may still be given up at its deadline.
    Sent,
    /// Left out, and counted, because the line is behind.
    Skipped { why: Skip },
    /// Not sent, and counted: too much waits already, or the trunk is closed.
    NoRoom,
}

/// Why a frame was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The line has not carried what this flow was given before.
    Behind,
    /// It needs a frame that was left out. Until a keyframe comes nothing of the flow is
    /// sent but that: ask for one.
    Undecodable,
}

/// A frame that was begun before all of it was there. It is given up at its deadline, counted
/// from what was last added.
#[derive(Debug)]
pub struct Begun {
    /// 0 when it goes in parts.
    pub(crate) id: u64,
    pub(crate) flow: u64,
    pub(crate) options: FrameOptions,
    /// What it began with.
    pub(crate) bytes: u64,
}

impl Verdict {
    #[must_use]
    pub fn is_sent(self) -> bool {
        self == Self::Sent
    }
}
