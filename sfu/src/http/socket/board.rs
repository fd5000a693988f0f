//! A page's part in the lesson's board: what it draws is judged and taken, what others draw is
//! sent on, each at the page's own pace.

use super::line::Ending;
use crate::board::{Board, Drawn, News, Reader, Shown};
use crate::bucket::Bucket;
use crate::http::state::App;
use crate::lesson::LessonHandle;
use cloudschool_protocol::board::{Frame, MAX_INK, MAX_PIECE, may_write};
use cloudschool_protocol::command::Command;
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::lesson::Phase;
use cloudschool_protocol::member::Member;
use cloudschool_protocol::refusal::{Lang, Refusal};
use cloudschool_service::clock::now_ms;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Changes that may wait for the board to be opened, or for the disk.
const WAITING: usize = 512;

/// Strokes under way are sent so often at most.
const INK_EVERY: Duration = Duration::from_millis(60);

/// Of its own strokes under way a page tells so often at most: a second, and at once.
const INKS: (f64, u32) = (25.0, 50);

/// A page opens the board so often at most, a second and at once: each time all that it lacks is
/// written anew, which for a full board is a hundred times what it asks with. A page opens it when
/// it is shown, and when it comes back.
const OPENS: (f64, u32) = (1.0, 20);

type Opening = BoxFuture<'static, Result<Arc<Board>, Refusal>>;

/// A board that is shown.
struct Open {
    reader: Reader,
    board: Arc<Board>,
    _shown: Shown,
    ink_at: tokio::time::Instant,
}

/// One page's seat at the board.
pub(super) struct BoardSeat {
    app: App,
    lesson: Arc<LessonHandle>,
    me: Member,
    lang: Lang,
    changes: Bucket,
    inks: Bucket,
    opens: Bucket,
    /// Being opened, for a page that has what this vector says.
    opening: Option<(Opening, Vec<u8>)>,
    open: Option<Open>,
    /// What came while it was being opened.
    early: VecDeque<(u64, Vec<u8>)>,
    /// Changes taken and not answered: the page's number and the board's.
    unanswered: VecDeque<(u64, u64)>,
    /// What is to be sent.
    outgoing: VecDeque<Frame>,
    /// What the lesson has not heard of.
    drawn: Drawn,
}

impl BoardSeat {
    pub(super) fn new(app: &App, lesson: &Arc<LessonHandle>, me: &Member, lang: Lang) -> Self {
        let limits = &app.limits;
        let now = Instant::now();
        Self {
            app: app.clone(),
            lesson: lesson.clone(),
            me: me.clone(),
            lang,
            changes: Bucket::new(limits.board_changes_per_second, limits.board_change_burst, now),
            inks: Bucket::new(INKS.0, INKS.1, now),
            opens: Bucket::new(OPENS.0, OPENS.1, now),
            opening: None,
            open: None,
            early: VecDeque::new(),
            unanswered: VecDeque::new(),
            outgoing: VecDeque::new(),
            drawn: Drawn::default(),
        }
    }

    /// Takes what the page says.
    ///
    /// # Errors
    /// The [`Ending`] of a page that opens the board again and again.
    pub(super) fn heard(&mut self, frame: Frame) -> Result<(), Ending> {
        match frame {
            Frame::Open { .. } if !self.opens.take(Instant::now()) => {
                let zh = "白板打开得太频繁。";
                return Err(Ending::protocol(zh, "The board was opened more often than allowed."));
            }
            Frame::Open { vector } => {
                let (node, lesson) = (self.app.node.clone(), self.lesson.id().clone());
                let opening = async move { node.board(&lesson).await }.boxed();
                self.open = None;
                self.opening = Some((opening, vector));
            }
            Frame::Close => {
                // What it may still say and has said stays as it is.
                (self.opening, self.open) = (None, None);
                self.early.clear();
                self.unanswered.clear();
                self.outgoing.clear();
            }
            Frame::Ink { data, .. } => self.ink(data),
            Frame::Change { n, update } if self.opening.is_some() => {
                if self.early.len() < WAITING && update.len() <= self.app.limits.board_change_bytes
                {
                    self.early.push_back((n, update));
                } else {
                    self.refuse(n, Refusal::BoardTooFast);
                }
            }
            Frame::Change { n, update } => self.change(n, &update),
            // The node's to say.
            Frame::Taken { .. } | Frame::Refused { .. } => {}
        }
        Ok(())
    }

    fn ink(&mut self, data: Vec<u8>) {
        let Some(open) = &self.open else { return };
        let now = Instant::now();
        if data.len() <= MAX_INK
            && self.inks.take(now)
            && may_write(&self.lesson.state(), &self.me.id)
        {
            open.board.ink(&self.me.id, open.reader.whose(), data);
        }
    }

    fn change(&mut self, n: u64, update: &[u8]) {
        match self.judge(update) {
            Ok(seq) => {
                self.unanswered.push_back((n, seq));
                self.answer();
            }
            Err(refusal) => self.refuse(n, refusal),
        }
    }

