//! A file as it comes in over HTTP: hashed and written as it comes, never whole in memory, and
//! given up as soon as it is larger than it may be.

use super::store::{Found, Store};
use super::{AssetError, kind_of};
use aws_lc_rs::digest::{Context, SHA256};
use cloudschool_protocol::asset::{AssetId, AssetKind};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::slides::MAX_DECK_TEXT;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// A file that is coming in. Dropped before it is whole, it leaves nothing.
pub struct Upload {
    store: Arc<Store>,
    lesson: LessonId,
    file: Option<tokio::fs::File>,
    part: PathBuf,
    hash: Context,
    bytes: u64,
    /// Its beginning, or all of what may be a deck's text.
    head: Vec<u8>,
}

impl Upload {
    pub(super) async fn begin(store: Arc<Store>, lesson: LessonId) -> Result<Self, AssetError> {
        store.admits(&lesson, 0)?;
        let (opened, of) = (store.clone(), lesson.clone());
        let begun = tokio::task::spawn_blocking(move || opened.unfinished(&of));
        let (file, part) = begun.await.map_err(std::io::Error::other)??;
        Ok(Self {
            store,
            lesson,
            file: Some(file.into()),
            part,
            hash: Context::new(&SHA256),
            bytes: 0,
            head: Vec::new(),
        })
    }

    /// More of it.
    ///
    /// # Errors
    /// [`AssetError::TooLarge`] as soon as it is, [`AssetError::Unsupported`] as soon as that
    /// shows, [`AssetError::NoRoom`] on a full disk.
    pub async fn push(&mut self, data: &[u8]) -> Result<(), AssetError> {
        let before = self.head.len();
        self.bytes += data.len() as u64;
        if self.bytes > self.store.limits().file {
            return Err(AssetError::TooLarge(self.store.limits().file));
        }
        let text = AssetKind::sniff(&self.head) == Some(AssetKind::Text);
        if before < AssetKind::SNIFFED || text {
            self.head.extend_from_slice(data);
            if self.head.len() >= AssetKind::SNIFFED && AssetKind::sniff(&self.head).is_none() {
                return Err(AssetError::Unsupported);
            }
            if text && self.head.len() > MAX_DECK_TEXT {
                return Err(AssetError::TooLarge(MAX_DECK_TEXT as u64));
            }
        }
        self.hash.update(data);
        let Some(file) = &mut self.file else { return Err(AssetError::Busy) };
        file.write_all(data).await.map_err(full)
    }

    /// It is whole. `to_hand_up` remembers that the origin is to get it.
    ///
    /// # Errors
    /// [`AssetError`].
    pub async fn finish(mut self, to_hand_up: bool) -> Result<(AssetId, Found), AssetError> {
        let kind = kind_of(&self.head)?;
        let Some(mut file) = self.file.take() else { return Err(AssetError::Busy) };
        file.flush().await.map_err(full)?;
        let file = file.into_std().await;
        let digest = std::mem::replace(&mut self.hash, Context::new(&SHA256)).finish();
        let digest: [u8; 32] = digest.as_ref().try_into().map_err(std::io::Error::other)?;
        let id = AssetId::of_digest(digest);
        let (store, key, part) = (self.store.clone(), (self.lesson.clone(), id), self.part.clone());
        let kept =
            tokio::task::spawn_blocking(move || store.keep(&key, kind, (file, &part), to_hand_up));
        let found = kept.await.map_err(std::io::Error::other)??;
        Ok((id, found))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Kept or refused, the store has seen to it.
        if self.file.take().is_some()
            && let Err(error) = std::fs::remove_file(&self.part)
        {
            tracing::debug!(%error, "an unfinished file could not be removed");
        }
    }
}

fn full(error: std::io::Error) -> AssetError {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::StorageFull | K::QuotaExceeded => AssetError::NoRoom,
        _ => error.into(),
    }
}
