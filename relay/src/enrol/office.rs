//! The campus's side of enrolment.

use super::attempts::Attempts;
use super::book::Book;
use super::exchange::{Half, Session};
use super::refused::Refused;
use super::words::{FromCampus, FromMachine, Issued};
use crate::ca::{Authority, CaError, Request};
use crate::close::{self, DONE, PROTOCOL};
use crate::conversation::{Conversation, NotSaid};
use crate::peer::Peer;
use cloudschool_protocol::blob::Blob;
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::trunk::NodeKind;
use quinn::Connection;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::timeout;

/// For the whole exchange of three round trips, on a bad line.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the last word may take to arrive.
const FAREWELL: Duration = Duration::from_secs(10);

/// What became of everyone who came with a code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfficeStats {
    pub issued: u64,
    pub wrong_code: u64,
    pub expired: u64,
    pub used: u64,
    pub void: u64,
    pub too_often: u64,
    /// What was said was no application.
    pub malformed: u64,
    /// The campus's own fault.
    pub unable: u64,
    /// Broke off.
    pub lost: u64,
}

/// Issues certificates to machines that have a code.
pub struct Office {
    authority: Authority,
    book: Book,
    settings: String,
    attempts: Mutex<Attempts>,
    counts: watch::Sender<OfficeStats>,
}

impl Office {
    /// The office of the CA in `ca`. `settings` is handed to every new node as it is.
    ///
    /// # Errors
    /// [`CaError`] when there is no usable CA.
    pub fn open(ca: &Path, settings: impl Into<String>) -> Result<Self, CaError> {
        Ok(Self {
            authority: Authority::open(ca)?,
            book: Book::of(ca),
            settings: settings.into(),
            attempts: Mutex::default(),
            counts: watch::channel(OfficeStats::default()).0,
        })
    }

    /// The CA it issues for.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether the campus wants no more of this node: its box was lost, or its school left.
    #[must_use]
    pub fn withdrawn(&self, node: &NodeId) -> bool {
        self.book.withdrawn(node)
    }

    /// Counters, and a way to wait for their change.
    #[must_use]
    pub fn stats(&self) -> watch::Receiver<OfficeStats> {
        self.counts.subscribe()
    }

    /// Serves one connection, to its end.
    pub(crate) async fn serve(&self, connection: Connection) {
        let from = connection.remote_address();
        let heard = timeout(LIMIT, self.hear(&connection)).await;
        let lost = || Err(NotSaid::Lost("it took too long".into()));
        let (mut conversation, decided) = match heard.unwrap_or_else(|_| lost()) {
            Ok(heard) => heard,
            Err(error) => {
                tracing::info!(%from, "an enrolment was broken off: {error}");
                self.counts.send_modify(|c| c.lost += 1);
                return close::close(&connection, PROTOCOL, &error.to_string());
            }
        };
        let answer = match decided {
            Ok((issued, proof)) => {
                tracing::info!(%from, node = %issued.node, school = %issued.school, "enrolled");
                self.counts.send_modify(|c| c.issued += 1);
                FromCampus::Issued { issued: Box::new(issued), proof: Blob(proof) }
            }
            Err(why) => {
                tracing::warn!(%from, "not enrolled: {why}");
                self.counts.send_modify(|c| *counter(c, why) += 1);
                FromCampus::Refused { why }
            }
        };
        let told = async {
            conversation.say(&answer).await?;
            // It closes when it has heard.
            connection.closed().await;
            Ok::<_, NotSaid>(())
        };
        if !matches!(timeout(FAREWELL, told).await, Ok(Ok(()))) {
            tracing::info!(%from, "the end of an enrolment may not have been heard");
        }
        close::close(&connection, DONE, "");
    }

