//! One run against one server: everybody joins, a window is measured, and what came of it is
//! put into figures.

use super::crew::Progress;
use super::process::{Cpu, dropped, resident_kib};
use super::publishers::Publishers;
use super::sequence::Count;
use super::server::{Peers, Server};
use super::viewer::{Account, Counts};
use super::viewers::{Heard, Loudest, Viewers, Window};
use super::work::Work;
use crate::link::{Profile, Proxy};
use anyhow::{Context, Result, bail, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Joins that are under way at a time when nothing says how fast they are to be.
const JOINS_AT_ONCE: usize = 8;
/// For a publisher to be connected.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(15);
/// For all viewers to see something, beside the time their joins take.
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// What is late may still come after a window.
const GRACE: Duration = Duration::from_millis(500);

/// The tool was in the way when its thread ran for more of the time than this,
const BUSY: f64 = 0.9;
/// when datagrams waited for it longer than this, ms,
const WAITED_MS: f64 = 10.0;
/// or when it sent later than this, ms.
const LATE_MS: f64 = 20.0;

/// How a run goes.
#[derive(Debug, Clone)]
pub struct Course {
    pub warm_up: Duration,
    pub length: Duration,
    /// Everybody joins within this, and that is what is measured.
    pub join_within: Option<Duration>,
    /// Between the server and each viewer.
    pub link: Option<Profile>,
    pub threads: usize,
}

/// What was measured of a server.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// CPU time of the server's process for each packet that a viewer received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_packet: Option<f64>,
    pub packets: u64,
    pub packets_per_second: f64,
    pub mbit_per_second: f64,
    /// Share of the packets that never came, retransmissions counted as come.
    pub loss: f64,
    /// The same of the picture alone: sound is not sent again.
    pub loss_of_picture: f64,
    /// From the publisher's socket to the viewer's.
    pub latency_p50_ms: f64,
    pub latency_p99_ms: f64,
    pub latency_max_ms: f64,
    /// Share of one core that the server used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cores: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_kib_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_kib_per_subscriber: Option<f64>,
    pub frames: Frames,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joins: Option<Joins>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<Sound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Layers>,
    pub feedback: Feedback,
    /// Whether the tool itself was in the way, and how.
    pub client_bound: bool,
    pub client_bound_by: Vec<String>,
    pub client: Client,
}

/// Frames that a decoder could have shown, over all viewers.
#[derive(Debug, Clone, Serialize)]
pub struct Frames {
    pub sent: u64,
    pub decodable: f64,
    pub late: u64,
    pub longest_freeze_ms: f64,
}

/// How joins went.
#[derive(Debug, Clone, Serialize)]
pub struct Joins {
    pub within_s: f64,
    /// From DTLS to the first frame that could be shown.
    pub first_frame_p50_ms: f64,
    pub first_frame_p95_ms: f64,
    pub first_frame_p99_ms: f64,
    /// All of them, in order, for a plot: every hundredth.
    pub first_frame_ms: Vec<f64>,
    pub without_a_frame: usize,
    /// Keyframes the publisher was asked for since the first join.
    pub keyframes_asked: u64,
    /// By the viewers, of the server.
    pub keyframes_asked_by_viewers: u64,
}

/// What was heard of a class.
#[derive(Debug, Clone, Serialize)]
pub struct Sound {
    pub microphones: usize,
    /// At the same time at one viewer.
    pub streams_max: u64,
    pub streams_mean: f64,
    /// Share of the three loudest that were heard, of those that had been loud for a second and a half.
    pub loudest_heard: f64,
}

/// Which layers were shown while the line changed.
#[derive(Debug, Clone, Serialize)]
pub struct Layers {
    /// Rates at which each is the right one, bit/s, smallest first.
    pub needs: Vec<u64>,
    pub steps: Vec<Step>,
    /// Changes of the layer shown, at the viewer that had most.
    pub switches_max: usize,
    /// Of the first viewer: since when, in seconds, which layer was shown.
    pub shown: Vec<(f64, u8)>,
}

/// A change of the line, and how long it took until the right layer was shown everywhere.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub at_s: f64,
    pub rate: Option<u64>,
    pub right_layer: u8,
    /// `None` when it was not before the next change.
    pub right_after_s: Option<f64>,
}

