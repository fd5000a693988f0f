//! The way into a lesson at a node that is running already: one of several, say, of a tree.

use super::whip::Whip;
use crate::lesson_client::LessonClient;
use crate::tokens::Tokens;
use anyhow::{Context, Result};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::media::TrackId;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::socket::Slot;
use reqwest::{Client, Url};
use std::sync::{Arc, Mutex, PoisonError};

/// A lesson at one node.
pub struct Door {
    whip: Whip,
    tokens: Arc<Tokens>,
    lesson: LessonId,
    school: String,
    node: Url,
    /// What the lines of viewers show, in their order; with none they play what WHEP does.
    tracks: Vec<TrackId>,
    /// Of those who watch by them.
    seats: Mutex<Vec<LessonClient>>,
}

impl Door {
    /// The lesson at `node`, for members of `school`. `source` is what the teacher's picture is:
    /// `camera` or `screen`.
    ///
    /// # Errors
    /// When the addresses can't be made of `node`.
    pub fn new(
        http: &Client,
        node: &Url,
        tokens: Arc<Tokens>,
        lesson: &LessonId,
        school: &str,
        source: &str,
    ) -> Result<Self> {
        let publish = node.join(&format!("whip/{lesson}?source={source}"))?;
        let watch = node.join(&format!("whep/{lesson}"))?;
        let whip = Whip::new(http.clone(), publish, watch);
        Ok(Self {
            whip,
            tokens,
            lesson: lesson.clone(),
            school: school.to_owned(),
            node: node.clone(),
            tracks: Vec::new(),
            seats: Mutex::default(),
        })
    }

    /// Lets viewers watch as pages do, over the lesson socket: these tracks, one a line.
    #[must_use]
    pub fn watching(self, tracks: Vec<TrackId>) -> Self {
        Self { tracks, ..self }
    }

    /// Publishes as the teacher (0), or as a member of the class.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn publish(&self, who: usize, offer: String) -> Result<String> {
        let (name, role) = match who {
            0 => ("teacher".to_owned(), Role::Teacher),
            n => (format!("{}-microphone-{n}", self.school), Role::Student),
        };
        let token = self.token(&name, role)?;
        self.whip.publish(offer, Some(&token)).await
    }

    /// Watches as a member of its own.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn watch(&self, who: usize, offer: String) -> Result<String> {
        let token = self.token(&format!("{}-viewer-{who}", self.school), Role::Student)?;
        if self.tracks.is_empty() {
            return self.whip.watch(offer, Some(&token)).await;
        }
        let seat = LessonClient::join(&self.node, &self.lesson, &token).await?;
        let answer = seat.offer_watch(offer).await.context("watching")?;
        let slots = self.tracks.iter().enumerate();
        let slots = slots.map(|(mid, track)| Slot::new(mid.to_string(), Some(track.clone())));
        seat.watch(slots.collect()).await.context("choosing what to watch")?;
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).push(seat);
        Ok(answer)
    }

    fn token(&self, member: &str, role: Role) -> Result<String> {
        self.tokens.sign(member, member, role, &self.school, Some(&self.lesson))
    }

    /// Ends all sessions.
    pub async fn hang_up(&self) {
        self.whip.hang_up().await;
    }
}
