//! Peers and what they offer: real offers of several programs, and whole connections with a
//! real WebRTC peer on a simulated clock and wire.

use super::browser::Browser;
use super::control::*;
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_srtp::{Opener, Profile, Sealer, SessionKeys};
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::sansio::Protocol;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn config() -> Arc<EngineConfig> {
    Arc::new(EngineConfig {
        udp: vec!["127.0.0.1:5000".parse().unwrap(), "[::1]:5000".parse().unwrap()],
        tcp: vec!["127.0.0.1:5000".parse().unwrap()],
        identity: Arc::new(DtlsIdentity::generate().unwrap()),
    })
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/", $name, ".sdp"))
    };
}

fn publisher(offer: &str) -> Answer {
    Engine::publisher(&config(), offer).unwrap().1
}

fn viewer(offer: &str) -> Answer {
    Engine::viewer(&config(), offer).unwrap().1
}

/// The values of an attribute in one section of an answer; 0 is the session.
fn values<'a>(sdp: &'a str, section: usize, key: &str) -> Vec<&'a str> {
    let text = sdp.split("\r\nm=").nth(section).unwrap();
    let key = format!("a={key}");
    let lines = text.split("\r\n").filter_map(|l| l.strip_prefix(key.as_str()));
    lines.filter_map(|v| if v.is_empty() { Some("") } else { v.strip_prefix(':') }).collect()
}

#[test]
fn a_browser_that_sends_simulcast_is_asked_for_all_of_it() {
    let answer = publisher(fixture!("chromium-publish-simulcast"));
    let [audio, video] = &answer.lines[..] else { panic!("two lines") };
    assert_eq!(audio.mid, "0");
    let opus = LineCodec { codec: Codec::Opus, payload_type: 111, rtx: None, red: Some(63) };
    assert_eq!(audio.codecs, [opus]);
    assert_eq!(audio.extensions.audio_level, Some(1));
    assert_eq!(audio.remote_ssrcs, [(1_002_990_500, None)]);
    assert_eq!(video.rids, ["q", "h", "f"]);
    let of =
        |codec, payload_type, rtx| LineCodec { codec, payload_type, rtx: Some(rtx), red: None };
    // Constrained baseline with fragmentation, though baseline stands before it.
    let wanted = [
        of(Codec::H264, 108, 109),
        of(Codec::Vp8, 96, 97),
        of(Codec::Av1, 45, 46),
        of(Codec::Vp9, 98, 99),
    ];
    assert_eq!(video.codecs, wanted);
    let extensions = Extensions {
        audio_level: None,
        transport_cc: Some(3),
        dependency_descriptor: Some(12),
        mid: Some(4),
        rid: Some(10),
        repaired_rid: Some(11),
    };
    assert_eq!(video.extensions, extensions);
    let feedback =
        Feedback { nack: true, pli: true, fir: true, transport_cc: true, reduced_size: true };
    assert_eq!(video.feedback, feedback);
    assert_eq!(values(&answer.sdp, 0, "group"), ["BUNDLE 0 1"]);
    assert_eq!(values(&answer.sdp, 2, "simulcast"), ["recv q;h;f"]);
    assert_eq!(values(&answer.sdp, 2, "rid"), ["q recv", "h recv", "f recv"]);
    assert_eq!(values(&answer.sdp, 2, "recvonly"), [""]);
    assert!(answer.sdp.contains("\r\nm=video 9 UDP/TLS/RTP/SAVPF 108 96 45 98 109 97 46 99\r\n"));
    assert_eq!(
        values(&answer.sdp, 1, "fmtp"),
        ["111 minptime=10;useinbandfec=1;usedtx=1", "63 111/111"]
    );
}

#[test]
fn candidates_of_both_families_and_transports_are_told_once() {
    let answer = publisher(fixture!("chromium-publish"));
    let told = values(&answer.sdp, 1, "candidate");
    let shapes: Vec<_> = told.iter().map(|c| c.split(' ').skip(2).collect::<Vec<_>>()).collect();
    assert_eq!(shapes[0][..], ["udp", "2130706431", "127.0.0.1", "5000", "typ", "host"]);
    assert_eq!(shapes[1][2], "::1");
    assert_eq!(shapes[2][0], "tcp");
    assert_eq!(shapes[2][6..], ["tcptype", "passive"]);
    assert_eq!(values(&answer.sdp, 1, "end-of-candidates").len(), 1);
    assert!(values(&answer.sdp, 2, "candidate").is_empty());
    assert_eq!(values(&answer.sdp, 0, "ice-lite").len(), 1);
}