    fn judge(&mut self, update: &[u8]) -> Result<u64, Refusal> {
        let open = self.open.as_ref().ok_or(Refusal::BoardTooFast)?;
        if self.unanswered.len() >= WAITING || !self.changes.take(Instant::now()) {
            return Err(Refusal::BoardTooFast);
        }
        let state = self.lesson.state();
        match state.phase {
            Phase::Scheduled => return Err(Refusal::NotOpen),
            Phase::Ended | Phase::Archived => return Err(Refusal::Ended),
            Phase::Open | Phase::Live => {}
        }
        if !may_write(&state, &self.me.id) {
            return Err(Refusal::BoardReadOnly);
        }
        let (seq, new) = open.board.write(&self.me, open.reader.whose(), update)?;
        if new {
            self.drawn.wrote(now_ms());
        }
        Ok(seq)
    }

    /// What the page drew and the lesson has not heard of, to be said now.
    pub(super) fn drew(&mut self) -> Option<Command> {
        let (strokes, from_ms) = self.drawn.take()?;
        let member = self.me.id.clone();
        self.app.node.origin_takes_reports().then_some(Command::Drew { member, strokes, from_ms })
    }

    /// Tells the lesson what was drawn, beside everything else.
    fn say_drawn(&mut self) {
        let Some(drew) = self.drew() else { return };
        let (lesson, node) = (self.lesson.clone(), self.app.node.clone());
        tokio::spawn(async move { say(&lesson, drew, node.name()).await });
    }

    fn refuse(&mut self, n: u64, refusal: Refusal) {
        self.outgoing.push_back(Frame::refused(n, refusal, self.lang));
    }

    /// Answers the changes that are on the disk.
    fn answer(&mut self) {
        let Some(open) = &self.open else { return };
        let stored = open.reader.stored_now();
        while let Some((n, _)) = self.unanswered.pop_front_if(|(_, seq)| *seq <= stored) {
            self.outgoing.push_back(Frame::Taken { n });
        }
    }

    fn opened(&mut self, opened: Result<Arc<Board>, Refusal>) {
        let Some((_, vector)) = self.opening.take() else { return };
        let early = std::mem::take(&mut self.early);
        let followed = opened.and_then(|board| {
            let whose = board.whose();
            board.follow(whose, &vector).map_err(|_| Refusal::BoardMalformed)
        });
        match followed {
            Ok((lacking, reader)) => {
                let board = reader.board().clone();
                let shown = board.shown();
                let ink_at = tokio::time::Instant::now();
                self.unanswered.clear();
                self.open = Some(Open { reader, board, _shown: shown, ink_at });
                self.send_change(&lacking);
                early.iter().for_each(|(n, update)| self.change(*n, update));
            }
            Err(refusal) => early.iter().for_each(|(n, _)| self.refuse(*n, refusal)),
        }
    }

    fn send_change(&mut self, change: &[u8]) {
        let pieces = change.chunks(MAX_PIECE);
        let last = pieces.len().saturating_sub(1);
        for (n, piece) in pieces.enumerate() {
            let more = u64::from(n < last);
            self.outgoing.push_back(Frame::Change { n: more, update: piece.to_vec() });
        }
    }

    /// The next message for the page. Cancel safe.
    pub(super) async fn next(&mut self) -> Vec<u8> {
        loop {
            if let Some(frame) = self.outgoing.pop_front() {
                return frame.encode();
            }
            if let Some((opening, _)) = &mut self.opening {
                let opened = opening.await;
                self.opened(opened);
                continue;
            }
            let due = reached(self.drawn.due_ms());
            let Some(open) = &mut self.open else {
                due.await;
                self.say_drawn();
                continue;
            };
            let news = tokio::select! {
                news = open.reader.news(open.ink_at) => news,
                () = due => {
                    self.say_drawn();
                    continue;
                }
            };
            match news {
                News::Change => {
                    if let Some(change) = open.reader.changes() {
                        self.send_change(&change);
                    }
                }
                News::Ink => {
                    open.ink_at = tokio::time::Instant::now() + INK_EVERY;
                    for (member, data) in open.reader.inks() {
                        self.outgoing.push_back(Frame::Ink { member: member.to_string(), data });
                    }
                }
                News::Stored => self.answer(),
            }
        }
    }
}

/// Has the lesson hear what a member drew.
pub(super) async fn say(lesson: &Arc<LessonHandle>, drew: Command, node: &NodeId) {
    if let Err(refusal) = lesson.submit(drew, node).await {
        tracing::info!(lesson = %lesson.id(), %refusal, "what was drawn is not in the log");
    }
}

/// Waits until `at_ms`, milliseconds since the Unix epoch, or for ever.
async fn reached(at_ms: Option<u64>) {
    match at_ms {
        Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(now_ms()))).await,
        None => std::future::pending().await,
    }
}