/// What was said upstream.
#[derive(Debug, Clone, Serialize)]
pub struct Feedback {
    pub retransmitted: u64,
    pub late: u64,
    pub padding: u64,
    pub again: u64,
    pub nacked_by_viewers: u64,
    pub nacked_by_server: u64,
    pub keyframes_asked: u64,
    pub unopened: u64,
    pub strangers: u64,
}

/// The tool's own part.
#[derive(Debug, Clone, Serialize)]
pub struct Client {
    /// CPU share of the viewers' busiest thread.
    pub thread: f64,
    /// 99th percentile of how long a datagram waited in a viewer's socket until it was read.
    pub waited_p99_ms: f64,
    /// Datagrams that found no room in a viewer's socket.
    pub dropped: u64,
    pub sent_late_p99_ms: f64,
}

/// A server with its publishers and viewers.
struct Class<'a> {
    server: &'a Server,
    peers: Peers,
    work: &'a Work,
    course: &'a Course,
    publishers: Publishers,
    threads: Vec<Viewers>,
    progress: Arc<Progress>,
    ports: Vec<u16>,
    proxy: Option<Proxy>,
}

/// Does the work with `server` and measures it.
///
/// # Errors
/// When it does not come about; the text says why.
pub async fn measure(
    server: &Server,
    peers: Peers,
    work: &Work,
    course: &Course,
) -> Result<Measured> {
    let (progress, loudest) = (Arc::new(Progress::default()), Arc::new(Loudest::default()));
    let publishers = Publishers::start(work.microphones, work.seed, loudest.clone())?;
    let start = |_| Viewers::start(peers.gro, progress.clone(), loudest.clone());
    let threads: Result<Vec<_>> = (0..course.threads.max(1)).map(start).collect();
    let mut class = Class {
        server,
        peers,
        work,
        course,
        publishers,
        threads: threads?,
        progress,
        ports: Vec::new(),
        proxy: None,
    };
    class.publish().await?;
    class.measure().await
}

