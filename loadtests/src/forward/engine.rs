//! ICE and DTLS of the light peer, by the sans-I/O `rtc` engine. Media never passes through
//! it: the engine knows of one m-line that carries nothing, and its session keys are tapped.

use super::sdp::{self, Transport};
use bytes::BytesMut;
use cloudschool_srtp::{KeyTap, SessionKeys};
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc_crypto::{RTCCryptoProvider, SignatureScheme};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The engine does not take something.
#[derive(Debug, thiserror::Error)]
#[error("the WebRTC engine failed: {0}")]
pub struct EngineError(String);

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError(error.to_string())
}

/// A certificate that all peers of a run use, so that a join costs no key pair.
#[derive(Clone)]
pub struct Identity(RTCCertificate);

impl Identity {
    /// # Errors
    /// When no key pair can be made.
    pub fn new() -> Result<Self, EngineError> {
        let tap = KeyTap::default();
        let parameters = CertificateParams::new(vec!["viewer".to_owned()]).map_err(failed)?;
        let scheme = SignatureScheme::EcdsaP256Sha256;
        RTCCertificate::generate(tap.crypto(), scheme, parameters).map(Self).map_err(failed)
    }
}

/// One peer.
pub struct Engine {
    /// Large: it is moved around until its peer is in its place.
    connection: Box<RTCPeerConnection>,
    tap: Arc<KeyTap>,
    address: SocketAddr,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Connecting,
    Connected,
    Gone,
}

impl Engine {
    fn new(identity: &Identity, address: SocketAddr, now: Instant) -> Result<Self, EngineError> {
        let tap = Arc::new(KeyTap::default());
        let settings = SettingEngineBuilder::new()
            .with_crypto_provider(tap.clone())
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ])
            .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
            .build();
        let mut media = MediaEngine::default();
        let opus = RTCRtpCodecParameters {
            rtp_codec: RTCRtpCodec {
                mime_type: "audio/opus".into(),
                clock_rate: 48_000,
                channels: 2,
                sdp_fmtp_line: String::new(),
                rtcp_feedback: Vec::new(),
            },
            payload_type: sdp::OPUS,
        };
        media.register_codec(opus, RtpCodecKind::Audio).map_err(failed)?;
        let configuration =
            RTCConfigurationBuilder::new().with_certificates(vec![identity.0.clone()]).build();
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_configuration(configuration)
            .with_setting_engine(settings)
            .with_media_engine(media)
            .build(now)
            .map_err(failed)?;
        let host = CandidateHostConfig {
            base_config: CandidateConfig {
                network: "udp".into(),
                address: address.ip().to_string(),
                port: address.port(),
                component: 1,
                ..Default::default()
            },
            ..Default::default()
        };
        let host = RTCIceCandidate::from(&host.new_candidate_host().map_err(failed)?);
        connection.add_local_candidate(host.to_json().map_err(failed)?).map_err(failed)?;
        Ok(Self { connection: Box::new(connection), tap, address, state: State::Connecting })
    }

    /// A peer that offers, reached at `address`; and its own part of the offer.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn offering(
        identity: &Identity,
        address: SocketAddr,
        now: Instant,
    ) -> Result<(Self, Transport), EngineError> {
        let mut engine = Self::new(identity, address, now)?;
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: Vec::new(),
            send_encodings: Vec::new(),
        };
        let connection = &mut engine.connection;
        connection.add_transceiver_from_kind(RtpCodecKind::Audio, Some(init)).map_err(failed)?;
        let offer = connection.create_offer(None).map_err(failed)?;
        connection.set_local_description(now, offer).map_err(failed)?;
        let transport = engine.transport()?;
        Ok((engine, transport))
    }

    /// Takes the other side's part of the answer.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn accept(&mut self, remote: &Transport, now: Instant) -> Result<(), EngineError> {
        let setup = if remote.setup == "active" { "active" } else { "passive" };
        let answer = sdp::skeleton(remote, &self.mid()?, "sendonly", setup);
        let answer = RTCSessionDescription::answer(answer).map_err(failed)?;
        self.connection.set_remote_description(now, answer).map_err(failed)
    }

    /// A peer that answers `remote`'s offer; and its own part of the answer.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn answering(
        identity: &Identity,
        address: SocketAddr,
        remote: &Transport,
        now: Instant,
    ) -> Result<(Self, Transport), EngineError> {
        let mut engine = Self::new(identity, address, now)?;
        let offer = sdp::skeleton(remote, "0", "sendonly", "actpass");
        let offer = RTCSessionDescription::offer(offer).map_err(failed)?;
        engine.connection.set_remote_description(now, offer).map_err(failed)?;
        let answer = engine.connection.create_answer(None).map_err(failed)?;
        engine.connection.set_local_description(now, answer).map_err(failed)?;
        let transport = engine.transport()?;
        Ok((engine, transport))
    }

    fn local(&self) -> Result<String, EngineError> {
        let local = self.connection.local_description();
        local.map(|d| d.sdp).ok_or_else(|| failed("it describes nothing"))
    }

    fn mid(&self) -> Result<String, EngineError> {
        let sdp = self.local()?;
        let mid = sdp.lines().find_map(|l| l.strip_prefix("a=mid:")).map(|m| m.trim().to_owned());
        mid.ok_or_else(|| failed("its line has no name"))
    }

    fn transport(&self) -> Result<Transport, EngineError> {
        let session = sdp::Session::parse(&self.local()?).map_err(failed)?;
        Ok(Transport { candidates: vec![self.address], ..session.transport })
    }

    /// Takes a STUN or DTLS datagram.
    pub fn handle(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let message = TaggedBytesMut {
            now,
            transport: TransportContext {
                local_addr: self.address,
                peer_addr: from,
                ecn: None,
                transport_protocol: TransportProtocol::UDP,
            },
            message: BytesMut::from(bytes),
        };
        if let Err(error) = self.connection.handle_read(message) {
            tracing::debug!(%from, %error, "a datagram was not taken");
        }
        self.collect();
    }

    /// Lets timers fire.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Err(error) = self.connection.handle_timeout(now) {
            tracing::debug!(%error, "a timer failed");
        }
        self.collect();
    }

    /// When [`Self::handle_timeout`] is wanted next.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    /// The next datagram to send, and where.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, BytesMut)> {
        self.connection.poll_write().map(|m| (m.transport.peer_addr, m.message))
    }

    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The keys of both directions, once connected.
    #[must_use]
    pub fn keys(&self) -> Option<SessionKeys> {
        self.tap.session_keys()
    }

    /// Says goodbye; what [`Self::poll_transmit`] then gives is still to be sent.
    pub fn close(&mut self) {
        if let Err(error) = self.connection.close() {
            tracing::debug!(%error, "closing");
        }
        self.state = State::Gone;
    }

    fn collect(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event else {
                continue;
            };
            match state {
                RTCPeerConnectionState::Connected => self.state = State::Connected,
                RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => {
                    self.state = State::Gone;
                }
                _ => {}
            }
        }
        // What the engine makes of media is nobody's: there is none on its line.
        while self.connection.poll_read().is_some() {}
    }
}
