//! Publishing into a lesson over WHIP (RFC 9725): one POST with the offer, one DELETE at the
//! end, and RTP packets in between.

use crate::dial::{Answer, Dial, DialError};
use crate::keyframe;
use crate::peer::{self, AUDIO_LEVEL_URI, Peer, PeerError, Way};
use cloudschool_protocol::media::{Codec, Kind};
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{Method, Request, StatusCode};
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use url::Url;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_local::{TrackLocal, TrackLocalEvent};
use webrtc::rtp_transceiver::RtpSender;

/// Publishing did not come about, or could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Unreachable(#[from] DialError),
    /// The node said no; `reason` is its own sentence where it gave one.
    #[error("the node answered {status}: {reason}")]
    Refused { status: StatusCode, reason: String },
    #[error("the node's answer has no usable Location")]
    NoLocation,
    #[error("no {0:?} codec was agreed on")]
    NoCodec(Kind),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl From<webrtc::error::Error> for PublishError {
    fn from(error: webrtc::error::Error) -> Self {
        Self::Peer(error.into())
    }
}

/// Where to publish and as whom.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The WHIP endpoint: `https://node/whip/{lesson}`.
    pub url: Url,
    /// Bearer token.
    pub token: String,
}

/// A picture and a sound being published. Dropping it leaves the session to the node's
/// timeout; [`Publication::stop`] ends it properly.
pub struct Publication {
    peer: Peer,
    dial: Dial,
    session: Url,
    token: String,
    video: Outgoing,
    audio: Outgoing,
}

/// One track on its way out.
#[derive(Clone)]
pub struct Outgoing {
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    payload_type: u8,
    /// Id under which the node wants audio levels (RFC 6464), if it does.
    level_id: Option<u8>,
}

impl Publication {
    /// Publishes H.264 and Opus and waits until media can flow.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn start(dial: &Dial, endpoint: Endpoint) -> Result<Self, PublishError> {
        let peer = Peer::new(Way::Send, endpoint.url.host_str()).await?;
        let (audio_track, audio_sender) = add_track(&peer, Codec::Opus).await?;
        let (video_track, video_sender) = add_track(&peer, Codec::H264).await?;
        let offer = peer.offer().await?;
        // Its TLS and HTTP take kilobytes of their own; nobody who publishes is to carry them.
        let (session, answer) = Box::pin(post_offer(dial, &endpoint, offer)).await?;
        peer.answer(answer).await?;
        let audio = Outgoing::new(audio_track, &audio_sender, Kind::Audio).await?;
        let video = Outgoing::new(video_track, &video_sender, Kind::Video).await?;
        peer.connected().await?;
        Ok(Self { peer, dial: dial.clone(), session, token: endpoint.token, video, audio })
    }

    #[must_use]
    pub fn video(&self) -> &Outgoing {
        &self.video
    }

    #[must_use]
    pub fn audio(&self) -> &Outgoing {
        &self.audio
    }

    /// Waits until the connection is lost.
    pub async fn lost(&self) -> PublishError {
        PeerError::Gone(self.peer.gone().await).into()
    }

    /// Ends the session at the node and closes the connection. A session the node has ended
    /// itself, as it does with the lesson, is ended.
    ///
    /// # Errors
    /// [`PublishError::Unreachable`] or [`PublishError::Refused`] when the node did not take
    /// it; the connection is closed all the same.
    pub async fn stop(self) -> Result<(), PublishError> {
        let request =
            Request::builder().method(Method::DELETE).header(AUTHORIZATION, bearer(&self.token));
        let outcome = self.dial.ask(&self.session, request, String::new()).await;
        self.peer.close().await;
        let answer = outcome?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        refuse_unless(answer, StatusCode::OK).map(|_| ())
    }
}

