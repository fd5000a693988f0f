//! What came of all runs: medians, as JSON and as text.

use super::floor::Floor;
use super::measure::Measured;
use super::options::Options;
use super::work::Work;
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;

/// One run: everything in it was measured one after the other, within seconds.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub server: Measured,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// The same loop waiting for each burst until it would be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paced_floor: Option<Floor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub janus: Option<Measured>,
}

/// Where it was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
}

impl Machine {
    #[must_use]
    pub fn this() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpuinfo.lines().find_map(|l| l.strip_prefix("model name"));
        let name = name.and_then(|l| l.split_once(':')).map_or("", |(_, name)| name.trim());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: name.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.trim().to_owned(),
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub struct Described {
    pub server: String,
    pub subscribers: usize,
    pub bitrate_mbps: f64,
    pub fps: u32,
    pub seconds: f64,
    pub runs: u32,
    pub layers: usize,
    pub microphones: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_within_s: Option<f64>,
    pub shards: usize,
    pub pin: bool,
    pub feedback_ms: u64,
    pub receive_gro: bool,
    /// Whether everything ran in a network namespace of its own.
    pub namespace: bool,
    pub seed: u64,
}

/// The report. Figures beside `runs` are medians over them.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub work: Described,
    pub machine: Machine,
    /// CPU time of the server's process for each packet a viewer received.
    pub cpu_us_per_packet: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_us_per_packet: Option<f64>,
    /// The same loop waiting for each burst until it would be published, its sockets read
    /// by another thread: nobody can do it for less in a running lesson.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paced_floor_us_per_packet: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub janus_us_per_packet: Option<f64>,
    /// The server's figure divided by the floor's of the same run: 1 would be perfect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_to_floor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_to_paced_floor: Option<f64>,
    /// The server's figure divided by Janus's of the same run: 0.1 is ten times less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_to_janus: Option<f64>,
    pub packets_per_second: f64,
    pub loss: f64,
    pub latency_p50_ms: f64,
    pub latency_p99_ms: f64,
    pub rss_kib_per_subscriber: Option<f64>,
    /// Whether the tool itself was in the way in any run, the comparison's included.
    pub client_bound: bool,
    pub runs: Vec<Run>,
}

impl Described {
    #[must_use]
    pub fn new(options: &Options, work: &Work, namespace: bool) -> Self {
        let server = match &options.target[..] {
            [whip, ..] => whip.to_string(),
            [] => "cloudschool sfu".to_owned(),
        };
        Self {
            server,
            subscribers: work.subscribers,
            bitrate_mbps: options.bitrate_mbps,
            fps: work.rate,
            seconds: options.seconds,
            runs: options.runs,
            layers: work.layers,
            microphones: work.microphones,
            link: options.link.clone(),
            join_within_s: options.join_within_s,
            shards: options.shards,
            pin: options.pin,
            feedback_ms: options.feedback_ms,
            receive_gro: options.receive_gro,
            namespace,
            seed: work.seed,
        }
    }
}

impl Report {
    /// `runs` must not be empty.
    #[must_use]
    pub fn new(work: Described, runs: Vec<Run>) -> Self {
        let of = |f: fn(&Run) -> Option<f64>| median(runs.iter().filter_map(f));
        let all = |f: fn(&Run) -> f64| median(runs.iter().map(f)).unwrap_or(f64::NAN);
        Self {
            work,
            machine: Machine::this(),
            cpu_us_per_packet: of(|r| r.server.cpu_us_per_packet),
            floor_us_per_packet: of(|r| Some(r.floor.as_ref()?.cpu_us_per_packet)),
            paced_floor_us_per_packet: of(|r| Some(r.paced_floor.as_ref()?.cpu_us_per_packet)),
            janus_us_per_packet: of(|r| r.janus.as_ref()?.cpu_us_per_packet),
            ratio_to_floor: of(|r| {
                Some(r.server.cpu_us_per_packet? / r.floor.as_ref()?.cpu_us_per_packet)
            }),
            ratio_to_paced_floor: of(|r| {
                Some(r.server.cpu_us_per_packet? / r.paced_floor.as_ref()?.cpu_us_per_packet)
            }),
            ratio_to_janus: of(|r| {
                Some(r.server.cpu_us_per_packet? / r.janus.as_ref()?.cpu_us_per_packet?)
            }),
            packets_per_second: all(|r| r.server.packets_per_second),
            loss: all(|r| r.server.loss),
            latency_p50_ms: all(|r| r.server.latency_p50_ms),
            latency_p99_ms: all(|r| r.server.latency_p99_ms),
            rss_kib_per_subscriber: of(|r| r.server.rss_kib_per_subscriber),
            client_bound: runs
                .iter()
                .any(|r| r.server.client_bound || r.janus.as_ref().is_some_and(|j| j.client_bound)),
            runs,
        }
    }

