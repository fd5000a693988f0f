use super::replica::tests::{Pen, strokes};
use super::*;
use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::member::Role;

const LIMITS: Limits = Limits { change: 64 << 10, board: 1 << 20 };

/// A board, and the directory it is in.
pub fn board() -> (Arc<Board>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Board::open(dir.path(), 1, LIMITS).unwrap(), dir)
}

pub fn member(id: &str, role: Role) -> Member {
    Member {
        id: MemberId::new(id).unwrap(),
        name: id.into(),
        role,
        school: SchoolId::new("school-01").unwrap(),
        node: NodeId::new("school-01-a").unwrap(),
    }
}

#[tokio::test]
async fn readers_get_what_others_draw_and_not_their_own() {
    let (board, _dir) = board();
    let (wang, zhao) = (member("wang", Role::Student), member("zhao", Role::Student));
    let (mut wangs, mut zhaos) = (Pen::of("wang", 1), Pen::of("zhao", 1));
    let (_, mut first) = board.follow(board.whose(), &[]).unwrap();
    let (_, mut second) = board.follow(board.whose(), &[]).unwrap();
    board.write(&wang, first.whose(), &wangs.draw("p1", 9)).unwrap();
    board.write(&zhao, second.whose(), &zhaos.draw("p1", 9)).unwrap();
    assert_eq!(strokes(&first.changes().unwrap()).len(), 1);
    assert_eq!(strokes(&second.changes().unwrap()).len(), 1);
    assert_eq!((first.changes(), second.changes()), (None, None));
    let (all, _) = board.follow(board.whose(), &[]).unwrap();
    assert_eq!(strokes(&all).len(), 2);
}

#[tokio::test]
async fn who_is_far_behind_gets_the_difference() {
    let (board, _dir) = board();
    let wang = member("wang", Role::Student);
    let mut pen = Pen::of("wang", 1);
    let (_, mut reader) = board.follow(board.whose(), &[]).unwrap();
    for _ in 0..RECENT + 100 {
        board.write(&wang, 99, &pen.draw("p1", 5)).unwrap();
    }
    let mut copy = Replica::new();
    while let Some(change) = reader.changes() {
        copy.apply(&change).unwrap();
    }
    assert_eq!(strokes(&copy.whole()), strokes(&board.whole()));
}

#[tokio::test]
async fn what_breaks_the_bounds_is_refused_and_the_board_is_as_it_was() {
    let (board, _dir) = board();
    let (wang, li) = (member("wang", Role::Student), member("li", Role::Teacher));
    let (mut pen, mut teachers) = (Pen::of("wang", 1), Pen::of("li", 1));
    let whose = board.whose();
    assert_eq!(board.write(&wang, whose, b"nonsense"), Err(Refusal::BoardMalformed));
    assert_eq!(board.write(&wang, whose, &vec![0; LIMITS.change + 1]), Err(Refusal::BoardTooLarge));
    let stroke = teachers.draw("p1", 9);
    assert_eq!(board.write(&wang, whose, &stroke), Err(Refusal::BoardNotYours), "in her name");
    board.write(&li, whose, &stroke).unwrap();
    let erased = teachers.erase("p1").unwrap();
    assert_eq!(board.write(&wang, whose, &erased), Err(Refusal::BoardNotYours));
    let first = pen.draw("p1", 9);
    assert_eq!(board.write(&wang, whose, &pen.draw("p1", 9)), Err(Refusal::BoardTooFast));
    assert!(board.write(&wang, whose, &first).unwrap().1);
    assert!(!board.write(&wang, whose, &first).unwrap().1, "said again it is nothing new");
    assert_eq!(strokes(&board.whole()).len(), 2);
    let mut pen = Pen::of("wang", 2);
    let full = loop {
        if let Err(refusal) = board.write(&wang, whose, &pen.draw("p1", 30_000)) {
            break refusal;
        }
    };
    assert_eq!(full, Refusal::BoardFull);
    assert!(board.bytes() <= LIMITS.board);
    board.write(&li, whose, &teachers.erase("p1").unwrap_or(erased)).unwrap();
}

#[tokio::test]
async fn a_copy_that_broke_is_made_anew() {
    let (board, _dir) = board();
    let wang = member("wang", Role::Student);
    let mut pen = Pen::of("wang", 1);
    for _ in 0..5 {
        board.write(&wang, 1, &pen.draw("p1", 9)).unwrap();
    }
    let before = strokes(&board.whole());
    {
        let mut inner = board.inner();
        inner.replica = Replica::new();
        board.restore(&mut inner);
    }
    assert_eq!(strokes(&board.whole()), before);
    board.write(&wang, 1, &pen.draw("p1", 9)).unwrap();
}

#[tokio::test]
async fn what_is_said_to_be_stored_is_there_after_a_restart() {
    let (board, dir) = board();
    let wang = member("wang", Role::Student);
    let mut pen = Pen::of("wang", 1);
    let mut last = 0;
    // Enough for the whole to be kept as well.
    for _ in 0..40 {
        last = board.write(&wang, 1, &pen.draw("p1", 20_000)).unwrap().0;
        board.stored(last).await;
    }
    board.stored(last).await;
    assert!(dir.path().join("board-1.whole").exists());
    // As a power cut would: nothing is closed.
    let again = Board::open(dir.path(), 1, LIMITS).unwrap();
    assert_eq!(strokes(&again.whole()), strokes(&board.whole()));
}

#[tokio::test]
async fn strokes_under_way_are_told_of_and_nowhere_kept() {
    let (board, _dir) = board();
    let (_, mut first) = board.follow(board.whose(), &[]).unwrap();
    let (_, mut second) = board.follow(board.whose(), &[]).unwrap();
    let wang = MemberId::new("wang").unwrap();
    board.ink(&wang, first.whose(), vec![1]);
    board.ink(&wang, first.whose(), vec![2]);
    board.ink(&wang, first.whose(), vec![0; MAX_INK + 1]);
    assert_eq!(second.news(tokio::time::Instant::now()).await, News::Ink);
    assert_eq!(second.inks(), [(wang, vec![2])], "the latest");
    assert_eq!((first.inks(), second.inks()), (vec![], vec![]));
    assert_eq!(board.bytes(), 0);
}
