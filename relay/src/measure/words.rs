//! What is said while a line is measured, and what a datagram of a train looks like.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bytes of a train's datagrams: fits any QUIC path, and is about what a video packet has.
pub const SIZE: usize = 1_100;

/// Packets leave this often, as many as are due.
pub const TICK: Duration = Duration::from_millis(5);

/// From the machine that measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Ask {
    /// What time is it?
    Ping,
    /// Send me this train.
    Down(Train),
    /// Count this train, which follows.
    Up(Train),
    /// That was all of it, so many packets.
    UpEnd { sent: u32 },
}

/// From the campus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Answer {
    /// Milliseconds since the Unix epoch.
    Pong { now_ms: u64 },
    /// The train is through at this end, so many packets.
    DownEnd { sent: u32 },
    /// Ready to count.
    UpReady,
    /// What came of it, from the first to the last packet.
    UpCame(Came),
    /// More than a node gives away.
    Enough,
}

/// Packets at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Train {
    pub id: u8,
    /// bit/s.
    pub rate: u32,
    pub millis: u32,
}

/// What arrived of a train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Came {
    pub packets: u32,
    /// Between the first and the last, microseconds.
    pub micros: u64,
}
