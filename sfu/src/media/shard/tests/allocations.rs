//! Counts what the packet path allocates.

use super::*;
use crate::media::outbox::Outbox;
use crate::media::socket::Socket;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::UdpSocket;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a count for each thread.
struct Counting;

#[allow(unsafe_code)]
// SAFETY: every call goes to the system's allocator as it came; the count is a plain cell of the
// thread's own, which allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `work` allocates.
pub fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn counting_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(100)))), 1);
}

#[test]
fn nothing_is_allocated_for_a_forwarded_packet() {
    let mut world = World::new();
    let publisher = world.publish();
    for profile in [GCM, CM, GCM, GCM] {
        world.watch(profile);
    }
    world.connect();
    // A lap of the packet cache, whose places are filled as they are first needed.
    for second in 0..36 {
        world.second(publisher, 100 + second * 30);
    }
    // What a publisher sends in ten seconds, sealed beforehand.
    let mut sent: Vec<BytesMut> = Vec::new();
    let now = world.now;
    for n in 0..300u16 {
        world.browsers[publisher].send(1180 + n, 400_000 + u32::from(n) * 3000, &slice(n), now);
        while let Some(out) = world.browsers[publisher].pc.poll_write() {
            sent.push(out.message);
        }
    }
    let (from, mut forwarded) = (Route::udp(world.browsers[publisher].address), 0);
    let (mut counted, mut now) = (0, now);
    for datagram in &mut sent {
        now += Duration::from_millis(33);
        let shard = &mut world.shard;
        let length = datagram.len();
        counted += allocations(|| {
            shard.handle_datagrams(from, datagram, length, now);
            while shard.forward(now) {}
        });
        forwarded += shard.outbox().groups().len();
        shard.outbox().clear(64);
    }
    assert!(forwarded >= 4 * 300, "{forwarded}");
    assert_eq!(counted, 0, "over {forwarded} packets");
}

#[test]
fn nothing_is_allocated_for_sending_what_a_turn_gathered() {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let there: Vec<_> = (0..70).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut outbox = Outbox::new(socket.max_segments());
    for viewer in &there {
        for n in 0..4 {
            outbox.push(Route::udp(viewer.local_addr().unwrap()), |out| {
                out.resize(out.len() + 1000, n);
                true
            });
        }
    }
    assert_eq!(outbox.groups().len(), 70);
    let mut refused = 0;
    assert_eq!(allocations(|| refused = socket.send(&mut outbox, |_, _| false)), 0);
    assert_eq!((refused, outbox.bytes()), (0, 0));
    let mut buffer = [0; 2000];
    for viewer in &there {
        for n in 0..4 {
            assert_eq!((viewer.recv(&mut buffer).unwrap(), buffer[0]), (1000, n));
        }
    }
}
