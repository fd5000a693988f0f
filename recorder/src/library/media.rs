//! Hands out the files of published lessons, whole or in ranges (RFC 9110 §14).

use crate::shown;
use crate::words::tag;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue,
};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloudschool_protocol::asset::{AssetId, AssetKind};
use cloudschool_service::problem::Problem;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio_util::io::ReaderStream;

/// Files of a recording that are handed out, and what they are.
const FILES: [(&str, &str); 11] = [
    ("index.m3u8", "application/vnd.apple.mpegurl"),
    ("video.m3u8", "application/vnd.apple.mpegurl"),
    ("audio.m3u8", "application/vnd.apple.mpegurl"),
    ("video.mp4", "video/mp4"),
    ("audio.mp4", "audio/mp4"),
    ("audio.opus", "audio/ogg; codecs=opus"),
    ("thumbnail.jpg", "image/jpeg"),
    ("metadata.json", "application/json"),
    ("chapters.vtt", VTT),
    (shown::FILE, "application/json"),
    (shown::BOARD, "application/octet-stream"),
];

const VTT: &str = "text/vtt; charset=utf-8";

/// What a file that is handed out is.
fn kind_of(name: &str) -> Option<&'static str> {
    let captions = name.strip_prefix("captions-").and_then(|rest| rest.strip_suffix(".vtt"));
    if captions.is_some_and(tag) {
        return Some(VTT);
    }
    // Pictures that were shown, each by its hash.
    if let Some((id, extension)) = name.split_once('.')
        && id.parse::<AssetId>().is_ok()
    {
        let pictures = [AssetKind::Webp, AssetKind::Png, AssetKind::Jpeg];
        return pictures.iter().find(|k| k.extension() == extension).map(|k| k.media_type());
    }
    FILES.iter().find(|(file, _)| *file == name).map(|(_, kind)| *kind)
}

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// What a request asks of a file of a certain length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// From the first byte to the last, both included.
    Range(u64, u64),
    /// The range asked for lies outside.
    Outside,
}

/// Reads a `Range` header. More than one range, or another unit, is answered with the whole
/// file, as the RFC allows.
#[must_use]
pub fn part(range: Option<&str>, len: u64) -> Part {
    let Some(spec) = range.and_then(|r| r.trim().strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    let Some((from, to)) = spec.split_once('-').filter(|_| !spec.contains(',')) else {
        return Part::Whole;
    };
    let last = len.saturating_sub(1);
    let range = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to.min(last)),
        (Ok(from), Err(_)) if to.trim().is_empty() => (from, last),
        (Err(_), Ok(suffix)) if from.trim().is_empty() => {
            if suffix == 0 {
                return Part::Outside;
            }
            (len.saturating_sub(suffix), last)
        }
        _ => return Part::Whole,
    };
    if range.0 >= len { Part::Outside } else { Part::Range(range.0, range.1) }
}

/// Answers a request for `name` in the recording's directory.
///
/// # Errors
/// A 404 for files that aren't handed out, a 416 for ranges outside.
pub async fn serve(dir: &Path, name: &str, range: Option<&str>) -> Result<Response, Problem> {
    let kind = kind_of(name).ok_or_else(no_such_file)?;
    let opened = tokio::fs::File::open(dir.join(name)).await;
    let mut opened = opened.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => no_such_file(),
        _ => Problem::internal(&e),
    })?;
    let len = opened.metadata().await.map_err(|e| Problem::internal(&e))?.len();
    let (status, from, to) = match part(range, len) {
        Part::Whole => (StatusCode::OK, 0, len.saturating_sub(1)),
        Part::Range(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::Outside => return Err(outside(len)),
    };
    opened.seek(SeekFrom::Start(from)).await.map_err(|e| Problem::internal(&e))?;
    let count = if len == 0 { 0 } else { to - from + 1 };
    let body = Body::from_stream(ReaderStream::with_capacity(opened.take(count), CHUNK));
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, count.into());
    // A lesson may be published again, and then all of its files change together.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if status == StatusCode::PARTIAL_CONTENT {
        insert(headers, CONTENT_RANGE, &format!("bytes {from}-{to}/{len}"));
    }
    Ok(response)
}

fn insert(headers: &mut header::HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn no_such_file() -> Problem {
    Problem::not_found("录像里没有这个文件。", "The recording has no such file.")
        .kind("no-such-file")
}

fn outside(len: u64) -> Problem {
    let problem = Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "请求的范围超出了文件。",
        "The range lies outside the file.",
    );
    match HeaderValue::from_str(&format!("bytes */{len}")) {
        Ok(value) => problem.header(CONTENT_RANGE, value),
        Err(_) => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_recording_are_handed_out() {
        assert_eq!(kind_of("captions-zh-CN.vtt"), Some(VTT));
        assert_eq!(kind_of("video.mp4"), Some("video/mp4"));
        let picture = "a7".repeat(32);
        assert_eq!(kind_of(&format!("{picture}.webp")), Some("image/webp"));
        for other in [&format!("{picture}.html"), &format!("{picture}.json"), "a7.webp"] {
            assert_eq!(kind_of(other), None, "{other}");
        }
        for other in ["captions-../x.vtt", "captions-.vtt", "lesson.json", "../video.mp4", ""] {
            assert_eq!(kind_of(other), None, "{other}");
        }
    }

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        for (range, expected) in [
            (None, Part::Whole),
            (Some("bytes=0-499"), Part::Range(0, 499)),
            (Some("bytes=500-"), Part::Range(500, 999)),
            (Some("bytes=-200"), Part::Range(800, 999)),
            (Some("bytes=-2000"), Part::Range(0, 999)),
            (Some("bytes=900-5000"), Part::Range(900, 999)),
            (Some("bytes=1000-"), Part::Outside),
            (Some("bytes=-0"), Part::Outside),
            (Some("bytes=0-1,5-6"), Part::Whole),
            (Some("bytes=5-1"), Part::Whole),
            (Some("bytes=x-y"), Part::Whole),
            (Some("lines=1-2"), Part::Whole),
        ] {
            assert_eq!(part(range, 1000), expected, "{range:?}");
        }
        assert_eq!(part(Some("bytes=0-"), 0), Part::Outside);
    }
}
