//! A synthetic member: joins by the lesson socket, watches one picture and one sound through
//! its node, and counts what arrives. It decodes nothing, so that many fit on one machine.

use crate::lesson_client::{LessonClient, LessonError};
use crate::media::assembly::Assembler;
use crate::media::ledger::Ledger;
use classroom_client::peer::{Peer, PeerError, Way};
use classroom_client::rtp::Packet;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::{Kind, TrackId};
use cloudschool_protocol::socket::Slot;
use reqwest::Url;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

/// A member could not join or watch.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error(transparent)]
    Lesson(#[from] LessonError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the watch connection has no m-line for {0:?}")]
    NoLine(Kind),
    #[error("no picture within {} s", .0.as_secs())]
    NoPicture(Duration),
}

impl From<webrtc::error::Error> for SubscribeError {
    fn from(error: webrtc::error::Error) -> Self {
        Self::Peer(error.into())
    }
}

/// Whom to join as, and what to watch.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Address of the node.
    pub node: Url,
    pub lesson: LessonId,
    pub token: String,
    pub picture: TrackId,
    pub sound: TrackId,
}

/// What a member has received.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Published frames that came whole and unchanged, by the number drawn in them, and how
    /// long each was on its way.
    pub frames: HashMap<u32, Duration>,
    /// Whole frames that nobody is known to have published: damaged, or from another source.
    pub strangers: u64,
    pub video_packets: u64,
    pub audio_packets: u64,
    /// Packets of sound that the sequence numbers say are missing.
    pub audio_missing: u64,
    /// RTP bytes, headers included, SRTP and below not.
    pub bytes: u64,
}

/// A member in a lesson, watching.
pub struct Subscriber {
    client: LessonClient,
    begun: Instant,
    joined: Duration,
    counts: Arc<Mutex<Received>>,
    first_frame: watch::Receiver<Option<Instant>>,
    peer: tokio::task::JoinHandle<()>,
    connection: Arc<dyn webrtc::peer_connection::PeerConnection>,
}

impl Subscriber {
    /// Joins and asks to watch. Frames are looked up in `ledger`.
    ///
    /// # Errors
    /// [`SubscribeError`] when the node does not let the member in or its offer fails.
    pub async fn join(seat: &Seat, ledger: Arc<Ledger>) -> Result<Self, SubscribeError> {
        let begun = Instant::now();
        let client = LessonClient::join(&seat.node, &seat.lesson, &seat.token).await?;
        let joined = begun.elapsed();

        let peer = Peer::new(Way::Receive, seat.node.host_str()).await?;
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                streams: Vec::new(),
                send_encodings: Vec::new(),
            };
            peer.connection().add_transceiver_from_kind(kind, Some(init)).await?;
        }
        let offer = peer.offer().await?;
        let slots = slots(&offer, seat)?;
        let answer = client.offer_watch(offer).await?;
        peer.answer(answer).await?;

        let counts = Arc::new(Mutex::new(Received::default()));
        let (first_frame_tx, first_frame) = watch::channel(None);
        let counter = Counter { counts: counts.clone(), ledger, first_frame: first_frame_tx };
        let connection = peer.connection().clone();
        let peer = tokio::spawn(receive(peer, Arc::new(counter)));
        client.watch(slots).await?;
        Ok(Self { client, begun, joined, counts, first_frame, peer, connection })
    }

    /// The member's lesson socket.
    #[must_use]
    pub fn lesson(&self) -> &LessonClient {
        &self.client
    }

    /// From opening the socket to being in the lesson.
    #[must_use]
    pub fn join_time(&self) -> Duration {
        self.joined
    }

    /// From opening the socket to the first whole frame, waiting for it if need be.
    ///
    /// # Errors
    /// [`SubscribeError::NoPicture`] when none comes within `limit`.
    pub async fn first_frame_time(&self, limit: Duration) -> Result<Duration, SubscribeError> {
        let mut first = self.first_frame.clone();
        let came = tokio::time::timeout(limit, first.wait_for(Option::is_some)).await;
        match came {
            Ok(Ok(at)) => Ok(at.map_or(limit, |at| at.duration_since(self.begun))),
            Ok(Err(_)) | Err(_) => Err(SubscribeError::NoPicture(limit)),
        }
    }

    /// What has come so far.
    #[must_use]
    pub fn received(&self) -> Received {
        lock(&self.counts).clone()
    }

    /// Leaves the lesson and closes the watch connection.
    pub async fn leave(self) {
        self.client.leave().await;
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "closing a watch connection");
        }
        self.peer.abort();
    }
}

