//! QUIC's settings for a measurement: nothing may hold a train back but the line.

use quinn::congestion::{Controller, ControllerFactory};
use quinn::{TransportConfig, VarInt};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes in flight: the fastest train over a satellite, and what it leaves behind.
const WINDOW: u64 = 4 * 1024 * 1024;

/// A train that has not left yet, or was not taken yet.
const BUFFER: usize = 2 * 1024 * 1024;

pub fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .datagram_send_buffer_size(BUFFER)
        .datagram_receive_buffer_size(Some(BUFFER))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .keep_alive_interval(Some(Duration::from_secs(2)))
        .congestion_controller_factory(Arc::new(OpenFactory));
    Arc::new(config)
}

struct OpenFactory;

impl ControllerFactory for OpenFactory {
    fn build(self: Arc<Self>, _: Instant, _: u16) -> Box<dyn Controller> {
        Box::new(Open)
    }
}

/// Trains are short and their rate is bounded; a controller would measure itself.
#[derive(Debug, Clone)]
struct Open;

impl Controller for Open {
    fn on_ack(&mut self, _: Instant, _: Instant, _: u64, _: bool, _: &RttEstimator) {}
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}
    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        WINDOW
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
