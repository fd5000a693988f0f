//! The catalogue. One connection writes; readers have connections of their own.

use super::search::{fold, words};
use crate::published::Recording;
use cloudschool_protocol::id::LessonId;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row, Sqlite};
use std::path::Path;
use std::time::Duration;

/// How many can read at once.
const READERS: u32 = 4;

/// How long a connection waits for another's lock, which only a checkpoint holds.
const BUSY: Duration = Duration::from_secs(5);

/// Why the catalogue can't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the library's catalogue failed: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the library's catalogue could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the library's catalogue holds something unreadable: {0}")]
    Content(#[from] serde_json::Error),
}

/// What is asked of the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Words that must all occur.
    pub q: String,
    pub teacher: String,
    pub subject: String,
    /// Recordings of this lesson alone.
    pub lesson: Option<LessonId>,
    pub limit: u32,
    pub offset: u32,
}

/// A page of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    pub total: u64,
    pub subjects: Vec<String>,
    pub teachers: Vec<String>,
    pub items: Vec<Recording>,
}

/// The catalogue's database.
#[derive(Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens `file`, made when it is not there.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be used.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let writer =
            SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        sqlx::migrate!("./migrations").run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        Ok(Self { writer, readers })
    }

    /// Puts a recording in, in place of one with the same id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put(&self, recording: &Recording) -> Result<(), StoreError> {
        let r = recording;
        let search =
            [&r.title, &r.teacher, &r.subject, &r.grade, r.campus.as_str()].map(fold).join("\n");
        sqlx::query(
            "INSERT OR REPLACE INTO recordings \
             (id, lesson, teacher, subject, started_ms, search, document) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&r.id)
        .bind(r.lesson.as_str())
        .bind(&r.teacher)
        .bind(&r.subject)
        .bind(i64::try_from(r.started_ms).unwrap_or(i64::MAX))
        .bind(search)
        .bind(serde_json::to_string(r)?)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// One recording, whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, id: &str) -> Result<Option<Recording>, StoreError> {
        let row = sqlx::query("SELECT document FROM recordings WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.readers)
            .await?;
        let document: Option<String> = row.map(|r| r.try_get(0)).transpose()?;
        Ok(document.map(|d| serde_json::from_str(&d)).transpose()?)
    }

    /// How many recordings there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count(&self) -> Result<u64, StoreError> {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM recordings").fetch_one(&self.readers).await?;
        Ok(count.unsigned_abs())
    }

    /// A page of the recordings that fit, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, query: &Query) -> Result<Found, StoreError> {
        let mut count = QueryBuilder::new("SELECT count(*) FROM recordings");
        narrow(&mut count, query);
        let total: i64 = count.build_query_scalar().fetch_one(&self.readers).await?;

        let mut page = QueryBuilder::new("SELECT document FROM recordings");
        narrow(&mut page, query);
        page.push(" ORDER BY started_ms DESC, id LIMIT ").push_bind(query.limit);
        page.push(" OFFSET ").push_bind(query.offset);
        let documents: Vec<String> = page.build_query_scalar().fetch_all(&self.readers).await?;
        let items = documents.iter().map(|d| serde_json::from_str::<Recording>(d));
        let items = items.map(|r| r.map(Recording::listed)).collect::<Result<_, _>>()?;

        let subjects = self.choices("subject", query).await?;
        let teachers = self.choices("teacher", query).await?;
        Ok(Found { total: total.unsigned_abs(), subjects, teachers, items })
    }

    async fn choices(
        &self,
        column: &'static str,
        query: &Query,
    ) -> Result<Vec<String>, StoreError> {
        let mut b = QueryBuilder::new("SELECT DISTINCT ");
        b.push(column).push(" FROM recordings WHERE ").push(column).push(" <> ''");
        if let Some(lesson) = &query.lesson {
            b.push(" AND lesson = ").push_bind(lesson.as_str().to_owned());
        }
        b.push(" ORDER BY 1 LIMIT 200");
        Ok(b.build_query_scalar().fetch_all(&self.readers).await?)
    }

    /// The connection that writes.
    pub(super) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Those that read.
    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Writes everything out and closes.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn narrow(b: &mut QueryBuilder<Sqlite>, query: &Query) {
    b.push(" WHERE true");
    for word in words(&query.q) {
        b.push(" AND instr(search, ").push_bind(word).push(") > 0");
    }
    for (column, value) in
        [(" AND teacher = ", &query.teacher), (" AND subject = ", &query.subject)]
    {
        if !value.is_empty() {
            b.push(column).push_bind(value.clone());
        }
    }
    if let Some(lesson) = &query.lesson {
        b.push(" AND lesson = ").push_bind(lesson.as_str().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::SchoolId;
    use uuid::Uuid;

    fn recording(n: u128, title: &str, teacher: &str, subject: &str) -> Recording {
        let id = format!("lesson-{n}");
        Recording {
            lesson: LessonId::new(id.clone()).unwrap(),
            session: Uuid::from_u128(n),
            title: title.into(),
            subject: subject.into(),
            grade: "九年级".into(),
            teacher: teacher.into(),
            campus: SchoolId::new("campus").unwrap(),
            schools: vec![],
            started_ms: n as u64,
            ended_ms: n as u64,
            duration_ms: 1000,
            published_ms: 0,
            width: 1,
            height: 1,
            bytes: 1,
            playlist: format!("/media/{id}/index.m3u8"),
            thumbnail: String::new(),
            opus: String::new(),
            members: vec![],
            captions: Vec::new(),
            chapters: Vec::new(),
            shown: None,
            tracks: vec![],
            id,
        }
    }

    async fn catalogue() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("library.sqlite")).await.unwrap();
        for r in [
            recording(1, "二次函数的图像", "李老师", "数学"),
            recording(2, "Unit 3: At the Zoo", "Wang", "英语"),
            recording(3, "一次函数 100%", "李老师", "数学"),
        ] {
            store.put(&r).await.unwrap();
        }
        (dir, store)
    }

    async fn titles(store: &Store, q: &str) -> Vec<String> {
        let query = Query { q: q.into(), limit: 10, ..Query::default() };
        store.find(&query).await.unwrap().items.into_iter().map(|r| r.title).collect()
    }

    #[tokio::test]
    async fn two_chinese_characters_are_found_in_the_middle_of_a_title() {
        let (_dir, store) = catalogue().await;
        assert_eq!(titles(&store, "函数").await, ["一次函数 100%", "二次函数的图像"]);
        assert_eq!(titles(&store, "图像 李老师").await, ["二次函数的图像"]);
        assert_eq!(titles(&store, "ｚｏｏ").await, ["Unit 3: At the Zoo"]);
        assert_eq!(titles(&store, "数学").await.len(), 2);
        assert_eq!(titles(&store, "化学").await.len(), 0);
    }

    #[tokio::test]
    async fn what_sql_or_like_would_misread_is_only_text() {
        let (_dir, store) = catalogue().await;
        assert_eq!(titles(&store, "100%").await.len(), 1);
        assert_eq!(titles(&store, "%").await.len(), 1);
        assert_eq!(titles(&store, "' OR 1=1 --").await.len(), 0);
    }

    #[tokio::test]
    async fn pages_choices_and_the_lesson_of_a_token_narrow_what_is_seen() {
        let (_dir, store) = catalogue().await;
        let page = Query { limit: 2, offset: 2, ..Query::default() };
        let found = store.find(&page).await.unwrap();
        assert_eq!((found.total, found.items.len()), (3, 1));
        assert_eq!(found.subjects, ["数学", "英语"]);
        let by = Query { teacher: "Wang".into(), limit: 9, ..Query::default() };
        assert_eq!(store.find(&by).await.unwrap().total, 1);
        let lesson = Some(LessonId::new("lesson-1").unwrap());
        let own = store.find(&Query { lesson, limit: 9, ..Query::default() }).await.unwrap();
        assert_eq!((own.total, own.teachers.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_recording_published_again_replaces_the_first() {
        let (_dir, store) = catalogue().await;
        let again = Recording { title: "改".into(), ..recording(1, "", "李老师", "数学") };
        store.put(&again).await.unwrap();
        assert_eq!(store.get("lesson-1").await.unwrap().unwrap().title, "改");
        assert_eq!(store.count().await.unwrap(), 3);
    }
}
