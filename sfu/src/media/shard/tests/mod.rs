//! A shard and real WebRTC peers in one thread, on a simulated clock and wire: the peers are
//! the `rtc` engine as a browser would use it, and decrypt what the packet path seals.

mod allocations;
mod beginnings;
mod seeds;
mod speakers;

use super::*;
use crate::media::bandwidth::allocation::Priority;
use crate::media::batch::TrackKey;
use crate::media::lane::{Lane, ShardLane, TrunkLane};
use crate::media::messages::{Command, Joining, PublishTracks, Shown};
use crate::media::outlet::{Outlet, OutletId};
use crate::peer::browser::Browser;
use crate::peer::{Answer, DtlsIdentity, Engine, EngineConfig, OfferError, Route};
use bytes::BytesMut;
use cloudschool_protocol::media::Codec;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::sansio::Protocol;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use std::net::SocketAddr;
use std::sync::Arc;

const AUDIO: TrackKey = TrackKey(1);
const VIDEO: TrackKey = TrackKey(2);

/// The shard, the browsers and the wire between them.
struct World {
    shard: Shard,
    engines: Arc<EngineConfig>,
    browsers: Vec<Browser>,
    now: Instant,
    here: SocketAddr,
    events: mpsc::UnboundedReceiver<MediaEvent>,
    /// Share of the shard's media datagrams that are lost, as one in so many.
    lose_one_in: Option<usize>,
    sent: usize,
    /// A browser's own address, and the one its NAT shows.
    moved: Option<(SocketAddr, SocketAddr)>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let here = SocketAddr::from(([127, 0, 0, 1], 5000));
        let (sender, events) = mpsc::unbounded_channel();
        let identity = Arc::new(DtlsIdentity::generate().unwrap());
        let engines = Arc::new(EngineConfig { udp: vec![here], tcp: vec![], identity });
        let mut shard = Shard::new(0, 64, sender, now);
        for (track, kind) in [(AUDIO, Kind::Audio), (VIDEO, Kind::Video)] {
            shard.command(Command::OpenTrack { track, kind, lane: false }, now);
        }
        Self {
            shard,
            engines,
            browsers: vec![],
            now,
            here,
            events,
            lose_one_in: None,
            sent: 0,
            moved: None,
        }
    }

    fn publish(&mut self) -> usize {
        let port = 6000 + self.browsers.len() as u16;
        let mut browser = Browser::new(port, GCM, self.now);
        browser.add_picture();
        let offer = browser.offer(self.now);
        let tracks = PublishTracks { audio: AUDIO, video: VIDEO };
        let session = SessionId(self.browsers.len() as u64);
        let answered = Engine::publisher(&self.engines, &offer).unwrap();
        let publish = |joining| Command::Publish { joining, tracks };
        browser.accept(&self.join(session, answered, publish), self.now);
        self.browsers.push(browser);
        self.browsers.len() - 1
    }

    fn watch(&mut self, profile: SrtpProtectionProfile) -> usize {
        let mut browser = Browser::new(6000 + self.browsers.len() as u16, profile, self.now);
        browser.add_line(RtpCodecKind::Video);
        let offer = browser.offer(self.now);
        let session = SessionId(self.browsers.len() as u64);
        let answered = Engine::viewer(&self.engines, &offer).unwrap();
        let answer = self.join(session, answered, |joining| Command::Watch { joining });
        let mid = answer.lines[0].mid.clone();
        browser.accept(&answer, self.now);
        let show = Some(Shown {
            track: VIDEO,
            priority: Priority::TeacherCamera,
            own_voice: None,
            small: false,
        });
        self.shard.command(Command::Bind { session, mid, show }, self.now);
        self.browsers.push(browser);
        self.browsers.len() - 1
    }

    fn join(
        &mut self,
        session: SessionId,
        (engine, answer): (Engine, Answer),
        command: impl FnOnce(Box<Joining>) -> Command,
    ) -> Answer {
        let (reply, mut admitted) = oneshot::channel();
        let joining = Box::new(Joining { session, engine, answer, reply });
        self.shard.command(command(joining), self.now);
        admitted.try_recv().unwrap()
    }

    /// Carries datagrams both ways until nobody has any.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for at in 0..self.browsers.len() {
                while let Some(mut out) = self.browsers[at].pc.poll_write() {
                    moved = true;
                    let own = self.browsers[at].address;
                    let from = self.moved.filter(|m| m.0 == own).map_or(own, |m| m.1);
                    let length = out.message.len();
                    let route = Route::udp(from);
                    self.shard.handle_datagrams(route, &mut out.message, length, self.now);
                }
            }
            while self.shard.forward(self.now) {}
            for (to, bytes) in self.shard.outbox().drain() {
                let to = to.address;
                moved = true;
                let media = bytes[0] >= 128 && !(192..=223).contains(&bytes[1]);
                self.sent += usize::from(media);
                if media && self.lose_one_in.is_some_and(|n| self.sent.is_multiple_of(n)) {
                    continue;
                }
                // Behind its NAT the old address leads nowhere any more.
                let to = match self.moved {
                    Some((old, _)) if to == old => continue,
                    Some((old, new)) if to == new => old,
                    _ => to,
                };
                let Some(at) = self.browsers.iter().position(|b| b.address == to) else {
                    continue;
                };
                self.browsers[at].receive(self.here, &bytes, self.now);
            }
            if !moved {
                return;
            }
        }
    }

    fn step(&mut self, by: Duration) {
        self.now += by;
        self.shard.handle_timeout(self.now);
        for browser in &mut self.browsers {
            browser.pc.handle_timeout(self.now).unwrap();
            browser.collect();
        }
        self.settle();
    }

    fn connect(&mut self) {
        self.settle();
        for _ in 0..200 {
            if self.browsers.iter().all(|b| b.connected) {
                return;
            }
            self.step(Duration::from_millis(20));
        }
        panic!("not everybody was connected within four simulated seconds");
    }

    /// One second of video: a keyframe, then frames of one packet.
    fn second(&mut self, publisher: usize, first: u16) {
        for i in 0..30u16 {
            let payload =
                if i == 0 { [&SPS[..], &[0; 50]].concat() } else { slice(first.wrapping_add(i)) };
            let number = first.wrapping_add(i);
            let timestamp = u32::from(i) * 3000;
            let now = self.now;
            self.browsers[publisher].send(number, timestamp, &payload, now);
            self.step(Duration::from_millis(33));
        }
    }

    fn heard(&mut self, wanted: impl Fn(&MediaEvent) -> bool) -> bool {
        std::iter::from_fn(|| self.events.try_recv().ok()).any(|e| wanted(&e))
    }
}

