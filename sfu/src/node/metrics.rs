//! What a node measures of itself, for `/metrics` (OpenMetrics).

use super::Node;
use crate::assets::AssetFigures;
use crate::media::Counters;
use crate::trunk::limits::Refused;
use crate::trunk::spool::SpoolTotals;
use crate::trunk::{TRACK_WORDS, TrunkRungs};
use cloudschool_protocol::id::NodeId;
use cloudschool_relay::{ListenerStats, TrunkStats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Shards' counters as they last reported them, and those of trunks that have ended.
#[derive(Debug, Default)]
pub(super) struct Totals {
    shards: BTreeMap<usize, Counters>,
    ended: BTreeMap<NodeId, (u64, u64)>,
}

/// Everything measured, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    media: Counters,
    sessions: u64,
    lessons: u64,
    members: u64,
    campus: bool,
    trunks: Vec<(NodeId, Option<TrunkStats>, (u64, u64))>,
    knocks: Option<ListenerStats>,
    refused: [(Refused, u64); Refused::ALL.len()],
    behind: u64,
    rungs: Vec<TrunkRungs>,
    spool: SpoolTotals,
    assets: AssetFigures,
}

impl Node {
    pub(super) fn count(&self, shard: usize, counters: Counters) {
        let mut totals = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        totals.shards.insert(shard, counters);
    }

    /// Keeps what an ended trunk carried, so that the peer's counters never fall.
    pub(crate) fn keep_trunk_totals(&self, peer: &NodeId, stats: &TrunkStats) {
        let mut totals = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let (sent, received) = totals.ended.entry(peer.clone()).or_default();
        *sent += stats.ip_bytes_sent;
        *received += stats.ip_bytes_received;
    }

    /// The metrics page.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut registry = Registry::with_prefix("cloudschool");
        registry.register_collector(Box::new(self.snapshot()));
        registry.register_collector(Box::new(crate::school::metrics::Counts {
            enrolments: self.papers.enrolments(),
            tunnels: self.listener.as_ref().and_then(|l| l.tunnel_stats()).map(|s| *s.borrow()),
        }));
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }

    fn snapshot(&self) -> Snapshot {
        let totals = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut media = Counters::default();
        totals.shards.values().for_each(|c| media.add(c));
        let live = self.trunks.iter().map(|l| l.clone()).chain(self.uplink());
        let mut trunks: BTreeMap<NodeId, Option<TrunkStats>> =
            live.map(|l| (l.peer.clone(), Some(l.stats()))).collect();
        totals.ended.keys().for_each(|peer| {
            trunks.entry(peer.clone()).or_default();
        });
        let ended = |peer: &NodeId| totals.ended.get(peer).copied().unwrap_or_default();
        let trunks = trunks.into_iter().map(|(p, s)| (p.clone(), s, ended(&p))).collect();
        let states: Vec<_> = self.lessons.all().iter().map(|l| l.state()).collect();
        let here = |s: &Arc<_>| {
            let s: &cloudschool_protocol::lesson::State = s;
            s.members.values().filter(|m| m.node == self.name).count() as u64
        };
        Snapshot {
            media,
            sessions: self.sessions.len() as u64,
            lessons: states.len() as u64,
            members: states.iter().map(here).sum(),
            campus: *self.campus.borrow(),
            trunks,
            knocks: self.listener.as_ref().map(|l| *l.stats().borrow()),
            rungs: self.trunk_rungs(),
            spool: self.backfill.own().map(|own| own.totals()).unwrap_or_default(),
            assets: self.assets.figures(),
            refused: self.refused.read(),
            behind: self.tree.borrow().count() as u64,
        }
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let media = &self.media;
        for (name, help, value) in [
            ("media_packets_received", "RTP packets taken in", media.packets_in),
            ("media_packets_sent", "RTP packets sent to viewers", media.packets_out),
            ("media_packets_retransmitted", "RTP packets sent again", media.retransmitted),
            ("media_ip_bytes_received", "IP bytes received from peers", media.ip_bytes_in),
            ("media_ip_bytes_sent", "IP bytes sent to peers", media.ip_bytes_out),
            ("media_datagrams_refused", "Datagrams the kernel did not take", media.refused),
            ("media_datagrams_unknown", "Datagrams from nobody known", media.unknown),
            ("media_lane_drops", "Batches a slow trunk or shard lost", media.lane_drops),
            ("media_keyframe_requests", "Keyframes asked for", media.keyframe_requests),
            ("media_packets_unreadable", "Packets that could not be opened", media.unreadable),
            ("media_probes", "Packets sent to find out what a line takes", media.probes),
            ("media_packets_overtaken", "Packets that waited too long", media.overtaken),
            ("media_late_turns", "Turns and timers over 20 ms late", media.late_turns),
            ("spool_parts_dropped", "Parts kept in a cut that gave way", self.spool.dropped),
            ("spool_parts_taken", "Parts kept in a cut the recorder took", self.spool.taken),
            ("assets_fetched", "Files of lessons that came by trunk", self.assets.fetched),
            ("assets_bytes_fetched", "Bytes of them", self.assets.fetched_bytes),
            ("assets_bytes_sent", "Bytes of files that went by trunk", self.assets.sent_bytes),
            ("assets_evicted", "Files that gave way to others", self.assets.store.evicted),
            ("spool_failures", "Times a part could not be written", self.spool.failed),
        ] {
            let metric = ConstCounter::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(encoder)?;
        }
        for (name, help, value) in [
            ("media_sessions", "Peer connections", self.sessions),
            ("media_tracks", "Tracks in the packet path", media.tracks),
            ("lessons", "Lessons known", self.lessons),
            ("members", "Members connected to this node", self.members),
            ("spool_parts", "Parts of lessons kept for the recorder", self.spool.parts),
            ("spool_bytes", "Bytes of them", self.spool.bytes),
            ("assets", "Files of lessons kept", self.assets.store.assets),
            ("assets_bytes", "Bytes of them", self.assets.store.bytes),
            ("nodes_behind", "Nodes that stand behind this one", self.behind),
            ("campus_reachable", "1 when the campus can be reached", u64::from(self.campus)),
        ] {
            let metric = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(encoder)?;
        }
        self.encode_knocks(&mut encoder)?;
        self.encode_refused(&mut encoder)?;
        self.encode_trunks(&mut encoder)?;
        self.encode_rungs(&mut encoder)
    }
}

