//! The downstream end: dials its upstream nodes for as long as it takes. The first of them is
//! preferred, the next is taken when it can't be reached, and when the first has been there
//! again for a while it is gone back to, with the new trunk made before the old is left.

use crate::attempt::Attempt;
use crate::backoff::Backoff;
use crate::identity::Identity;
use crate::marking::Dscp;
use crate::peer::Peer;
use crate::trunk::{Ending, Trunk, TrunkReceiver};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// A trunk that lived this long was good; the next attempt begins without back-off.
const STABLE: Duration = Duration::from_secs(5);

/// An upstream that answers within this is not raced by the next: five round trips of a
/// satellite.
const HEAD_START: Duration = Duration::from_secs(3);

/// How long a trunk may lead nowhere before another upstream is dialled, besides the five
/// seconds of silence after which it does.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Between two attempts to find another upstream while the present one leads nowhere.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// An upstream that turned out to be no better is left alone for so long.
const NO_BETTER: Duration = Duration::from_secs(30);

/// How long a preferred upstream must have been there before it is gone back to.
pub const RETURN_AFTER: Duration = Duration::from_secs(60);

/// Looks at a preferred upstream while waiting to go back to it.
const LOOKS: u32 = 6;

/// What a dialer is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialStatus {
    /// Not asked to connect yet.
    Idle,
    Connecting,
    /// There is, or was last, a trunk to `peer`.
    Connected {
        peer: Peer,
    },
    /// No trunk, for a reason in words; the next attempt follows in `retry_in`.
    Waiting {
        reason: String,
        retry_in: Duration,
    },
}

/// The upstream nodes of a node, `host:port` each, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstreams(Vec<String>);

impl From<String> for Upstreams {
    fn from(upstream: String) -> Self {
        Self(vec![upstream])
    }
}

impl From<&str> for Upstreams {
    fn from(upstream: &str) -> Self {
        Self(vec![upstream.into()])
    }
}

impl From<Vec<String>> for Upstreams {
    fn from(upstreams: Vec<String>) -> Self {
        Self(upstreams)
    }
}

impl From<&[String]> for Upstreams {
    fn from(upstreams: &[String]) -> Self {
        Self(upstreams.to_vec())
    }
}

/// A trunk that [`Dialer::better`] found.
pub struct Found {
    pub trunk: Trunk,
    pub receiver: TrunkReceiver,
    place: usize,
}

/// Dials the upstream nodes.
pub struct Dialer {
    upstreams: Vec<Upstream>,
    identity: Identity,
    software: String,
    status: watch::Sender<DialStatus>,
    backoff: Backoff,
    /// The attempts so far: each takes the next of an upstream's addresses.
    attempts: usize,
    return_after: Duration,
    dscp: Option<Dscp>,
    /// Not before this the next attempt.
    not_before: Option<Instant>,
    last: Option<(Ending, Instant)>,
    /// The upstream of the last trunk, by its place in the list.
    present: usize,
}

struct Upstream {
    address: String,
    /// It turned out to be no better than another, and is left alone until then.
    shunned: Option<Instant>,
    /// It has answered since then, each time it was looked at.
    there_since: Option<Instant>,
}

type Connected = (usize, (Trunk, TrunkReceiver));

impl Dialer {
    /// Upstream names are resolved at every attempt; `software` is program and version, for
    /// people.
    #[must_use]
    pub fn new(
        upstreams: impl Into<Upstreams>,
        identity: Identity,
        software: impl Into<String>,
    ) -> Self {
        let upstream = |address| Upstream { address, shunned: None, there_since: None };
        Self {
            upstreams: upstreams.into().0.into_iter().map(upstream).collect(),
            identity,
            software: software.into(),
            status: watch::Sender::new(DialStatus::Idle),
            backoff: Backoff::default(),
            attempts: 0,
            return_after: RETURN_AFTER,
            dscp: None,
            not_before: None,
            last: None,
            present: 0,
        }
    }

    /// Goes back to a preferred upstream when it has been there for so long.
    #[must_use]
    pub fn return_after(mut self, time: Duration) -> Self {
        self.return_after = time;
        self
    }

