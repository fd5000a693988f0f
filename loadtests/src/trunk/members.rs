//! Members who do things through the whole lesson, at the campus and at the school, and what
//! of it the origin's log has in the end.

use super::tree::Tree;
use crate::forward::clock::wall_ns;
use anyhow::{Context, Result};
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Lang;
use cloudschool_protocol::socket::{ClientMessage, ServerMessage};
use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

/// Between two commands of a member.
const EVERY: Duration = Duration::from_millis(700);
/// For an answer, after which nobody knows what became of a command.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Before a member whose socket broke comes again.
const COME_BACK_AFTER: Duration = Duration::from_millis(200);
/// For the log to have what is under way.
const LOGGED_WITHIN: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a member did: raised its hand, or took it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Raised,
    Lowered,
}

#[derive(Debug, Clone, Copy)]
struct Done {
    deed: Deed,
    asked_ms: u64,
    /// When the member was told.
    at_ms: u64,
}

impl Done {
    /// How far a time in the log is from it. What a cut overtakes may have been done before it,
    /// and the answer lost: then at any time since it was asked.
    fn off(&self, logged_ms: u64, cuts_ms: &[(u64, u64)]) -> u64 {
        let overtaken = |(from, _): &(u64, u64)| (self.asked_ms..self.at_ms).contains(from);
        let first = if cuts_ms.iter().any(overtaken) { self.asked_ms } else { self.at_ms };
        first.saturating_sub(logged_ms).max(logged_ms.saturating_sub(self.at_ms))
    }
}

/// What one member did and was told.
#[derive(Debug, Clone, Default)]
pub struct Record {
    member: String,
    done: Vec<Done>,
    refused: Vec<(u64, String)>,
    /// Nobody knows what became of them.
    unanswered: usize,
    sockets_lost: usize,
    /// When the page was told that the campus went away and came back, ms since 1970.
    campus: Vec<(u64, bool)>,
}

/// A member at work. It stops when told, and gives its record.
pub struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<Record>,
}

impl Worker {
    /// Joins at `node` as a student of `school` and begins.
    ///
    /// # Errors
    /// When the token can't be made.
    pub fn start(tree: &Tree, node: &Url, school: &str, member: &str) -> Result<Self> {
        let token = tree.tokens.sign(member, member, Role::Student, school, Some(&tree.lesson))?;
        let url = socket_url(node, tree)?;
        let (stop, stopped) = watch::channel(false);
        let record = Record { member: member.to_owned(), ..Record::default() };
        let task = tokio::spawn(work(url, token, record, stopped));
        Ok(Self { stop, task })
    }

    /// # Errors
    /// When its task died.
    pub async fn stop(self) -> Result<Record> {
        self.stop.send_replace(true);
        self.task.await.context("a member's task")
    }
}

fn socket_url(node: &Url, tree: &Tree) -> Result<String> {
    let mut url = node.join(&format!("lessons/{}/socket", tree.lesson))?;
    url.set_scheme("ws").ok().context("the node's address")?;
    Ok(url.into())
}

fn now_ms() -> u64 {
    wall_ns() / 1_000_000
}