const SPS: [u8; 3] = [0x67, 0x42, 0xe0];

fn slice(number: u16) -> Vec<u8> {
    let mut payload = vec![0x41];
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(400, 7);
    payload
}

const GCM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
const CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;

#[test]
fn what_is_published_is_decrypted_by_every_viewer_whatever_its_cipher() {
    let mut world = World::new();
    let publisher = world.publish();
    let viewers = [world.watch(GCM), world.watch(CM)];
    world.connect();
    world.second(publisher, 65_520);
    for viewer in viewers {
        let got = &world.browsers[viewer].packets;
        assert_eq!(got.len(), 30, "through a wrap of the publisher's numbers");
        assert_eq!(got[5].payload[..], slice(65_525)[..]);
        let steps = got.windows(2).map(|w| {
            let (a, b) = (&w[0].header, &w[1].header);
            (
                b.sequence_number.wrapping_sub(a.sequence_number),
                b.timestamp.wrapping_sub(a.timestamp),
            )
        });
        assert!(steps.clone().all(|s| s.0 == 1));
    }
    assert!(
        world.heard(|e| matches!(
            e,
            MediaEvent::TrackStarted { track: VIDEO, codec: Codec::H264, .. }
        ))
    );
}

#[test]
fn a_late_joiner_gets_a_picture_without_a_new_keyframe() {
    let mut world = World::new();
    let publisher = world.publish();
    world.connect();
    world.second(publisher, 100);
    let asked = world.browsers[publisher].keyframes_asked;
    let viewer = world.watch(GCM);
    world.connect();
    for _ in 0..3 {
        world.step(Duration::from_millis(10));
    }
    let got = &world.browsers[viewer].packets;
    assert_eq!(got.len(), 30, "the group of pictures so far");
    assert_eq!(got[0].payload[..3], SPS);
    assert_eq!(world.browsers[publisher].keyframes_asked, asked);
}

#[test]
fn a_viewer_without_a_picture_makes_the_publisher_send_a_keyframe() {
    let mut world = World::new();
    let publisher = world.publish();
    world.connect();
    let now = world.now;
    world.browsers[publisher].send(1, 0, &slice(1), now);
    world.step(Duration::from_millis(10));
    for _ in 0..3 {
        world.watch(GCM);
    }
    world.connect();
    world.step(Duration::from_millis(10));
    assert_eq!(world.browsers[publisher].keyframes_asked, 1, "three viewers, one request");
}

