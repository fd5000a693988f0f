//! The control side of one peer: ICE-lite, DTLS and session descriptions. Datagrams that are
//! neither RTP nor RTCP, and the time, go in; datagrams and [`PeerEvent`]s come out. RTP and
//! RTCP are the packet path's alone, under the keys that [`PeerEvent::Connected`] brings.
//!
//! DTLS is taken only from addresses that ICE has proved to be the peer's and the caller has
//! admitted ([`Engine::admit`]). It runs over whatever path ICE has by now: neither an address
//! change, nor TCP instead of UDP, nor an ICE restart touches the association.
//!
//! There is no SCTP: data of a lesson goes over the lesson socket, and a data channel that is
//! offered is declined.

pub use super::answer::CNAME;
pub use super::description::{MAX_MEDIA_LINES, OfferError};
pub use super::dtls::{DtlsIdentity, IdentityError};
pub use super::fragment::{Condition, FragmentError, Patched};
pub use super::lines::{Extensions, Feedback, Line, LineCodec, MAX_ENCODINGS};
pub use super::route::{Route, Transport};

use super::answer::{self, Way};
use super::description::{Description, Fingerprint, Section, unsupported};
use super::dtls::{Dtls, DtlsEvent};
use super::fragment;
use super::ice::{Check, Credentials, LiteAgent};
use super::lines::{self, Role};
use super::stun::is_stun;
use bytes::BytesMut;
use cloudschool_protocol::media::Kind;
use cloudschool_srtp::SessionKeys;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Addresses one peer may be reached at: interfaces of a laptop, not a way to fill memory.
const MAX_ROUTES: usize = 16;

/// What the peers of a shard have in common.
#[derive(Debug)]
pub struct EngineConfig {
    /// Addresses told to peers as UDP host candidates, most preferred first.
    pub udp: Vec<SocketAddr>,
    /// Addresses told as passive TCP candidates (RFC 6544).
    pub tcp: Vec<SocketAddr>,
    /// The node's certificate.
    pub identity: Arc<DtlsIdentity>,
}

/// An answer and what it settled.
#[derive(Debug, Clone)]
pub struct Answer {
    pub sdp: String,
    /// The audio and video lines that carry media, in the order of the offer: what a publisher
    /// sends, or a viewer receives.
    pub lines: Vec<Line>,
    /// Names the ICE session, until a restart: an entity tag without its quotes.
    pub tag: String,
}

/// What a peer did.
#[derive(Debug)]
pub enum PeerEvent {
    /// The DTLS handshake is complete. The SRTP keys, or `None` when it agreed on none.
    Connected(Option<Box<SessionKeys>>),
    /// The peer closed, failed to prove who it is, or never finished its handshake.
    Gone,
}

/// What a datagram was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A genuine ICE check: the peer can be reached where it came from. The caller decides
    /// whether it may ([`Engine::admit`]).
    Check {
        /// The peer wants this path to be used.
        nominated: bool,
    },
    /// DTLS from an admitted address.
    Secure,
    /// Neither; it changed nothing.
    Refused,
}

/// A line's SSRCs stay its own through later offers.
struct Sender {
    mid: String,
    kind: Kind,
    ssrc: u32,
    rtx_ssrc: u32,
}

/// One peer. `Send`: an offer may be answered away from the thread that then owns the peer.
pub struct Engine {
    role: Role,
    config: Arc<EngineConfig>,
    ice: LiteAgent,
    dtls: Dtls,
    admitted: Vec<Route>,
    route: Option<Route>,
    transmits: VecDeque<(Route, BytesMut)>,
    events: Vec<PeerEvent>,
    senders: Vec<Sender>,
    sections: usize,
    mids: Vec<(Kind, String)>,
    origin: u64,
    version: u64,
    gone: bool,
}

/// How the peer wants to be reached and known.
struct Terms {
    credentials: Credentials,
    fingerprints: Vec<Fingerprint>,
}

fn terms(offer: &Description<'_>, section: &Section<'_>) -> Result<Terms, OfferError> {
    let value = |key| offer.value(section, key).map(str::to_owned);
    let credentials = value("ice-ufrag").zip(value("ice-pwd"));
    let credentials = credentials.map(|(fragment, password)| Credentials { fragment, password });
    let credentials = credentials.filter(Credentials::is_plausible);
    let credentials = credentials.ok_or_else(|| unsupported("it has no ICE credentials"))?;
    let mut fingerprints = offer.fingerprints(section);
    fingerprints.truncate(8);
    if fingerprints.is_empty() {
        return Err(unsupported("it has no DTLS fingerprint"));
    }
    if value("setup").is_some_and(|s| s == "passive") {
        return Err(unsupported("it leaves the DTLS handshake to us (a=setup:passive)"));
    }
    Ok(Terms { credentials, fingerprints })
}

