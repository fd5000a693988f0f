//! Over real sockets on the loopback interface.

use super::*;
use mio::{Events, Poll};
use std::net::TcpStream as Plain;

const FIRST: usize = 10;

struct World {
    peers: TcpPeers,
    poll: Poll,
    events: Events,
    got: Vec<(SocketAddr, Vec<u8>)>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::at("127.0.0.1:0")
    }

    fn at(address: &str) -> Self {
        let mut peers = TcpPeers::bind(address.parse().unwrap()).unwrap();
        let poll = Poll::new().unwrap();
        peers.register(poll.registry(), FIRST).unwrap();
        let events = Events::with_capacity(64);
        Self { peers, poll, events, got: Vec::new(), now: Instant::now() }
    }

    fn connect(&self) -> (Plain, SocketAddr) {
        let stream = Plain::connect(self.peers.listener.local_addr().unwrap()).unwrap();
        let address = stream.local_addr().unwrap();
        (stream, address)
    }

    fn connections(&self) -> usize {
        self.peers.by_address.len()
    }

    fn turn(&mut self, wait: Duration) {
        self.poll.poll(&mut self.events, Some(wait)).unwrap();
        for event in &self.events {
            self.peers.ready(event, self.poll.registry(), self.now, |from, datagram| {
                self.got.push((from, datagram.to_vec()));
            });
        }
        self.peers.read_on(self.now, |from, datagram| self.got.push((from, datagram.to_vec())));
        self.peers.flush();
    }

    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(10);
        while !done(self) {
            assert!(Instant::now() < limit, "it never came to that");
            self.turn(Duration::from_millis(50));
        }
    }
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    [&framing::prefix(datagram).unwrap()[..], datagram].concat()
}

fn read_frame(stream: &mut Plain) -> Vec<u8> {
    let mut prefix = [0; 2];
    stream.read_exact(&mut prefix).unwrap();
    let mut datagram = vec![0; usize::from(u16::from_be_bytes(prefix))];
    stream.read_exact(&mut datagram).unwrap();
    datagram
}

#[test]
fn datagrams_go_both_ways() {
    let mut world = World::new();
    let (mut stream, address) = world.connect();
    stream.write_all(&[framed(b"first"), framed(b"second")].concat()).unwrap();
    world.until(|w| w.got.len() == 2);
    assert_eq!(world.got, [(address, b"first".to_vec()), (address, b"second".to_vec())]);
    assert!(world.peers.send(address, b"answer"));
    assert!(world.peers.send(address, &[7; 1200]));
    world.turn(Duration::ZERO);
    assert_eq!(read_frame(&mut stream), b"answer");
    assert_eq!(read_frame(&mut stream), [7; 1200]);
}

#[test]
fn a_connection_that_ends_is_told_of() {
    let mut world = World::new();
    let (stream, address) = world.connect();
    world.until(|w| w.connections() == 1);
    drop(stream);
    world.until(|w| w.connections() == 0);
    assert_eq!(world.peers.closed().collect::<Vec<_>>(), [address]);
    assert!(!world.peers.send(address, b"late"));
}

#[test]
fn strangers_have_ten_seconds() {
    let mut world = World::new();
    let (_stranger, _) = world.connect();
    let (_peer, known) = world.connect();
    world.until(|w| w.connections() == 2);
    world.peers.keep(known);
    let registry = world.poll.registry().try_clone().unwrap();
    world.peers.handle_timeout(&registry, world.now + INTRODUCTION - Duration::from_millis(1));
    assert_eq!(world.connections(), 2);
    assert!(world.peers.poll_timeout().is_some());
    world.peers.handle_timeout(&registry, world.now + INTRODUCTION + Duration::from_secs(1));
    assert_eq!(world.connections(), 1);
    world.peers.handle_timeout(&registry, world.now + INTRODUCTION + IDLE);
    assert_eq!(world.connections(), 0, "nothing came for a minute");
    world.peers.handle_timeout(&registry, world.now + INTRODUCTION + 2 * IDLE);
    assert_eq!(world.peers.poll_timeout(), None);
}

