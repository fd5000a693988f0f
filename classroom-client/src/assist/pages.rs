//! Chapters from turned pages: a page of slides that stays is the beginning of something, one
//! that is leafed over is not.

use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::lesson::showing::Draft;
use cloudschool_protocol::slides::Slides;
use std::collections::BTreeSet;

/// Longest title of a chapter a lesson takes, in characters.
const TITLE: usize = 80;

/// Pages that were shown, and the one that is.
#[derive(Debug)]
pub struct Pages {
    /// How long a page stays before it is a chapter, milliseconds.
    stays_ms: u64,
    /// Decks' pages that were proposed: each once.
    proposed: BTreeSet<(String, u16)>,
    /// The page that is shown and was not, and since when.
    shown: Option<(Slides, u64)>,
}

impl Pages {
    #[must_use]
    pub fn new(stays_ms: u64) -> Self {
        Self { stays_ms, proposed: BTreeSet::new(), shown: None }
    }

    /// The lesson shows this since `at_ms`, milliseconds since the Unix epoch.
    pub fn see(&mut self, state: &State, at_ms: u64) {
        let now = state.slides.as_ref();
        let same = |(shown, _): &(Slides, u64)| {
            now.is_some_and(|s| s.deck.id == shown.deck.id && s.page == shown.page)
        };
        if !self.shown.as_ref().is_some_and(same) {
            self.shown = now.map(|slides| (slides.clone(), at_ms));
        }
    }

    /// When to look again.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let (shown, since_ms) = self.shown.as_ref()?;
        let new = !self.proposed.contains(&key(shown));
        new.then(|| since_ms.saturating_add(self.stays_ms))
    }

    /// The chapter to propose, if the page that is shown is one by now.
    pub fn chapter(&mut self, now_ms: u64, lang: &str) -> Option<MemberCommand> {
        self.due_ms().filter(|due| *due <= now_ms)?;
        let (shown, at_ms) = self.shown.as_ref()?;
        self.proposed.insert(key(shown));
        let page = usize::from(shown.page).checked_sub(1);
        let named = page.and_then(|n| shown.deck.pages.get(n)).and_then(|p| p.title.clone());
        let title = named.filter(|t| !t.trim().is_empty()).unwrap_or_else(|| {
            if lang.starts_with("zh") {
                format!("第 {} 页", shown.page)
            } else {
                format!("Page {}", shown.page)
            }
        });
        let title = title.chars().take(TITLE).collect();
        Some(MemberCommand::Propose { proposal: Draft::Chapter { title, at_ms: *at_ms } })
    }
}

fn key(shown: &Slides) -> (String, u16) {
    (shown.deck.id.to_string(), shown.page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn showing(page: Option<u16>) -> State {
        let info = json!({"id": "math", "title": "t", "teacher": "li", "campus": "campus"});
        let mut state = json!({"info": info, "phase": "live", "seq": 1, "members": {}, "hands": [],
            "stage": [], "muted": [], "tracks": {}});
        if let Some(page) = page {
            let asset = "0".repeat(64);
            let named = json!({"asset": asset, "width": 16, "height": 9, "title": "例题"});
            let plain = json!({"asset": asset, "width": 16, "height": 9});
            let deck = json!({"id": "d", "title": "分数", "pages": [named, plain, plain]});
            state["slides"] = json!({"deck": deck, "page": page});
        }
        serde_json::from_value(state).unwrap()
    }

    fn title(command: Option<MemberCommand>) -> Option<(String, u64)> {
        match command? {
            MemberCommand::Propose { proposal: Draft::Chapter { title, at_ms } } => {
                Some((title, at_ms))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_that_stays_is_proposed_once_from_the_time_it_was_turned_to() {
        let mut pages = Pages::new(10_000);
        pages.see(&showing(Some(1)), 1_000);
        pages.see(&showing(Some(1)), 3_000);
        assert_eq!(title(pages.chapter(10_999, "zh-CN")), None);
        assert_eq!(title(pages.chapter(11_000, "zh-CN")), Some(("例题".into(), 1_000)));
        // Leafed over two, and back.
        pages.see(&showing(Some(2)), 12_000);
        pages.see(&showing(Some(3)), 13_000);
        assert_eq!(pages.due_ms(), Some(23_000));
        assert_eq!(title(pages.chapter(23_000, "en")), Some(("Page 3".into(), 13_000)));
        pages.see(&showing(Some(1)), 24_000);
        assert_eq!(pages.due_ms(), None, "it is a chapter already");
        pages.see(&showing(None), 25_000);
        assert_eq!(title(pages.chapter(99_000, "en")), None);
    }
}
