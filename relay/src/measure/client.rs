//! The machine's side: asks for everything, and says what it found.

use super::control;
use super::ladder::{Ladder, Rate};
use super::train::{self, Counter};
use super::words::{Answer, Ask};
use crate::close::{self, DONE};
use crate::conversation::{Conversation, NotSaid};
use crate::identity::Identity;
use crate::purpose::Purpose;
use crate::reach::{self, ReachError, Reached, Way};
use quinn::{ClientConfig, Connection};
use serde::Serialize;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::{sleep, timeout};

/// Questions for the time: the quickest answers of so many are near what the line takes.
const PINGS: usize = 12;

/// Between them, so that they don't measure each other.
const APART: Duration = Duration::from_millis(40);

/// A measurement is over by then.
const LIMIT: Duration = Duration::from_secs(40);

/// What was found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub upstream: String,
    /// The address it was measured at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    pub udp: Through,
    /// QUIC over TCP.
    pub tcp: Through,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping: Option<Ping>,
    /// Largest UDP payload, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// From the campus to here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// Why the measurement is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Whether a way leads through.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum Through {
    #[default]
    Untried,
    Open,
    /// Nothing comes back.
    Blocked(String),
    /// The other end answers and wants nothing to do with this one.
    Refused(String),
}

/// Times of the path.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    pub min_ms: f64,
    pub median_ms: f64,
    /// The slowest tenth over the quickest.
    pub jitter_ms: f64,
    /// How far this machine's clock is ahead of the campus's.
    pub clock_ahead_ms: i64,
}

/// The node's own certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Whole days; negative when it has expired.
    pub days_left: i64,
    pub renew_in_days: i64,
}

/// Measures the line to `upstream` (`host:port`), as the node of `identity`.
pub async fn measure(upstream: &str, identity: &Identity) -> Report {
    let mut report = Report {
        upstream: upstream.to_owned(),
        certificate: certificate(identity),
        ..Report::default()
    };
    if let Err(why) = ways(upstream, identity, &mut report).await {
        report.broken = Some(why);
    }
    report
}

async fn ways(upstream: &str, identity: &Identity, report: &mut Report) -> Result<(), String> {
    let tls = identity.measure_client().map_err(|e| e.to_string())?;
    let mut config = ClientConfig::new(tls);
    config.transport_config(control::transport());
    let config = Purpose::Measure.said_by(config);
    let addresses = reach::resolve(upstream).await.map_err(|e| e.to_string())?;
    let host = reach::host(upstream);
    let mut open: Option<Reached> = None;
    for address in addresses {
        let (udp, tcp) = tokio::join!(
            reach::over_udp(address, &config),
            reach::in_tunnel(address, host, &config)
        );
        report.address = Some(address.to_string());
        (report.udp, report.tcp) = (through(&udp), through(&tcp));
        let (udp, tcp) = (udp.ok(), tcp.ok());
        if let (Some(_), Some(tcp)) = (&udp, &tcp) {
            close::close(&tcp.connection, DONE, "");
        }
        open = udp.or(tcp);
        if open.is_some() {
            break;
        }
    }
    let Some(Reached { connection, way, .. }) = open else {
        return Err("the campus can't be reached".into());
    };
    let measured = timeout(LIMIT, line(&connection, way, report)).await;
    close::close(&connection, DONE, "");
    let late = |_| Err(NotSaid::Lost("it took too long".into()));
    measured.unwrap_or_else(late).map_err(|e| e.to_string())
}

fn through(reached: &Result<Reached, ReachError>) -> Through {
    match reached {
        Ok(_) => Through::Open,
        Err(error @ ReachError::Failed(_)) if !error.is_silence() => {
            Through::Refused(error.to_string())
        }
        Err(error) => Through::Blocked(error.to_string()),
    }
}

async fn line(connection: &Connection, way: Way, report: &mut Report) -> Result<(), NotSaid> {
    let lost = |e: quinn::ConnectionError| NotSaid::Lost(close::sentence(&e));
    let mut conversation = Conversation::new(connection.open_bi().await.map_err(lost)?);
    report.ping = Some(ping(&mut conversation).await?);
    let mut down = Ladder::default();
    while let Some(train) = down.next() {
        conversation.say(&Ask::Down(train)).await?;
        let mut counter = Counter::of(connection, train.id);
        let Answer::DownEnd { sent } = counter.until(conversation.hear::<Answer>()).await? else {
            break;
        };
        down.note(train, sent, counter.rest(sent).await);
        report.down = Some(down.rate());
    }
    let mut up = Ladder::default();
    while let Some(train) = up.next() {
        conversation.say(&Ask::Up(train)).await?;
        let Answer::UpReady = conversation.hear().await? else { break };
        let sent = train::send(connection, train).await;
        conversation.say(&Ask::UpEnd { sent }).await?;
        let Answer::UpCame(came) = conversation.hear().await? else { break };
        up.note(train, sent, came);
        report.up = Some(up.rate());
    }
    if way == Way::Udp {
        report.mtu = Some(connection.stats().path.current_mtu);
    }
    Ok(())
}

async fn ping(conversation: &mut Conversation) -> Result<Ping, NotSaid> {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let (asked, asked_ms) = (Instant::now(), now_ms());
        conversation.say(&Ask::Ping).await?;
        let Answer::Pong { now_ms: theirs } = conversation.hear().await? else {
            return Err(NotSaid::Unreadable("a question for the time was not answered".into()));
        };
        let took = asked.elapsed().as_secs_f64() * 1000.0;
        // Half-way between question and answer it was `theirs` there.
        times.push((took, asked_ms + took / 2.0 - theirs as f64));
        sleep(APART).await;
    }
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |share: f64| {
        let place = (share * (times.len() - 1) as f64).round() as usize;
        times.get(place).copied().unwrap_or_default()
    };
    let (min_ms, ahead) = at(0.0);
    Ok(Ping {
        min_ms,
        median_ms: at(0.5).0,
        jitter_ms: at(0.9).0 - min_ms,
        clock_ahead_ms: ahead.round() as i64,
    })
}

fn certificate(identity: &Identity) -> Option<Certificate> {
    let validity = identity.validity()?;
    let days = |at: SystemTime| match at.duration_since(SystemTime::now()) {
        Ok(left) => (left.as_secs() / 86_400) as i64,
        Err(over) => -1 - (over.duration().as_secs() / 86_400) as i64,
    };
    Some(Certificate {
        days_left: days(validity.until),
        renew_in_days: days(validity.renew_at()).max(0),
    })
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}
