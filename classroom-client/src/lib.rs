//! The native client's half of a lesson: a WebRTC peer on the `webrtc` crate, publishing over
//! WHIP, the lesson socket, and listening to what it lets one hear. The `classroom-client`
//! program feeds it from GStreamer and to assistants' commands, the load generator from
//! synthetic teachers.
//!
//! It knows nothing of devices, codecs' insides or the lesson's rules.

pub mod dial;
pub mod keyframe;
pub mod lesson_client;
pub mod listening;
pub mod peer;
pub mod publish;

pub use rtc::rtp;