async fn post_offer(
    dial: &Dial,
    endpoint: &Endpoint,
    offer: String,
) -> Result<(Url, String), PublishError> {
    let request = Request::builder()
        .method(Method::POST)
        .header(AUTHORIZATION, bearer(&endpoint.token))
        .header(CONTENT_TYPE, "application/sdp");
    let answer = dial.ask(&endpoint.url, request, offer).await?;
    let answer = refuse_unless(answer, StatusCode::CREATED)?;
    let location = answer.headers.get(LOCATION).and_then(|l| l.to_str().ok());
    let session = location.and_then(|l| endpoint.url.join(l).ok());
    Ok((session.ok_or(PublishError::NoLocation)?, answer.text))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn refuse_unless(answer: Answer, wanted: StatusCode) -> Result<Answer, PublishError> {
    let status = answer.status;
    if status == wanted {
        return Ok(answer);
    }
    let problem = serde_json::from_str::<Problem>(&answer.text);
    let reason = problem.map_or(answer.text, |problem| problem.detail);
    Err(PublishError::Refused { status, reason })
}

/// What is read of a refusal (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

async fn add_track(
    peer: &Peer,
    codec: Codec,
) -> Result<(Arc<TrackLocalStaticRTP>, Arc<dyn RtpSender>), PublishError> {
    let (kind, name) = match codec.kind() {
        Kind::Audio => (RtpCodecKind::Audio, "microphone"),
        Kind::Video => (RtpCodecKind::Video, "camera"),
    };
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(fresh_ssrc(kind)),
            ..Default::default()
        },
        codec: peer::codec(codec),
        ..Default::default()
    };
    let stream = "cloudschool".to_owned();
    let track = MediaStreamTrack::new(
        stream.clone(),
        name.into(),
        name.into(),
        kind,
        vec![encoding.clone()],
    );
    let track = Arc::new(TrackLocalStaticRTP::new(track));
    let init = RTCRtpTransceiverInit {
        direction: RTCRtpTransceiverDirection::Sendonly,
        streams: vec![stream],
        send_encodings: vec![encoding],
    };
    let local: Arc<dyn TrackLocal> = track.clone();
    let transceiver = peer.connection().add_transceiver_from_track(local, Some(init)).await?;
    let sender = transceiver.sender().await?.ok_or(PublishError::NoCodec(codec.kind()))?;
    Ok((track, sender))
}

/// A number no other stream of this process has; that it differs from the streams of others
/// is the node's business, which keeps connections apart.
fn fresh_ssrc(kind: RtpCodecKind) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let mixed =
        (u64::from(std::process::id()) << 32 | u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let ssrc = (mixed >> 32) as u32;
    if kind == RtpCodecKind::Audio { ssrc | 1 } else { ssrc & !1 | 2 }
}

impl Outgoing {
    async fn new(
        track: Arc<TrackLocalStaticRTP>,
        sender: &Arc<dyn RtpSender>,
        kind: Kind,
    ) -> Result<Self, PublishError> {
        let parameters = sender.get_parameters().await?;
        let codec = parameters.rtp_parameters.codecs.first().ok_or(PublishError::NoCodec(kind))?;
        let ssrc = parameters.encodings.first().and_then(|e| e.rtp_coding_parameters.ssrc);
        let level = parameters.rtp_parameters.header_extensions.iter();
        let level = level.filter(|x| kind == Kind::Audio && x.uri == AUDIO_LEVEL_URI);
        Ok(Self {
            track,
            ssrc: ssrc.ok_or(PublishError::NoCodec(kind))?,
            payload_type: codec.payload_type,
            level_id: level.map(|x| x.id).next().and_then(|id| u8::try_from(id).ok()),
        })
    }

    /// Sends a packet. Its synchronisation source and payload type are set here; its sequence
    /// number, timestamp and marker are the caller's.
    ///
    /// # Errors
    /// [`PublishError::Peer`] when the connection is gone.
    pub async fn send(&self, mut packet: rtp::Packet) -> Result<(), PublishError> {
        packet.header.ssrc = self.ssrc;
        packet.header.payload_type = self.payload_type;
        Ok(self.track.write_rtp(packet).await?)
    }

    /// Writes the audio level into a packet's header when the node wants it: 0 is the loudest
    /// and 127 silence (−dBov), `voice` whether someone is speaking.
    ///
    /// # Errors
    /// [`PublishError::Peer`] when the header has no room.
    pub fn set_level(
        &self,
        packet: &mut rtp::Packet,
        level: u8,
        voice: bool,
    ) -> Result<(), PublishError> {
        if let Some(id) = self.level_id {
            let byte = (u8::from(voice) << 7) | (level & 0x7f);
            packet.header.set_extension(id, vec![byte].into())?;
        }
        Ok(())
    }

    /// Waits until the node asks for a keyframe. `None`: the connection is gone.
    pub async fn keyframe_requested(&self) -> Option<()> {
        loop {
            if let TrackLocalEvent::OnRtcpPacket(packets) = self.track.poll().await?
                && packets.iter().any(|p| keyframe::is_request(p.as_ref()))
            {
                return Some(());
            }
        }
    }
}