    /// Marks what is sent.
    #[must_use]
    pub fn marked(mut self, dscp: Option<Dscp>) -> Self {
        self.dscp = dscp;
        self
    }

    /// What it is doing, for readiness and for people.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<DialStatus> {
        self.status.subscribe()
    }

    /// A trunk to an upstream node, however long it takes. Call it again when the trunk is
    /// closed; it then keeps to the back-off. Cancel-safe.
    pub async fn connect(&mut self) -> (Trunk, TrunkReceiver) {
        if let Some((ending, since)) = self.last.take() {
            self.note_end(&ending, since);
        }
        loop {
            if let Some(at) = self.not_before {
                sleep_until(at).await;
                self.not_before = None;
            }
            self.status.send_replace(DialStatus::Connecting);
            match self.first_of(self.wanted(|_| true)).await {
                Ok((place, (trunk, receiver))) => {
                    self.note_connected(place, &trunk);
                    return (trunk, receiver);
                }
                Err((reason, lasting)) => self.wait_after(&reason, lasting),
            }
        }
    }

    /// While there is a trunk: another that is better, when there is one. `good` says whether
    /// the present one leads where it should. It is left when it doesn't, for any other
    /// upstream, and when an upstream that is preferred has been there for a while. Never
    /// ends otherwise. Say then [`Self::moved`] or [`Self::stayed`].
    pub async fn better(&mut self, mut good: watch::Receiver<bool>) -> Found {
        if self.upstreams.len() < 2 {
            return std::future::pending().await;
        }
        loop {
            if !*good.borrow_and_update() {
                tokio::select! {
                    Ok(_) = good.wait_for(|good| *good) => continue,
                    () = sleep(PATIENCE) => {}
                }
                let others = self.wanted(|place| place != self.present);
                let found = tokio::select! {
                    found = self.first_of(others) => found,
                    Ok(_) = good.wait_for(|good| *good) => continue,
                };
                match found {
                    Ok((place, (trunk, receiver))) => return Found { trunk, receiver, place },
                    Err((reason, _)) => tracing::warn!("no other upstream: {reason}"),
                }
                sleep(LOOK_AGAIN).await;
            } else if self.present > 0 {
                tokio::select! {
                    Ok(_) = good.wait_for(|good| !*good) => continue,
                    () = sleep(self.return_after / LOOKS) => {}
                }
                if let Some(found) = self.look_back().await {
                    return found;
                }
            } else if good.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The trunk that was found is the one in use.
    pub fn moved(&mut self, place: usize, trunk: &Trunk) {
        self.note_connected(place, trunk);
    }

    /// The trunk that was found is no better than the one in use.
    pub fn stayed(&mut self, place: usize) {
        if let Some(upstream) = self.upstreams.get_mut(place) {
            upstream.shunned = Some(Instant::now() + NO_BETTER);
            upstream.there_since = None;
        }
    }

    /// Looks whether upstreams that are preferred to the present one are there, and dials one
    /// that has been for long enough.
    async fn look_back(&mut self) -> Option<Found> {
        let preferred = self.wanted(|place| place < self.present);
        for place in preferred {
            let there = self.attempt(place)?.knock().await;
            let upstream = self.upstreams.get_mut(place)?;
            match there {
                Err(error) => {
                    upstream.there_since = None;
                    tracing::debug!(%error, "a preferred upstream is not there");
                    continue;
                }
                Ok(()) => {
                    let since = *upstream.there_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < self.return_after {
                        continue;
                    }
                }
            }
            match self.attempt(place)?.connect().await {
                Ok((trunk, receiver)) => return Some(Found { trunk, receiver, place }),
                Err(error) => {
                    tracing::info!(%error, "a preferred upstream is there and gives no trunk");
                    self.stayed(place);
                }
            }
        }
        None
    }

    /// Places of upstreams to try, in order. One that is shunned comes last where there is no
    /// trunk, and not at all where there is.
    fn wanted(&self, which: impl Fn(usize) -> bool) -> Vec<usize> {
        let now = Instant::now();
        let (mut places, mut shunned) = (Vec::new(), Vec::new());
        for (place, upstream) in self.upstreams.iter().enumerate().filter(|(p, _)| which(*p)) {
            match upstream.shunned.is_some_and(|until| until > now) {
                true => shunned.push(place),
                false => places.push(place),
            }
        }
        if self.last.is_none() {
            places.append(&mut shunned);
        }
        places
    }

    fn attempt(&mut self, place: usize) -> Option<Attempt> {
        self.attempts = self.attempts.wrapping_add(1);
        Some(Attempt {
            upstream: self.upstreams.get(place)?.address.clone(),
            identity: self.identity.clone(),
            software: self.software.clone(),
            turn: self.attempts,
            dscp: self.dscp,
        })
    }

    /// The first trunk of these upstreams, each begun when the one before it failed or took
    /// long. Fails with what is to be told and whether all will fail again.
    async fn first_of(&mut self, places: Vec<usize>) -> Result<Connected, (String, bool)> {
        let several = places.len() > 1;
        let mut next = places.into_iter();
        // Dropped with what is under way in it.
        let mut attempts = JoinSet::new();
        let mut failures = Vec::new();
        let mut lasting = true;
        let mut begin = true;
        loop {
            if std::mem::take(&mut begin)
                && let Some(place) = next.next()
                && let Some(attempt) = self.attempt(place)
            {
                attempts.spawn(async move {
                    let upstream = attempt.upstream.clone();
                    (place, upstream, attempt.connect().await)
                });
            }
            tokio::select! {
                ended = attempts.join_next() => match ended {
                    Some(Ok((place, _, Ok(trunk)))) => return Ok((place, trunk)),
                    Some(Ok((_, upstream, Err(error)))) => {
                        lasting &= error.is_lasting();
                        failures.push(match several {
                            true => format!("{upstream}: {error}"),
                            false => error.to_string(),
                        });
                        begin = true;
                    }
                    Some(Err(error)) => tracing::error!(%error, "an attempt broke off"),
                    None if next.len() == 0 => return Err((failures.join("; "), lasting)),
                    None => begin = true,
                },
                () = sleep(HEAD_START), if next.len() > 0 => begin = true,
            }
        }
    }

    fn note_connected(&mut self, place: usize, trunk: &Trunk) {
        let peer = trunk.peer().clone();
        tracing::info!(%peer, software = trunk.software(), "trunk is up");
        self.status.send_replace(DialStatus::Connected { peer });
        self.last = Some((trunk.ending(), Instant::now()));
        self.present = place;
        self.upstreams.iter_mut().for_each(|u| u.there_since = None);
    }

    /// The last trunk has ended, or its owner wants another. One that held is followed by the
    /// shortest wait, which spreads the nodes that have all lost the same campus.
    fn note_end(&mut self, ending: &Ending, since: Instant) {
        let Some((reason, lasting)) = ending.reason() else { return };
        if since.elapsed() >= STABLE {
            self.backoff.reset();
        }
        if lasting {
            // Where there is another it comes first now.
            self.stayed(self.present);
        }
        self.wait_after(&reason, lasting && self.upstreams.len() == 1);
    }

    fn wait_after(&mut self, reason: &str, lasting: bool) {
        let chance = rand::random();
        let retry_in = if lasting {
            self.backoff.after_lasting_failure(chance)
        } else {
            self.backoff.after_failure(chance)
        };
        self.not_before = Some(Instant::now() + retry_in);
        let upstreams: Vec<&str> = self.upstreams.iter().map(|u| u.address.as_str()).collect();
        tracing::warn!(?upstreams, ?retry_in, "no trunk: {reason}");
        self.status.send_replace(DialStatus::Waiting { reason: reason.into(), retry_in });
    }
}

impl Found {
    /// Which upstream it is, for [`Dialer::moved`] and [`Dialer::stayed`].
    #[must_use]
    pub fn place(&self) -> usize {
        self.place
    }
}