#[test]
fn layered_codecs_are_taken_where_nothing_else_is_offered() {
    let answer = publisher(fixture!("chromium-publish-svc"));
    let codecs: Vec<_> = answer.lines[0].codecs.iter().map(|c| c.codec).collect();
    assert!(codecs.contains(&Codec::Vp9) && codecs.contains(&Codec::Av1) && codecs.len() == 2);
    assert!(answer.lines[0].extensions.dependency_descriptor.is_some());
    assert!(answer.lines[0].rids.is_empty());
}

#[test]
fn each_line_of_a_viewer_has_ssrcs_of_its_own_and_its_pair() {
    let answer = viewer(fixture!("chromium-watch"));
    let kinds: Vec<_> = answer.lines.iter().map(|l| l.kind).collect();
    assert_eq!(kinds, [Kind::Audio, Kind::Video, Kind::Audio, Kind::Video]);
    let mut ssrcs: Vec<_> = answer.lines.iter().flat_map(|l| [l.ssrc, l.rtx_ssrc]).collect();
    ssrcs.sort_unstable();
    ssrcs.dedup();
    assert_eq!(ssrcs.len(), 8);
    assert_eq!(values(&answer.sdp, 1, "msid"), ["slot-0 audio-0"]);
    assert_eq!(values(&answer.sdp, 4, "msid"), ["slot-1 video-1"]);
    let video = &answer.lines[1];
    let group = format!("FID {} {}", video.ssrc, video.rtx_ssrc);
    assert_eq!(values(&answer.sdp, 2, "ssrc-group"), [group]);
    assert!(values(&answer.sdp, 1, "ssrc-group").is_empty(), "Opus has no RTX");
    assert_eq!(values(&answer.sdp, 2, "sendonly"), [""]);
    assert!(video.extensions.mid.is_none(), "its SSRCs are named");
    // All a viewer can decode, whatever will be published.
    let codecs: Vec<_> = video.codecs.iter().map(|c| (c.codec, c.payload_type)).collect();
    assert_eq!(codecs, [(Codec::Vp8, 96), (Codec::Vp9, 98), (Codec::H264, 108), (Codec::Av1, 45)]);
}

#[test]
fn a_data_channel_is_declined() {
    let answer = viewer(fixture!("chromium-data-channel"));
    assert_eq!(answer.lines.len(), 2);
    let data = answer.sdp.split("\r\nm=").find(|s| s.starts_with("application")).unwrap();
    assert!(data.starts_with("application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"), "{data}");
    let [group] = values(&answer.sdp, 0, "group")[..] else { panic!("one group") };
    assert_eq!(group.split(' ').count(), 3, "{group}");
}

#[test]
fn obs_studio_may_say_who_it_is_for_the_whole_session() {
    let answer = publisher(fixture!("obs-publish"));
    let [audio, video] = &answer.lines[..] else { panic!("two lines") };
    assert_eq!(
        video.codecs[0],
        LineCodec { codec: Codec::H264, payload_type: 96, rtx: None, red: None }
    );
    assert_eq!(video.remote_ssrcs, [(1_383_744_220, None)]);
    assert!(audio.extensions == Extensions::default() && !video.feedback.transport_cc);
    assert!(video.feedback.nack && video.feedback.pli);
    assert_eq!(
        values(&answer.sdp, 1, "fmtp"),
        ["111 minptime=10;maxaveragebitrate=96000;sprop-stereo=1;useinbandfec=1;usedtx=1;stereo=1"]
    );
}

#[test]
fn firefox_orders_its_encodings_and_names_their_ssrcs() {
    let answer = publisher(fixture!("firefox-publish-simulcast"));
    let video = &answer.lines[1];
    assert_eq!(video.rids, ["high", "mid", "low"]);
    assert_eq!(video.extensions.rid, Some(8));
    assert_eq!(
        video.remote_ssrcs,
        [(1_145_203_968, Some(1_145_203_969)), (3_860_257_714, Some(3_860_257_715))]
    );
    assert_eq!((video.codecs[0].codec, video.codecs[0].payload_type), (Codec::H264, 126));
}

