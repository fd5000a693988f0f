//! A browser, as far as the node can tell, for tests: the `rtc` engine on a simulated clock and
//! wire. It decrypts what the packet path seals, and what it is asked for is counted.

use super::Answer;
use bytes::{Bytes, BytesMut};
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
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpSenderId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use std::net::SocketAddr;
use std::time::Instant;

mod rtcp;

/// The SSRC it publishes under.
pub const SSRC: u32 = 77;

/// A browser.
pub struct Browser {
    pub pc: RTCPeerConnection,
    pub address: SocketAddr,
    sender: Option<RTCRtpSenderId>,
    pub connected: bool,
    pub packets: Vec<rtc::rtp::Packet>,
    pub reports: Vec<SenderReport>,
    pub keyframes_asked: usize,
}

fn h264() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "video/H264".into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
            .into(),
        rtcp_feedback: vec![],
    }
}

impl Browser {
    /// One that gives the feedback a browser gives.
    pub fn new(port: u16, profile: SrtpProtectionProfile, now: Instant) -> Self {
        Self::with(port, profile, true, now)
    }

    /// One that sends nothing but what it is told to, and its handshakes.
    pub fn quiet(port: u16, profile: SrtpProtectionProfile, now: Instant) -> Self {
        Self::with(port, profile, false, now)
    }

    fn with(port: u16, profile: SrtpProtectionProfile, feedback: bool, now: Instant) -> Self {
        let settings = SettingEngineBuilder::new()
            .with_srtp_protection_profiles(vec![profile])
            .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
            .build();
        let mut media = MediaEngine::default();
        media.register_default_codecs().unwrap();
        let chain = match feedback {
            true => register_default_interceptors(Registry::new(), &mut media).unwrap(),
            false => Registry::new(),
        };
        let chain = chain.with(rtcp::SLOT, rtcp::DeliverRtcp::default());
        let pc = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(settings)
            .with_media_engine(media)
            .with_interceptor_registry(chain)
            .build(now)
            .unwrap();
        Self {
            pc,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            sender: None,
            connected: false,
            packets: vec![],
            reports: vec![],
            keyframes_asked: 0,
        }
    }

    /// Gives it a picture to publish.
    pub fn add_picture(&mut self) {
        let track = MediaStreamTrack::new(
            "s".into(),
            "v".into(),
            "v".into(),
            RtpCodecKind::Video,
            vec![RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters {
                    ssrc: Some(SSRC),
                    ..Default::default()
                },
                codec: h264(),
                ..Default::default()
            }],
        );
        self.sender = Some(self.pc.add_track(track).unwrap());
    }

    /// Gives it a line to receive on.
    pub fn add_line(&mut self, kind: RtpCodecKind) {
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: vec![],
            send_encodings: vec![],
        };
        self.pc.add_transceiver_from_kind(kind, Some(init)).unwrap();
    }

    /// Offers its lines, reached at its address.
    pub fn offer(&mut self, now: Instant) -> String {
        let host = CandidateHostConfig {
            base_config: CandidateConfig {
                network: "udp".into(),
                address: self.address.ip().to_string(),
                port: self.address.port(),
                component: 1,
                ..Default::default()
            },
            ..Default::default()
        };
        let host = host.new_candidate_host().unwrap();
        self.pc.add_local_candidate(RTCIceCandidate::from(&host).to_json().unwrap()).unwrap();
        self.offer_again(now)
    }

    /// Offers what changed since, from the same address.
    pub fn offer_again(&mut self, now: Instant) -> String {
        let offer = self.pc.create_offer(None).unwrap();
        self.pc.set_local_description(now, offer).unwrap();
        self.pc.local_description().unwrap().sdp
    }

    pub fn accept(&mut self, answer: &Answer, now: Instant) {
        let answer = RTCSessionDescription::answer(answer.sdp.clone()).unwrap();
        self.pc.set_remote_description(now, answer).unwrap();
    }

    /// A datagram for it from the node, which is at `here`, comes.
    pub fn receive(&mut self, here: SocketAddr, bytes: &[u8], now: Instant) {
        let message = TaggedBytesMut {
            now,
            transport: TransportContext {
                local_addr: self.address,
                peer_addr: here,
                ecn: None,
                transport_protocol: TransportProtocol::UDP,
            },
            message: BytesMut::from(bytes),
        };
        self.pc.handle_read(message).unwrap();
        self.collect();
    }

    /// Takes what its engine has to tell.
    pub fn collect(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.connected = state == RTCPeerConnectionState::Connected;
            }
        }
        while let Some(message) = self.pc.poll_read() {
            match message.message {
                RTCMessage::RtpPacket(_, packet) => self.packets.push(packet),
                RTCMessage::RtcpPacket(_, packets) => {
                    for packet in packets {
                        let any = packet.as_any();
                        self.reports.extend(any.downcast_ref::<SenderReport>().cloned());
                        self.keyframes_asked += usize::from(any.is::<PictureLossIndication>());
                    }
                }
                _ => {}
            }
        }
    }

    /// Sends a packet of its picture.
    pub fn send(&mut self, sequence: u16, timestamp: u32, payload: &[u8], now: Instant) {
        let mut sender = self.pc.rtp_sender(self.sender.unwrap()).unwrap();
        let codecs = &sender.get_parameters().rtp_parameters.codecs;
        let taken = |c: &&RTCRtpCodecParameters| c.rtp_codec.mime_type == "video/H264";
        let payload_type = codecs.iter().find(taken).unwrap().payload_type;
        let packet = rtc::rtp::Packet {
            header: rtc::rtp::Header {
                version: 2,
                marker: true,
                payload_type,
                sequence_number: sequence,
                timestamp,
                ssrc: SSRC,
                ..Default::default()
            },
            payload: Bytes::copy_from_slice(payload),
        };
        sender.write_rtp(now, packet).unwrap();
    }
}
