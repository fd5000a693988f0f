//! A school's node as something to be set up by whoever stands at the machine: [`enrol`]
//! makes one of it, [`doctor`] says what its line is good for, [`papers`] keeps what it must
//! have valid for as long as it runs.

pub mod doctor;
pub mod enrol;
pub(crate) mod metrics;
pub mod papers;
mod unit;
mod welcome;

pub use welcome::Welcome;