async fn work(
    url: String,
    token: String,
    mut record: Record,
    mut stop: watch::Receiver<bool>,
) -> Record {
    let mut hand = false;
    let mut id = 0;
    while !*stop.borrow() {
        let joined = tokio::select! {
            joined = join(&url, &token) => joined,
            _ = stop.changed() => break,
        };
        match joined {
            Ok(mut socket) => {
                take_part(&mut socket, &mut record, &mut stop, &mut hand, &mut id).await;
                if *stop.borrow() {
                    let left = send(&mut socket, &ClientMessage::Leave).await;
                    tracing::debug!(?left, "a member leaves");
                } else {
                    record.sockets_lost += 1;
                }
            }
            Err(error) => tracing::debug!(%error, "a member can't come back yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(COME_BACK_AFTER) => {}
            _ = stop.changed() => {}
        }
    }
    record
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn join(url: &str, token: &str) -> Result<Socket> {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    send(&mut socket, &ClientMessage::Join { token: token.to_owned(), lang: Lang::En }).await?;
    Ok(socket)
}

async fn send(socket: &mut Socket, message: &ClientMessage) -> Result<()> {
    Ok(socket.send(Message::text(serde_json::to_string(message)?)).await?)
}

/// Until the socket breaks or the member is to stop.
async fn take_part(
    socket: &mut Socket,
    record: &mut Record,
    stop: &mut watch::Receiver<bool>,
    hand: &mut bool,
    id: &mut u64,
) {
    let mut next = tokio::time::Instant::now() + EVERY;
    let mut asked: Option<(u64, Deed, u64, tokio::time::Instant)> = None;
    let mut joined = false;
    loop {
        let wake = asked.map_or(next, |(.., deadline)| deadline);
        tokio::select! {
            message = socket.next() => {
                let Some(Ok(message)) = message else { break };
                let Message::Text(text) = message else { continue };
                // What this program is too old to know is nothing to it.
                let Ok(message) = serde_json::from_str::<ServerMessage>(&text) else { continue };
                match message {
                    ServerMessage::Welcome { state, you, .. } => {
                        joined = true;
                        *hand = state.hands.iter().any(|h| h.member == you.id);
                    }
                    ServerMessage::Campus { reachable } => {
                        record.campus.push((now_ms(), reachable));
                    }
                    ServerMessage::Done { id } => {
                        let asked = asked.take_if(|(asked, ..)| *asked == id);
                        if let Some((_, deed, asked_ms, _)) = asked {
                            record.done.push(Done { deed, asked_ms, at_ms: now_ms() });
                            *hand = deed == Deed::Raised;
                        }
                    }
                    ServerMessage::Refused { id, code, .. } => {
                        if let Some((_, deed, ..)) = asked.take_if(|(asked, ..)| *asked == id) {
                            record.refused.push((now_ms(), format!("{code:?}")));
                            // It may have been taken down, or raised, without an answer.
                            *hand = deed == Deed::Lowered && *hand;
                        }
                    }
                    ServerMessage::Bye { .. } => break,
                    _ => {}
                }
            }
            () = tokio::time::sleep_until(wake) => {
                if asked.take().is_some() {
                    record.unanswered += 1;
                    // A new socket tells what became of it.
                    return;
                }
                next = tokio::time::Instant::now() + EVERY;
                if !joined {
                    continue;
                }
                *id += 1;
                let (deed, command) = match *hand {
                    false => (Deed::Raised, MemberCommand::RaiseHand),
                    true => (Deed::Lowered, MemberCommand::LowerHand { member: None }),
                };
                let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
                asked = Some((*id, deed, now_ms(), deadline));
                if send(socket, &ClientMessage::Command { id: *id, command }).await.is_err() {
                    break;
                }
            }
            _ = stop.changed() => if asked.is_none() { return } else { next += EVERY },
        }
        if *stop.borrow() && asked.is_none() {
            return;
        }
    }
    record.unanswered += usize::from(asked.is_some());
}

/// What the log has of what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Commands that members were told are done.
    pub done: usize,
    /// Of them, those done at the school while the line was away.
    pub done_in_cut: usize,
    pub refused: usize,
    /// Of them, at the school while the line was away.
    pub refused_in_cut: usize,
    pub unanswered: usize,
    pub sockets_lost: usize,
    /// Done and not in the log.
    pub events_lost: usize,
    /// In the log more often than done, or under the same id twice.
    pub events_doubled: usize,
    /// Numbers the log leaves out.
    pub holes: usize,
    /// The most an event's time in the log is from when it was done; none with lost or doubled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_off_ms: Option<u64>,
    /// After each outage began and ended, until pages at the school were told.
    pub campus_away_told_ms: Vec<Option<u64>>,
    pub campus_back_told_ms: Vec<Option<u64>>,
}

/// Waits until the origin's log has what was done, or long enough, and compares.
///
/// # Errors
/// When the log can't be read.
pub async fn compare(
    log: &Path,
    campus: &[Record],
    school: &[Record],
    cuts_ns: &[(u64, u64)],
) -> Result<Kept> {
    let deadline = tokio::time::Instant::now() + LOGGED_WITHIN;
    loop {
        let kept = look(&read(log)?, campus, school, cuts_ns);
        if kept.events_lost == 0 || tokio::time::Instant::now() >= deadline {
            return Ok(kept);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn read(log: &Path) -> Result<Vec<Event>> {
    let text =
        std::fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    // The last line may still be being written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let event = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
    whole.lines().map(event).collect()
}

fn look(log: &[Event], campus: &[Record], school: &[Record], cuts_ns: &[(u64, u64)]) -> Kept {
    let mut kept = Kept::default();
    let ids: HashSet<_> = log.iter().map(|e| e.id).collect();
    kept.events_doubled += log.len() - ids.len();
    kept.holes = log.iter().zip(1..).filter(|(event, n)| event.seq != *n).count();
    let cuts: Vec<_> = cuts_ns.iter().map(|(a, b)| (a / 1_000_000, b / 1_000_000)).collect();
    let in_cut = |at_ms: u64| cuts.iter().any(|(from, to)| (*from..*to).contains(&at_ms));
    let mut off = Some(0);
    for record in campus.iter().chain(school) {
        kept.done += record.done.len();
        kept.refused += record.refused.len();
        kept.unanswered += record.unanswered;
        kept.sockets_lost += record.sockets_lost;
        let mut open = record.unanswered;
        for deed in [Deed::Raised, Deed::Lowered] {
            let logged: Vec<u64> = log
                .iter()
                .filter(|e| deed_of(e).is_some_and(|(d, m)| d == deed && m == record.member))
                .map(|e| e.at_ms)
                .collect();
            let done: Vec<&Done> = record.done.iter().filter(|d| d.deed == deed).collect();
            kept.events_lost += done.len().saturating_sub(logged.len());
            let more = logged.len().saturating_sub(done.len());
            let unknown = more.min(open);
            open -= unknown;
            kept.events_doubled += more - unknown;
            let apart = logged.iter().zip(&done).map(|(at, done)| done.off(*at, &cuts));
            let apart = apart.max().unwrap_or(0);
            let same = logged.len() == done.len();
            off = off.filter(|_| same).map(|most: u64| most.max(apart));
        }
    }
    kept.time_off_ms = off;
    for record in school {
        kept.done_in_cut += record.done.iter().filter(|d| in_cut(d.at_ms)).count();
        kept.refused_in_cut += record.refused.iter().filter(|(at, _)| in_cut(*at)).count();
    }
    let told = |when: u64, reachable: bool| {
        let mut told = school.iter().flat_map(|r| &r.campus);
        told.find(|(at, r)| *r == reachable && *at >= when).map(|(at, _)| at - when)
    };
    kept.campus_away_told_ms = cuts.iter().map(|(from, _)| told(*from, false)).collect();
    kept.campus_back_told_ms = cuts.iter().map(|(_, to)| told(*to, true)).collect();
    kept
}

fn deed_of(event: &Event) -> Option<(Deed, &str)> {
    match &event.body {
        EventBody::HandRaised { member } => Some((Deed::Raised, member.as_str())),
        EventBody::HandLowered { member, .. } => Some((Deed::Lowered, member.as_str())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::MemberId;
    use uuid::Uuid;

    fn event(seq: u64, at_ms: u64, member: &str) -> Event {
        let member = MemberId::new(member).unwrap();
        Event::new(seq, Uuid::from_u128(seq.into()), at_ms, EventBody::HandRaised { member })
    }

    fn record(member: &str, done: &[u64], unanswered: usize) -> Record {
        let done = done
            .iter()
            .map(|at| Done { deed: Deed::Raised, asked_ms: at - 1, at_ms: *at })
            .collect();
        Record { member: member.into(), done, unanswered, ..Record::default() }
    }

    #[test]
    fn what_is_not_in_the_log_is_lost_and_what_is_there_too_often_doubled() {
        let log = [event(1, 100, "wang"), event(2, 205, "wang"), event(3, 300, "li")];
        let kept = |campus: Record, school: Record| look(&log, &[campus], &[school], &[]);
        let good = kept(record("li", &[300], 0), record("wang", &[100, 200], 0));
        assert_eq!((good.events_lost, good.events_doubled, good.holes), (0, 0, 0));
        assert_eq!((good.done, good.time_off_ms), (3, Some(5)));
        let lost = kept(record("li", &[300, 310], 0), record("wang", &[100, 200], 0));
        assert_eq!((lost.events_lost, lost.time_off_ms), (1, None));
        let doubled = kept(record("li", &[300], 0), record("wang", &[100], 0));
        assert_eq!(doubled.events_doubled, 1);
        let unknown = kept(record("li", &[300], 0), record("wang", &[100], 1));
        assert_eq!(unknown.events_doubled, 0, "it may have been done");
        let hole = look(&[event(1, 1, "a"), event(3, 1, "a")], &[], &[], &[]);
        assert_eq!(hole.holes, 1);
    }

    #[test]
    fn what_a_cut_overtakes_may_have_been_done_before_it_and_nothing_else() {
        let done = Done { deed: Deed::Raised, asked_ms: 1000, at_ms: 2800 };
        let overtaken = [(1050, 9000)];
        for (logged, off) in [(1040, 0), (2800, 0), (900, 100), (2900, 100)] {
            assert_eq!(done.off(logged, &overtaken), off, "{logged}");
        }
        assert_eq!(done.off(1040, &[]), 1760, "its line was not cut");
        assert_eq!(done.off(1040, &[(900, 9000)]), 1760, "it was asked while the line was away");
    }

    #[test]
    fn what_is_done_and_told_while_the_line_is_away_is_known() {
        let mut school = record("wang", &[90, 150, 250], 0);
        school.campus = vec![(130, false), (220, true)];
        school.refused = vec![(160, "campus-away".into())];
        let cuts = [(100_000_000, 200_000_000)];
        let kept = look(&[], &[record("li", &[150], 0)], &[school], &cuts);
        assert_eq!((kept.done_in_cut, kept.refused_in_cut), (1, 1));
        assert_eq!(kept.campus_away_told_ms, [Some(30)]);
        assert_eq!(kept.campus_back_told_ms, [Some(20)]);
    }
}
