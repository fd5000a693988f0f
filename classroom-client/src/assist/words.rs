//! What a command that listens may say: one JSON object a line.

use super::timeline::Timeline;
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::lesson::quiz::Item;
use cloudschool_protocol::lesson::showing::Draft;
use serde::Deserialize;

/// Longest caption a lesson takes, in characters. Longer ones are posted in parts.
const CAPTION: usize = 300;

/// One line. Times are seconds from the first sample the command was given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Said {
    /// What was said from `start` to `end`.
    Caption {
        text: String,
        start: f64,
        end: f64,
        /// Language tag, where it is another than the program was started with.
        #[serde(default)]
        lang: Option<String>,
    },
    /// A chapter may begin at `at`.
    Chapter { chapter: String, at: f64 },
    /// Questions the teacher may ask.
    Quiz { quiz: Questions },
}

/// A quiz the teacher may open.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Questions {
    #[serde(default)]
    pub title: Option<String>,
    pub items: Vec<Item>,
}

/// A line that is none of these.
#[derive(Debug, thiserror::Error)]
pub enum NotSaid {
    #[error("it is no caption, chapter or quiz: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is about no time of the sound")]
    Time,
}

/// What to ask of the lesson for a line of the command's.
///
/// # Errors
/// [`NotSaid`].
pub fn asked(line: &str, heard: &Timeline, lang: &str) -> Result<Vec<MemberCommand>, NotSaid> {
    let time = |seconds| heard.time_of(seconds).ok_or(NotSaid::Time);
    match serde_json::from_str(line)? {
        Said::Caption { text, start, end, lang: own } => {
            let (start_ms, end_ms) = (time(start)?, time(end)?);
            let lang = own.unwrap_or_else(|| lang.to_owned());
            let words: Vec<char> = text.chars().collect();
            let parts = words.chunks(CAPTION).map(|part| MemberCommand::Caption {
                text: part.iter().collect(),
                start_ms,
                end_ms,
                lang: lang.clone(),
            });
            Ok(parts.collect())
        }
        Said::Chapter { chapter, at } => {
            let proposal = Draft::Chapter { title: chapter, at_ms: time(at)? };
            Ok(vec![MemberCommand::Propose { proposal }])
        }
        Said::Quiz { quiz: Questions { title, items } } => {
            Ok(vec![MemberCommand::Propose { proposal: Draft::Quiz { title, items } }])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(line: &str) -> Result<Vec<MemberCommand>, NotSaid> {
        asked(line, &Timeline::new(10_000), "zh-CN")
    }

    #[test]
    fn a_caption_has_the_times_of_day_of_what_was_said() {
        let asked = asks(r#"{"text": "同学们好", "start": 1.5, "end": 2.25}"#).unwrap();
        let expected = MemberCommand::Caption {
            text: "同学们好".into(),
            start_ms: 11_500,
            end_ms: 12_250,
            lang: "zh-CN".into(),
        };
        assert_eq!(asked, [expected]);
    }

    #[test]
    fn a_long_caption_is_posted_in_parts() {
        let text = "好".repeat(CAPTION + 1);
        let line = serde_json::json!({"text": text, "start": 0, "end": 9, "lang": "en"});
        let asked = asks(&line.to_string()).unwrap();
        let MemberCommand::Caption { text, lang, .. } = &asked[1] else { panic!("{asked:?}") };
        assert_eq!((asked.len(), text.as_str(), lang.as_str()), (2, "好", "en"));
    }

    #[test]
    fn chapters_and_questions_are_proposed() {
        let chapter = asks(r#"{"chapter": "例题", "at": 60}"#).unwrap();
        let proposal = Draft::Chapter { title: "例题".into(), at_ms: 70_000 };
        assert_eq!(chapter, [MemberCommand::Propose { proposal }]);
        let quiz = asks(
            r#"{"quiz": {"items": [{"prompt": "1+1=?", "kind": "number", "correct": {"number": 2}}]}}"#,
        );
        let quiz = quiz.unwrap();
        assert!(
            matches!(&quiz[..], [MemberCommand::Propose { proposal: Draft::Quiz { items, .. } }] if items.len() == 1)
        );
    }

    #[test]
    fn anything_else_is_refused_and_says_why() {
        for line in ["", "hello", "{}", r#"{"text": "x"}"#, r#"[1]"#] {
            assert!(matches!(asks(line), Err(NotSaid::Json(_))), "{line}");
        }
        let before = asks(r#"{"text": "x", "start": -1, "end": 1}"#);
        assert!(matches!(before, Err(NotSaid::Time)));
    }
}
