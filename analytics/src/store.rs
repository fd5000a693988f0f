//! The store: behaviour records in SQLite, each once. What follows from events is written in
//! one transaction with the number of the last event, so a crash leaves neither without the
//! other; a record whose id is there is passed over, so a replay changes nothing.
//!
//! One writer, which is the caller's one task; readers have connections of their own.

use crate::record::{Behaviour, Invalid, Record};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::{LessonInfo, Phase, State};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Row, Sqlite, Transaction};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// How many can read at once. Exports hold a connection only for a page.
const READERS: u32 = 4;

/// How long a connection waits for another's lock: only a checkpoint or another program
/// reading the file holds one.
const BUSY: Duration = Duration::from_secs(5);

/// Why the store can't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the behaviour store failed: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the behaviour store could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the behaviour store holds something unreadable: {0}")]
    Content(#[from] serde_json::Error),
    #[error("a record against the profile was to be written: {0}")]
    Invalid(#[from] Invalid),
}

/// A lesson as far as its log has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LessonRow {
    pub info: LessonInfo,
    /// Id of the log's first event.
    pub log: Uuid,
    pub last_seq: u64,
    pub phase: Phase,
    pub session: Option<Uuid>,
    pub started_ms: Option<u64>,
    pub ended_ms: Option<u64>,
    pub recording: Option<String>,
}

impl LessonRow {
    /// The row of a lesson whose log is `log`.
    #[must_use]
    pub fn of(state: &State, log: Uuid) -> Self {
        Self {
            info: state.info.clone(),
            log,
            last_seq: state.seq,
            phase: state.phase,
            session: state.session,
            started_ms: state.started_ms,
            ended_ms: state.ended_ms,
            recording: state.recording.clone(),
        }
    }
}

/// How much is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub lessons: u64,
    pub records: u64,
}

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens the database at `path`, makes it when it isn't there, and brings it up to date.
    /// What was being said when the process was last killed becomes records.
    ///
    /// # Errors
    /// [`StoreError`] when the file can't be opened or isn't such a database.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // WAL keeps the file whole and loses at most the last transactions when the
            // power fails; the log they came from is read again from there.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY);
        let one = SqlitePoolOptions::new().max_connections(1);
        let writer = one.connect_with(options.clone()).await?;
        sqlx::migrate!("./migrations").run(&writer).await?;
        let readers =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true));
        let store = Self { writer, readers: readers.await? };
        store.recover().await?;
        Ok(store)
    }

    /// Opens it to read alone, beside a process that writes.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such database.
    pub async fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY);
        let readers =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options).await?;
        Ok(Self { writer: readers.clone(), readers })
    }

    /// Writes what followed from the events up to `row.last_seq`. Events already written
    /// change nothing. Gives how many records were new.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was written.
    pub async fn write(&self, row: &LessonRow, records: &[Behaviour]) -> Result<u64, StoreError> {
        let mut connection = self.writer.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        if known(&mut tx, row).await? {
            return Ok(0);
        }
        let new = insert(&mut tx, records).await?;
        upsert(&mut tx, row).await?;
        tx.commit().await?;
        Ok(new)
    }

    /// Writes speech that is over, and takes it off what is under way.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was written.
    pub async fn write_speech(&self, records: &[Behaviour]) -> Result<u64, StoreError> {
        let mut connection = self.writer.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let new = insert(&mut tx, records).await?;
        for record in records {
            sqlx::query("DELETE FROM speaking WHERE id = ?")
                .bind(record.id.to_string())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(new)
    }

    /// Notes what is being said in `lesson` now, in place of what was noted before.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was written.
    pub async fn note_speech(
        &self,
        lesson: &LessonId,
        under_way: &[Behaviour],
    ) -> Result<(), StoreError> {
        let mut connection = self.writer.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM speaking WHERE lesson = ?")
            .bind(lesson.as_str())
            .execute(&mut *tx)
            .await?;
        for record in under_way {
            sqlx::query("INSERT INTO speaking (id, lesson, body) VALUES (?, ?, ?)")
                .bind(record.id.to_string())
                .bind(lesson.as_str())
                .bind(serde_json::to_string(record)?)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn recover(&self) -> Result<(), StoreError> {
        let mut connection = self.writer.acquire().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let rows = sqlx::query("SELECT body FROM speaking ORDER BY id").fetch_all(&mut *tx).await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            records.push(serde_json::from_str::<Behaviour>(row.try_get("body")?)?);
        }
        insert(&mut tx, &records).await?;
        sqlx::query("DELETE FROM speaking").execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The lesson, when it is known.
    ///
    /// # Errors
    /// [`StoreError`] when the database can't be read.
    pub async fn lesson(&self, id: &LessonId) -> Result<Option<LessonRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM lessons WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let session: Option<&str> = row.try_get("session")?;
        Ok(Some(LessonRow {
            info: serde_json::from_str(row.try_get("info")?)?,
            log: uuid(row.try_get("log")?)?,
            last_seq: unsigned(row.try_get("last_seq")?),
            phase: serde_json::from_value(row.try_get::<&str, _>("phase")?.into())?,
            session: session.map(uuid).transpose()?,
            started_ms: row.try_get::<Option<i64>, _>("started_ms")?.map(unsigned),
            ended_ms: row.try_get::<Option<i64>, _>("ended_ms")?.map(unsigned),
            recording: row.try_get("recording")?,
        }))
    }

    /// Up to `limit` records of `lesson` in the order they were written, after the place
    /// `after` (0 is the beginning), and the place of the last of them.
    ///
    /// # Errors
    /// [`StoreError`] when the database can't be read.
    pub async fn records(
        &self,
        lesson: &LessonId,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<Record>, i64), StoreError> {
        let rows = sqlx::query(
            "SELECT rowid, seq, body FROM records WHERE lesson = ? AND rowid > ? \
             ORDER BY rowid LIMIT ?",
        )
        .bind(lesson.as_str())
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let mut last = after;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            last = row.try_get("rowid")?;
            let behaviour = serde_json::from_str(row.try_get("body")?)?;
            records.push(Record { behaviour, seq: unsigned(row.try_get("seq")?) });
        }
        Ok((records, last))
    }

    /// All records of one session, in order.
    ///
    /// # Errors
    /// [`StoreError`] when the database can't be read.
    pub async fn session(&self, session: Uuid) -> Result<Vec<Behaviour>, StoreError> {
        let rows = sqlx::query("SELECT body FROM records WHERE session = ? ORDER BY seq")
            .bind(session.to_string())
            .fetch_all(&self.readers)
            .await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            records.push(serde_json::from_str(row.try_get("body")?)?);
        }
        Ok(records)
    }

    /// What is being said in `lesson` and was noted last.
    ///
    /// # Errors
    /// [`StoreError`] when the database can't be read.
    pub async fn speaking(&self, lesson: &LessonId) -> Result<Vec<Behaviour>, StoreError> {
        let rows = sqlx::query("SELECT body FROM speaking WHERE lesson = ? ORDER BY id")
            .bind(lesson.as_str())
            .fetch_all(&self.readers)
            .await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            records.push(serde_json::from_str(row.try_get("body")?)?);
        }
        Ok(records)
    }

    /// How much is in the store.
    ///
    /// # Errors
    /// [`StoreError`] when the database can't be read.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM lessons) AS lessons, \
             (SELECT COUNT(*) FROM records) AS records",
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(Totals {
            lessons: unsigned(row.try_get("lessons")?),
            records: unsigned(row.try_get("records")?),
        })
    }

    /// Closes it, the write-ahead log folded into the file.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

