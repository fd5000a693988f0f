//! [`MediaController`] behind quinn's trait. The one place that reads a clock: quinn asks for
//! the window without saying when, and in an outage the window depends on it. Asked twice for
//! each packet, it reads none where the line has room.

use crate::controller::MediaController;
use crate::path::Gauge;
use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

/// Makes a controller for every new path of one connection.
pub struct MediaControllerFactory {
    pub gauge: Arc<Gauge>,
}

impl ControllerFactory for MediaControllerFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let mut controller = MediaController::new(now, current_mtu);
        controller.on_want(self.gauge.want() as f64 / 8.0);
        self.gauge.measured(controller.state(), controller.orders());
        Box::new(Adapter {
            initial_window: controller.window(now),
            controller,
            ways: self.gauge.ways(),
            gauge: self.gauge.clone(),
        })
    }
}

#[derive(Clone)]
struct Adapter {
    controller: MediaController,
    gauge: Arc<Gauge>,
    /// The changes of way the controller knows of.
    ways: u64,
    initial_window: u64,
}

impl Controller for Adapter {
    fn on_sent(&mut self, now: Instant, bytes: u64, _last_packet_number: u64) {
        self.controller.on_sent(now, bytes);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        _app_limited: bool,
        _rtt: &RttEstimator,
    ) {
        self.controller.on_ack(now, sent, bytes);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        _app_limited: bool,
        _largest_packet_num_acked: Option<u64>,
    ) {
        let ways = self.gauge.ways();
        if ways != self.ways {
            self.ways = ways;
            self.controller.on_new_way(now);
        }
        self.controller.on_acks_end(now, in_flight);
        self.controller.on_want(self.gauge.want() as f64 / 8.0);
        self.gauge.measured(self.controller.state(), self.controller.orders());
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        _is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.controller.on_lost(now, sent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.controller.on_mtu(new_mtu);
    }

    fn window(&self) -> u64 {
        let roomy = self.controller.roomy_window();
        roomy.unwrap_or_else(|| self.controller.window(Instant::now()))
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.initial_window
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
