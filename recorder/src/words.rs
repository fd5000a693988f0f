//! What goes with a recording in words: the lines of its captions and its chapters, as the
//! lesson's events bring them, and as WebVTT (W3C) beside the published media.

use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::lesson::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Most lines of captions kept of a lesson: one a second for three hours, in two languages.
const MAX_LINES: usize = 21_600;
/// Most chapters kept.
const MAX_CHAPTERS: usize = 1_000;
/// Most languages of captions; lines in others are left out.
const MAX_LANGUAGES: usize = 8;
/// A page that was shown for less is one on the way to another.
const SHORTEST_PAGE_MS: u64 = 3_000;

/// One line of captions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Milliseconds since the Unix epoch.
    pub start_ms: u64,
    pub end_ms: u64,
    /// Language tag (BCP 47).
    pub lang: String,
    pub text: String,
}

/// Where something new begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beginning {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub title: String,
    /// It is a page of slides, not a chapter that somebody marked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub page: bool,
}

/// Captions and chapters of a run of a lesson.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Words {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beginnings: Vec<Beginning>,
}

/// A chapter as the library tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chapter {
    /// Milliseconds of the recording.
    pub start_ms: u64,
    pub title: String,
}

impl Words {
    /// Takes in what an event says. `state` is the lesson after it.
    pub fn hear(&mut self, event: &Event, state: &State) {
        match &event.body {
            EventBody::LessonStarted { .. } => {
                *self = Self::default();
                // Slides that were open before are on the first screen of the recording.
                self.show_page(event.at_ms, state);
            }
            EventBody::CaptionPosted { text, start_ms, end_ms, lang, .. }
                if self.lines.len() < MAX_LINES && tag(lang) =>
            {
                let (text, lang) = (text.clone(), lang.clone());
                self.lines.push(Line { start_ms: *start_ms, end_ms: *end_ms, lang, text });
            }
            EventBody::ChapterMarked { title, from_ms, .. } => self.begin(*from_ms, title, false),
            EventBody::SlidesOpened { .. } | EventBody::SlidesTurned { .. } => {
                self.show_page(event.at_ms, state);
            }
            _ => {}
        }
    }

    fn show_page(&mut self, at_ms: u64, state: &State) {
        let Some(slides) = &state.slides else { return };
        let page = usize::from(slides.page).checked_sub(1).and_then(|at| slides.deck.pages.get(at));
        let title = page.and_then(|page| page.title.as_deref()).map(str::trim);
        let title = match title.filter(|title| !title.is_empty()) {
            Some(title) => title.to_owned(),
            None => format!("{} · {}", slides.deck.title, slides.page),
        };
        // The page before was only passed over.
        let passed = |b: &Beginning| b.page && at_ms.saturating_sub(b.at_ms) < SHORTEST_PAGE_MS;
        if self.beginnings.last().is_some_and(passed) {
            self.beginnings.pop();
        }
        self.begin(at_ms, &title, true);
    }

    fn begin(&mut self, at_ms: u64, title: &str, page: bool) {
        if self.beginnings.len() < MAX_CHAPTERS {
            self.beginnings.push(Beginning { at_ms, title: title.to_owned(), page });
        }
    }

    /// The chapters of a recording that began at `started_ms` and lasts `duration_ms`, in order.
    #[must_use]
    pub fn chapters(&self, started_ms: u64, duration_ms: u64) -> Vec<Chapter> {
        let mut all: Vec<&Beginning> = self.beginnings.iter().collect();
        all.sort_by_key(|b| b.at_ms);
        let chapter = |b: &&Beginning| Chapter {
            start_ms: b.at_ms.saturating_sub(started_ms),
            title: b.title.clone(),
        };
        let mut chapters: Vec<Chapter> = all.iter().map(chapter).collect();
        chapters.retain(|chapter| chapter.start_ms < duration_ms);
        // Of two that begin together the later said is meant.
        chapters.dedup_by(|later, earlier| {
            let same = later.start_ms == earlier.start_ms;
            if same {
                earlier.title.clone_from(&later.title);
            }
            same
        });
        chapters
    }

    /// The captions in each language as WebVTT, by language tag.
    #[must_use]
    pub fn captions(&self, started_ms: u64, duration_ms: u64) -> BTreeMap<String, String> {
        let mut by_lang: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
        for line in &self.lines {
            if by_lang.len() < MAX_LANGUAGES || by_lang.contains_key(line.lang.as_str()) {
                by_lang.entry(&line.lang).or_default().push(line);
            }
        }
        let written = by_lang.into_iter().filter_map(|(lang, mut lines)| {
            lines.sort_by_key(|line| (line.start_ms, line.end_ms));
            let cues = lines.into_iter().filter_map(|line| {
                let start = line.start_ms.saturating_sub(started_ms);
                let end = line.end_ms.saturating_sub(started_ms).min(duration_ms);
                (start < end).then_some((start, end, line.text.as_str()))
            });
            let text = vtt(cues)?;
            Some((lang.to_owned(), text))
        });
        written.collect()
    }

    /// The chapters as WebVTT; `None` where there are none.
    #[must_use]
    pub fn chapter_track(&self, started_ms: u64, duration_ms: u64) -> Option<String> {
        let chapters = self.chapters(started_ms, duration_ms);
        let ends = chapters.iter().skip(1).map(|c| c.start_ms).chain([duration_ms]);
        vtt(chapters.iter().zip(ends).map(|(c, end)| (c.start_ms, end, c.title.as_str())))
    }
}

