//! What handlers share, and the lesson named in a request's path.

use super::ice_servers::IceServers;
use super::join::Door;
use super::socket::Seats;
use crate::config::{Config, InvalidConfig, LimitsSection};
use crate::lesson::LessonHandle;
use crate::node::Node;
use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::request::Parts;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::token::Claims;
use cloudschool_service::auth::{Auth, admit};
use cloudschool_service::problem::Problem;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long lesson sockets may take to say goodbye when the node goes down.
const GOODBYE: Duration = Duration::from_secs(3);

/// State of every handler. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub node: Arc<Node>,
    pub(super) auth: Arc<Auth>,
    pub(super) limits: Arc<LimitsSection>,
    pub(super) ice_servers: Arc<IceServers>,
    pub(super) seats: Arc<Seats>,
    pub(super) door: Arc<Door>,
    /// Lesson sockets that are open.
    pub(super) sockets: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

impl App {
    /// What the handlers of a node configured like that share.
    ///
    /// # Errors
    /// [`InvalidConfig`] when the secret of `[turn]` can't be read.
    pub fn new(
        node: Arc<Node>,
        config: &Config,
        shutdown: CancellationToken,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self {
            auth: Arc::new(node.auth().clone()),
            node,
            limits: Arc::new(config.limits.clone()),
            ice_servers: Arc::new(IceServers::new(&config.turn)?),
            seats: Arc::default(),
            door: Arc::default(),
            sockets: TaskTracker::new(),
            shutdown,
        })
    }

    /// Waits until the lesson sockets have said goodbye, after a shutdown was asked for.
    pub async fn drained(&self) {
        self.sockets.close();
        if tokio::time::timeout(GOODBYE, self.sockets.wait()).await.is_err() {
            tracing::info!(open = self.sockets.len(), "some lesson sockets did not close in time");
        }
    }
}

/// Whether who has that token may see what is shown in the lesson: its board, its files.
///
/// # Errors
/// A 403: it is for another lesson, of a school that is not invited, or of somebody who was
/// removed.
pub(super) fn may_see(claims: &Claims, lesson: &LessonHandle) -> Result<(), Problem> {
    admit(claims, lesson.id())?;
    let state = lesson.state();
    if !state.info.includes(&claims.school) && claims.role != Role::Operator {
        return Err(Refusal::NotInvited.into());
    }
    if state.removed.contains_key(&claims.sub) {
        return Err(Refusal::Removed.into());
    }
    Ok(())
}

impl FromRef<App> for Arc<Auth> {
    fn from_ref(app: &App) -> Self {
        app.auth.clone()
    }
}

/// The lesson in the path's `{lesson}`, or 404.
pub(super) struct Lesson(pub Arc<LessonHandle>);

impl FromRequestParts<App> for Lesson {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, app).await;
        let id = path.ok().and_then(|Path(names)| LessonId::new(names.get("lesson")?).ok());
        let lesson = id.and_then(|id| app.node.lessons().get(&id));
        lesson.map(Self).ok_or_else(|| Refusal::NoSuchLesson.into())
    }
}
