//! What a decoder could have shown of the packets that came: frames that are whole and whose
//! references were decodable, by the stamps alone.

use super::stamp::{MAX_REFERENCE, Stamp};

/// A frame that is decodable later than this after it was sent is too late to be shown: more
/// than a player would wait.
const LATEST_NS: u64 = 1_000_000_000;

const RING: usize = 2 * MAX_REFERENCE as usize;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Frame number plus one; 0 for none.
    frame: u64,
    count: u16,
    got: u16,
    refers: u8,
    decoded: bool,
    complete: bool,
    sent_ns: u64,
}

/// Frames of one line.
#[derive(Debug, Default)]
pub struct Frames {
    layers: Vec<[Slot; RING]>,
    /// The newest frame decoded, plus one.
    shown: u64,
    /// The newest frame any packet was of, plus one.
    newest: u64,
    first: Option<Shown>,
    last: Option<Shown>,
    window: Window,
    /// Changes of the layer shown: when, and to which.
    changes: Vec<(u64, u8)>,
    /// Frames that the last packet made decodable.
    fresh: Vec<(u8, u32)>,
    /// Whether it made its own frame whole.
    whole: bool,
}

/// A frame that could be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub at_ns: u64,
    pub layer: u8,
}

/// What was counted since [`Frames::begin`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The last frame that does not count, plus one; none before the first one that was shown
    /// in time: what was sent before a viewer came is not its loss.
    base: Option<u64>,
    /// The last frame that counts, plus one.
    until: Option<u64>,
    pub decoded: u64,
    /// Decodable, but too late to be shown.
    pub late: u64,
    pub longest_freeze_ns: u64,
}

impl Frames {
    /// Takes a packet that did not come before. Returns whether it made a frame decodable.
    #[inline]
    pub fn take(&mut self, stamp: &Stamp, at_ns: u64) -> bool {
        let number = u64::from(stamp.frame) + 1;
        self.fresh.clear();
        self.whole = false;
        self.newest = self.newest.max(number);
        let layer = usize::from(stamp.layer);
        while self.layers.len() <= layer {
            self.layers.push([Slot::default(); RING]);
        }
        let ring = &mut self.layers[layer];
        let slot = &mut ring[number as usize % RING];
        if slot.frame != number {
            if slot.frame > number {
                return false;
            }
            *slot = Slot {
                frame: number,
                count: stamp.count,
                refers: stamp.refers,
                sent_ns: stamp.sent_ns,
                ..Slot::default()
            };
        }
        slot.got += 1;
        if slot.got < slot.count || slot.complete {
            return false;
        }
        slot.complete = true;
        self.whole = true;
        self.settle(layer, number, at_ns)
    }

    /// Marks `number` decodable if it is, and those after it that waited for it.
    fn settle(&mut self, layer: usize, number: u64, at_ns: u64) -> bool {
        let mut any = false;
        for candidate in number..number + u64::from(MAX_REFERENCE) {
            let ring = &self.layers[layer];
            let slot = ring[candidate as usize % RING];
            if slot.frame != candidate || !slot.complete || slot.decoded {
                if candidate == number {
                    break;
                }
                continue;
            }
            let reference = candidate.saturating_sub(u64::from(slot.refers));
            let base = ring[reference as usize % RING];
            let good = slot.refers == 0 || base.frame == reference && base.decoded;
            if !good {
                if candidate == number {
                    break;
                }
                continue;
            }
            self.layers[layer][candidate as usize % RING].decoded = true;
            any = true;
            self.fresh.push((layer as u8, (candidate - 1) as u32));
            self.show(candidate, slot.sent_ns, Shown { at_ns, layer: layer as u8 });
        }
        any
    }

    fn show(&mut self, number: u64, sent_ns: u64, shown: Shown) {
        if number <= self.shown {
            return;
        }
        self.shown = number;
        self.first.get_or_insert(shown);
        if let Some(last) = self.last {
            let gap = shown.at_ns.saturating_sub(last.at_ns);
            self.window.longest_freeze_ns = self.window.longest_freeze_ns.max(gap);
        }
        if self.last.is_none_or(|last| last.layer != shown.layer) {
            self.changes.push((shown.at_ns, shown.layer));
        }
        self.last = Some(shown);
        let in_time = shown.at_ns.saturating_sub(sent_ns) <= LATEST_NS;
        if in_time && self.window.base.is_none() {
            self.window.base = Some(number - 1);
        }
        let Window { base, until, .. } = self.window;
        if base.is_some_and(|base| number > base) && until.is_none_or(|until| number <= until) {
            match in_time {
                true => self.window.decoded += 1,
                false => self.window.late += 1,
            }
        }
    }

    /// Whether the last packet made its frame whole, and which frames, by layer and number, it
    /// made decodable.
    #[must_use]
    pub fn news(&self) -> (bool, &[(u8, u32)]) {
        (self.whole, &self.fresh)
    }