#[test]
fn safari_gets_constrained_baseline_although_it_would_rather_have_high() {
    let answer = viewer(fixture!("safari-watch"));
    assert_eq!(
        (answer.lines[0].codecs[0].codec, answer.lines[0].codecs[0].payload_type),
        (Codec::H264, 98)
    );
    assert_eq!(answer.lines[1].codecs[0].red, Some(63));
}

#[test]
fn webrtcbin_names_its_lines_and_bundles_them() {
    let answer = publisher(fixture!("webrtcbin-publish"));
    assert_eq!(values(&answer.sdp, 0, "group"), ["BUNDLE video0 audio1"]);
    assert_eq!(answer.lines[1].codecs[0].codec, Codec::Opus);
    // Transport feedback without its header extension is none.
    assert!(!answer.lines[0].feedback.transport_cc);
    assert!(!answer.sdp.contains("transport-cc"));
    let watched = viewer(fixture!("webrtcbin-watch"));
    assert_eq!(watched.lines[0].codecs[0].payload_type, 96);
}

#[test]
fn aiortc_publishes_and_watches() {
    let published = publisher(fixture!("aiortc-publish"));
    assert_eq!(published.lines[1].codecs[0].payload_type, 101);
    assert_eq!(published.lines[1].remote_ssrcs, [(1_635_725_354, Some(1_589_619_315))]);
    let watched = viewer(fixture!("aiortc-watch"));
    assert_eq!(watched.lines.len(), 2);
}

#[test]
fn simulcast_by_ssrc_groups_is_read_in_its_order() {
    let offer = fixture!("obs-publish").replace(
        "a=ssrc:1383744220 cname:v5NqkTz3Lw8YbRma\r\n",
        "a=ssrc-group:SIM 30 20 10\r\na=ssrc-group:FID 10 11\r\na=ssrc-group:FID 30 31\r\n\
         a=ssrc:10 cname:x\r\na=ssrc:11 cname:x\r\na=ssrc:20 cname:x\r\na=ssrc:30 cname:x\r\na=ssrc:31 cname:x\r\n",
    );
    let offer = offer.replace("a=ssrc:1383744220 msid", "a=ssrc:10 msid");
    let lines = publisher(&offer).lines;
    assert_eq!(lines[1].remote_ssrcs, [(30, Some(31)), (20, None), (10, Some(11))]);
}

#[test]
fn a_publisher_sends_one_line_of_each_kind() {
    let answer = publisher(&fixture!("chromium-watch").replace("a=recvonly", "a=sendonly"));
    assert_eq!(answer.lines.len(), 2);
    assert!(answer.sdp.contains("\r\nm=video 0 "));
    assert_eq!(values(&answer.sdp, 0, "group"), ["BUNDLE 0 1"]);
}

