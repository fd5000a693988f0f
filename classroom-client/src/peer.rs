//! One WebRTC peer connection towards a node: H.264 and Opus, NACK, reports and congestion
//! feedback, no trickled candidates. A node is ICE-lite with its candidates in the answer, so
//! an offer goes out as soon as it is made.

use crate::keyframe::{self, KeyframeRequests};
use cloudschool_protocol::media::Codec;
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_nack, configure_rtcp_reports, configure_twcc_receiver_only,
    configure_twcc_sender_only,
};
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_H264, MIME_TYPE_OPUS, MediaEngine,
};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

/// URI of the audio level header extension (RFC 6464).
pub(crate) const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// Which way media flows on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// This end sends.
    Send,
    /// This end receives.
    Receive,
}

/// The codec as an offer describes it.
#[must_use]
pub fn codec(codec: Codec) -> RTCRtpCodec {
    let (mime_type, channels, sdp_fmtp_line) = match codec {
        Codec::Opus => (MIME_TYPE_OPUS, 2, "minptime=10;useinbandfec=1"),
        Codec::H264 => (
            MIME_TYPE_H264,
            0,
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ),
        Codec::Vp8 => ("video/VP8", 0, ""),
        Codec::Vp9 => ("video/VP9", 0, "profile-id=0"),
        Codec::Av1 => ("video/AV1", 0, "profile=0"),
    };
    RTCRtpCodec {
        mime_type: mime_type.into(),
        clock_rate: codec.clock_rate(),
        channels,
        sdp_fmtp_line: sdp_fmtp_line.into(),
        rtcp_feedback: Vec::new(),
    }
}

/// A peer connection and what it reports.
pub struct Peer {
    connection: Arc<dyn PeerConnection>,
    state: watch::Receiver<RTCPeerConnectionState>,
    gathering: watch::Receiver<RTCIceGatheringState>,
    tracks: mpsc::UnboundedReceiver<Arc<dyn TrackRemote>>,
}

/// A peer connection could not be made or connected.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("the WebRTC engine refused: {0}")]
    Engine(#[from] webrtc::error::Error),
    #[error("the connection to the node is {0}")]
    Gone(RTCPeerConnectionState),
}

struct Handler {
    state: watch::Sender<RTCPeerConnectionState>,
    gathering: watch::Sender<RTCIceGatheringState>,
    tracks: mpsc::UnboundedSender<Arc<dyn TrackRemote>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathering.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        if self.tracks.send(track).is_err() {
            tracing::debug!("a track came for a peer that is gone");
        }
    }
}

