//! What a synthetic teacher sends: a test picture as H.264, synthesised speech as Opus, and
//! the ledger of what was sent, against which viewers count what they got.

pub mod assembly;
pub mod camera;
pub mod ledger;
pub mod microphone;
pub mod picture;
pub mod speech;
