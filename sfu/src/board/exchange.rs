//! Keeps a board in step with another node's copy of it, over one trunk.
//!
//! Each end says what it has (a state vector), gets what it lacks, and goes on with what
//! changes. One message is under way at a time in each direction: on a slow line changes gather
//! meanwhile and go together, and in an outage nothing piles up. A new trunk begins anew, so
//! whatever was written on both sides of a cut meets by itself.

use super::reader::{News, Reader};
use super::{Board, Unusable};
use cloudschool_protocol::blob::Blob;
use cloudschool_protocol::board::{BoardWord, InkUnderWay, MAX_INKS, MAX_PIECE};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Strokes under way are told of so often at most.
const INK_EVERY: Duration = Duration::from_millis(80);

/// Most bytes of one change put together from pieces: four boards of the default bound.
const MAX_CHANGE: usize = 128 << 20;

struct Exchange<'a, S: Fn(BoardWord)> {
    board: &'a Arc<Board>,
    whose: u64,
    say: S,
    reader: Option<Reader>,
    /// Pieces to be sent; the flag says that a change ends with it.
    outgoing: VecDeque<(Vec<u8>, bool)>,
    /// What was said and not answered.
    unanswered: u32,
    incoming: Vec<u8>,
    ink_at: Instant,
}

/// Talks about `board` until the trunk, or the board, is gone.
pub(super) async fn run(
    board: Arc<Board>,
    mut words: mpsc::Receiver<BoardWord>,
    say: impl Fn(BoardWord),
) {
    let whose = board.whose();
    let mut exchange = Exchange {
        board: &board,
        whose,
        say,
        reader: None,
        outgoing: VecDeque::new(),
        unanswered: 0,
        incoming: Vec::new(),
        ink_at: Instant::now(),
    };
    exchange.have(true);
    loop {
        exchange.go_on();
        let word = tokio::select! {
            word = words.recv() => word,
            () = exchange.news() => continue,
            () = board.closed.cancelled() => return,
        };
        let Some(word) = word else { return };
        if let Err(error) = exchange.heard(word).await {
            tracing::warn!(%error, "another node's word on a board was of no use");
        }
    }
}

