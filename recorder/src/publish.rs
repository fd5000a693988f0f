//! Puts a finalised lesson into the library's directory, whole or not at all.

use crate::finalise::{FinaliseError, finalise};
use crate::lesson::wall_now;
use crate::manifest::Manifest;
use crate::published::Recording;
use std::fs::File;
use std::io;
use std::path::Path;

/// Whether what is published already is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Take it as it is: an earlier run came that far.
    Keep,
    /// Make it anew and replace it.
    Replace,
}

/// Publishes the lesson captured in `dir` as `library/{id}`. Blocks for as long as it takes.
///
/// # Errors
/// [`FinaliseError`]; the library is then as it was.
pub fn publish(
    dir: &Path,
    manifest: &Manifest,
    library: &Path,
    again: Again,
) -> Result<Recording, FinaliseError> {
    let id = manifest.id();
    let target = library.join(&id);
    if again == Again::Keep
        && let Some(recording) = published(&target)
    {
        return Ok(recording);
    }
    let new = library.join(format!(".{id}.new"));
    let old = library.join(format!(".{id}.old"));
    remove(&new)?;
    remove(&old)?;
    std::fs::create_dir_all(&new)?;
    let now_ms = (wall_now() / crate::clock::MILLI).max(0) as u64;
    let recording = finalise(dir, manifest, &new, now_ms)?;
    if target.exists() {
        std::fs::rename(&target, &old)?;
    }
    std::fs::rename(&new, &target)?;
    File::open(library)?.sync_all()?;
    remove(&old)?;
    Ok(recording)
}

fn published(target: &Path) -> Option<Recording> {
    let bytes = std::fs::read(target.join("metadata.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