impl Engine {
    /// Answers the offer of a peer that sends: its first audio and its first video line.
    ///
    /// # Errors
    /// [`OfferError`] when it is not SDP, or offers nothing that is taken.
    pub fn publisher(config: &Arc<EngineConfig>, sdp: &str) -> Result<(Self, Answer), OfferError> {
        let (engine, answer) = Self::new(config, Role::Publisher, sdp)?;
        if answer.lines.is_empty() {
            return Err(unsupported("it sends neither Opus, H.264, VP8, VP9 nor AV1"));
        }
        Ok((engine, answer))
    }

    /// Answers the offer of a peer that watches: all the lines it receives on.
    ///
    /// # Errors
    /// [`OfferError`] when it is not SDP, or has no line to receive on.
    pub fn viewer(config: &Arc<EngineConfig>, sdp: &str) -> Result<(Self, Answer), OfferError> {
        let (engine, answer) = Self::new(config, Role::Viewer, sdp)?;
        if answer.lines.is_empty() {
            return Err(unsupported("it has no m-line to receive on in a codec sent here"));
        }
        Ok((engine, answer))
    }

    fn new(
        config: &Arc<EngineConfig>,
        role: Role,
        sdp: &str,
    ) -> Result<(Self, Answer), OfferError> {
        let offer = Description::parse(sdp)?;
        let first = offer.sections.iter().find(|s| s.kind().is_some() && s.is_offered());
        let first = first.ok_or_else(|| unsupported("it has neither audio nor video"))?;
        let Terms { credentials, fingerprints } = terms(&offer, first)?;
        let mut engine = Self {
            role,
            config: config.clone(),
            ice: LiteAgent::new(credentials),
            dtls: Dtls::new(&config.identity, fingerprints),
            admitted: Vec::new(),
            route: None,
            transmits: VecDeque::new(),
            events: Vec::new(),
            senders: Vec::new(),
            sections: 0,
            mids: Vec::new(),
            // RFC 8866 §5.2 wants a number of which 63 bits count.
            origin: rand::random::<u64>() >> 1,
            version: 0,
            gone: false,
        };
        let answer = engine.answer(&offer)?;
        Ok((engine, answer))
    }

    /// Answers a later offer of the same peer: more or fewer lines, or an ICE restart.
    ///
    /// # Errors
    /// [`OfferError`]; the connection goes on as it was.
    pub fn renegotiate(&mut self, sdp: &str) -> Result<Answer, OfferError> {
        let offer = Description::parse(sdp)?;
        if offer.sections.len() < self.sections {
            return Err(unsupported("it has fewer m-lines than the offer before"));
        }
        let first = offer.sections.iter().find(|s| s.kind().is_some() && s.is_offered());
        let first = first.ok_or_else(|| unsupported("it has neither audio nor video"))?;
        let Terms { credentials, fingerprints } = terms(&offer, first)?;
        if fingerprints != self.dtls.expected() {
            return Err(unsupported(
                "it has another DTLS certificate, so it is another connection",
            ));
        }
        // Only once nothing can go wrong any more is the restart begun.
        let answer = self.settle(&offer)?;
        self.ice.restart_if_new(&credentials);
        Ok(self.write(&offer, answer))
    }

    fn answer(&mut self, offer: &Description<'_>) -> Result<Answer, OfferError> {
        let settled = self.settle(offer)?;
        Ok(self.write(offer, settled))
    }