impl Class<'_> {
    async fn publish(&mut self) -> Result<()> {
        let mut media = None;
        for who in 0..=self.work.microphones {
            let (publisher, address) = self.peers.publish(self.server, who, self.work).await?;
            media = media.or(address);
            self.publishers.add(publisher)?;
        }
        let all = 1 + self.work.microphones;
        let connected =
            self.publishers.on_air().until(|air| air.connected.load(Ordering::Relaxed) == all);
        tokio::time::timeout(PUBLISHED_WITHIN, connected)
            .await
            .context("the publisher was not connected in time")?;
        if let Some(profile) = &self.course.link {
            let target = media.context("the server named no address for its media")?;
            let bind = SocketAddr::new(self.peers.ip, 0);
            let proxy = Proxy::start(target, profile.clone(), bind)?;
            self.peers.through = Some(proxy.address());
            self.proxy = Some(proxy);
        }
        tracing::info!(publishers = all, "connected");
        // The server's own memory and caches settle.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }

    async fn measure(mut self) -> Result<Measured> {
        let rss_before = self.server.pid().map(resident_kib).transpose()?;
        let mut joins_began = None;
        if self.course.join_within.is_some() {
            // A lesson that is running.
            tokio::time::sleep(self.course.warm_up).await;
            joins_began = Some(self.begin()?);
            self.join().await?;
        } else {
            self.join().await?;
            self.everybody_sees().await?;
            // With a link its beginning is what is looked at.
            if self.course.link.is_none() {
                tokio::time::sleep(self.course.warm_up).await;
            }
        }
        let began = match joins_began {
            Some(began) => began,
            None => self.begin()?,
        };
        tokio::time::sleep_until((began.at + self.course.length).into()).await;
        let elapsed = began.at.elapsed();
        let cpu_ns = self.cpu_since(&began)?;
        for thread in &self.threads {
            thread.end()?;
        }
        let asked = self.keyframes_asked() - began.keyframes_asked;
        let late = self.publishers.late().await?;
        let rss_after = self.server.pid().map(resident_kib).transpose()?;
        tokio::time::sleep(GRACE).await;
        let dropped = dropped(&self.ports) - began.dropped;
        let mut window = Window::default();
        let mut thread = 0.0_f64;
        for viewers in &self.threads {
            let part = viewers.account().await?;
            thread = thread.max(part.cpu_ns as f64 / part.wall_ns.max(1) as f64);
            window.tally.add(&part.tally);
            window.accounts.extend(part.accounts);
            window.heard.add(&part.heard);
        }
        ensure!(self.progress.gone.load(Ordering::Relaxed) == 0, "viewers lost their connection");
        let client = Client {
            thread,
            waited_p99_ms: percentile(&window.tally.waited, 99.0),
            dropped,
            sent_late_p99_ms: percentile(&late, 99.0),
        };
        let seconds = elapsed.as_secs_f64();
        let packets = window.tally.packets;
        if packets == 0 {
            bail!("no viewer received anything");
        }
        let grown = rss_before.zip(rss_after).map(|(b, a)| a.saturating_sub(b) as f64);
        let by = client.bound_by();
        Ok(Measured {
            cpu_us_per_packet: cpu_ns.map(|ns| ns as f64 / 1000.0 / packets as f64),
            packets,
            packets_per_second: packets as f64 / seconds,
            mbit_per_second: window.tally.bytes as f64 * 8.0 / 1e6 / seconds,
            loss: self.loss(window.accounts.iter().flat_map(|a| [&a.picture, &a.sound])),
            loss_of_picture: self.loss(window.accounts.iter().map(|a| &a.picture)),
            latency_p50_ms: percentile(&window.tally.latency, 50.0),
            latency_p99_ms: percentile(&window.tally.latency, 99.0),
            latency_max_ms: percentile(&window.tally.latency, 100.0),
            server_cores: cpu_ns.map(|ns| ns as f64 / 1e9 / seconds),
            rss_kib_before: rss_before,
            rss_kib_per_subscriber: grown.map(|kib| kib / self.work.subscribers as f64),
            frames: frames(&window.accounts),
            joins: self.course.join_within.map(|within| joins(&window.accounts, within, asked)),
            sound: (self.work.microphones > 0).then(|| self.sound(&window.heard)),
            layers: self.layers(&window.accounts, &began),
            feedback: self.feedback(&window, asked),
            client_bound: !by.is_empty(),
            client_bound_by: by,
            client,
        })
    }

    /// Lets all viewers join, on as many connections at a time as are wanted, or evenly over
    /// the time that is given.
    async fn join(&mut self) -> Result<()> {
        let all = self.work.subscribers;
        let prepared: Result<Vec<_>> = (0..all).map(|_| self.peers.prepare(self.server)).collect();
        let began = Instant::now();
        let spread = self.course.join_within.map(|within| within / all as u32);
        let at_once = if spread.is_some() { all } else { JOINS_AT_ONCE };
        let join = |(who, prepared)| {
            let (peers, server, work) = (&self.peers, self.server, self.work);
            async move {
                if let Some(spread) = spread {
                    tokio::time::sleep_until((began + spread * who as u32).into()).await;
                }
                let viewer = peers.join(server, who, work, prepared).await?;
                anyhow::Ok((who, viewer))
            }
        };
        let mut joined =
            stream::iter(prepared?.into_iter().enumerate().map(join)).buffer_unordered(at_once);
        let mut ports = Vec::with_capacity(all);
        while let Some((who, viewer)) = joined.try_next().await? {
            ports.push(viewer.socket().local_addr()?.port());
            self.threads[who % self.threads.len()].add(viewer)?;
        }
        drop(joined);
        tracing::info!(viewers = all, took = ?began.elapsed(), "joined");
        self.ports = ports;
        Ok(())
    }

    async fn everybody_sees(&self) -> Result<()> {
        let all = self.work.subscribers;
        let seen = self.progress.until(|p| p.seeing.load(Ordering::Relaxed) == all);
        if tokio::time::timeout(SEEN_WITHIN, seen).await.is_err() {
            let connected = self.progress.connected.load(Ordering::Relaxed);
            let seeing = self.progress.seeing.load(Ordering::Relaxed);
            bail!("of {all} viewers {connected} were connected and {seeing} saw a picture in time");
        }
        tracing::info!("everybody sees a picture");
        Ok(())
    }

    fn begin(&self) -> Result<Began> {
        for thread in &self.threads {
            thread.begin()?;
        }
        self.publishers.begin()?;
        let cpu = self.server.pid().map(Cpu::of).transpose()?;
        let at_ns = super::clock::wall_ns();
        let (dropped, keyframes_asked) = (dropped(&self.ports), self.keyframes_asked());
        Ok(Began { at: Instant::now(), at_ns, cpu, dropped, keyframes_asked })
    }

    fn cpu_since(&self, began: &Began) -> Result<Option<u64>> {
        let now = self.server.pid().map(Cpu::of).transpose().context("the server is gone")?;
        Ok(now.zip(began.cpu.as_ref()).map(|(now, before)| now.since(before)))
    }

    fn keyframes_asked(&self) -> u64 {
        self.publishers.counters().keyframes_asked.load(Ordering::Relaxed)
    }

    /// Where a viewer gets everything that is published, by the publisher's own numbers: a
    /// server that loses packets before it numbers them has lost them too.
    fn loss<'a>(&self, counts: impl Iterator<Item = &'a Counts>) -> f64 {
        let everything = self.work.layers == 1
            && self.work.temporal_layers == 1
            && self.work.microphones == 0
            && self.course.link.is_none();
        let mut sum = Count::default();
        for counts in counts {
            sum += if everything { counts.numbers } else { counts.sequences };
        }
        1.0 - sum.came as f64 / sum.expected.max(1) as f64
    }

    fn sound(&self, heard: &Heard) -> Sound {
        Sound {
            microphones: self.work.microphones,
            streams_max: heard.most,
            streams_mean: heard.lines as f64 / heard.looks.max(1) as f64,
            loudest_heard: heard.loud_heard as f64 / heard.loud.max(1) as f64,
        }
    }

    fn feedback(&self, window: &Window, keyframes_asked: u64) -> Feedback {
        let sum = |of: fn(&Account) -> u64| window.accounts.iter().map(of).sum();
        Feedback {
            retransmitted: window.tally.retransmitted,
            late: window.tally.late,
            padding: window.tally.padding,
            again: window.tally.again,
            nacked_by_viewers: sum(|a| a.nacked),
            nacked_by_server: self.publishers.counters().nacked.load(Ordering::Relaxed),
            keyframes_asked,
            unopened: sum(|a| a.unopened),
            strangers: sum(|a| a.strangers),
        }
    }

    fn layers(&self, accounts: &[Account], began: &Began) -> Option<Layers> {
        let profile = self.course.link.as_ref().filter(|_| self.work.layers > 1)?;
        let needs = self.work.needs();
        let right = |rate: Option<u64>| {
            let fits = |need: &u64| rate.is_none_or(|rate| *need <= rate);
            needs.iter().rposition(fits).unwrap_or(0) as u8
        };
        let mut conditions = profile.down.beginning;
        let mut rates = vec![(Duration::ZERO, conditions.rate.limit())];
        for (at, change) in &profile.down.changes {
            conditions = change.of(&conditions).ok()?;
            if rates.last().is_none_or(|(_, rate)| *rate != conditions.rate.limit()) {
                rates.push((*at, conditions.rate.limit()));
            }
        }
        let length = self.course.length;
        let steps = rates.iter().enumerate().filter(|(_, (at, _))| *at < length);
        let steps = steps.map(|(n, (at, rate))| {
            let until = rates.get(n + 1).map_or(length, |(at, _)| *at);
            let layer = right(*rate);
            let each = accounts.iter().map(|account| {
                let zero = link_began(account, began.at_ns);
                let ns = |at: &Duration| zero + at.as_nanos() as u64;
                settled(&account.layers, layer, ns(at), ns(&until.min(length)))
            });
            let worst: Option<Vec<u64>> = each.collect();
            Step {
                at_s: at.as_secs_f64(),
                rate: *rate,
                right_layer: layer,
                right_after_s: worst.and_then(|w| w.into_iter().max()).map(|ns| ns as f64 / 1e9),
            }
        });
        Some(Layers {
            steps: steps.collect(),
            shown: accounts.first().map(|a| shown(a, began.at_ns)).unwrap_or_default(),
            switches_max: accounts.iter().map(|a| a.layers.len()).max().unwrap_or(0),
            needs,
        })
    }
}

