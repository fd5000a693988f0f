//! Where the processes of an installation are reached, and the tokens and lessons to use
//! them with.

use super::{CAMPUS, Installation, Ports, SCHOOL, StackError};
use crate::tokens::Tokens;
use cloudschool_protocol::id::{LessonId, SchoolId};
use cloudschool_protocol::lesson::LessonInfo;
use cloudschool_protocol::member::Role;
use reqwest::Url;
use std::time::{SystemTime, UNIX_EPOCH};

/// A running installation, as someone who uses it sees it.
pub struct Site {
    pub(super) installation: Installation,
    pub(super) ports: Ports,
    pub(super) tokens: Tokens,
    pub(super) http: reqwest::Client,
}

/// A lesson to open.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// What its id begins with; the time follows.
    pub id: &'a str,
    pub title: &'a str,
    pub subject: &'a str,
    pub grade: &'a str,
    pub teacher: &'a str,
}

impl Site {
    /// Address of a process: `campus`, `school`, `recorder` or `analytics`.
    #[must_use]
    pub fn url(&self, process: &str) -> Url {
        let address = self.ports.http(process);
        Url::parse(&format!("http://{address}/")).unwrap_or_else(|_| unreachable!("an address"))
    }

    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// An operator's token, good for every lesson.
    ///
    /// # Errors
    /// [`StackError::Issuer`].
    pub fn operator(&self) -> Result<String, StackError> {
        let signed = self.tokens.sign("operator", "运维", Role::Operator, CAMPUS, None);
        signed.map_err(StackError::Issuer)
    }

    /// Opens a new lesson to which the school is invited.
    ///
    /// # Errors
    /// [`StackError::NoLesson`] with the campus node's own words.
    pub async fn open_lesson(&self, lesson: Lesson<'_>) -> Result<LessonId, StackError> {
        let failed = |reason: String| StackError::NoLesson(reason);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = LessonId::new(format!("{}-{}", lesson.id, now.as_secs()))
            .map_err(|e| failed(e.to_string()))?;
        let school = |name: &str| SchoolId::new(name).map_err(|e| failed(e.to_string()));
        let info = LessonInfo {
            id: id.clone(),
            title: lesson.title.into(),
            subject: lesson.subject.into(),
            grade: lesson.grade.into(),
            teacher: lesson.teacher.into(),
            campus: school(CAMPUS)?,
            schools: vec![school(SCHOOL)?],
            planned_start_ms: None,
            planned_minutes: Some(40),
        };
        let url = self.url("campus").join("api/lessons").map_err(|e| failed(e.to_string()))?;
        let request = self.http.post(url).bearer_auth(self.operator()?).json(&info);
        let response = request.send().await.map_err(|e| failed(e.to_string()))?;
        let status = response.status();
        if !status.is_success() {
            let body = response.text().await.unwrap_or_default();
            return Err(failed(format!("{status}: {body}")));
        }
        Ok(id)
    }
}