type Tx<'a> = Transaction<'a, Sqlite>;

/// Whether the events up to `row.last_seq` have been written from the same log.
async fn known(tx: &mut Tx<'_>, row: &LessonRow) -> Result<bool, StoreError> {
    let known = sqlx::query("SELECT 1 FROM lessons WHERE id = ? AND log = ? AND last_seq >= ?")
        .bind(row.info.id.as_str())
        .bind(row.log.to_string())
        .bind(signed(row.last_seq))
        .fetch_optional(&mut **tx)
        .await?;
    Ok(known.is_some())
}

async fn insert(tx: &mut Tx<'_>, records: &[Behaviour]) -> Result<u64, StoreError> {
    let mut new = 0;
    for record in records {
        record.check()?;
        let session = record.session_id.to_string();
        let done = sqlx::query(
            "INSERT INTO records (id, lesson, session, seq, code, start_ms, end_ms, body) \
             SELECT ?1, ?2, ?3, COALESCE(MAX(seq), 0) + 1, ?4, ?5, ?6, ?7 \
             FROM records WHERE session = ?3 ON CONFLICT (id) DO NOTHING",
        )
        .bind(record.id.to_string())
        .bind(record.lesson_id.as_str())
        .bind(session)
        .bind(record.code.as_str())
        .bind(signed(record.start.0))
        .bind(record.end.map(|end| signed(end.0)))
        .bind(serde_json::to_string(record)?)
        .execute(&mut **tx)
        .await?;
        new += done.rows_affected();
    }
    Ok(new)
}