/// When a window began.
struct Began {
    at: Instant,
    at_ns: u64,
    cpu: Option<Cpu>,
    dropped: u64,
    keyframes_asked: u64,
}

/// How long after `from` the layer shown was `layer`, and stayed so for most of the time
/// until `until`: a probe upward may fail once.
fn settled(changes: &[(u64, u8)], layer: u8, from: u64, until: u64) -> Option<u64> {
    /// What counts as staying.
    const STAYS_NS: u64 = 2_000_000_000;
    let shown_until = |n: usize| changes.get(n + 1).map_or(u64::MAX, |(at, _)| *at);
    changes.iter().enumerate().find_map(|(n, (at, shown))| {
        let begins = (*at).max(from);
        let ends = shown_until(n).min(until);
        let stays = ends > begins && (ends - begins >= STAYS_NS || ends == until);
        (*shown == layer && stays).then(|| begins - from)
    })
}

/// A viewer's link begins with its first datagram, just before its handshake.
fn link_began(account: &Account, otherwise_ns: u64) -> u64 {
    account.connected_ns.unwrap_or(otherwise_ns)
}

fn shown(account: &Account, otherwise_ns: u64) -> Vec<(f64, u8)> {
    let zero = link_began(account, otherwise_ns);
    let since = |at: u64| at.saturating_sub(zero) as f64 / 1e9;
    account.layers.iter().map(|(at, layer)| (since(*at), *layer)).collect()
}