#[test]
fn offers_that_can_not_work_are_refused_with_the_reason() {
    let good = fixture!("chromium-publish");
    for (from, to, why) in [
        ("a=group:BUNDLE 0 1\r\n", "", "BUNDLE"),
        ("a=rtcp-mux\r\n", "", "rtcp-mux"),
        ("a=fingerprint:", "a=no:", "fingerprint"),
        ("a=ice-ufrag:", "a=no:", "ICE"),
        ("a=setup:actpass", "a=setup:passive", "passive"),
        ("a=sendonly", "a=recvonly", "neither"),
    ] {
        let refused = Engine::publisher(&config(), &good.replace(from, to)).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    let refused = Engine::viewer(&config(), good).unwrap_err();
    assert!(matches!(refused, OfferError::Unsupported(_)));
}

const GCM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
const CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
/// An engine, a client, and the wire between them.
struct World {
    client: Browser,
    engine: Engine,
    lines: Vec<Line>,
    now: Instant,
    /// Where the client's datagrams come from, as the engine sees it.
    route: Route,
    /// Whether the shard admits what checks come from.
    admits: bool,
    /// DTLS datagrams of the engine so far, and which of them are lost on the way.
    said: usize,
    lost: Range<usize>,
    refused: usize,
    keys: Option<Box<SessionKeys>>,
    gone: bool,
    media_in: Vec<Vec<u8>>,
}

const CLIENT: u16 = 6000;
const HERE: &str = "127.0.0.1:5000";

impl World {
    fn new(mut client: Browser, publishes: bool, forge: impl Fn(String) -> String) -> Self {
        let now = Instant::now();
        let own = client.address;
        let offer = forge(client.offer(now));
        let config = Arc::new(EngineConfig {
            udp: vec![HERE.parse().unwrap()],
            tcp: vec![],
            identity: Arc::new(DtlsIdentity::generate().unwrap()),
        });
        let (engine, answer) = match publishes {
            true => Engine::publisher(&config, &offer).unwrap(),
            false => Engine::viewer(&config, &offer).unwrap(),
        };
        client.accept(&answer, now);
        Self {
            client,
            engine,
            lines: answer.lines,
            now,
            route: Route::udp(own),
            admits: true,
            said: 0,
            lost: 0..0,
            refused: 0,
            keys: None,
            gone: false,
            media_in: Vec::new(),
        }
    }

    fn publisher(profile: SrtpProtectionProfile) -> Self {
        let mut client = Browser::quiet(CLIENT, profile, Instant::now());
        client.add_picture();
        Self::new(client, true, |offer| offer)
    }

    fn viewer(profile: SrtpProtectionProfile) -> Self {
        let mut client = Browser::quiet(CLIENT, profile, Instant::now());
        client.add_line(RtpCodecKind::Video);
        Self::new(client, false, |offer| offer)
    }

    fn deliver(&mut self, datagram: &[u8]) {
        self.client.receive(HERE.parse().unwrap(), datagram, self.now);
    }

    fn collect(&mut self) {
        self.client.collect();
        let mut events = Vec::new();
        self.engine.take_events(&mut events);
        for event in events {
            match event {
                PeerEvent::Connected(keys) => self.keys = Some(keys.expect("an SRTP profile")),
                PeerEvent::Gone => self.gone = true,
            }
        }
    }

    fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(out) = self.client.pc.poll_write() {
                moved = true;
                if out.message[0] >= 128 {
                    self.media_in.push(out.message.to_vec());
                    continue;
                }
                match self.engine.handle_datagram(self.now, self.route, &out.message) {
                    Arrival::Check { nominated } => {
                        if self.admits {
                            self.engine.admit(self.route);
                            if nominated || self.engine.route().is_none() {
                                self.engine.send_to(self.route);
                            }
                        }
                    }
                    Arrival::Secure => {}
                    Arrival::Refused => self.refused += 1,
                }
            }
            while let Some((to, datagram)) = self.engine.poll_transmit() {
                moved = true;
                let secure = (20..=63).contains(&datagram[0]);
                let lost = secure && self.lost.contains(&self.said);
                self.said += usize::from(secure);
                if to == self.route && !lost {
                    self.deliver(&datagram);
                }
            }
            self.collect();
            if !moved {
                return;
            }
        }
    }

    fn step(&mut self, by: Duration) {
        self.now += by;
        if self.engine.poll_timeout().is_some_and(|at| at <= self.now) {
            self.engine.handle_timeout(self.now);
        }
        self.client.pc.handle_timeout(self.now).unwrap();
        self.settle();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step(Duration::from_millis(20));
        }
    }

    fn connect(&mut self) {
        self.settle();
        for _ in 0..200 {
            if self.keys.is_some() && self.client.connected {
                return;
            }
            self.step(Duration::from_millis(20));
        }
        panic!("not connected within four simulated seconds");
    }

    /// Sends the client a packet on its first line, sealed with the keys of the handshake.
    fn send_media(&mut self, sequence: u16) {
        let line = &self.lines[0];
        let keys = self.keys.as_ref().unwrap();
        let sealer = Sealer::new(&keys.local).unwrap();
        let mut packet = vec![0x80, line.codecs[0].payload_type | 0x80];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 1]);
        packet.extend_from_slice(&line.ssrc.to_be_bytes());
        packet.extend_from_slice(&[7; 100]);
        packet.resize(packet.len() + sealer.tag_len(), 0);
        assert!(sealer.seal(&mut packet, 12, 0));
        self.deliver(&packet);
        self.collect();
    }
}

#[test]
fn what_the_packet_path_seals_is_decrypted_whatever_the_cipher() {
    for (profile, known) in [(GCM, Profile::AeadAes128Gcm), (CM, Profile::Aes128CmHmacSha1_80)] {
        let mut world = World::viewer(profile);
        world.connect();
        assert_eq!(world.keys.as_ref().unwrap().local.profile, known);
        world.send_media(1);
        assert_eq!(world.client.packets.len(), 1);
        assert_eq!(world.client.packets[0].payload[..], [7; 100]);
    }
}

