//! How much a member has drawn since that was last said: the lesson's log has how long somebody
//! wrote on the board and how much, never what, and not every stroke.

use cloudschool_protocol::board::DRAWN_EVERY_MS;

/// Changes of one writer that are to be said.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    strokes: u32,
    from_ms: u64,
}

impl Drawn {
    /// One more, made at `now_ms`, milliseconds since the Unix epoch.
    pub fn wrote(&mut self, now_ms: u64) {
        if self.strokes == 0 {
            self.from_ms = now_ms;
        }
        self.strokes = self.strokes.saturating_add(1);
    }

    /// When it is to be said.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        (self.strokes > 0).then(|| self.from_ms.saturating_add(DRAWN_EVERY_MS))
    }

    /// What there is to say, how many and since when; it is said then.
    pub fn take(&mut self) -> Option<(u32, u64)> {
        let Self { strokes, from_ms } = std::mem::take(self);
        (strokes > 0).then_some((strokes, from_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_told_of_once_in_ten_seconds_with_all_it_drew() {
        let mut drawn = Drawn::default();
        let mut said = Vec::new();
        // A stroke each half second for a minute.
        for ms in (0..60_000).step_by(500) {
            while let Some(due) = drawn.due_ms().filter(|due| *due <= ms) {
                said.push((due, drawn.take().unwrap()));
            }
            drawn.wrote(ms);
        }
        assert_eq!(said.len(), 5);
        assert!(said.iter().all(|(due, (_, from))| due - from == DRAWN_EVERY_MS));
        let strokes: u32 = said.iter().map(|(_, (strokes, _))| strokes).sum();
        assert_eq!(strokes + drawn.take().unwrap().0, 120, "none is lost, none counted twice");
        assert_eq!((drawn.take(), drawn.due_ms()), (None, None));
    }
}