    fn settle<'a>(
        &mut self,
        offer: &Description<'a>,
    ) -> Result<Vec<Option<lines::Settled<'a>>>, OfferError> {
        let mut senders = Vec::new();
        let settled = lines::settle(self.role, offer, |mid, kind| {
            let known = self.senders.iter().find(|s| s.mid == mid && s.kind == kind);
            let (ssrc, rtx_ssrc) =
                known.map_or_else(|| (rand::random(), rand::random()), |s| (s.ssrc, s.rtx_ssrc));
            senders.push(Sender { mid: mid.to_owned(), kind, ssrc, rtx_ssrc });
            (ssrc, rtx_ssrc)
        })?;
        self.senders = senders;
        Ok(settled)
    }

    fn write(
        &mut self,
        offer: &Description<'_>,
        settled: Vec<Option<lines::Settled<'_>>>,
    ) -> Answer {
        self.version += 1;
        self.sections = offer.sections.len();
        let kept = settled.iter().flatten().map(|s| (s.line.kind, s.line.mid.clone()));
        self.mids = kept.collect();
        let sdp =
            answer::answer(self.role, offer, &settled, &self.way(), (self.origin, self.version));
        let lines = settled.into_iter().flatten().filter(|s| s.active).map(|s| s.line).collect();
        Answer { sdp, lines, tag: self.tag().to_owned() }
    }

    fn way(&self) -> Way<'_> {
        Way {
            credentials: self.ice.local(),
            fingerprint: self.config.identity.fingerprint(),
            udp: &self.config.udp,
            tcp: &self.config.tcp,
        }
    }

    /// Names the present ICE session; changes with a restart.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.ice.local().fragment
    }

    /// Takes a fragment that came by PATCH, if `condition` holds.
    ///
    /// # Errors
    /// [`FragmentError`]; the connection goes on as it was.
    pub fn patch(
        &mut self,
        fragment: &str,
        condition: &Condition,
    ) -> Result<Patched, FragmentError> {
        let credentials = fragment::credentials(fragment)?;
        if !condition.holds(self.tag()) {
            return Err(FragmentError::Outdated);
        }
        if !self.ice.restart_if_new(&credentials) {
            return Ok(Patched::Candidates);
        }
        let fragment = answer::restart_fragment(&self.mids, &self.way());
        Ok(Patched::Restarted { fragment, tag: self.tag().to_owned() })
    }

    /// The parts of ICE user names by which this peer's checks are recognised: one, or two
    /// while a restart is under way. They change with [`Self::renegotiate`] and
    /// [`Self::patch`], and with a check that completes a restart.
    pub fn username_fragments(&self) -> impl Iterator<Item = &str> {
        self.ice.fragments()
    }

    /// Takes a datagram that came from `from` and is neither RTP nor RTCP. The answer to a
    /// check is then in [`Self::poll_transmit`].
    pub fn handle_datagram(&mut self, now: Instant, from: Route, datagram: &[u8]) -> Arrival {
        if self.gone {
            return Arrival::Refused;
        }
        if is_stun(datagram) {
            let mut reply = None;
            let check = self.ice.handle(datagram, from.address, &mut reply);
            self.transmits.extend(reply.map(|r| (from, r)));
            return match check {
                Check::Genuine { nominates } => Arrival::Check { nominated: nominates },
                Check::Refused | Check::Foreign => Arrival::Refused,
            };
        }
        // RFC 7983 §7: 20–63 is DTLS.
        let dtls = datagram.first().is_some_and(|b| (20..=63).contains(b));
        if !dtls || !self.admitted.contains(&from) {
            return Arrival::Refused;
        }
        let event = self.dtls.handle(datagram, now);
        self.happened(event);
        self.flush();
        Arrival::Secure
    }

    /// Takes DTLS from `route` from now on, a genuine check having come from there.
    pub fn admit(&mut self, route: Route) {
        if self.admitted.contains(&route) {
            return;
        }
        if self.admitted.len() == MAX_ROUTES {
            let idle = self.admitted.iter().position(|r| Some(*r) != self.route);
            self.admitted.remove(idle.unwrap_or(0));
        }
        self.admitted.push(route);
    }

    /// Sends DTLS to `route` from now on, which must have been admitted.
    pub fn send_to(&mut self, route: Route) {
        if self.admitted.contains(&route) {
            self.route = Some(route);
            self.flush();
        }
    }

    /// Where DTLS is sent.
    #[must_use]
    pub fn route(&self) -> Option<Route> {
        self.route
    }

    /// Takes nothing from `route` any more: its connection is closed, or it is another's.
    pub fn dismiss(&mut self, route: Route) {
        self.admitted.retain(|r| *r != route);
        if self.route == Some(route) {
            self.route = self.admitted.last().copied();
        }
    }

    /// Lets timers fire.
    pub fn handle_timeout(&mut self, now: Instant) {
        let event = self.dtls.handle_timeout(now);
        self.happened(event);
        self.flush();
    }

    /// When [`Self::handle_timeout`] is wanted next. `None` once connected: ICE-lite has no
    /// timers, and whether the peer is still there is seen by the packet path.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.dtls.poll_timeout()
    }

    /// The next datagram to send, and where.
    pub fn poll_transmit(&mut self) -> Option<(Route, BytesMut)> {
        self.transmits.pop_front()
    }

    /// Moves what the peer did, since the last call, to the end of `events`.
    pub fn take_events(&mut self, events: &mut Vec<PeerEvent>) {
        events.append(&mut self.events);
    }

    /// Says goodbye to the peer; what [`Self::poll_transmit`] then gives is still to be sent.
    pub fn close(&mut self, now: Instant) {
        self.gone = true;
        self.dtls.close(now);
        self.flush();
    }

    fn happened(&mut self, event: Option<DtlsEvent>) {
        match event {
            Some(DtlsEvent::Established(keys)) => self.events.push(PeerEvent::Connected(keys)),
            Some(DtlsEvent::Ended) if !self.gone => {
                self.gone = true;
                self.events.push(PeerEvent::Gone);
            }
            _ => {}
        }
    }

    fn flush(&mut self) {
        let Some(route) = self.route else { return };
        while let Some(datagram) = self.dtls.poll_transmit() {
            self.transmits.push_back((route, datagram));
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("role", &self.role)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}