/// Whether `lang` may be a part of a file's name: letters, digits and hyphens, as tags have.
#[must_use]
pub fn tag(lang: &str) -> bool {
    (2..=35).contains(&lang.len())
        && lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !lang.starts_with('-')
}

fn vtt<'a>(cues: impl Iterator<Item = (u64, u64, &'a str)>) -> Option<String> {
    let mut out = "WEBVTT\n".to_owned();
    let empty = out.len();
    for (start, end, text) in cues {
        // A line that is empty ends a cue, and an arrow begins one: neither may be in its text.
        let text = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
        let text = text.collect::<Vec<_>>().join("\n");
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        if text.is_empty() {
            continue;
        }
        // Writing to a string can't fail.
        let _written = write!(out, "\n{} --> {}\n{text}\n", stamp(start), stamp(end));
    }
    (out.len() > empty).then_some(out)
}

fn stamp(ms: u64) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::MemberId;
    use cloudschool_protocol::lesson::LessonInfo;
    use uuid::Uuid;

    const START: u64 = 1_790_000_000_000;
    const MINUTE: u64 = 60_000;

    fn state() -> State {
        let info: LessonInfo = serde_json::from_value(serde_json::json!({
            "id": "m", "title": "分数", "teacher": "李", "campus": "campus",
        }))
        .unwrap();
        State::new(info)
    }

    fn by() -> MemberId {
        MemberId::new("zhao").unwrap()
    }

    fn event(at_ms: u64, body: EventBody) -> Event {
        Event::new(1, Uuid::nil(), at_ms, body)
    }

    fn caption(start: u64, end: u64, lang: &str, text: &str) -> Event {
        let (text, lang) = (text.to_owned(), lang.to_owned());
        let (start_ms, end_ms) = (START + start, START + end);
        event(end_ms, EventBody::CaptionPosted { member: by(), text, start_ms, end_ms, lang })
    }

    #[test]
    fn captions_become_a_file_a_language_on_the_recordings_time() {
        let mut words = Words::default();
        let state = state();
        words.hear(&caption(4_000, 6_500, "zh-CN", "后说的"), &state);
        words.hear(&caption(1_000, 2_500, "zh-CN", "a < b & c\n\n00:01 --> 00:02"), &state);
        words.hear(&caption(3_600_000, 3_601_000, "en", "late"), &state);
        words.hear(&caption(1_000, 2_000, "../zh", "no such language"), &state);
        words.hear(&caption(2_000, 2_000, "zh-CN", "no time"), &state);
        let files = words.captions(START, 3_600_500);
        assert_eq!(
            files["zh-CN"],
            "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\na &lt; b &amp; c\n00:01 --&gt; 00:02\n\
             \n00:00:04.000 --> 00:00:06.500\n后说的\n"
        );
        assert_eq!(files["en"], "WEBVTT\n\n01:00:00.000 --> 01:00:00.500\nlate\n");
        assert_eq!(files.len(), 2);
        assert!(words.captions(START, 500).is_empty());
    }

    #[test]
    fn chapters_follow_what_was_marked_and_the_pages_that_were_shown() {
        let mut words = Words::default();
        let mut now = state();
        let deck = serde_json::json!({
            "id": "d", "title": "课件", "pages": (0..4).map(|n| {
                let mut page = serde_json::json!({"asset": "0".repeat(64), "width": 1920, "height": 1080});
                if n == 0 { page["title"] = "分数的意义".into(); }
                page
            }).collect::<Vec<_>>(),
        });
        let show = |words: &mut Words, now: &mut State, at: u64, page: u16| {
            let slides = serde_json::json!({"deck": deck, "page": page});
            now.slides = serde_json::from_value(slides).unwrap();
            let deck = now.slides.as_ref().unwrap().deck.id.clone();
            words.hear(&event(START + at, EventBody::SlidesTurned { deck, page, by: by() }), now);
        };
        show(&mut words, &mut now, 10_000, 1);
        show(&mut words, &mut now, MINUTE, 2);
        show(&mut words, &mut now, MINUTE + 1_000, 3);
        let marked = |at: u64, title: &str| {
            let (title, from_ms) = (title.to_owned(), START + at);
            event(START + 9 * MINUTE, EventBody::ChapterMarked { title, from_ms, by: by() })
        };
        words.hear(&marked(30_000, "导入"), &now);
        words.hear(&marked(20 * MINUTE, "over"), &now);
        let chapters = words.chapters(START, 10 * MINUTE);
        let told: Vec<_> = chapters.iter().map(|c| (c.start_ms, c.title.as_str())).collect();
        assert_eq!(told, [(10_000, "分数的意义"), (30_000, "导入"), (MINUTE + 1_000, "课件 · 3")]);
        let track = words.chapter_track(START, 10 * MINUTE).unwrap();
        assert!(track.ends_with("00:01:01.000 --> 00:10:00.000\n课件 · 3\n"), "{track}");
        assert_eq!(Words::default().chapter_track(START, 1), None);
    }

    #[test]
    fn another_run_begins_without_the_words_of_the_one_before() {
        let mut words = Words::default();
        let state = state();
        words.hear(&caption(0, 1, "zh-CN", "旧"), &state);
        let started = EventBody::LessonStarted { by: by(), session: Uuid::nil() };
        words.hear(&event(START, started), &state);
        assert_eq!(words, Words::default());
    }
}
