//! Where the processes of an installation are reached, and the tokens and lessons to use
//! them with.

use super::{CAMPUS, Installation, LOOK_AGAIN, Ports, SCHOOL, StackError};
use crate::tokens::Tokens;
use cloudschool_protocol::id::{LessonId, SchoolId};
use cloudschool_protocol::lesson::{LessonInfo, Phase};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::trunk::LessonLine;
use reqwest::Url;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the school's node may take to hear of a lesson.
const KNOWN_WITHIN: Duration = Duration::from_secs(15);

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

    /// Where the campus is dialled, over UDP.
    #[must_use]
    pub fn trunk(&self) -> SocketAddr {
        self.ports.trunk()
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

    /// Opens a new lesson to which the school is invited, and waits until the school's node
    /// has it open too.
    ///
    /// # Errors
    /// [`StackError::NoLesson`] with the node's own words.
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
            school_names: Default::default(),
            planned_start_ms: None,
            planned_minutes: Some(40),
            code: None,
        };
        let operator = self.operator()?;
        let lessons = |node| self.url(node).join("api/lessons").map_err(|e| failed(e.to_string()));
        let request = self.http.post(lessons("campus")?).bearer_auth(&operator).json(&info);
        answer(request).await.map_err(failed)?;
        let known = async {
            loop {
                let request = self.http.get(lessons("school")?).bearer_auth(&operator);
                let list = answer(request).await.map_err(failed)?;
                let list: Lessons =
                    serde_json::from_str(&list).map_err(|e| failed(e.to_string()))?;
                if list.lessons.iter().any(|l| l.info.id == id && l.phase == Phase::Open) {
                    return Ok::<(), StackError>(());
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let unknown = |_| failed("the school's node does not get to know of it".into());
        tokio::time::timeout(KNOWN_WITHIN, known).await.map_err(unknown)??;
        Ok(id)
    }
}

#[derive(Deserialize)]
struct Lessons {
    lessons: Vec<LessonLine>,
}

/// The body of the answer, or why there is none.
async fn answer(request: reqwest::RequestBuilder) -> Result<String, String> {
    let response = request.send().await.map_err(|e| e.to_string())?;
    let status = response.status();
    let body = response.text().await.map_err(|e| e.to_string())?;
    if status.is_success() { Ok(body) } else { Err(format!("{status}: {body}")) }
}