impl Snapshot {
    /// What crosses each trunk, and in which form.
    fn encode_rungs(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        type Read = fn(&TrunkRungs) -> f64;
        let gauges: [(&str, &str, Read); 5] = [
            ("trunk_estimate_bits_per_second", "What may be sent by trunk", |t| t.estimate as f64),
            ("trunk_granted_bits_per_second", "What is meant to be sent", |t| t.granted as f64),
            ("trunk_wanted_bits_per_second", "What is tried for", |t| t.wanted as f64),
            ("trunk_queue_seconds", "Wait before the narrowest part", |t| t.queue.as_secs_f64()),
            ("trunk_loss_ratio", "Share of packets lost lately", |t| t.loss),
        ];
        for (name, help, read) in gauges {
            let kind = ConstGauge::new(0.0).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for trunk in &self.rungs {
                let labels = [("peer", trunk.peer.as_str())];
                ConstGauge::new(read(trunk)).encode(family.encode_family(&labels)?)?;
            }
        }
        let kind = ConstCounter::new(0u64).metric_type();
        let help = "Tracks given another form, on this connection";
        let mut family = encoder.encode_descriptor("trunk_rung_changes", help, None, kind)?;
        for trunk in &self.rungs {
            let labels = [("peer", trunk.peer.as_str())];
            ConstCounter::new(trunk.changes).encode(family.encode_family(&labels)?)?;
        }
        let kind = ConstGauge::new(0u64).metric_type();
        let help = "Tracks that cross, by form";
        let mut family = encoder.encode_descriptor("trunk_tracks", help, None, kind)?;
        for trunk in &self.rungs {
            let tracks = || trunk.lessons.values().flat_map(|l| &l.tracks);
            for word in TRACK_WORDS {
                let count = tracks().filter(|t| t.word() == word).count() as u64;
                let labels = [("peer", trunk.peer.as_str()), ("form", word)];
                ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "1 for the rung a lesson is on at the other end";
        let mut family = encoder.encode_descriptor("trunk_lesson_rung", help, None, kind)?;
        for trunk in &self.rungs {
            for (id, lesson) in &trunk.lessons {
                let labels = [
                    ("peer", trunk.peer.as_str()),
                    ("lesson", id.as_str()),
                    ("rung", lesson.rung.as_str()),
                ];
                ConstGauge::new(1u64).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn encode_knocks(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let Some(knocks) = self.knocks else { return Ok(()) };
        let kind = ConstCounter::new(0u64).metric_type();
        let help = "Trunks that were dialled to this node, by what became of them";
        let mut family = encoder.encode_descriptor("trunk_knocks", help, None, kind)?;
        for (outcome, value) in [
            ("accepted", knocks.accepted),
            ("refused_certificate", knocks.refused_certificate),
            ("refused_hello", knocks.refused_hello),
            ("silent", knocks.silent),
            ("failed", knocks.failed),
            ("looked_in", knocks.looked_in),
            ("turned_away", knocks.turned_away),
        ] {
            ConstCounter::new(value).encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        Ok(())
    }

    fn encode_refused(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let kind = ConstCounter::new(0u64).metric_type();
        let help = "What trunk peers sent and may not, by what it was";
        let mut family = encoder.encode_descriptor("trunk_refused", help, None, kind)?;
        for (what, value) in self.refused {
            let what = [("what", what.as_str())];
            ConstCounter::new(value).encode(family.encode_family(&what)?)?;
        }
        Ok(())
    }

    fn encode_trunks(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        type Read = fn(&Option<TrunkStats>, (u64, u64)) -> u64;
        let counters: [(&str, &str, Read); 9] = [
            ("trunk_ip_bytes_sent", "IP bytes sent by trunk", |s, (sent, _)| {
                sent + s.as_ref().map_or(0, |s| s.ip_bytes_sent)
            }),
            ("trunk_ip_bytes_received", "IP bytes received by trunk", |s, (_, received)| {
                received + s.as_ref().map_or(0, |s| s.ip_bytes_received)
            }),
            ("trunk_packets_lost", "QUIC packets lost, of this connection", |s, _| {
                s.as_ref().map_or(0, |s| s.lost_packets)
            }),
            ("trunk_frames_late", "Frames given up at their deadline", |s, _| {
                s.as_ref().map_or(0, |s| s.frames_late)
            }),
            ("trunk_frames_not_sent", "Frames there was no room for", |s, _| {
                s.as_ref().map_or(0, |s| s.frames_not_sent)
            }),
            ("trunk_packets_not_sent", "Packets there was no room for", |s, _| {
                s.as_ref().map_or(0, |s| s.packets_not_sent)
            }),
            ("trunk_malformed", "Datagrams and streams that were no RTP over QUIC", |s, _| {
                s.as_ref().map_or(0, |s| s.malformed)
            }),
            ("trunk_messages_unknown", "Control messages of a later release", |s, _| {
                s.as_ref().map_or(0, |s| s.unknown_messages)
            }),
            ("trunk_packets_unread", "Packets this node was too slow for", |s, _| {
                s.as_ref().map_or(0, |s| s.packets_unread)
            }),
        ];
        for (name, help, read) in counters {
            let kind = ConstCounter::new(0u64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (peer, stats, ended) in &self.trunks {
                let metric = ConstCounter::new(read(stats, *ended));
                metric.encode(family.encode_family(&[("peer", peer.as_str())])?)?;
            }
        }
        let kind = ConstGauge::new(0u64).metric_type();
        let mut family =
            encoder.encode_descriptor("trunk_rtt_seconds", "Round trip by trunk", None, kind)?;
        for (peer, stats, _) in &self.trunks {
            let rtt = stats.as_ref().map_or(0.0, |s| s.rtt.as_secs_f64());
            ConstGauge::new(rtt).encode(family.encode_family(&[("peer", peer.as_str())])?)?;
        }
        Ok(())
    }
}