/// Which m-line of the offer shows what.
fn slots(offer: &str, seat: &Seat) -> Result<Vec<Slot>, SubscribeError> {
    [(Kind::Video, &seat.picture), (Kind::Audio, &seat.sound)]
        .into_iter()
        .map(|(kind, track)| {
            let mid = mid(offer, kind).ok_or(SubscribeError::NoLine(kind))?;
            Ok(Slot::new(mid, Some(track.clone())))
        })
        .collect()
}

/// The `a=mid` of the first m-line of a kind.
fn mid(offer: &str, kind: Kind) -> Option<String> {
    let begin = match kind {
        Kind::Audio => "m=audio ",
        Kind::Video => "m=video ",
    };
    let mut lines = offer.lines().skip_while(|l| !l.starts_with(begin)).skip(1);
    let section = lines.by_ref().take_while(|l| !l.starts_with("m="));
    section.filter_map(|l| l.strip_prefix("a=mid:")).map(str::to_owned).next()
}

async fn receive(mut peer: Peer, counter: Arc<Counter>) {
    while let Some(track) = peer.track().await {
        let counter = counter.clone();
        tokio::spawn(async move {
            match track.kind().await {
                RtpCodecKind::Video => counter.count_video(&*track).await,
                _ => counter.count_audio(&*track).await,
            }
        });
    }
}

struct Counter {
    counts: Arc<Mutex<Received>>,
    ledger: Arc<Ledger>,
    first_frame: watch::Sender<Option<Instant>>,
}

impl Counter {
    async fn count_video(&self, track: &dyn TrackRemote) {
        let mut assembler = Assembler::default();
        while let Some(packet) = next_packet(track).await {
            let header = &packet.header;
            let whole = assembler.push(
                header.sequence_number,
                header.timestamp,
                header.marker,
                &packet.payload,
            );
            let now = Instant::now();
            let published: Vec<_> =
                whole.into_iter().map(|whole| self.ledger.find(whole.fingerprint)).collect();
            let mut counts = lock(&self.counts);
            counts.video_packets += 1;
            counts.bytes += size(&packet);
            for frame in published {
                let Some(frame) = frame else {
                    counts.strangers += 1;
                    continue;
                };
                let delay = now.duration_since(frame.at);
                counts.frames.entry(frame.counter).or_insert(delay);
                self.first_frame.send_if_modified(|first| {
                    let is_first = first.is_none();
                    first.get_or_insert(now);
                    is_first
                });
            }
        }
    }

    async fn count_audio(&self, track: &dyn TrackRemote) {
        let mut expected: Option<u16> = None;
        while let Some(packet) = next_packet(track).await {
            let sequence = packet.header.sequence_number;
            let gap = expected.map_or(0, |e| sequence.wrapping_sub(e));
            let mut counts = lock(&self.counts);
            counts.audio_packets += 1;
            counts.bytes += size(&packet);
            if gap < 1 << 15 {
                counts.audio_missing += u64::from(gap);
                expected = Some(sequence.wrapping_add(1));
            } else {
                // It was late, and had been counted as missing.
                counts.audio_missing = counts.audio_missing.saturating_sub(1);
            }
        }
    }
}

async fn next_packet(track: &dyn TrackRemote) -> Option<Packet> {
    loop {
        if let TrackRemoteEvent::OnRtpPacket(packet) = track.poll().await? {
            return Some(packet);
        }
    }
}

fn size(packet: &Packet) -> u64 {
    use rtc::shared::marshal::MarshalSize;
    packet.marshal_size() as u64
}

fn lock(counts: &Mutex<Received>) -> MutexGuard<'_, Received> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mids_are_read_from_the_offer() {
        let offer = "v=0\r\nm=audio 9 X 111\r\na=mid:a\r\nm=video 9 X 102\r\nc=IN\r\na=mid:v\r\n";
        assert_eq!(mid(offer, Kind::Video).as_deref(), Some("v"));
        assert_eq!(mid(offer, Kind::Audio).as_deref(), Some("a"));
        assert_eq!(mid("v=0\r\nm=audio 9 X 111\r\n", Kind::Video), None);
    }
}