#[test]
fn lost_packets_are_sent_again() {
    let mut world = World::new();
    let publisher = world.publish();
    let viewer = world.watch(GCM);
    world.connect();
    world.lose_one_in = Some(10);
    world.second(publisher, 100);
    world.lose_one_in = None;
    for _ in 0..30 {
        world.step(Duration::from_millis(33));
    }
    let mut numbers: Vec<_> =
        world.browsers[viewer].packets.iter().map(|p| p.header.sequence_number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() >= 29, "{} of 30 arrived", numbers.len());
    assert!(world.sent > 30, "some were sent again");
}

#[test]
fn lip_sync_survives_the_node() {
    let mut world = World::new();
    let publisher = world.publish();
    let viewer = world.watch(GCM);
    world.connect();
    for second in 0..4 {
        world.second(publisher, 100 + second * 30);
    }
    let report = world.browsers[viewer].reports.last().expect("a sender report");
    let packet = world.browsers[viewer].packets.last().unwrap();
    assert_eq!(report.ssrc, packet.header.ssrc);
    let apart = report.rtp_time.wrapping_sub(packet.header.timestamp) as i32;
    assert!(apart.abs() < 2 * 90_000, "the report speaks of the viewer's own time line: {apart}");
}

#[test]
fn a_peer_that_falls_silent_is_gone() {
    let mut world = World::new();
    world.publish();
    world.connect();
    let browsers = std::mem::take(&mut world.browsers);
    let closed = |e: &MediaEvent| matches!(e, MediaEvent::Closed { session: SessionId(0) });
    for _ in 0..200 {
        world.step(Duration::from_millis(100));
    }
    assert!(world.heard(closed));
    drop(browsers);
}

#[test]
fn a_viewer_that_moves_to_another_address_goes_on() {
    let mut world = World::new();
    let publisher = world.publish();
    let viewer = world.watch(GCM);
    world.connect();
    world.second(publisher, 100);
    let old = world.browsers[viewer].address;
    let new = SocketAddr::from(([127, 0, 0, 1], 7000));
    // A NAT gives the peer another port: the wire carries its datagrams from there now.
    world.moved = Some((old, new));
    for second in 1..11 {
        world.second(publisher, 100 + second * 30);
    }
    assert!(world.browsers[viewer].connected);
    // What is in flight until the first check from the new address is lost, and asked for.
    let got = world.browsers[viewer].packets.len();
    assert!(got > 150, "{got} of 330 packets");
    let newest = slice(100 + 10 * 30 + 29);
    assert!(world.browsers[viewer].packets.iter().any(|p| p.payload[..] == newest[..]));
}

#[test]
fn a_peer_that_never_comes_is_gone() {
    let mut world = World::new();
    world.publish();
    world.browsers.clear();
    for _ in 0..220 {
        world.step(Duration::from_millis(100));
    }
    assert!(world.heard(|e| matches!(e, MediaEvent::Closed { session: SessionId(0) })));
}

#[test]
fn an_outlet_begins_with_a_keyframe_and_carries_normalised_packets() {
    let mut world = World::new();
    let publisher = world.publish();
    world.connect();
    world.second(publisher, 100);
    let (lane, mut batches) = TrunkLane::new();
    let outlet = Outlet::new(OutletId(1), Lane::Trunk(lane));
    let now = world.now;
    world.shard.command(Command::AddOutlet { track: VIDEO, outlet }, now);
    let replay = batches.try_recv().unwrap();
    assert_eq!(replay.len(), 30);
    let first = replay.packets().next().unwrap();
    let header = cloudschool_protocol::rtp::Header::parse(first).unwrap();
    assert_eq!(header.payload_type, Codec::H264.payload_type());
    assert_eq!(header.payload(first)[..3], SPS);
    world.second(publisher, 130);
    assert!(batches.try_recv().is_some());
}

#[test]
fn what_is_not_an_offer_is_refused_and_disturbs_nobody() {
    let mut world = World::new();
    let publisher = world.publish();
    let viewer = world.watch(GCM);
    for (n, bad) in ["", "hello", "v=0\r\n", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"]
        .into_iter()
        .enumerate()
    {
        let refused = Engine::viewer(&world.engines, bad).map(|(_, answer)| answer.sdp);
        assert!(matches!(refused, Err(OfferError::NotSdp(_) | OfferError::Unsupported(_))), "{n}");
    }
    world.connect();
    world.second(publisher, 1);
    assert_eq!(world.browsers[viewer].packets.len(), 30);
}
