//! What a line can do, measured before a lesson: rates both ways, round trip, loss, packet
//! size, clocks, and which ways through the firewall there are.
//!
//! Both ends show certificates, as on a trunk. The machine asks, the campus sends or counts:
//! short trains of datagrams at rising rates, until one comes thinner than it was sent. What
//! a train may cost is bounded by the campus, whoever asks.

mod client;
mod control;
mod ladder;
mod server;
mod train;
mod words;

pub use client::{Certificate, Ping, Report, Through, measure};
pub(crate) use control::transport;
pub use ladder::Rate;
pub(crate) use server::serve;
