//! Hearing one microphone of a lesson: a watch connection with one line for sound, asked for on
//! the lesson socket. What it shows is changed without another offer.

use crate::lesson_client::{LessonClient, LessonError};
use crate::peer::{Peer, PeerError, Way};
use crate::rtp::Packet;
use cloudschool_protocol::media::TrackId;
use cloudschool_protocol::socket::Slot;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use std::sync::Arc;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

/// Nothing can be heard.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Lesson(#[from] LessonError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the offer has no line for sound")]
    NoLine,
}

impl From<webrtc::error::Error> for ListenError {
    fn from(error: webrtc::error::Error) -> Self {
        Self::Peer(error.into())
    }
}

/// A line on which one microphone is heard. Dropping it leaves the connection to the node, which
/// ends it with the member.
pub struct Listening {
    peer: Peer,
    mid: String,
    track: Option<Arc<dyn TrackRemote>>,
}

impl Listening {
    /// Makes the watch connection of `client` to its node at `host`. Nothing is heard on it yet.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn begin(client: &LessonClient, host: Option<&str>) -> Result<Self, ListenError> {
        let peer = Peer::new(Way::Receive, host).await?;
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: Vec::new(),
            send_encodings: Vec::new(),
        };
        peer.connection().add_transceiver_from_kind(RtpCodecKind::Audio, Some(init)).await?;
        let offer = peer.offer().await?;
        let mid = offer.lines().find_map(|l| l.strip_prefix("a=mid:"));
        let mid = mid.ok_or(ListenError::NoLine)?.to_owned();
        let answer = client.offer_watch(offer).await?;
        peer.answer(answer).await?;
        Ok(Self { peer, mid, track: None })
    }

    /// Hears `track` from now on: one that is published. It is heard again by itself when its
    /// publisher has been away.
    ///
    /// # Errors
    /// [`LessonError::Refused`] when it is not published.
    pub async fn hear(&self, client: &LessonClient, track: TrackId) -> Result<(), LessonError> {
        client.watch(vec![Slot::new(self.mid.clone(), Some(track))]).await
    }

    /// The next packet; `None` when the connection is gone. Cancel safe.
    pub async fn packet(&mut self) -> Option<Packet> {
        loop {
            let Some(track) = self.track.clone() else {
                self.track = Some(self.peer.track().await?);
                continue;
            };
            match track.poll().await {
                Some(TrackRemoteEvent::OnRtpPacket(packet)) => return Some(packet),
                Some(_) => {}
                None => self.track = None,
            }
        }
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.peer.close().await;
    }
}