impl Peer {
    /// A connection towards the node at `host`, which decides the addresses used: a loopback
    /// node is reached over loopback, any other from every interface this machine has.
    ///
    /// # Errors
    /// [`PeerError::Engine`] when no socket can be had.
    pub async fn new(way: Way, host: Option<&str>) -> Result<Self, PeerError> {
        let (state_tx, state) = watch::channel(RTCPeerConnectionState::New);
        let (gathering_tx, gathering) = watch::channel(RTCIceGatheringState::New);
        let (tracks_tx, tracks) = mpsc::unbounded_channel();
        let handler = Handler { state: state_tx, gathering: gathering_tx, tracks: tracks_tx };
        let (engine, registry) = engine(way)?;
        let settings = SettingEngineBuilder::new().with_include_loopback_candidate(true).build();
        let builder = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings)
            .with_handler(Arc::new(handler))
            .with_udp_addrs(vec![local_address(host)]);
        // The engine's future is 20 kB; it need not be part of ours.
        let connection = Box::pin(builder.build()).await?;
        Ok(Self { connection: Arc::new(connection), state, gathering, tracks })
    }

    /// The engine's own handle.
    #[must_use]
    pub fn connection(&self) -> &Arc<dyn PeerConnection> {
        &self.connection
    }

    /// Makes an offer and takes it as this end's description.
    ///
    /// # Errors
    /// [`PeerError::Engine`].
    pub async fn offer(&self) -> Result<String, PeerError> {
        let offer = self.connection.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(offer).await?;
        Ok(sdp)
    }

    /// Takes the node's answer; connecting begins.
    ///
    /// # Errors
    /// [`PeerError::Engine`] when the answer can't be used.
    pub async fn answer(&self, sdp: String) -> Result<(), PeerError> {
        let answer = RTCSessionDescription::answer(sdp)?;
        Ok(self.connection.set_remote_description(answer).await?)
    }

    /// Waits until media can flow.
    ///
    /// # Errors
    /// [`PeerError::Gone`] when it never will.
    pub async fn connected(&self) -> Result<(), PeerError> {
        match self.reaches(|s| s == RTCPeerConnectionState::Connected || over(s)).await {
            RTCPeerConnectionState::Connected => Ok(()),
            state => Err(PeerError::Gone(state)),
        }
    }

    /// Waits until the connection has failed or was closed, and says which.
    pub async fn gone(&self) -> RTCPeerConnectionState {
        self.reaches(over).await
    }

    /// Waits until every candidate of this end is known: towards a peer that, unlike a node,
    /// must be told of them.
    pub async fn gathered(&self) {
        let mut gathering = self.gathering.clone();
        // An error is a closed connection, which gathers nothing more.
        gathering.wait_for(|s| *s == RTCIceGatheringState::Complete).await.ok();
    }

    /// The next track the node sends; `None` when the connection is gone.
    pub async fn track(&mut self) -> Option<Arc<dyn TrackRemote>> {
        self.tracks.recv().await
    }

    /// Closes the connection.
    pub async fn close(&self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "closing a peer connection");
        }
    }

    async fn reaches(
        &self,
        wanted: impl Fn(RTCPeerConnectionState) -> bool,
    ) -> RTCPeerConnectionState {
        let mut state = self.state.clone();
        let reached = state.wait_for(|s| wanted(*s)).await.map(|s| *s);
        reached.unwrap_or(RTCPeerConnectionState::Closed)
    }
}

fn over(state: RTCPeerConnectionState) -> bool {
    matches!(state, RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed)
}

/// What may be negotiated, and the interceptors that serve it.
fn engine(way: Way) -> Result<(MediaEngine, Registry), PeerError> {
    let mut engine = MediaEngine::default();
    for (what, kind) in [(Codec::Opus, RtpCodecKind::Audio), (Codec::H264, RtpCodecKind::Video)] {
        let parameters =
            RTCRtpCodecParameters { rtp_codec: codec(what), payload_type: what.payload_type() };
        engine.register_codec(parameters, kind)?;
    }
    let fir = RTCPFeedback { typ: "ccm".into(), parameter: "fir".into() };
    engine.register_feedback(fir, RtpCodecKind::Video);
    let level = RTCRtpHeaderExtensionCapability { uri: AUDIO_LEVEL_URI.into() };
    engine.register_header_extension(level, RtpCodecKind::Audio, None)?;

    let registry = configure_nack(Registry::new(), &mut engine);
    let registry = configure_rtcp_reports(registry);
    let registry = match way {
        Way::Send => configure_twcc_sender_only(registry, &mut engine)?
            .with(keyframe::slot(), KeyframeRequests::default()),
        Way::Receive => configure_twcc_receiver_only(registry, &mut engine)?,
    };
    Ok((engine, registry))
}

fn local_address(host: Option<&str>) -> &'static str {
    let host = host.unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if ip.is_loopback() => "127.0.0.1:0",
        Ok(IpAddr::V6(ip)) if ip.is_loopback() => "[::1]:0",
        _ if host == "localhost" => "127.0.0.1:0",
        Ok(IpAddr::V6(_)) => "[::]:0",
        _ => "0.0.0.0:0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_node_is_reached_over_loopback() {
        assert_eq!(local_address(Some("127.0.0.1")), "127.0.0.1:0");
        assert_eq!(local_address(Some("localhost")), "127.0.0.1:0");
        assert_eq!(local_address(Some("[::1]")), "[::1]:0");
        assert_eq!(local_address(Some("school.example")), "0.0.0.0:0");
        assert_eq!(local_address(Some("10.0.0.7")), "0.0.0.0:0");
    }
}
