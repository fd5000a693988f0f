//! Boards of lessons at this node: opened for whoever shows them, and kept in step with the
//! nodes above and below by conversations over their trunks.

use super::Node;
use crate::board::{Board, Boards, changes_piece};
use crate::trunk::{LinkCommand, LinkHandle};
use cloudschool_protocol::blob::Blob;
use cloudschool_protocol::board::{BoardWord, MAX_PIECE};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::trunk::{Control, capability};
use std::path::PathBuf;
use std::sync::Arc;

impl Node {
    /// The board of a lesson's present run.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLesson`], and [`Refusal::Storage`] when the disk fails.
    pub async fn board(self: &Arc<Self>, lesson: &LessonId) -> Result<Arc<Board>, Refusal> {
        let handle = self.lessons().get(lesson).ok_or(Refusal::NoSuchLesson)?;
        let run = handle.state().run;
        let boards = self.boards();
        if boards.get(lesson, run).is_none() {
            // What is done with makes room for what begins.
            boards.tidy(|lesson| {
                let ended = if self.lessons().are_ours() { Phase::Ended } else { Phase::Archived };
                self.lessons().get(lesson).is_none_or(|l| l.state().phase >= ended)
            });
        }
        let board = boards.open(lesson, run).await.map_err(|error| {
            tracing::error!(%lesson, %error, "a board can't be opened");
            Refusal::Storage
        })?;
        if let Some(link) = self.uplink() {
            self.talk_of_board(&link, lesson, &board);
        }
        Ok(board)
    }

    /// A trunk upwards is there: boards that are kept here meet those above, with whatever was
    /// drawn while it was away.
    pub(super) fn boards_meet(self: &Arc<Self>, link: &LinkHandle) {
        if !link.can(capability::BOARD) {
            return;
        }
        for lesson in self.lessons().all() {
            let state = lesson.state();
            if state.phase > Phase::Scheduled && self.boards().is_kept(lesson.id(), state.run) {
                let (node, id) = (self.clone(), lesson.id().clone());
                tokio::spawn(async move {
                    if let Err(refusal) = node.board(&id).await {
                        tracing::warn!(lesson = %id, %refusal, "a board does not meet the campus's");
                    }
                });
            }
        }
    }

    fn talk_of_board(&self, link: &LinkHandle, lesson: &LessonId, board: &Arc<Board>) {
        if !link.can(capability::BOARD) {
            return;
        }
        let talk = (link.id, lesson.clone(), board.run());
        let (link, lesson, run) = (link.clone(), lesson.clone(), board.run());
        self.boards().talk(talk, board.clone(), move |word| {
            let lesson = lesson.clone();
            link.send(LinkCommand::Say(Control::Board { lesson, run, word }));
        });
    }

    /// Takes a word about a board from a trunk, of a lesson that the other end may follow.
    pub(crate) fn board_word(
        self: &Arc<Self>,
        link: &LinkHandle,
        lesson: LessonId,
        run: u32,
        word: BoardWord,
    ) {
        let Some(handle) = self.lessons().get(&lesson) else { return };
        if handle.state().run != run {
            // One of the ends has not heard yet that another run has begun. It begins anew then.
            return;
        }
        let talk = (link.id, lesson.clone(), run);
        if self.boards().talks(&talk) {
            if !self.boards().pass(&talk, word) {
                tracing::debug!(peer = %link.peer, %lesson, "a word about a board is passed over");
            }
            return;
        }
        let (node, link) = (self.clone(), link.clone());
        tokio::spawn(async move {
            if let Ok(board) = node.board(&lesson).await {
                node.talk_of_board(&link, &lesson, &board);
                // The conversation has just begun: there is room.
                let _passed = node.boards().pass(&talk, word);
            }
        });
    }

    /// Hands the recorder the next piece of a board's changes; an empty one where there are no
    /// more, or none at all.
    pub(crate) fn board_changes(&self, link: &LinkHandle, lesson: LessonId, run: u32, offset: u64) {
        let (dir, link) = (self.board_dir(&lesson), link.clone());
        tokio::task::spawn_blocking(move || match changes_piece(&dir, run, offset, MAX_PIECE) {
            Ok(bytes) => {
                let data = Blob(bytes);
                let piece = Control::BoardPiece { lesson, run, offset, data };
                link.send(LinkCommand::Say(piece));
            }
            // It is asked for again.
            Err(error) => tracing::error!(%lesson, %error, "a board's changes can't be read"),
        });
    }

    /// Where a lesson's boards are on the disk.
    #[must_use]
    pub fn board_dir(&self, lesson: &LessonId) -> PathBuf {
        self.boards().lesson_dir(lesson)
    }

    /// Every board this node has open.
    #[must_use]
    pub(crate) fn boards(&self) -> &Boards {
        &self.boards
    }
}