#[test]
fn what_is_no_peer_is_shut_out() {
    let mut world = World::new();
    let (mut stream, _) = world.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: campus\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    world.until(|w| w.peers.closed().count() == 1);
    // The other end sees it closed, or reset.
    assert!(stream.read_to_end(&mut rest).is_err() || rest.is_empty());
    assert!(world.got.is_empty());
}

#[test]
fn one_address_gets_so_many_strangers() {
    let mut world = World::new();
    let streams: Vec<_> = (0..MAX_STRANGERS_OF_ONE + 8).map(|_| world.connect()).collect();
    world.until(|w| w.connections() == MAX_STRANGERS_OF_ONE);
    for (_, address) in &streams {
        world.peers.keep(*address);
    }
    let (_one, _) = world.connect();
    world.until(|w| w.connections() == MAX_STRANGERS_OF_ONE + 1);
}

#[test]
fn a_connection_that_does_not_read_loses_media_and_holds_nobody_up() {
    let mut world = World::new();
    let (mut slow, address) = world.connect();
    world.until(|w| w.connections() == 1);
    let mut media = [0x80; 1000];
    let mut taken = 0u32;
    // More than the kernel and the connection hold together.
    for n in 0..20_000u32 {
        media[4..8].copy_from_slice(&n.to_be_bytes());
        taken += u32::from(world.peers.send(address, &media));
        if n % 10 == 0 {
            world.turn(Duration::ZERO);
        }
    }
    assert!(taken < 20_000);
    assert!(world.peers.send(address, &[22; 200]), "DTLS still finds room");
    // What was taken comes whole and in order once it reads again.
    slow.set_nonblocking(true).unwrap();
    let mut bytes = Vec::new();
    let wanted = taken as usize * 1002 + 202;
    world.until(|_| {
        // There is nothing to read again and again until the next turn sends more.
        match slow.read_to_end(&mut bytes) {
            Ok(_) => panic!("it was closed"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
        bytes.len() == wanted
    });
    let mut numbers = Vec::new();
    let mut deframer = Deframer::default();
    deframer
        .push(&mut bytes, |d| {
            if d.len() == 1000 {
                numbers.push(u32::from_be_bytes(d[4..8].try_into().unwrap()));
            }
        })
        .unwrap();
    assert!(numbers.len() == taken as usize && numbers.is_sorted());
}

#[test]
fn a_closed_connection_gets_what_was_in_line() {
    let mut world = World::new();
    let (mut stream, address) = world.connect();
    world.until(|w| w.connections() == 1);
    assert!(world.peers.send(address, b"goodbye"));
    world.peers.close(address);
    assert_eq!(read_frame(&mut stream), b"goodbye");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(world.peers.closed().count(), 0, "whoever closes it knows");
}

#[test]
fn all_of_a_flood_arrives_however_many_turns_it_takes() {
    let mut world = World::new();
    let (mut stream, _) = world.connect();
    let flood = std::thread::spawn(move || {
        let frames: Vec<u8> = (0..2000).flat_map(|_| framed(&[0x80; 1000])).collect();
        stream.write_all(&frames).unwrap();
        stream
    });
    world.until(|w| w.got.len() == 2000);
    drop(flood.join().unwrap());
}

#[test]
fn one_listener_takes_both_families() {
    let mut world = World::at("[::]:0");
    let port = world.peers.listener.local_addr().unwrap().port();
    let mut streams = Vec::new();
    for to in [SocketAddr::from(([127, 0, 0, 1], port)), format!("[::1]:{port}").parse().unwrap()] {
        let mut stream = Plain::connect(to).unwrap();
        stream.write_all(&framed(b"hello")).unwrap();
        streams.push(stream);
    }
    world.until(|w| w.got.len() == 2);
    let mut families: Vec<bool> = world.got.iter().map(|(from, _)| from.is_ipv4()).collect();
    families.sort_unstable();
    assert_eq!(families, [false, true]);
}