async fn upsert(tx: &mut Tx<'_>, row: &LessonRow) -> Result<(), StoreError> {
    let phase = serde_json::to_value(row.phase)?;
    sqlx::query(
        "INSERT INTO lessons \
         (id, log, last_seq, phase, session, started_ms, ended_ms, recording, info) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET \
         log = excluded.log, last_seq = excluded.last_seq, phase = excluded.phase, \
         session = excluded.session, started_ms = excluded.started_ms, \
         ended_ms = excluded.ended_ms, recording = excluded.recording, info = excluded.info",
    )
    .bind(row.info.id.as_str())
    .bind(row.log.to_string())
    .bind(signed(row.last_seq))
    .bind(phase.as_str().unwrap_or_default().to_owned())
    .bind(row.session.map(|s| s.to_string()))
    .bind(row.started_ms.map(signed))
    .bind(row.ended_ms.map(signed))
    .bind(row.recording.clone())
    .bind(serde_json::to_string(&row.info)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn uuid(text: &str) -> Result<Uuid, StoreError> {
    Ok(serde_json::from_value(text.into())?)
}

/// SQLite's integers are signed; ours are numbers and times far below 2⁶³.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::Derivation;
    use crate::derive::script::{derivation, info, lesson};
    use cloudschool_protocol::event::Event;
    use proptest::prelude::*;

    async fn read(store: &Store, derivation: &mut Derivation, events: &[Event]) -> u64 {
        let mut new = 0;
        for event in events {
            let records = derivation.apply(event).unwrap();
            let row = LessonRow::of(derivation.state(), derivation.log().unwrap());
            new += store.write(&row, &records).await.unwrap();
        }
        new
    }

    async fn table(store: &Store) -> Vec<Record> {
        store.records(&info().id, 0, 1000).await.unwrap().0
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_lesson_comes_back_as_it_was_written_and_numbered_without_gaps() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("b.sqlite")).await.unwrap();
            let mut d = derivation();
            let new = read(&store, &mut d, &lesson()).await;
            let records = table(&store).await;
            assert_eq!(new, 14);
            let numbers: Vec<_> = records.iter().map(|r| r.seq).collect();
            assert_eq!(numbers, (1..=14).collect::<Vec<_>>());
            let row = store.lesson(&info().id).await.unwrap().unwrap();
            assert_eq!(row, LessonRow::of(d.state(), d.log().unwrap()));
            assert_eq!(row.last_seq, 21);
            assert_eq!(store.totals().await.unwrap(), Totals { lessons: 1, records: 14 });
            let (two, place) = store.records(&info().id, 0, 2).await.unwrap();
            let (rest, _) = store.records(&info().id, place, 1000).await.unwrap();
            assert_eq!([two, rest].concat(), records);
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn a_process_killed_anywhere_and_started_again_leaves_every_record_once(
            kills in prop::collection::vec(0usize..=21, 0..3),
        ) {
            runtime().block_on(async {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("b.sqlite");
                for &kill in &kills {
                    let store = Store::open(&path).await.unwrap();
                    read(&store, &mut derivation(), &lesson()[..kill]).await;
                    store.close().await;
                }
                let store = Store::open(&path).await.unwrap();
                read(&store, &mut derivation(), &lesson()).await;
                let undisturbed = Store::open(&dir.path().join("u.sqlite")).await.unwrap();
                read(&undisturbed, &mut derivation(), &lesson()).await;
                assert_eq!(table(&store).await, table(&undisturbed).await);
            });
        }
    }

    #[test]
    fn a_lesson_whose_log_begins_anew_is_written_anew() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("b.sqlite")).await.unwrap();
            read(&store, &mut derivation(), &lesson()).await;
            let again: Vec<_> =
                lesson().into_iter().map(|e| Event { id: uuid::Uuid::now_v7(), ..e }).collect();
            assert_eq!(read(&store, &mut derivation(), &again).await, 14);
            assert_eq!(table(&store).await.len(), 28);
        });
    }

    #[test]
    fn speech_under_way_when_the_process_was_killed_is_kept_as_far_as_noted() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("b.sqlite");
            let mut d = derivation();
            let store = Store::open(&path).await.unwrap();
            read(&store, &mut d, &lesson()[..10]).await;
            let said = |end_ms| {
                let start_ms = crate::derive::script::START + 6000;
                let said = crate::speech::Utterance { start_ms, end_ms, voiced_ms: 900 };
                d.speech(&crate::derive::script::id("li"), &said, None, 0.5).unwrap()
            };
            let end = crate::derive::script::START + 7000;
            store.note_speech(&info().id, &[said(end)]).await.unwrap();
            store.note_speech(&info().id, &[said(end + 500)]).await.unwrap();
            assert_eq!(store.speaking(&info().id).await.unwrap().len(), 1);
            store.close().await;
            let store = Store::open(&path).await.unwrap();
            let kept = table(&store).await;
            let kept = kept.last().unwrap();
            assert_eq!(kept.behaviour, said(end + 500));
            assert!(store.speaking(&info().id).await.unwrap().is_empty());
            assert_eq!(store.write_speech(&[said(end + 9000)]).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_record_against_the_profile_is_not_written_nor_its_event() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("b.sqlite")).await.unwrap();
            let mut d = derivation();
            d.apply(&lesson()[0]).unwrap();
            let row = LessonRow::of(d.state(), d.log().unwrap());
            let bad = Behaviour { session_id: Uuid::nil(), ..crate::record::example::hand() };
            let good = crate::record::example::hand();
            let err = store.write(&row, &[good, bad]).await.unwrap_err();
            assert!(matches!(err, StoreError::Invalid(Invalid::Session)));
            assert_eq!(store.totals().await.unwrap(), Totals { lessons: 0, records: 0 });
        });
    }
}