    /// The exchange up to the answer.
    #[allow(clippy::type_complexity)]
    async fn hear(
        &self,
        connection: &Connection,
    ) -> Result<(Conversation, Result<(Issued, Vec<u8>), Refused>), NotSaid> {
        let lost = |e: quinn::ConnectionError| NotSaid::Lost(close::sentence(&e));
        let mut conversation = Conversation::new(connection.accept_bi().await.map_err(lost)?);
        let address = connection.remote_address().ip();
        let FromMachine::Begin { code, share } = conversation.hear().await? else {
            return Ok((conversation, Err(Refused::Malformed)));
        };
        if !self.attempts().allow(address, Instant::now()) {
            return Ok((conversation, Err(Refused::TooOften)));
        }
        let decided = self.decide(connection, &mut conversation, address, &code, &share.0).await;
        match decided {
            Ok(decided) => Ok((conversation, decided)),
            Err(error) => {
                // Broken off before any proof: nothing was tried.
                self.attempts().was_right(address);
                Err(error)
            }
        }
    }

    async fn decide(
        &self,
        connection: &Connection,
        conversation: &mut Conversation,
        address: IpAddr,
        code: &str,
        share: &[u8],
    ) -> Result<Result<(Issued, Vec<u8>), Refused>, NotSaid> {
        let attempt = match self.book.attempt(code) {
            Ok(attempt) => attempt,
            Err(refused) => return Ok(Err(refused)),
        };
        let half = Half::campus(&attempt.password);
        conversation.say(&FromCampus::Share { share: Blob(half.share.clone()) }).await?;
        let keys = Session::of(connection).and_then(|session| half.finish(share, &session).ok());
        let FromMachine::Request { csr, proof } = conversation.hear().await? else {
            return Ok(Err(Refused::Malformed));
        };
        let Some(keys) = keys.filter(|k| k.machine_proves(&[csr.as_bytes()], &proof.0)) else {
            attempt.wrong();
            return Ok(Err(Refused::WrongCode));
        };
        self.attempts().was_right(address);
        let Ok(request) = Request::read(&csr) else { return Ok(Err(Refused::Malformed)) };
        let place = match attempt.right(&request.key_hash(), now_ms()) {
            Ok(place) => place,
            Err(refused) => return Ok(Err(refused)),
        };
        let (node, school) = (place.node, place.school);
        let peer = Peer::new(node.clone(), NodeKind::Edge, Some(school.clone()));
        let certificate = match self.authority.certify(&peer, &request) {
            Ok(certificate) => certificate,
            Err(error) => {
                tracing::error!(%error, "a certificate could not be issued");
                return Ok(Err(Refused::Unable));
            }
        };
        let ca = self.authority.certificate().to_owned();
        let settings = self.settings.clone();
        let issued = Issued { node, school, ca, certificate, settings };
        let proof = keys.campus_proof(&issued.said(&csr));
        Ok(Ok((issued, proof)))
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whoever comes to a node without an office.
pub(crate) async fn not_here(connection: Connection) {
    let told = async {
        let stream = connection.accept_bi().await.ok()?;
        let mut conversation = Conversation::new(stream);
        conversation.say(&FromCampus::Refused { why: Refused::NotHere }).await.ok()?;
        connection.closed().await;
        Some(())
    };
    if !matches!(timeout(FAREWELL, told).await, Ok(Some(()))) {
        tracing::debug!("who wanted to enrol may not have heard that it is not here");
    }
    close::close(&connection, DONE, "");
}

impl Issued {
    /// What the campus's proof is over.
    pub(super) fn said<'a>(&'a self, csr: &'a str) -> [&'a [u8]; 6] {
        let Self { node, school, ca, certificate, settings } = self;
        [csr, node.as_str(), school.as_str(), ca, certificate, settings].map(str::as_bytes)
    }
}

fn counter(counts: &mut OfficeStats, why: Refused) -> &mut u64 {
    match why {
        Refused::WrongCode => &mut counts.wrong_code,
        Refused::Expired => &mut counts.expired,
        Refused::Used => &mut counts.used,
        Refused::Void => &mut counts.void,
        Refused::TooOften => &mut counts.too_often,
        Refused::Malformed | Refused::NotHere => &mut counts.malformed,
        Refused::Unable => &mut counts.unable,
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
