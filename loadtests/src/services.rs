//! What the recorder, analytics and a node's metrics say of a lesson, asked over HTTP as
//! anyone with a token would.

use crate::stack::Site;
use anyhow::{Context, Result, bail, ensure};
use cloudschool_protocol::id::LessonId;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A recording in the library.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    pub id: String,
    pub lesson: LessonId,
    pub duration_ms: u64,
    /// Address of the playlist, relative to the recorder's own.
    pub playlist: String,
}

#[derive(Deserialize)]
struct Recordings {
    items: Vec<Recording>,
}

/// The recording of a lesson.
///
/// # Errors
/// When the library has none.
pub async fn recording(site: &Site, lesson: &LessonId) -> Result<Recording> {
    let url = site.url("recorder").join("api/recordings?limit=100")?;
    let recordings: Recordings = serde_json::from_str(&get(site, url).await?)
        .context("the library's list is not as documented")?;
    let of_lesson = recordings.items.into_iter().find(|r| r.lesson == *lesson);
    of_lesson.with_context(|| format!("the library has no recording of {lesson}"))
}

/// How long a recording plays, in seconds, by the segments its playlist names; the files they
/// are in are fetched, so that what is promised is there.
///
/// # Errors
/// When the playlist or a segment can't be had, or names nothing.
pub async fn playing_time(site: &Site, recording: &Recording) -> Result<f64> {
    let mut url = site.url("recorder").join(&recording.playlist)?;
    let mut playlist = get(site, url.clone()).await?;
    let variant = after_tag(&playlist, "#EXT-X-STREAM-INF").next().map(str::to_owned);
    if let Some(variant) = variant {
        url = url.join(&variant)?;
        playlist = get(site, url.clone()).await?;
    }
    ensure!(playlist.lines().any(|l| l == "#EXT-X-ENDLIST"), "{url} is not a finished playlist");
    let durations = playlist.lines().filter_map(|l| l.strip_prefix("#EXTINF:"));
    let mut seconds = 0.0;
    for duration in durations {
        let duration = duration.split(',').next().unwrap_or_default();
        seconds += duration.parse::<f64>().with_context(|| format!("a duration in {url}"))?;
    }
    // Segments may be ranges of one file.
    let files: BTreeSet<&str> = after_tag(&playlist, "#EXTINF:").collect();
    for file in files {
        let segment = url.join(file)?;
        let bytes = request(site, segment.clone()).await?.bytes().await?;
        ensure!(!bytes.is_empty(), "{segment} is empty");
    }
    Ok(seconds)
}

/// The addresses that follow a tag in a playlist (RFC 8216).
fn after_tag<'a>(playlist: &'a str, tag: &'a str) -> impl Iterator<Item = &'a str> {
    let mut lines = playlist.lines();
    std::iter::from_fn(move || {
        lines.by_ref().find(|l| l.starts_with(tag))?;
        lines.by_ref().find(|l| !l.is_empty() && !l.starts_with('#'))
    })
}

/// A behaviour record, as far as it is checked here.
#[derive(Debug, Clone, Deserialize)]
pub struct Behaviour {
    pub id: Uuid,
    pub code: String,
    pub seq: u64,
}

/// Every behaviour record of a lesson, in order.
///
/// # Errors
/// When analytics does not know the lesson or a line is not as documented.
pub async fn behaviours(site: &Site, lesson: &LessonId) -> Result<Vec<Behaviour>> {
    let url = site.url("analytics").join(&format!("lessons/{lesson}/behaviours?format=ndjson"))?;
    get(site, url).await?.lines().map(line).collect()
}

fn line<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).with_context(|| format!("not a behaviour record: {text}"))
}

/// The value of a counter of a process, over all its labels (OpenMetrics text).
///
/// # Errors
/// When the process has no such counter.
pub async fn counter(site: &Site, process: &str, name: &str) -> Result<f64> {
    sum(&metrics(site, process).await?, name)
        .with_context(|| format!("{process} has no metric {name}"))
}

/// All metrics of a process.
///
/// # Errors
/// When it does not answer.
pub async fn metrics(site: &Site, process: &str) -> Result<String> {
    get(site, site.url(process).join("metrics")?).await
}

fn sum(metrics: &str, name: &str) -> Option<f64> {
    let samples = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    samples.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

async fn get(site: &Site, url: Url) -> Result<String> {
    Ok(request(site, url).await?.text().await?)
}

async fn request(site: &Site, url: Url) -> Result<reqwest::Response> {
    let response = site.http().get(url.clone()).bearer_auth(site.operator()?).send().await?;
    let status = response.status();
    if !status.is_success() {
        bail!("{url}: {status}: {}", response.text().await.unwrap_or_default());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_its_labels() {
        let metrics = "# TYPE a counter\na_total 5\na_total{x=\"} 1\"} 7 123.4\na_total_b 100\n";
        assert_eq!(sum(metrics, "a_total"), Some(12.0));
        assert_eq!(sum(metrics, "b_total"), None);
    }

    #[test]
    fn a_playlist_names_its_segments() {
        let playlist = "#EXTM3U\n#EXTINF:2.0,\n#EXT-X-BYTERANGE:1@2\na.m4s\n\n#EXTINF:1,\nb.m4s\n";
        assert_eq!(after_tag(playlist, "#EXTINF:").collect::<Vec<_>>(), ["a.m4s", "b.m4s"]);
    }
}