    /// For people to read.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Described { subscribers, bitrate_mbps, fps, seconds, .. } = &self.work;
        let _ = writeln!(
            out,
            "{subscribers} viewers of {bitrate_mbps} Mbit/s, {fps} frames/s and sound, {seconds} s \
             a run; {}, {} cores, Linux {}",
            self.machine.cpu, self.machine.cores, self.machine.kernel
        );
        let _ = writeln!(
            out,
            "{:<8}{:>11}{:>13}{:>9}{:>9}{:>9}{:>10}{:>9}",
            "", "µs/packet", "packets/s", "cores", "p50 ms", "p99 ms", "loss %", "KiB each"
        );
        for (n, run) in self.runs.iter().enumerate() {
            let _ = writeln!(out, "run {}", n + 1);
            line(&mut out, "server", &run.server);
            for (name, floor) in [("floor", &run.floor), ("paced", &run.paced_floor)] {
                if let Some(floor) = floor {
                    let _ = writeln!(out, "  {name:<6}{:>11.3}", floor.cpu_us_per_packet);
                }
            }
            if let Some(janus) = &run.janus {
                line(&mut out, "janus", janus);
            }
            details(&mut out, &run.server);
            let sides = std::iter::once(("server", &run.server))
                .chain(run.janus.as_ref().map(|j| ("janus", j)));
            for (side, measured) in sides {
                for by in &measured.client_bound_by {
                    let _ = writeln!(out, "  this tool was in the way of {side}: {by}");
                }
            }
        }
        out.push_str("medians: ");
        let mut figures = Vec::new();
        figures.extend(self.cpu_us_per_packet.map(|f| format!("{f:.2} µs/packet")));
        figures.extend(self.floor_us_per_packet.map(|f| format!("floor {f:.2} µs")));
        figures.extend(self.ratio_to_floor.map(|f| format!("{f:.2} × the floor")));
        figures.extend(self.paced_floor_us_per_packet.map(|f| format!("paced floor {f:.2} µs")));
        figures.extend(self.ratio_to_paced_floor.map(|f| format!("{f:.2} × that")));
        figures.extend(self.janus_us_per_packet.map(|f| format!("Janus {f:.2} µs")));
        figures.extend(self.ratio_to_janus.map(|f| format!("{:.1} × less than Janus", 1.0 / f)));
        figures.push(format!("p99 {:.2} ms", self.latency_p99_ms));
        figures.push(format!("loss {:.4} %", self.loss * 100.0));
        out.push_str(&figures.join(", "));
        out.push('\n');
        out
    }
}

fn line(out: &mut String, name: &str, m: &Measured) {
    let or_dash = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}"))
    };
    let _ = writeln!(
        out,
        "  {name:<6}{:>11}{:>13.0}{:>9}{:>9.2}{:>9.2}{:>10.4}{:>9}",
        or_dash(m.cpu_us_per_packet, 3),
        m.packets_per_second,
        or_dash(m.server_cores, 2),
        m.latency_p50_ms,
        m.latency_p99_ms,
        m.loss * 100.0,
        or_dash(m.rss_kib_per_subscriber, 0),
    );
}

fn details(out: &mut String, m: &Measured) {
    if let Some(joins) = &m.joins {
        let _ = writeln!(
            out,
            "  joins within {} s: first frame {:.0} / {:.0} / {:.0} ms after DTLS (p50, p95, p99), \
             {} without; the publisher was asked for {} keyframes",
            joins.within_s,
            joins.first_frame_p50_ms,
            joins.first_frame_p95_ms,
            joins.first_frame_p99_ms,
            joins.without_a_frame,
            joins.keyframes_asked,
        );
    }
    if let Some(sound) = &m.sound {
        let _ = writeln!(
            out,
            "  {} microphones: a viewer got {} streams at most, {:.2} on average; {:.1} % of the \
             loudest were heard",
            sound.microphones,
            sound.streams_max,
            sound.streams_mean,
            sound.loudest_heard * 100.0,
        );
    }
    let frames = &m.frames;
    if m.layers.is_some() || m.feedback.late > 0 || frames.decodable < 0.9999 {
        let _ = writeln!(
            out,
            "  {:.2} % of frames decodable ({} late), longest freeze {:.0} ms; {} packets came late, \
             of which {} as retransmissions; {:.3} % of the picture's packets never came",
            frames.decodable * 100.0,
            frames.late,
            frames.longest_freeze_ms,
            m.feedback.late,
            m.feedback.retransmitted,
            m.loss_of_picture * 100.0,
        );
    }
    for step in m.layers.iter().flat_map(|l| &l.steps) {
        let rate =
            step.rate.map_or("unlimited".to_owned(), |r| format!("{:.1} Mbit/s", r as f64 / 1e6));
        let after = step.right_after_s.map_or("never".to_owned(), |s| format!("after {s:.1} s"));
        let _ = writeln!(
            out,
            "  from {:.0} s {rate}: layer {} shown {after}",
            step.at_s, step.right_layer
        );
    }
}

/// The middle one, or the mean of the two in the middle.
#[must_use]
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
    }
}
