//! Datagrams of one turn, grouped for GSO: consecutive ones to one destination, all of one
//! size but the last, which may be shorter.

use crate::media::ahead;
use crate::peer::Route;

/// How far ahead of what is written memory is asked for.
const AHEAD: usize = 1024;

/// Largest GSO send: the kernel's limit on a UDP datagram's length.
const MAX_GROUP_BYTES: usize = 65_000;

/// Datagrams that one system call can send.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub to: Route,
    pub start: usize,
    pub end: usize,
    /// Length of each but the last.
    pub segment: usize,
    pub packets: usize,
    closed: bool,
}

/// What waits to be sent.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    groups: Vec<Group>,
    max_segments: usize,
}

impl Outbox {
    /// An empty outbox for a socket that sends at most `max_segments` at once.
    #[must_use]
    pub fn new(max_segments: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(1 << 20),
            groups: Vec::with_capacity(1024),
            max_segments: max_segments.max(1),
        }
    }

    /// Appends a datagram to `to`, written by `write` behind whatever the buffer holds. Nothing
    /// is sent when `write` returns false. Returns the datagram's length.
    pub fn push(&mut self, to: Route, write: impl FnOnce(&mut Vec<u8>) -> bool) -> usize {
        let start = self.bytes.len();
        if !write(&mut self.bytes) || self.bytes.len() <= start {
            self.bytes.truncate(start);
            return 0;
        }
        let end = self.bytes.len();
        let len = end - start;
        self.fetch(start + AHEAD, len);
        if let Some(last) = self.groups.last_mut() {
            let fits = !last.closed
                && last.to == to
                && len <= last.segment
                && last.packets < self.max_segments
                && end - last.start <= MAX_GROUP_BYTES;
            if fits {
                last.end = end;
                last.packets += 1;
                last.closed = len < last.segment;
                return len;
            }
        }
        self.groups.push(Group { to, start, end, segment: len, packets: 1, closed: false });
        len
    }

    /// Asks for the memory that is written next: after a wait it is nowhere near.
    #[inline]
    pub fn fetch_first(&self) {
        self.fetch(self.bytes.len(), AHEAD);
    }

    #[inline]
    fn fetch(&self, from: usize, len: usize) {
        ahead::fetch_room(self.bytes.as_ptr().wrapping_add(from), len);
    }

    /// The groups, in the order they came.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// A group's datagrams, one behind the other.
    #[must_use]
    pub fn contents(&self, group: &Group) -> &[u8] {
        self.bytes.get(group.start..group.end).unwrap_or_default()
    }

    /// Everything was sent. A socket may have found that it sends fewer at once.
    pub fn clear(&mut self, max_segments: usize) {
        self.max_segments = max_segments.max(1);
        self.groups.clear();
        self.bytes.clear();
    }

    /// Takes out every datagram by itself, as the wire would carry it.
    #[cfg(test)]
    pub fn drain(&mut self) -> Vec<(Route, Vec<u8>)> {
        let split = |g: &Group| {
            let pieces = self.contents(g).chunks(g.segment);
            pieces.map(|p| (g.to, p.to_vec())).collect::<Vec<_>>()
        };
        let datagrams = self.groups.iter().flat_map(split).collect();
        self.clear(self.max_segments);
        datagrams
    }

    /// Bytes waiting.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(len: usize) -> impl FnOnce(&mut Vec<u8>) -> bool {
        move |bytes| {
            bytes.resize(bytes.len() + len, 7);
            true
        }
    }

    #[test]
    fn equal_sizes_to_one_viewer_make_one_send_and_the_last_may_be_shorter() {
        let mut outbox = Outbox::new(64);
        let (a, b) = (
            Route::udp("127.0.0.1:1".parse().unwrap()),
            Route::udp("127.0.0.1:2".parse().unwrap()),
        );
        for (to, len) in [(a, 100), (a, 100), (a, 60), (a, 60), (b, 60), (b, 90)] {
            assert_eq!(outbox.push(to, write(len)), len);
        }
        let packets: Vec<_> = outbox.groups.iter().map(|g| g.packets).collect();
        assert_eq!(packets, [3, 1, 1, 1]);
    }

    #[test]
    fn what_was_not_written_whole_is_not_sent() {
        let mut outbox = Outbox::new(64);
        let to = Route::udp("127.0.0.1:1".parse().unwrap());
        let half = |bytes: &mut Vec<u8>| {
            bytes.push(1);
            false
        };
        assert_eq!(outbox.push(to, half), 0);
        outbox.push(to, write(10));
        assert_eq!(outbox.drain(), [(to, vec![7; 10])]);
    }
}
