//! Two engines connect over a wire of two queues; their tapped keys must open what they send.
//! This is the test that fails when the engine derives its keys in another way than the tap
//! knows.

use bytes::Bytes;
use cloudschool_srtp::{KeyTap, Opener, Profile, Sealer, SessionKeys};
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
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SSRC: u32 = 77;

struct Peer {
    pc: RTCPeerConnection,
    tap: Arc<KeyTap>,
    address: SocketAddr,
    connected: bool,
    packets: Vec<Bytes>,
    /// Sealed media this peer sent.
    sealed: Vec<Vec<u8>>,
}

impl Peer {
    fn new(port: u16, profile: SrtpProtectionProfile, now: Instant) -> Self {
        let tap = Arc::new(KeyTap::default());
        let settings = SettingEngineBuilder::new()
            .with_srtp_protection_profiles(vec![profile])
            .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
            .with_crypto_provider(tap.clone())
            .build();
        let mut media = MediaEngine::default();
        media.register_default_codecs().unwrap();
        let chain = register_default_interceptors(Registry::new(), &mut media).unwrap();
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(settings)
            .with_media_engine(media)
            .with_interceptor_registry(chain)
            .build(now)
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let host = CandidateHostConfig {
            base_config: CandidateConfig {
                network: "udp".into(),
                address: address.ip().to_string(),
                port,
                component: 1,
                ..Default::default()
            },
            ..Default::default()
        };
        let host = RTCIceCandidate::from(&host.new_candidate_host().unwrap());
        pc.add_local_candidate(host.to_json().unwrap()).unwrap();
        Self { pc, tap, address, connected: false, packets: vec![], sealed: vec![] }
    }

    fn receive(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let message = TaggedBytesMut {
            now,
            transport: TransportContext {
                local_addr: self.address,
                peer_addr: from,
                ecn: None,
                transport_protocol: TransportProtocol::UDP,
            },
            message: bytes.into(),
        };
        self.pc.handle_read(message).unwrap();
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.connected = state == RTCPeerConnectionState::Connected;
            }
        }
        while let Some(message) = self.pc.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = message.message {
                self.packets.push(packet.payload);
            }
        }
    }
}

struct Pair {
    peers: [Peer; 2],
    sender: RTCRtpSenderId,
    now: Instant,
}

impl Pair {
    fn connect(profile: SrtpProtectionProfile) -> Self {
        let now = Instant::now();
        let mut peers = [Peer::new(5000, profile, now), Peer::new(5001, profile, now)];
        let codec = RTCRtpCodec {
            mime_type: "audio/opus".into(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
            rtcp_feedback: vec![],
        };
        let track = MediaStreamTrack::new(
            "s".into(),
            "a".into(),
            "a".into(),
            RtpCodecKind::Audio,
            vec![RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters {
                    ssrc: Some(SSRC),
                    ..Default::default()
                },
                codec,
                ..Default::default()
            }],
        );
        let sender = peers[0].pc.add_track(track).unwrap();
        let offer = peers[0].pc.create_offer(None).unwrap();
        peers[0].pc.set_local_description(now, offer).unwrap();
        let offer = peers[0].pc.local_description().unwrap().sdp;
        let offer = RTCSessionDescription::offer(offer).unwrap();
        peers[1].pc.set_remote_description(now, offer).unwrap();
        let answer = peers[1].pc.create_answer(None).unwrap();
        peers[1].pc.set_local_description(now, answer).unwrap();
        let answer = peers[1].pc.local_description().unwrap().sdp;
        let answer = RTCSessionDescription::answer(answer).unwrap();
        peers[0].pc.set_remote_description(now, answer).unwrap();
        let mut pair = Self { peers, sender, now };
        for _ in 0..500 {
            if pair.peers.iter().all(|p| p.connected) {
                return pair;
            }
            pair.step();
        }
        panic!("the two were not connected within ten simulated seconds");
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(20);
        for peer in &mut self.peers {
            peer.pc.handle_timeout(self.now).unwrap();
        }
        self.carry();
    }

    fn carry(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for at in 0..2 {
                while let Some(out) = self.peers[at].pc.poll_write() {
                    moved = true;
                    let from = self.peers[at].address;
                    if (128..192).contains(&out.message[0]) {
                        self.peers[at].sealed.push(out.message.to_vec());
                    }
                    self.peers[1 - at].receive(from, &out.message, self.now);
                }
            }
        }
    }

    fn keys(&self, at: usize) -> SessionKeys {
        self.peers[at].tap.session_keys().expect("the handshake is complete")
    }
}

fn everything_opens(profile: SrtpProtectionProfile, expected: Profile) {
    let mut pair = Pair::connect(profile);
    let (ours, theirs) = (pair.keys(0), pair.keys(1));
    assert_eq!(ours.local.profile, expected);
    assert_eq!((&ours.local, &ours.remote), (&theirs.remote, &theirs.local));

    // What the engine seals, RTP and RTCP, opens with the tapped keys.
    let now = pair.now;
    let mut sender = pair.peers[0].pc.rtp_sender(pair.sender).unwrap();
    let payload_type = sender.get_parameters().rtp_parameters.codecs[0].payload_type;
    let packet = rtc::rtp::Packet {
        header: rtc::rtp::Header {
            version: 2,
            payload_type,
            sequence_number: 9,
            ssrc: SSRC,
            ..Default::default()
        },
        payload: Bytes::from_static(b"from the engine"),
    };
    sender.write_rtp(now, packet).unwrap();
    let report = PictureLossIndication { sender_ssrc: SSRC, media_ssrc: 5 };
    sender.write_rtcp(now, vec![Box::new(report)]).unwrap();
    pair.carry();
    let mut opener = Opener::new(&theirs.remote).unwrap();
    let (mut media, mut control) = (0, 0);
    for mut packet in std::mem::take(&mut pair.peers[0].sealed) {
        if (192..=223).contains(&packet[1]) {
            let length = opener.open_rtcp(&mut packet).expect("the engine's RTCP opens");
            control += usize::from(packet[1] == 206 && length == 12);
        } else {
            let length = opener.open(&mut packet).expect("the engine's RTP opens");
            assert!(packet[..length].ends_with(b"from the engine"));
            media += 1;
        }
    }
    assert_eq!((media, control), (1, 1));

    // What is sealed with the tapped keys the engine opens.
    let sealer = Sealer::new(&ours.local).unwrap();
    let mut packet = vec![0x80, payload_type, 0, 10, 0, 0, 0, 0, 0, 0, 0, SSRC as u8];
    packet.extend_from_slice(b"by hand");
    packet.resize(packet.len() + sealer.tag_len(), 0);
    assert!(sealer.seal(&mut packet, 12, 0));
    let (from, now) = (pair.peers[0].address, pair.now);
    pair.peers[1].packets.clear();
    pair.peers[1].receive(from, &packet, now);
    assert_eq!(pair.peers[1].packets, [&b"by hand"[..]]);
}

#[test]
fn gcm_keys_are_those_of_the_engine() {
    everything_opens(SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm, Profile::AeadAes128Gcm);
}

#[test]
fn cm_keys_are_those_of_the_engine() {
    everything_opens(
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        Profile::Aes128CmHmacSha1_80,
    );
}

#[test]
fn there_are_no_keys_before_the_handshake() {
    assert_eq!(KeyTap::default().session_keys(), None);
}