#[test]
fn what_a_publisher_sends_can_be_opened() {
    for profile in [GCM, CM] {
        let mut world = World::publisher(profile);
        world.connect();
        let now = world.now;
        world.client.send(9, 0, b"a lesson", now);
        world.settle();
        let mut opener = Opener::new(&world.keys.as_ref().unwrap().remote).unwrap();
        let sealed = world.media_in.last_mut().unwrap();
        let len = opener.open(sealed).unwrap();
        assert_eq!(&sealed[12..len], b"a lesson");
    }
}

#[test]
fn an_idle_peer_needs_no_timer() {
    let mut world = World::viewer(GCM);
    assert_eq!(world.engine.poll_timeout(), None);
    world.connect();
    world.run(Duration::from_secs(5));
    assert_eq!(world.engine.poll_timeout(), None);
    assert!(!world.gone && world.client.connected);
}

#[test]
fn dtls_is_taken_only_from_an_address_that_ice_has_proved() {
    let mut world = World::viewer(GCM);
    world.admits = false;
    world.run(Duration::from_secs(2));
    assert!(world.keys.is_none() && world.refused > 0, "{} datagrams refused", world.refused);
    world.admits = true;
    world.run(Duration::from_secs(4));
    assert!(world.keys.is_some());
}

#[test]
fn a_check_without_the_password_proves_nothing() {
    let mut world = World::viewer(GCM);
    let now = world.now;
    let check = loop {
        match world.client.pc.poll_write() {
            Some(out) if out.message[0] == 0 => break out.message.to_vec(),
            Some(_) => {}
            None => {
                world.now += Duration::from_millis(20);
                world.client.pc.handle_timeout(world.now).unwrap();
            }
        }
    };
    let mut forged = check.clone();
    let at = forged.len() - 12;
    forged[at] ^= 1;
    let from = Route::udp("127.0.0.1:6666".parse().unwrap());
    assert_eq!(world.engine.handle_datagram(now, from, &forged), Arrival::Refused);
    assert!(world.engine.poll_transmit().is_none(), "no answer for strangers");
    assert!(matches!(world.engine.handle_datagram(now, from, &check), Arrival::Check { .. }));
    assert_eq!(world.engine.poll_transmit().unwrap().0, from);
}

#[test]
fn another_certificate_than_the_one_offered_is_nobody() {
    let mut client = Browser::quiet(CLIENT, GCM, Instant::now());
    client.add_line(RtpCodecKind::Video);
    let forge = |offer: String| {
        let at = offer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        let other = if &offer[at..at + 1] == "A" { "B" } else { "A" };
        let print = offer[at..at + 95].to_owned();
        offer.replace(&print, &format!("{other}{}", &print[1..]))
    };
    let mut world = World::new(client, false, forge);
    world.run(Duration::from_secs(2));
    assert!(world.gone && world.keys.is_none());
}

#[test]
fn a_handshake_survives_a_lossy_start() {
    let mut world = World::viewer(GCM);
    // Nothing of the handshake gets through at first.
    world.admits = false;
    world.run(Duration::from_millis(1500));
    world.admits = true;
    world.run(Duration::from_secs(4));
    assert!(world.keys.is_some());
}

#[test]
fn a_handshake_survives_the_loss_of_anything_the_engine_says_even_twice() {
    for first in 0..12 {
        for more in 1..=6 {
            let mut world = World::viewer(GCM);
            world.lost = first..first + more;
            world.run(Duration::from_secs(7));
            let connected = world.client.connected;
            assert!(connected && world.keys.is_some(), "{:?} of {} lost", world.lost, world.said);
            assert_eq!(world.engine.poll_timeout(), None);
        }
    }
}

#[test]
fn dtls_follows_a_peer_to_another_address_and_to_tcp() {
    let mut world = World::viewer(GCM);
    world.connect();
    for route in [Route::udp("127.0.0.1:7000".parse().unwrap()), Route::tcp(world.client.address)] {
        world.route = route;
        world.run(Duration::from_secs(4));
        world.engine.send_to(route);
        assert_eq!(world.engine.route(), Some(route), "a check from there admitted it");
    }
    world.engine.close(world.now);
    let (to, goodbye) = world.engine.poll_transmit().unwrap();
    // RFC 6347 §4.1: content type 21 is an alert.
    assert_eq!((to, goodbye[0]), (world.route, 21));
}

#[test]
fn a_peer_that_says_goodbye_is_gone() {
    let mut world = World::viewer(GCM);
    world.connect();
    world.client.pc.close().unwrap();
    world.settle();
    assert!(world.gone);
}

