//! The engine behind one peer.

use super::keys::{KeyTap, RtpKeys};
use super::offer::{self, Answer, OfferError, SlotLine};
use super::rtcp;
use bytes::BytesMut;
use cloudschool_protocol::media::{Codec, Kind};
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{
    CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const AUDIO_LEVEL_URI: &str = rtc::sdp::extmap::AUDIO_LEVEL_URI;

/// The engine never gives a peer up: it listens only to the first address a peer was reached
/// at, and peers move. The shard, which sees all of them, decides who is gone.
const NEVER: Duration = Duration::ZERO;
const ICE_KEEPALIVE: Duration = Duration::from_secs(2);

/// What a node's peers have in common.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The shard's own socket.
    pub local: SocketAddr,
    /// Addresses put into answers as host candidates.
    pub candidates: Vec<SocketAddr>,
}

/// What a peer did.
#[derive(Debug)]
pub enum PeerEvent {
    /// ICE and DTLS are through. The keys RTP to this peer is sealed with, or `None` when the
    /// engine derived none that are known.
    Connected(Option<RtpKeys>),
    /// The peer closed, or was not heard of for too long.
    Gone,
    /// A packet of the peer's, opened. `level` is the RFC 6464 byte, if it has one.
    Rtp { codec: Codec, packet: rtc::rtp::Packet, level: Option<u8> },
    /// The peer's clock: NTP time of one of its RTP timestamps.
    Clock { ssrc: u32, ntp: u64, rtp: u32 },
    /// The peer, a viewer, misses packets of the line with this SSRC of ours.
    Nack { ssrc: u32, sequences: Vec<u16> },
    /// The peer, a viewer, needs a keyframe on the line with this SSRC of ours.
    KeyframeWanted { ssrc: u32 },
}

/// A sender report (RFC 3550 §6.4.1) about one line.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub ssrc: u32,
    pub ntp: u64,
    pub rtp: u32,
    pub packets: u32,
    pub octets: u32,
}

struct Sender {
    id: RTCRtpSenderId,
    kind: Kind,
    ssrc: u32,
}

/// One peer connection.
pub struct Engine {
    connection: RTCPeerConnection,
    tap: Arc<KeyTap>,
    config: EngineConfig,
    /// Codec and audio level extension by payload type, of what the peer publishes.
    inbound: Vec<(u8, Codec, Option<u8>)>,
    senders: Vec<Sender>,
    pending: Vec<PeerEvent>,
    connected: bool,
    gone: bool,
}

fn unsupported(e: impl std::fmt::Display) -> OfferError {
    OfferError::Unsupported(e.to_string())
}

fn feedback(list: &[(&str, &str)]) -> Vec<RTCPFeedback> {
    list.iter()
        .map(|(typ, parameter)| RTCPFeedback {
            typ: (*typ).to_owned(),
            parameter: (*parameter).to_owned(),
        })
        .collect()
}

fn codec_capability(codec: Codec) -> RTCRtpCodec {
    let (mime_type, channels, fmtp) = match codec {
        Codec::Opus => ("audio/opus", 2, "minptime=10;useinbandfec=1"),
        Codec::H264 => (
            "video/H264",
            0,
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ),
        Codec::Vp8 => ("video/VP8", 0, ""),
        Codec::Vp9 => ("video/VP9", 0, "profile-id=0"),
        Codec::Av1 => ("video/AV1", 0, "profile=0"),
    };
    let rtcp_feedback = match codec.kind() {
        Kind::Audio => Vec::new(),
        Kind::Video => feedback(&[("nack", ""), ("nack", "pli"), ("ccm", "fir")]),
    };
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate: codec.clock_rate(),
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback,
    }
}

fn engine_kind(kind: Kind) -> RtpCodecKind {
    match kind {
        Kind::Audio => RtpCodecKind::Audio,
        Kind::Video => RtpCodecKind::Video,
    }
}