    /// The first frame that could be shown.
    #[must_use]
    pub fn first(&self) -> Option<Shown> {
        self.first
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<Shown> {
        self.last
    }

    /// When which layer began to be shown.
    #[must_use]
    pub fn changes(&self) -> &[(u64, u8)] {
        &self.changes
    }

    /// Counts from here on.
    pub fn begin(&mut self) {
        let base = self.last.map(|_| self.newest);
        self.window = Window { base, ..Window::default() };
    }

    /// Frames that come from now on don't count; those that are under way still do.
    pub fn end(&mut self) {
        self.window.until = Some(self.newest);
    }

    /// What was counted, and how many frames there were.
    #[must_use]
    pub fn window(&self) -> (Window, u64) {
        let end = self.window.until.unwrap_or(self.newest);
        (self.window, self.window.base.map_or(0, |base| end.saturating_sub(base)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(layer: u8, frame: u32, refers: u8, index: u16, count: u16) -> Stamp {
        Stamp { layer, frame, refers, index, count, ..Stamp::default() }
    }

    fn whole(frames: &mut Frames, layer: u8, frame: u32, refers: u8, at_ms: u64) -> bool {
        frames.take(&packet(layer, frame, refers, 0, 1), at_ms * 1_000_000)
    }

    #[test]
    fn a_frame_counts_when_it_is_whole_and_its_reference_was() {
        let mut frames = Frames::default();
        assert!(!frames.take(&packet(0, 7, 1, 0, 1), 0), "no keyframe yet");
        assert!(!frames.take(&packet(0, 8, 0, 0, 2), 1));
        assert!(frames.take(&packet(0, 8, 0, 1, 2), 2));
        assert_eq!(frames.first(), Some(Shown { at_ns: 2, layer: 0 }));
        assert!(!frames.take(&packet(0, 10, 1, 0, 1), 3), "9 is missing");
        assert!(frames.take(&packet(0, 9, 1, 0, 1), 4), "9, and 10 with it");
        assert!(frames.take(&packet(0, 11, 1, 0, 1), 5));
        assert_eq!(frames.last(), Some(Shown { at_ns: 5, layer: 0 }));
        frames.begin();
        assert!(frames.take(&packet(0, 12, 1, 0, 1), 6));
        assert!(!frames.take(&packet(0, 14, 1, 0, 1), 7));
        let (window, all) = frames.window();
        assert_eq!((window.decoded, all), (1, 3));
        frames.end();
        assert!(frames.take(&packet(0, 13, 1, 0, 1), 8), "13, and 14 with it");
        assert!(frames.take(&packet(0, 15, 1, 0, 1), 9));
        let (window, all) = frames.window();
        assert_eq!((window.decoded, all), (3, 3));
    }

    #[test]
    fn temporal_layers_can_be_left_out() {
        let mut frames = Frames::default();
        whole(&mut frames, 0, 0, 0, 0);
        assert!(whole(&mut frames, 0, 4, 4, 4));
        assert!(whole(&mut frames, 0, 6, 2, 6));
        assert!(!whole(&mut frames, 0, 11, 1, 9), "its reference was left out");
        assert!(whole(&mut frames, 0, 8, 4, 8));
    }

    #[test]
    fn another_layer_begins_with_its_keyframe() {
        let mut frames = Frames::default();
        whole(&mut frames, 2, 0, 0, 0);
        whole(&mut frames, 2, 1, 1, 33);
        assert!(!whole(&mut frames, 0, 2, 1, 66));
        assert!(whole(&mut frames, 0, 3, 0, 600));
        assert!(whole(&mut frames, 0, 4, 1, 633));
        let changes: Vec<_> = frames.changes().iter().map(|(at, l)| (at / 1_000_000, *l)).collect();
        assert_eq!(changes, [(0, 2), (600, 0)]);
        let (window, all) = frames.window();
        assert_eq!((window.decoded, all), (4, 5));
        assert_eq!(window.longest_freeze_ns, 567_000_000);
    }

    #[test]
    fn what_is_decodable_too_late_is_not_shown() {
        let mut frames = Frames::default();
        whole(&mut frames, 0, 0, 0, 10);
        whole(&mut frames, 0, 1, 1, 1500);
        assert_eq!(frames.window().0.decoded, 1);
        assert_eq!(frames.window().0.late, 1);
    }

    #[test]
    fn frames_from_before_a_viewer_came_are_not_missed() {
        let mut frames = Frames::default();
        whole(&mut frames, 0, 100, 0, 5000);
        whole(&mut frames, 0, 101, 1, 5000);
        assert_eq!(frames.first().map(|f| f.at_ns), Some(5_000_000_000), "but shown");
        let stamp = Stamp { sent_ns: 4_990_000_000, ..packet(0, 102, 1, 0, 1) };
        frames.take(&stamp, 5_001_000_000);
        let (window, all) = frames.window();
        assert_eq!((window.decoded, window.late, all), (1, 0, 1));
    }
}