#[test]
fn a_dismissed_address_is_not_sent_to_any_more() {
    let mut world = World::viewer(GCM);
    world.connect();
    let other = Route::udp("127.0.0.1:7000".parse().unwrap());
    world.engine.admit(other);
    world.engine.dismiss(world.route);
    assert_eq!(world.engine.route(), Some(other));
}

#[test]
fn more_lines_come_with_a_later_offer_and_the_first_stay_as_they_are() {
    let mut world = World::viewer(GCM);
    world.connect();
    world.client.add_line(RtpCodecKind::Audio);
    let now = world.now;
    let offer = world.client.offer_again(now);
    let answer = world.engine.renegotiate(&offer).unwrap();
    assert_eq!(answer.lines.len(), 2);
    assert_eq!(answer.lines[0], world.lines[0]);
    let version = |sdp: &str| sdp.split(' ').nth(2).unwrap().parse::<u64>().unwrap();
    assert_eq!(version(&answer.sdp), 2);
    world.client.accept(&answer, now);
    world.send_media(1);
    assert_eq!(world.client.packets.len(), 1);
    let foreign = fixture!("chromium-watch");
    let refused = world.engine.renegotiate(foreign).unwrap_err();
    assert!(refused.to_string().contains("another connection"));
}

#[test]
fn an_ice_restart_changes_the_credentials_and_nothing_else() {
    let mut world = World::viewer(GCM);
    world.connect();
    let before = world.engine.tag().to_owned();
    let now = world.now;
    world.client.pc.restart_ice();
    let offer = world.client.offer(now);
    let answer = world.engine.renegotiate(&offer).unwrap();
    assert_ne!(answer.tag, before);
    let both: Vec<String> = world.engine.username_fragments().map(str::to_owned).collect();
    assert_eq!(both, [answer.tag.clone(), before], "the old ones are good until the new are used");
    world.client.accept(&answer, now);
    world.run(Duration::from_secs(3));
    let now_used: Vec<&str> = world.engine.username_fragments().collect();
    assert_eq!(now_used, [answer.tag.as_str()]);
    assert!(!world.gone);
    world.send_media(1);
    assert_eq!(world.client.packets.len(), 1, "the same keys");
}

fn sdpfrag(fragment: &str, password: &str) -> String {
    format!(
        "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
         a=ice-ufrag:{fragment}\r\na=ice-pwd:{password}\r\n\
         a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n\
         a=end-of-candidates\r\n"
    )
}

#[test]
fn a_patch_brings_candidates_or_a_restart() {
    let offer = fixture!("chromium-publish");
    let (mut engine, answer) = Engine::publisher(&config(), offer).unwrap();
    let of = |key: &str| values(offer, 1, key)[0].to_owned();
    let same = sdpfrag(&of("ice-ufrag"), &of("ice-pwd"));
    let session = Condition::Tags(vec!["other".into(), answer.tag.clone()]);
    assert_eq!(engine.patch(&same, &session), Ok(Patched::Candidates));
    let stale = Condition::Tags(vec!["other".into()]);
    assert_eq!(engine.patch(&same, &stale), Err(FragmentError::Outdated));
    assert_eq!(engine.patch("hello", &Condition::Any), Err(FragmentError::Malformed));
    assert_eq!(engine.patch("a=mid:0\r\n", &Condition::Any), Err(FragmentError::Malformed));
    assert_eq!(engine.tag(), answer.tag);

    let anew = sdpfrag("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k");
    let Ok(Patched::Restarted { fragment, tag }) = engine.patch(&anew, &Condition::Any) else {
        panic!("a restart");
    };
    assert_ne!(tag, answer.tag);
    assert!(fragment.contains(&format!("a=ice-ufrag:{tag}\r\n")));
    assert!(fragment.contains("a=mid:0\r\n") && fragment.contains(" typ host\r\n"));
    assert_eq!(engine.patch(&anew, &session), Err(FragmentError::Outdated));
    assert_eq!(engine.patch(&anew, &Condition::Tags(vec![tag])), Ok(Patched::Candidates));
}

#[test]
fn an_engine_can_be_handed_to_another_thread_and_takes_little_room() {
    fn sendable<T: Send>(_: &T) {}
    let (engine, _) = Engine::viewer(&config(), fixture!("chromium-watch")).unwrap();
    sendable(&engine);
    let size = std::mem::size_of::<Engine>();
    assert!(size < 2048, "{size} bytes");
}
