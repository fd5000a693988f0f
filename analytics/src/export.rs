//! Handing records out: a lesson's records as NDJSON or as an array of xAPI statements, page by
//! page, so that a long lesson takes no more memory than a short one.

use crate::codes::Profile;
use crate::record::Record;
use crate::store::{LessonRow, Store, StoreError};
use crate::xapi::Statements;
use bytes::Bytes;
use cloudschool_protocol::lesson::LessonInfo;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use std::str::FromStr;
use std::sync::Arc;

/// Records read at a time: some 300 kB of text.
const PAGE: u32 = 500;

/// How records are written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One record a line.
    #[default]
    Ndjson,
    /// One array of xAPI statements.
    Xapi,
}

/// The text names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a format is ndjson or xapi")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(s: &str) -> Result<Self, UnknownFormat> {
        match s {
            "ndjson" => Ok(Self::Ndjson),
            "xapi" => Ok(Self::Xapi),
            _ => Err(UnknownFormat),
        }
    }
}

impl Format {
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Xapi => "application/json",
        }
    }
}

/// What exports are made with.
#[derive(Clone)]
pub struct Exporter {
    pub store: Store,
    pub profile: Arc<Profile>,
    /// What xAPI ids are under.
    pub base: Arc<str>,
}

/// Where an export is.
enum Place {
    After(i64),
    Closed,
}

impl Exporter {
    /// All records of the lesson in `format`, in portions.
    pub fn stream(
        &self,
        lesson: LessonRow,
        format: Format,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static {
        let this = self.clone();
        let step = move |place: Place| {
            let (this, info) = (this.clone(), lesson.info.clone());
            async move {
                let Place::After(after) = place else { return Ok(None) };
                let (records, last) = this.store.records(&info.id, after, PAGE).await?;
                let more = records.len() == PAGE as usize;
                let text = this.portion(&info, records, format, after == 0, !more)?;
                let next = if more { Place::After(last) } else { Place::Closed };
                Ok(Some((Bytes::from(text), next)))
            }
        };
        try_unfold(Place::After(0), step)
    }

    fn portion(
        &self,
        lesson: &LessonInfo,
        records: Vec<Record>,
        format: Format,
        first: bool,
        last: bool,
    ) -> Result<String, StoreError> {
        let statements = Statements { profile: &self.profile, lesson, base: &self.base };
        let mut text = String::new();
        if format == Format::Xapi && first {
            text.push('[');
        }
        let mut begun = !first;
        for record in records {
            let exported = self.profile.exported(record);
            match format {
                Format::Ndjson => {
                    text.push_str(&serde_json::to_string(&exported)?);
                    text.push('\n');
                }
                Format::Xapi => {
                    for statement in statements.of(&exported) {
                        text.push_str(if begun { ",\n" } else { "\n" });
                        text.push_str(&statement.to_string());
                        begun = true;
                    }
                }
            }
        }
        if format == Format::Xapi && last {
            text.push_str("\n]\n");
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{computed_id, example};
    use crate::store::LessonRow;
    use cloudschool_protocol::lesson::Phase;
    use futures_util::TryStreamExt;
    use serde_json::Value;

    #[tokio::test]
    async fn an_export_longer_than_a_page_is_whole_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("b.sqlite")).await.unwrap();
        let hand = example::hand();
        let many: Vec<_> = (0..1203)
            .map(|n: u64| crate::record::Behaviour {
                id: computed_id(n, &["many"]),
                ..hand.clone()
            })
            .collect();
        let info = LessonInfo { id: hand.lesson_id, ..crate::derive::script::info() };
        let row = LessonRow {
            info,
            log: uuid::Uuid::from_u128(1),
            last_seq: 9,
            phase: Phase::Live,
            session: Some(hand.session_id),
            started_ms: Some(0),
            ended_ms: None,
            recording: None,
        };
        store.write(&row, &many).await.unwrap();
        let profile = Arc::new(Profile::load(None).unwrap());
        let exporter = Exporter { store, profile, base: "http://a".into() };
        let text = |format| {
            let stream = exporter.stream(row.clone(), format);
            async move {
                let parts: Vec<Bytes> = stream.try_collect().await.unwrap();
                String::from_utf8(parts.concat()).unwrap()
            }
        };
        let lines = text(Format::Ndjson).await;
        let numbers: Vec<_> = lines
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, (1..=1203).collect::<Vec<_>>());
        let statements: Vec<Value> = serde_json::from_str(&text(Format::Xapi).await).unwrap();
        assert_eq!(statements.len(), 1203);
        assert_eq!(statements[1202]["id"], many[1202].id.to_string());
    }

    #[tokio::test]
    async fn an_empty_lesson_is_an_empty_list() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("b.sqlite")).await.unwrap();
        let profile = Arc::new(Profile::load(None).unwrap());
        let exporter = Exporter { store, profile, base: "http://a".into() };
        let info = crate::derive::script::info();
        let d = crate::derive::script::derivation();
        let row = LessonRow { info, ..LessonRow::of(d.state(), uuid::Uuid::nil()) };
        let xapi: Vec<Bytes> = exporter.stream(row, Format::Xapi).try_collect().await.unwrap();
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&xapi.concat()).unwrap(), [] as [Value; 0]);
    }
}
