//! `play`: a test picture and a tone, published into a lesson.

use crate::source::{Packets, Source, Streams};
use anyhow::{Context, Result, bail};
use classroom_client::dial::Dial;
use classroom_client::publish::{Endpoint, Outgoing, Publication, PublishError};
use cloudschool_protocol::id::LessonId;
use std::time::Duration;
use url::Url;

/// Publishes until the time is up, the session is lost, or Ctrl-C.
///
/// # Errors
/// When the node does not take it, or the source fails.
pub async fn play(
    dial: &Dial,
    node: Url,
    lesson: &LessonId,
    token: String,
    seconds: Option<u64>,
) -> Result<()> {
    let url = node.join(&format!("/whip/{lesson}")).context("--node is not a web address")?;
    let (source, Streams { video, audio, mut failure }) = Source::new()?;
    let publication = Publication::start(dial, Endpoint { url, token })
        .await
        .with_context(|| format!("publishing into {lesson} at {node}"))?;
    source.start()?;
    eprintln!("publishing into {lesson} at {node}; Ctrl-C ends it");

    let ended: Result<()> = tokio::select! {
        sent = forward(publication.video(), video) => sent.map_err(Into::into),
        sent = forward(publication.audio(), audio) => sent.map_err(Into::into),
        () = answer_keyframe_requests(publication.video(), &source) => Ok(()),
        failed = failure.wait() => Err(failed),
        lost = publication.lost() => Err(lost.into()),
        () = time_is_up(seconds) => Ok(()),
        signal = tokio::signal::ctrl_c() => signal.context("waiting for Ctrl-C"),
    };
    source.stop();
    let stopped = publication.stop().await;
    ended?;
    match stopped {
        Ok(()) => Ok(()),
        Err(error) => bail!("the node did not take the end of the session: {error}"),
    }
}

async fn forward(track: &Outgoing, mut packets: Packets) -> Result<(), PublishError> {
    while let Some(packet) = packets.recv().await {
        track.send(packet).await?;
    }
    Ok(())
}

async fn answer_keyframe_requests(track: &Outgoing, source: &Source) {
    while track.keyframe_requested().await.is_some() {
        source.request_keyframe();
    }
}

async fn time_is_up(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}