impl<S: Fn(BoardWord)> Exchange<'_, S> {
    fn have(&self, ask: bool) {
        (self.say)(BoardWord::Have { vector: Blob(self.board.vector()), ask });
    }

    /// Waits until there is something to say.
    async fn news(&mut self) {
        let Some(reader) = self.reader.as_mut().filter(|_| self.unanswered == 0) else {
            return std::future::pending().await;
        };
        // Told of as soon as it has come, whether it is on the disk or not.
        while reader.news(self.ink_at).await == News::Stored {}
    }

    /// Says what there is to say, if nothing is under way.
    fn go_on(&mut self) {
        if self.unanswered > 0 {
            return;
        }
        if self.outgoing.is_empty()
            && let Some(change) = self.reader.as_mut().and_then(Reader::changes)
        {
            self.queue(&change);
        }
        if let Some((piece, last)) = self.outgoing.pop_front() {
            self.unanswered += 1;
            return (self.say)(BoardWord::Change { piece: Blob(piece), last });
        }
        let now = Instant::now();
        let Some(reader) = self.reader.as_mut().filter(|_| now >= self.ink_at) else { return };
        let inks = reader.inks();
        if !inks.is_empty() {
            self.ink_at = now + INK_EVERY;
            self.unanswered += 1;
            let under_way = |(member, data)| InkUnderWay { member, data: Blob(data) };
            let strokes = inks.into_iter().take(MAX_INKS).map(under_way).collect();
            (self.say)(BoardWord::Ink { strokes });
        }
    }

    fn queue(&mut self, change: &[u8]) {
        let pieces = change.chunks(MAX_PIECE);
        let last = pieces.len().saturating_sub(1);
        self.outgoing.extend(pieces.enumerate().map(|(n, piece)| (piece.to_vec(), n == last)));
    }

    async fn heard(&mut self, word: BoardWord) -> Result<(), Unusable> {
        match word {
            BoardWord::Have { vector, ask } => {
                let (lacking, reader) = self.board.follow(self.whose, &vector.0)?;
                self.reader = Some(reader);
                if ask {
                    self.have(false);
                }
                self.queue(&lacking);
            }
            BoardWord::Change { piece, last } => {
                self.incoming.extend_from_slice(&piece.0);
                if self.incoming.len() > MAX_CHANGE || piece.0.len() > MAX_PIECE {
                    self.incoming.clear();
                }
                let taken = if last { self.change().await } else { Ok(()) };
                (self.say)(BoardWord::Got);
                taken?;
            }
            BoardWord::Got => self.unanswered = self.unanswered.saturating_sub(1),
            BoardWord::Ink { strokes } => {
                for InkUnderWay { member, data } in strokes.into_iter().take(MAX_INKS) {
                    self.board.ink(&member, self.whose, data.0);
                }
                (self.say)(BoardWord::Got);
            }
        }
        Ok(())
    }

    /// Takes a change that has come whole, and sees it to the disk.
    async fn change(&mut self) -> Result<(), Unusable> {
        let change = std::mem::take(&mut self.incoming);
        let (seq, gaps) = self.board.hear(self.whose, &change)?;
        self.board.stored(seq).await;
        if gaps {
            self.have(false);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::replica::tests::{Pen, strokes};
    use super::super::tests::{board, member};
    use super::*;
    use cloudschool_protocol::member::Role;
    use tokio::task::JoinHandle;

    /// Two boards with a trunk between them that can be cut.
    struct Trunk(Vec<JoinHandle<()>>);

    impl Trunk {
        fn between(a: &Arc<Board>, b: &Arc<Board>) -> Self {
            let (to_a, for_a) = mpsc::channel(64);
            let (to_b, for_b) = mpsc::channel(64);
            let talk = |board: &Arc<Board>, heard, to: mpsc::Sender<BoardWord>| {
                tokio::spawn(run(board.clone(), heard, move |word| {
                    // The other end may be cut off already.
                    let _lost = to.try_send(word);
                }))
            };
            Self(vec![talk(a, for_a, to_b), talk(b, for_b, to_a)])
        }

        fn cut(self) {
            self.0.iter().for_each(JoinHandle::abort);
        }
    }

    async fn agree(boards: &[&Arc<Board>], count: usize) {
        let all = async {
            while boards.iter().any(|board| strokes(&board.whole()).len() != count) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
        let first = strokes(&boards[0].whole());
        boards.iter().for_each(|board| assert_eq!(strokes(&board.whole()), first));
    }

    #[tokio::test]
    async fn what_was_drawn_on_both_sides_of_a_cut_meets() {
        let (one, two, three) = (board(), board(), board());
        let (mut li, mut wang) = (Pen::of("li", 1), Pen::of("wang", 2));
        let lower = Trunk::between(&two.0, &three.0);
        let upper = Trunk::between(&one.0, &two.0);
        let write = |board: &Arc<Board>, who: &str, role, change: &[u8]| {
            board.write(&member(who, role), board.whose(), change).unwrap();
        };
        write(&one.0, "li", Role::Teacher, &li.draw("p1", 30));
        agree(&[&one.0, &two.0, &three.0], 1).await;
        upper.cut();
        for n in 0..40 {
            write(&one.0, "li", Role::Teacher, &li.draw("p1", n * 100));
            write(&three.0, "wang", Role::Student, &wang.draw("p1", n * 100));
        }
        agree(&[&two.0, &three.0], 41).await;
        let _upper = Trunk::between(&one.0, &two.0);
        // Much more than one piece in each direction.
        agree(&[&one.0, &two.0, &three.0], 81).await;
        write(&three.0, "wang", Role::Student, &wang.erase("p1").unwrap());
        agree(&[&one.0, &two.0, &three.0], 80).await;
        lower.cut();
    }

    #[tokio::test]
    async fn words_of_no_use_harm_nothing() {
        let here = board();
        let (to, words) = mpsc::channel(64);
        let (said, mut hears) = mpsc::unbounded_channel();
        let talk = tokio::spawn(run(here.0.clone(), words, move |word| said.send(word).unwrap()));
        for word in [
            BoardWord::Got,
            BoardWord::Got,
            BoardWord::Change { piece: Blob(b"nonsense".to_vec()), last: true },
            BoardWord::Change { piece: Blob(vec![0; MAX_PIECE + 1]), last: true },
            BoardWord::Have { vector: Blob(vec![0xff; 9]), ask: true },
        ] {
            to.send(word).await.unwrap();
        }
        let mut pen = Pen::of("wang", 1);
        let piece = Blob(pen.draw("p1", 9));
        to.send(BoardWord::Change { piece, last: true }).await.unwrap();
        for _ in 0..3 {
            while hears.recv().await != Some(BoardWord::Got) {}
        }
        assert_eq!(strokes(&here.0.whole()).len(), 1);
        drop(to);
        talk.await.unwrap();
    }
}
