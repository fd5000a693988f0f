//! Publishing and watching over WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): one POST with
//! the offer, one DELETE at the end.

use anyhow::{Context, Result, bail};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, StatusCode, Url};
use std::sync::{Mutex, PoisonError};

/// A server that speaks both.
pub struct Whip {
    http: Client,
    publish: Url,
    watch: Url,
    sessions: Mutex<Vec<(Url, Option<String>)>>,
}

impl Whip {
    #[must_use]
    pub fn new(http: Client, publish: Url, watch: Url) -> Self {
        Self { http, publish, watch, sessions: Mutex::default() }
    }

    /// Publishes with `offer`; the answer.
    ///
    /// # Errors
    /// When the server refuses; in its own words.
    pub async fn publish(&self, offer: String, token: Option<&str>) -> Result<String> {
        self.post(&self.publish, offer, token).await.context("publishing")
    }

    /// Watches with `offer`; the answer.
    ///
    /// # Errors
    /// When the server refuses; in its own words.
    pub async fn watch(&self, offer: String, token: Option<&str>) -> Result<String> {
        self.post(&self.watch, offer, token).await.context("watching")
    }

    async fn post(&self, url: &Url, offer: String, token: Option<&str>) -> Result<String> {
        let request = self.http.post(url.clone()).header(CONTENT_TYPE, "application/sdp");
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.body(offer).send().await?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
        let session = location.and_then(|l| url.join(l).ok());
        let body = response.text().await?;
        if status != StatusCode::CREATED {
            bail!("{url}: {status}: {}", body.trim());
        }
        if let Some(session) = session {
            let token = token.map(str::to_owned);
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push((session, token));
        }
        Ok(body)
    }

    /// Ends all sessions, for a server that goes on after us.
    pub async fn hang_up(&self) {
        let sessions =
            std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        for (url, token) in sessions {
            let request = self.http.delete(url.clone());
            let request = match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            if let Err(error) = request.send().await {
                tracing::warn!(%url, %error, "a session was not ended");
            }
        }
    }
}