fn percentile(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    // What is recorded is one more than measured, for a histogram has no zero.
    histogram.value_at_percentile(percentile).saturating_sub(1) as f64 / 1000.0
}

fn frames(accounts: &[Account]) -> Frames {
    let sum = |of: fn(&Account) -> u64| accounts.iter().map(of).sum::<u64>();
    let freeze = accounts.iter().map(|a| a.longest_freeze_ns).max().unwrap_or(0);
    let sent = sum(|a| a.frames);
    Frames {
        sent,
        decodable: sum(|a| a.frames_shown) as f64 / sent.max(1) as f64,
        late: sum(|a| a.frames_late),
        longest_freeze_ms: freeze as f64 / 1e6,
    }
}

fn joins(accounts: &[Account], within: Duration, keyframes_asked: u64) -> Joins {
    let waits = accounts.iter().filter_map(|a| a.first_frame_ns?.checked_sub(a.connected_ns?));
    let mut waits: Vec<f64> = waits.map(|ns| ns as f64 / 1e6).collect();
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = ((waits.len() as f64 * share).ceil() as usize).saturating_sub(1);
        waits.get(place).copied().unwrap_or(f64::NAN)
    };
    Joins {
        within_s: within.as_secs_f64(),
        first_frame_p50_ms: at(0.5),
        first_frame_p95_ms: at(0.95),
        first_frame_p99_ms: at(0.99),
        first_frame_ms: (0..=100).map(|n| at(f64::from(n) / 100.0)).collect(),
        without_a_frame: accounts.len() - waits.len(),
        keyframes_asked,
        keyframes_asked_by_viewers: accounts.iter().map(|a| a.plis).sum(),
    }
}

impl Client {
    /// In words, what of the tool was in the way.
    fn bound_by(&self) -> Vec<String> {
        let mut by = Vec::new();
        if self.thread > BUSY {
            by.push(format!("the viewers' thread ran {:.0} % of the time", self.thread * 100.0));
        }
        if self.waited_p99_ms > WAITED_MS {
            let waited = self.waited_p99_ms;
            by.push(format!("1 % of the datagrams waited {waited:.1} ms or more to be read"));
        }
        if self.dropped > 0 {
            by.push(format!("{} datagrams found no room in the viewers' sockets", self.dropped));
        }
        if self.sent_late_p99_ms > LATE_MS {
            let late = self.sent_late_p99_ms;
            by.push(format!("1 % of what was published was sent {late:.1} ms late or more"));
        }
        by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_layer_counts_once_it_stays() {
        let s = |seconds: u64| seconds * 1_000_000_000;
        let changes = [(s(0), 2), (s(11), 1), (s(32), 2), (s(33), 1), (s(40), 2)];
        assert_eq!(settled(&changes, 2, s(0), s(10)), Some(0));
        assert_eq!(settled(&changes, 1, s(10), s(30)), Some(s(1)));
        assert_eq!(settled(&changes, 2, s(30), s(60)), Some(s(10)), "the first did not stay");
        assert_eq!(settled(&changes, 0, s(10), s(30)), None);
    }

    #[test]
    fn percentiles_of_joins_are_of_those_who_saw_something() {
        let account = |wait_ms: Option<u64>| Account {
            connected_ns: Some(1_000),
            first_frame_ns: wait_ms.map(|ms| 1_000 + ms * 1_000_000),
            ..Account::default()
        };
        let mut accounts: Vec<_> = (1..=100).map(|ms| account(Some(ms))).collect();
        accounts.push(account(None));
        let joins = joins(&accounts, Duration::from_secs(2), 3);
        assert_eq!((joins.first_frame_p50_ms, joins.first_frame_p95_ms), (50.0, 95.0));
        assert_eq!((joins.without_a_frame, joins.keyframes_asked), (1, 3));
    }
}
