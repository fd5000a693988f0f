//! The native client's half of a lesson's media: a WebRTC peer on the `webrtc` crate, and
//! publishing over WHIP. The `classroom-client` program feeds it from GStreamer, the load
//! generator from synthetic teachers.
//!
//! It knows nothing of devices, codecs' insides or the lesson's rules.

pub mod keyframe;
pub mod peer;
pub mod publish;

pub use rtc::rtp;
