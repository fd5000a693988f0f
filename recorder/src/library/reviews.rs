//! Observers' notes and scoring sheets beside recordings, in the catalogue's database. Each
//! observer has a book of their own for each recording; nobody sees another's.

use super::store::{Store, StoreError};
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::lesson::showing::Mark;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use uuid::Uuid;

/// Most notes of one observer beside one recording: as many as a lesson takes of all.
pub const MAX_NOTES: u32 = 500;
/// Longest note, in characters, as in a lesson.
pub const MAX_TEXT: usize = 1000;
/// Most lines of a sheet.
pub const MAX_MARKS: usize = 30;
/// Longest criterion, in characters.
pub const MAX_CRITERION: usize = 60;
/// Most points of a criterion.
pub const MAX_POINTS: u16 = 100;

/// A note as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    pub id: String,
    /// The moment of the lesson it is about, milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub text: String,
}

/// What is written down of a note.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Writing {
    pub at_ms: u64,
    pub text: String,
}

/// What one observer has written beside one recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Book {
    /// In the order of the lesson.
    pub notes: Vec<Noted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<Vec<Mark>>,
}

/// What became of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is there, now or since it first came.
    Yes,
    /// There are [`MAX_NOTES`] already.
    Full,
}

impl Writing {
    /// The text as it is kept; `None` when it is none, or too long.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let text = self.text.trim();
        let fits = !text.is_empty() && text.chars().count() <= MAX_TEXT;
        (fits && i64::try_from(self.at_ms).is_ok()).then_some(text)
    }
}

/// Whether a sheet is one that is taken.
#[must_use]
pub fn is_sheet(sheet: &[Mark]) -> bool {
    let good = |mark: &Mark| {
        let name = mark.criterion.trim();
        !name.is_empty()
            && name.chars().count() <= MAX_CRITERION
            && (1..=MAX_POINTS).contains(&mark.of)
            && mark.points <= mark.of
    };
    !sheet.is_empty() && sheet.len() <= MAX_MARKS && sheet.iter().all(good)
}