fn media_engine() -> Result<MediaEngine, OfferError> {
    let mut media = MediaEngine::default();
    for codec in [Codec::Opus, Codec::H264, Codec::Vp8] {
        let parameters = RTCRtpCodecParameters {
            rtp_codec: codec_capability(codec),
            payload_type: codec.payload_type(),
        };
        media.register_codec(parameters, engine_kind(codec.kind())).map_err(unsupported)?;
    }
    let level = RTCRtpHeaderExtensionCapability { uri: AUDIO_LEVEL_URI.to_owned() };
    media.register_header_extension(level, RtpCodecKind::Audio, None).map_err(unsupported)?;
    Ok(media)
}

impl Engine {
    fn new(config: &EngineConfig, publisher: bool, now: Instant) -> Result<Self, OfferError> {
        let tap = Arc::new(KeyTap::default());
        let settings = SettingEngineBuilder::new()
            .with_lite(true)
            .with_answering_dtls_role(RTCDtlsRole::Server)
            .with_crypto_provider(tap.clone())
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ])
            .with_ice_timeouts(Some(NEVER), Some(NEVER), Some(ICE_KEEPALIVE))
            .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
            .build();
        let mut media = media_engine()?;
        // A viewer's feedback is answered by the packet path, so its engine runs no chain.
        let chain = if publisher {
            register_default_interceptors(Registry::new(), &mut media).map_err(unsupported)?
        } else {
            Registry::new()
        };
        let chain = chain.with(rtcp::SLOT, rtcp::DeliverRtcp::default());
        let connection = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(settings)
            .with_media_engine(media)
            .with_interceptor_registry(chain)
            .build(now)
            .map_err(unsupported)?;
        Ok(Self {
            connection,
            tap,
            config: config.clone(),
            inbound: Vec::new(),
            senders: Vec::new(),
            pending: Vec::new(),
            connected: false,
            gone: false,
        })
    }

    /// Answers the offer of a peer that sends: its first audio and its first video line.
    ///
    /// # Errors
    /// [`OfferError`] when it is not SDP, or offers nothing we take.
    pub fn publisher(
        config: &EngineConfig,
        sdp: &str,
        now: Instant,
    ) -> Result<(Self, Answer), OfferError> {
        offer::read(sdp)?;
        let mut engine = Self::new(config, true, now)?;
        let answer = engine.answer(sdp, now)?;
        let parsed = offer::read(&answer)?;
        for media in &parsed.media_descriptions {
            let level = offer::extension_id(media, AUDIO_LEVEL_URI);
            for (codec, payload_type) in offer::codecs(media) {
                engine.inbound.push((payload_type, codec, level));
            }
        }
        if engine.inbound.is_empty() {
            return Err(OfferError::Unsupported("it offers neither Opus, H.264 nor VP8".into()));
        }
        Ok((engine, Answer { sdp: answer, slots: Vec::new() }))
    }

    /// Answers the offer of a peer that watches, and makes a slot of every line it receives on.
    ///
    /// # Errors
    /// [`OfferError`] when it is not SDP, or has no line to receive on.
    pub fn viewer(
        config: &EngineConfig,
        sdp: &str,
        now: Instant,
    ) -> Result<(Self, Answer), OfferError> {
        let mut engine = Self::new(config, false, now)?;
        let answer = engine.renegotiate(sdp, now)?;
        if answer.slots.is_empty() {
            return Err(OfferError::Unsupported("it has no m-line to receive on".into()));
        }
        Ok((engine, answer))
    }

    /// Answers a viewer's first offer, or a later one with more lines.
    ///
    /// # Errors
    /// [`OfferError`]; the connection goes on as it was.
    pub fn renegotiate(&mut self, sdp: &str, now: Instant) -> Result<Answer, OfferError> {
        let parsed = offer::read(sdp)?;
        let offered = RTCSessionDescription::offer(sdp.to_owned()).map_err(unsupported)?;
        self.connection.set_remote_description(now, offered).map_err(unsupported)?;
        // The n-th audio and the n-th video line share a stream, so that what a page binds to
        // such a pair is played in lip sync.
        let (mut audio, mut video) = (0, 0);
        for media in &parsed.media_descriptions {
            let Some(kind) = offer::kind(media) else { continue };
            let pair = match kind {
                Kind::Audio => &mut audio,
                Kind::Video => &mut video,
            };
            let number = *pair;
            *pair += 1;
            let have = self.senders.iter().filter(|s| s.kind == kind).count();
            if number >= have {
                self.add_sender(kind, number)?;
            }
        }
        let answer = self.finish_answer(now)?;
        let slots = self.slot_lines(&answer)?;
        Ok(Answer { sdp: answer, slots })
    }

    fn add_sender(&mut self, kind: Kind, number: usize) -> Result<(), OfferError> {
        let ssrc = rand::random();
        let codec = match kind {
            Kind::Audio => Codec::Opus,
            Kind::Video => Codec::H264,
        };
        let name = match kind {
            Kind::Audio => format!("audio-{number}"),
            Kind::Video => format!("video-{number}"),
        };
        let track = MediaStreamTrack::new(
            format!("slot-{number}"),
            name.clone(),
            name,
            engine_kind(kind),
            vec![RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters {
                    ssrc: Some(ssrc),
                    ..Default::default()
                },
                codec: codec_capability(codec),
                ..Default::default()
            }],
        );
        let id = self.connection.add_track(track).map_err(unsupported)?;
        self.senders.push(Sender { id, kind, ssrc });
        Ok(())
    }

    fn slot_lines(&mut self, answer: &str) -> Result<Vec<SlotLine>, OfferError> {
        let parsed = offer::read(answer)?;
        let mut lines = Vec::new();
        for media in &parsed.media_descriptions {
            let (Some(kind), Some(mid)) = (offer::kind(media), offer::value(media, "mid")) else {
                continue;
            };
            let sending = media.has_attribute("sendonly") || media.has_attribute("sendrecv");
            let ssrc = offer::value(media, "ssrc").and_then(|v| v.split(' ').next()?.parse().ok());
            let (true, Some(ssrc)) = (sending, ssrc) else { continue };
            lines.push(SlotLine { mid: mid.to_owned(), kind, ssrc, codecs: offer::codecs(media) });
        }
        Ok(lines)
    }

    fn answer(&mut self, sdp: &str, now: Instant) -> Result<String, OfferError> {
        let offered = RTCSessionDescription::offer(sdp.to_owned()).map_err(unsupported)?;
        self.connection.set_remote_description(now, offered).map_err(unsupported)?;
        self.finish_answer(now)
    }

    fn finish_answer(&mut self, now: Instant) -> Result<String, OfferError> {
        for address in &self.config.candidates {
            let candidate = CandidateHostConfig {
                base_config: CandidateConfig {
                    network: "udp".into(),
                    address: address.ip().to_string(),
                    port: address.port(),
                    component: 1,
                    ..Default::default()
                },
                ..Default::default()
            };
            let candidate = candidate.new_candidate_host().map_err(unsupported)?;
            let candidate = RTCIceCandidate::from(&candidate).to_json().map_err(unsupported)?;
            self.connection.add_local_candidate(candidate).map_err(unsupported)?;
        }
        let answer = self.connection.create_answer(None).map_err(unsupported)?;
        self.connection.set_local_description(now, answer).map_err(unsupported)?;
        let local = self.connection.local_description();
        local.map(|d| d.sdp).ok_or_else(|| unsupported("no answer came of it"))
    }

    /// The part of ICE user names by which this peer's checks are recognised.
    #[must_use]
    pub fn username_fragment(&self) -> Option<String> {
        let sdp = self.connection.local_description()?.sdp;
        sdp.lines().find_map(|l| l.strip_prefix("a=ice-ufrag:")).map(|u| u.trim().to_owned())
    }

    /// Takes a datagram that came from `from`.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let message = TaggedBytesMut {
            now,
            transport: TransportContext {
                local_addr: self.config.local,
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
            tracing::debug!(%error, "a timer of the engine failed");
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

    /// Moves what the peer did, since the last call, to the end of `events`.
    pub fn take_events(&mut self, events: &mut Vec<PeerEvent>) {
        events.append(&mut self.pending);
    }

    /// Asks the publisher for a keyframe (RFC 4585 §6.3.1).
    pub fn request_keyframe(&mut self, ssrc: u32, now: Instant) {
        let receivers: Vec<_> = self.connection.get_receivers().collect();
        for id in receivers {
            let Some(mut receiver) = self.connection.rtp_receiver(id) else { continue };
            if !receiver.track().ssrcs().any(|s| s == ssrc) {
                continue;
            }
            let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
            if let Err(error) = receiver.write_rtcp(now, vec![Box::new(pli)]) {
                tracing::debug!(%error, "a keyframe request was not sent");
            }
        }
    }

    /// Sends a sender report about one of our lines.
    pub fn send_report(&mut self, report: &Report, now: Instant) {
        let Some(id) = self.senders.iter().find(|s| s.ssrc == report.ssrc).map(|s| s.id) else {
            return;
        };
        let Some(mut sender) = self.connection.rtp_sender(id) else { return };
        let packet = SenderReport {
            ssrc: report.ssrc,
            ntp_time: report.ntp,
            rtp_time: report.rtp,
            packet_count: report.packets,
            octet_count: report.octets,
            ..Default::default()
        };
        if let Err(error) = sender.write_rtcp(now, vec![Box::new(packet)]) {
            tracing::debug!(%error, "a sender report was not sent");
        }
    }

    /// Says goodbye to the peer; what [`Self::poll_transmit`] then gives is still to be sent.
    pub fn close(&mut self) {
        if let Err(error) = self.connection.close() {
            tracing::debug!(%error, "a peer did not close cleanly");
        }
        self.gone = true;
    }

    fn collect(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event else {
                continue;
            };
            match state {
                RTCPeerConnectionState::Connected if !self.connected => {
                    self.connected = true;
                    let keys = self.tap.sending_keys();
                    self.pending.push(PeerEvent::Connected(keys));
                }
                RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed if !self.gone => {
                    self.gone = true;
                    self.pending.push(PeerEvent::Gone);
                }
                _ => {}
            }
        }
        while let Some(message) = self.connection.poll_read() {
            match message.message {
                RTCMessage::RtpPacket(_, packet) => self.collect_rtp(packet),
                RTCMessage::RtcpPacket(_, packets) => {
                    packets.iter().for_each(|p| self.collect_rtcp(p.as_ref()));
                }
                _ => {}
            }
        }
    }

    fn collect_rtp(&mut self, packet: rtc::rtp::Packet) {
        let payload_type = packet.header.payload_type;
        let Some(&(_, codec, extension)) =
            self.inbound.iter().find(|(pt, _, _)| *pt == payload_type)
        else {
            return;
        };
        let level = extension
            .filter(|_| codec.kind() == Kind::Audio)
            .and_then(|id| packet.header.get_extension(id)?.first().copied());
        self.pending.push(PeerEvent::Rtp { codec, packet, level });
    }

    fn collect_rtcp(&mut self, packet: &dyn rtc::rtcp::Packet) {
        let any = packet.as_any();
        if let Some(report) = any.downcast_ref::<SenderReport>() {
            let (ssrc, ntp, rtp) = (report.ssrc, report.ntp_time, report.rtp_time);
            self.pending.push(PeerEvent::Clock { ssrc, ntp, rtp });
        } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
            let sequences = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
            self.pending.push(PeerEvent::Nack { ssrc: nack.media_ssrc, sequences });
        } else if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
            self.pending.push(PeerEvent::KeyframeWanted { ssrc: pli.media_ssrc });
        } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
            for entry in &fir.fir {
                self.pending.push(PeerEvent::KeyframeWanted { ssrc: entry.ssrc });
            }
        }
    }
}
