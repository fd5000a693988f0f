//! What a node serves over HTTP: pages, WHIP, WHEP, the lesson socket, the lessons API and
//! metrics. `docs/http-api.md` and `docs/lesson-socket.md` describe it for whoever calls it.
//!
//! Everything here goes through [`Node`](crate::node::Node): it checks who asks and how it
//! was asked, and never touches media or the trunk.

mod assets;
mod board;
mod ice_servers;
mod join;
mod lessons;
mod metrics;
mod node;
mod patrol;
mod problems;
mod sdp;
mod session;
mod socket;
mod state;
mod timetable;
mod trust;
mod whep;
mod whip;

pub use state::App;
pub use trust::beside;

use axum::Router;
use cloudschool_service::health::{self, Readiness};
use cloudschool_service::pages;

/// All routes of a node.
pub fn router(app: App, readiness: Readiness) -> Router {
    Router::new()
        .merge(board::routes())
        .merge(join::routes())
        .merge(lessons::routes())
        .merge(assets::routes())
        .merge(metrics::routes())
        .merge(node::routes())
        .merge(patrol::routes())
        .merge(socket::routes())
        .merge(timetable::routes())
        .merge(whep::routes())
        .merge(whip::routes())
        .with_state(app)
        .merge(health::routes(readiness))
        .merge(pages::router())
}