impl Store {
    /// What `member` has written beside a recording.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn book(&self, recording: &str, member: &MemberId) -> Result<Book, StoreError> {
        let rows = sqlx::query(
            "SELECT id, at_ms, text FROM notes WHERE recording = ? AND member = ? \
             ORDER BY at_ms, id",
        )
        .bind(recording)
        .bind(member.as_str())
        .fetch_all(self.readers())
        .await?;
        let notes = rows.iter().map(|row| {
            Ok(Noted { id: row.try_get(0)?, at_ms: row.try_get(1)?, text: row.try_get(2)? })
        });
        let notes = notes.collect::<Result<_, sqlx::Error>>()?;
        let sheet: Option<String> =
            sqlx::query_scalar("SELECT sheet FROM sheets WHERE recording = ? AND member = ?")
                .bind(recording)
                .bind(member.as_str())
                .fetch_optional(self.readers())
                .await?;
        let sheet = sheet.map(|text| serde_json::from_str(&text)).transpose()?;
        Ok(Book { notes, sheet })
    }

    /// Keeps a note of `member`'s under `id`, once however often it comes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_note(
        &self,
        recording: &str,
        member: &MemberId,
        id: Uuid,
        (at_ms, text): (u64, &str),
    ) -> Result<Kept, StoreError> {
        // One statement, so that notes that come at once don't pass the bound together.
        let written = sqlx::query(
            "INSERT INTO notes (recording, member, id, at_ms, text) SELECT ?1, ?2, ?3, ?4, ?5 \
             WHERE (SELECT count(*) FROM notes WHERE recording = ?1 AND member = ?2) < ?6 \
             OR EXISTS (SELECT 1 FROM notes WHERE recording = ?1 AND member = ?2 AND id = ?3) \
             ON CONFLICT DO UPDATE SET at_ms = ?4, text = ?5",
        )
        .bind(recording)
        .bind(member.as_str())
        .bind(id.to_string())
        .bind(i64::try_from(at_ms).unwrap_or(i64::MAX))
        .bind(text)
        .bind(MAX_NOTES)
        .execute(self.writer())
        .await?;
        Ok(if written.rows_affected() > 0 { Kept::Yes } else { Kept::Full })
    }

    /// Keeps `member`'s sheet, in place of the one before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_sheet(
        &self,
        recording: &str,
        member: &MemberId,
        sheet: &[Mark],
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO sheets (recording, member, sheet) VALUES (?, ?, ?)")
            .bind(recording)
            .bind(member.as_str())
            .bind(serde_json::to_string(sheet)?)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Takes in what was noted and scored in the lesson itself. What is there already stays as it
    /// is: it may have been changed beside the recording.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is taken in then.
    pub async fn keep_live(&self, recording: &str, lesson: &State) -> Result<(), StoreError> {
        let mut all = self.writer().begin().await?;
        for note in &lesson.notes {
            sqlx::query(
                "INSERT OR IGNORE INTO notes (recording, member, id, at_ms, text) \
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(recording)
            .bind(note.member.as_str())
            .bind(note.id.to_string())
            .bind(i64::try_from(note.at_ms).unwrap_or(i64::MAX))
            .bind(&note.text)
            .execute(&mut *all)
            .await?;
        }
        for (member, sheet) in &lesson.sheets {
            sqlx::query("INSERT OR IGNORE INTO sheets (recording, member, sheet) VALUES (?, ?, ?)")
                .bind(recording)
                .bind(member.as_str())
                .bind(serde_json::to_string(sheet)?)
                .execute(&mut *all)
                .await?;
        }
        Ok(all.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::lesson::showing::Note;

    fn member(id: &str) -> MemberId {
        MemberId::new(id).unwrap()
    }

    fn mark(criterion: &str, points: u16, of: u16) -> Mark {
        Mark { criterion: criterion.into(), points, of }
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("library.sqlite")).await.unwrap();
        (dir, store)
    }

    fn lesson() -> State {
        let info = serde_json::json!({"id": "m", "title": "", "teacher": "", "campus": "campus"});
        State::new(serde_json::from_value(info).unwrap())
    }

    #[tokio::test]
    async fn everybody_has_a_book_of_their_own_for_each_recording() {
        let (_dir, store) = store().await;
        let (chen, wu) = (member("chen"), member("wu"));
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        store.keep_note("r", &chen, ids[0], (2000, "later")).await.unwrap();
        store.keep_note("r", &chen, ids[1], (1000, "first")).await.unwrap();
        store.keep_note("r", &chen, ids[1], (1000, "first")).await.unwrap();
        store.keep_note("r", &wu, ids[0], (1, "another's")).await.unwrap();
        store.keep_sheet("r", &chen, &[mark("aims", 9, 10)]).await.unwrap();
        store.keep_sheet("r", &chen, &[mark("aims", 8, 10)]).await.unwrap();
        let book = store.book("r", &chen).await.unwrap();
        let texts: Vec<_> = book.notes.iter().map(|n| (n.at_ms, n.text.as_str())).collect();
        assert_eq!(texts, [(1000, "first"), (2000, "later")]);
        assert_eq!(book.sheet, Some(vec![mark("aims", 8, 10)]));
        let none = Book { notes: vec![], sheet: None };
        assert_eq!(store.book("other", &chen).await.unwrap(), none);
        assert_eq!(store.book("r", &wu).await.unwrap().notes.len(), 1);
    }

    #[tokio::test]
    async fn what_was_noted_in_the_lesson_comes_along_and_stays_as_it_was_changed() {
        let (_dir, store) = store().await;
        let chen = member("chen");
        let mut lesson = lesson();
        let note =
            Note { id: Uuid::from_u128(7), member: chen.clone(), text: "live".into(), at_ms: 5 };
        lesson.notes.push(note);
        lesson.sheets.insert(chen.clone(), vec![mark("aims", 5, 10)]);
        store.keep_live("r", &lesson).await.unwrap();
        store.keep_sheet("r", &chen, &[mark("aims", 7, 10)]).await.unwrap();
        store.keep_live("r", &lesson).await.unwrap();
        let book = store.book("r", &chen).await.unwrap();
        assert_eq!(book.notes.len(), 1);
        assert_eq!(book.notes[0].text, "live");
        assert_eq!(book.sheet, Some(vec![mark("aims", 7, 10)]));
    }

    #[tokio::test]
    async fn a_book_has_an_end() {
        let (_dir, store) = store().await;
        let chen = member("chen");
        for n in 0..u128::from(MAX_NOTES) {
            let kept = store.keep_note("r", &chen, Uuid::from_u128(n), (1, "x")).await.unwrap();
            assert_eq!(kept, Kept::Yes);
        }
        let (last, more) = (Uuid::from_u128(0), Uuid::from_u128(9999));
        assert_eq!(store.keep_note("r", &chen, more, (1, "x")).await.unwrap(), Kept::Full);
        assert_eq!(store.keep_note("r", &chen, last, (1, "y")).await.unwrap(), Kept::Yes);
        assert_eq!(store.book("r", &chen).await.unwrap().notes.len(), MAX_NOTES as usize);
    }

    #[test]
    fn only_what_fits_is_taken() {
        let text = |text: &str| Writing { at_ms: 1, text: text.into() }.text().map(str::to_owned);
        assert_eq!(text("  好 "), Some("好".into()));
        assert_eq!(text(" \n"), None);
        assert!(text(&"课".repeat(MAX_TEXT)).is_some());
        assert_eq!(text(&"课".repeat(MAX_TEXT + 1)), None);
        assert_eq!(Writing { at_ms: u64::MAX, text: "x".into() }.text(), None);
        assert!(is_sheet(&[mark("aims", 10, 10)]));
        let long = "x".repeat(MAX_CRITERION + 1);
        for bad in
            [mark("", 1, 2), mark("a", 3, 2), mark("a", 0, 0), mark(&long, 1, 2), mark("a", 1, 101)]
        {
            assert!(!is_sheet(std::slice::from_ref(&bad)), "{bad:?}");
        }
        assert!(!is_sheet(&[]));
        assert!(!is_sheet(&vec![mark("a", 1, 2); MAX_MARKS + 1]));
    }
}
