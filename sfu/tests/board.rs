//! The board with real nodes: pages draw on Yjs documents of their own, at the campus and at a
//! school whose line is cut, and in the end all have the same.

mod common;
#[path = "common/line.rs"]
mod line;

use cloudschool_protocol::board::{BoardWriters, Frame, author_of};
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::{ByeReason, ClientMessage};
use common::{LESSON, Node, Page, Site, soon};
use line::Line;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Any, Doc, Map, Options, ReadTxn, StateVector, Transact, Update};

const SURFACE: &str = "e/p1";

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.is_empty() {
        digits.push(char::from_digit(number % 36, 36).unwrap());
        number /= 36;
    }
    digits.iter().rev().collect()
}

/// A member's page that shows the board, as a browser does.
struct Drawer {
    page: Page,
    doc: Doc,
    author: u32,
    next: u64,
    /// Changes that the node has not answered.
    pending: BTreeMap<u64, Vec<u8>>,
    /// Why changes were refused.
    refused: Vec<(Refusal, String)>,
    pieces: Vec<u8>,
    inks: Vec<(String, Vec<u8>)>,
    drawn: u32,
}

impl Drawer {
    /// `device` tells pages of one member apart.
    async fn at(node: &Node, token: &str, member: &str, device: u32) -> Self {
        let author = author_of(&MemberId::new(member).unwrap());
        let client = ClientID::new((u64::from(author) << 32) | u64::from(device));
        let doc = Doc::with_options(Options::with_client_id(client));
        let mut drawer = Self {
            page: node.join(token).await,
            doc,
            author,
            next: 1,
            pending: BTreeMap::new(),
            refused: Vec::new(),
            pieces: Vec::new(),
            inks: Vec::new(),
            drawn: 0,
        };
        drawer.open().await;
        drawer
    }

    async fn open(&mut self) {
        let vector = self.doc.transact().state_vector().encode_v1();
        self.page.say_bytes(Frame::Open { vector }.encode()).await;
    }

    /// The same page after its socket broke: what was not answered goes again.
    async fn again(mut self, node: &Node, token: &str) -> Self {
        self.page = node.join(token).await;
        self.pieces.clear();
        self.open().await;
        for update in std::mem::take(&mut self.pending).into_values() {
            self.send(update).await;
        }
        self
    }

    async fn send(&mut self, update: Vec<u8>) {
        let n = self.next;
        self.next += 1;
        self.pending.insert(n, update.clone());
        self.page.say_bytes(Frame::Change { n, update }.encode()).await;
    }

    fn stroke(&mut self, bytes: usize) -> Vec<u8> {
        self.drawn += 1;
        let key = format!("{}.{}", base36(self.author), self.drawn);
        let map = self.doc.get_or_insert_map(SURFACE);
        let mut change = self.doc.transact_mut();
        let ink: Vec<u8> = (0..bytes).map(|n| (n * 7) as u8).collect();
        map.insert(&mut change, key, Any::Buffer(ink.into()));
        change.commit();
        change.encode_update_v1()
    }

    async fn draw(&mut self) {
        // A stroke of some fifty points.
        let update = self.stroke(110);
        self.send(update).await;
    }

    async fn erase_own_first(&mut self) {
        let update = {
            let map = self.doc.get_or_insert_map(SURFACE);
            let mut change = self.doc.transact_mut();
            map.remove(&mut change, &format!("{}.1", base36(self.author)));
            change.commit();
            change.encode_update_v1()
        };
        self.send(update).await;
    }

    /// Takes the next message about the board. Cancel safe.
    async fn hear(&mut self) -> bool {
        let Some(bytes) = self.page.hear_bytes().await else { return false };
        match Frame::decode(&bytes).unwrap() {
            Frame::Change { n: more, update } => {
                self.pieces.extend(update);
                if more == 0 {
                    let update = Update::decode_v1(&std::mem::take(&mut self.pieces)).unwrap();
                    self.doc.transact_mut().apply_update(update).unwrap();
                }
            }
            Frame::Taken { n } => drop(self.pending.remove(&n)),
            Frame::Refused { n, code, sentence } => {
                self.pending.remove(&n);
                self.refused.push((code, sentence));
            }
            Frame::Ink { member, data } => self.inks.push((member, data)),
            other => panic!("{other:?}"),
        }
        true
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let hearing = async {
            while !done(self) {
                assert!(self.hear().await, "the page stays connected");
            }
        };
        soon(what, hearing).await;
    }

    fn strokes(&self) -> usize {
        let map = self.doc.get_or_insert_map(SURFACE);
        map.len(&self.doc.transact()) as usize
    }

    /// Everything on the board.
    fn board(&self) -> BTreeMap<String, String> {
        let map = self.doc.get_or_insert_map(SURFACE);
        let read = self.doc.transact();
        map.iter(&read).map(|(key, value)| (key.to_owned(), format!("{value:?}"))).collect()
    }

    async fn refusal(&mut self) -> (Refusal, String) {
        let before = self.refused.len();
        self.until("a refusal", |drawer| drawer.refused.len() > before).await;
        self.refused.last().cloned().unwrap()
    }
}

struct Class {
    site: Site,
    line: Line,
    campus: Node,
    school: Node,
    teacher: Page,
}

impl Class {
    /// A lesson that has begun, on whose board everyone may write.
    async fn new() -> Self {
        let site = Site::new();
        let campus = site.campus(&[]).await;
        let line = Line::to(site.trunk()).await;
        let school = Self::school(&site, &line).await;
        school.ready().await;
        let mut teacher = campus.join(&site.token("li", Role::Teacher, "campus")).await;
        teacher.ask(MemberCommand::Start).await.unwrap();
        let writers = BoardWriters::Everyone;
        teacher.ask(MemberCommand::BoardWriters { writers }).await.unwrap();
        Self { site, line, campus, school, teacher }
    }

    async fn school(site: &Site, line: &Line) -> Node {
        site.school(&[("TRUNK__UPSTREAM", &line.address.to_string())]).await
    }

    /// A student in the school's classroom, who has heard that everyone may write.
    async fn pupil(&self, name: &str) -> Drawer {
        let token = self.site.token(name, Role::Student, "school-01");
        let mut drawer = Drawer::at(&self.school, &token, name, 1).await;
        let may = |d: &Drawer| d.page.state().board_writers == BoardWriters::Everyone;
        while !may(&drawer) {
            drawer.page.event(|e| matches!(e, EventBody::BoardWriters { .. })).await;
        }
        drawer
    }

    /// A student at home.
    async fn home(&self, name: &str) -> Drawer {
        let token = self.site.token(name, Role::Student, "campus");
        Drawer::at(&self.campus, &token, name, 1).await
    }
}

/// Draws `strokes`, as fast as nodes let a member, and then follows until all have come.
async fn draws(mut drawer: Drawer, strokes: usize, all: usize) -> Drawer {
    let mut pace = tokio::time::interval(Duration::from_millis(55));
    let mut left = strokes;
    while left > 0 {
        tokio::select! {
            _ = pace.tick() => {
                drawer.draw().await;
                left -= 1;
            }
            heard = drawer.hear() => assert!(heard, "the page stays connected"),
        }
    }
    let followed = async {
        while drawer.strokes() < all || !drawer.pending.is_empty() {
            assert!(drawer.hear().await, "the page stays connected");
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(60), followed).await;
    done.unwrap_or_else(|_| {
        panic!("{} of {all}, unanswered {}", drawer.strokes(), drawer.pending.len())
    });
    assert_eq!(drawer.refused, []);
    drawer
}

/// Twenty members draw five thousand strokes at two nodes, the line between which is cut in the
/// middle: for three seconds, or as `BOARD_OUTAGE_S` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_writers_and_an_outage_end_in_one_board() {
    let outage = std::env::var("BOARD_OUTAGE_S").map_or(3, |s| s.parse().unwrap());
    const WRITERS: usize = 20;
    const EACH: usize = 250;
    const ALL: usize = WRITERS * EACH;
    let class = Class::new().await;
    let mut tasks = Vec::new();
    for n in 0..WRITERS {
        let name = format!("w{n}");
        let drawer = match n % 2 {
            0 => class.home(&name).await,
            _ => class.pupil(&name).await,
        };
        tasks.push(tokio::spawn(draws(drawer, EACH, ALL)));
    }
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    class.line.cut();
    tokio::time::sleep(Duration::from_secs(outage)).await;
    class.line.mend();
    let mended = Instant::now();
    let mut drawers = Vec::new();
    for task in tasks {
        drawers.push(task.await.unwrap());
    }
    let (took, after) = (began.elapsed(), mended.elapsed());
    let first = drawers[0].board();
    assert_eq!(first.len(), ALL);
    for drawer in &drawers {
        assert_eq!(drawer.board(), first);
    }
    // Whoever comes now has it at once.
    let mut waits = Vec::new();
    for (node, name, school) in
        [(&class.campus, "late-home", "campus"), (&class.school, "late-pupil", "school-01")]
    {
        let token = class.site.token(name, Role::Student, school);
        let asked = Instant::now();
        let mut late = Drawer::at(node, &token, name, 1).await;
        late.until("the board", |late| late.strokes() == ALL).await;
        waits.push(asked.elapsed());
        assert_eq!(late.board(), first);
    }
    let whole = drawers[0].doc.transact().encode_diff_v1(&StateVector::default()).len();
    eprintln!(
        "{ALL} strokes of {WRITERS} in {took:?}, one board {after:?} after a cut of {outage} s; \
         {whole} bytes; joining and having it: {waits:?}"
    );
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(1)), "{waits:?}");
}

#[tokio::test]
async fn what_a_school_draws_while_cut_off_outlives_a_power_cut_there() {
    let mut class = Class::new().await;
    let mut home = class.home("home").await;
    let mut wang = class.pupil("wang").await;
    wang.draw().await;
    home.until("the first stroke", |home| home.strokes() == 1).await;
    class.line.cut();
    for _ in 0..5 {
        wang.draw().await;
        home.draw().await;
    }
    wang.erase_own_first().await;
    wang.until("answers", |wang| wang.pending.is_empty()).await;
    class.school.kill().await;
    class.school = Class::school(&class.site, &class.line).await;
    // A page of somebody else, before the campus is there.
    let token = class.site.token("zhao", Role::Student, "school-01");
    let mut zhao = Drawer::at(&class.school, &token, "zhao", 1).await;
    zhao.until("what wang drew", |zhao| zhao.strokes() == 5).await;
    class.line.mend();
    home.until("the school's strokes", |home| home.strokes() == 10).await;
    zhao.until("the campus's strokes", |zhao| zhao.strokes() == 10).await;
    let token = class.site.token("wang", Role::Student, "school-01");
    let mut wang = wang.again(&class.school, &token).await;
    wang.until("all strokes", |wang| wang.strokes() == 10).await;
    assert_eq!((home.board(), wang.board()), (zhao.board(), zhao.board()));
}

#[tokio::test]
async fn a_campus_that_is_killed_loses_nothing_it_had_answered() {
    let mut class = Class::new().await;
    let mut home = class.home("home").await;
    let mut wang = class.pupil("wang").await;
    for _ in 0..60 {
        home.draw().await;
    }
    home.until("some answers", |home| home.pending.len() < 50).await;
    for _ in 0..10 {
        home.draw().await;
    }
    let answered = 70 - home.pending.len();
    class.campus.kill().await;
    let killed_ms = cloudschool_service::clock::now_ms();
    wang.draw().await;
    class.campus = class.site.campus(&[]).await;
    let token = class.site.token("home", Role::Student, "campus");
    let mut other = class.home("other").await;
    other.until("what was answered", |other| other.strokes() >= answered).await;
    // And the page brings what was not.
    let mut home = home.again(&class.campus, &token).await;
    home.until("answers", |home| home.pending.is_empty()).await;
    for drawer in [&mut home, &mut other, &mut wang] {
        drawer.until("all strokes", |drawer| drawer.strokes() == 71).await;
    }
    assert_eq!(home.board(), wang.board());
    assert_eq!(home.board(), other.board());
    // The replay's view: as it is, and as it was before the campus was killed.
    let get = async |query: &str, token: &str| {
        let url = class.campus.url(&format!("/api/lessons/{LESSON}/board{query}"));
        reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap()
    };
    let strokes = async |query: &str| {
        let update = get(query, &token).await.bytes().await.unwrap();
        let doc = Doc::new();
        doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
        doc.get_or_insert_map(SURFACE).len(&doc.transact()) as usize
    };
    assert_eq!((strokes("").await, strokes("?at=0").await), (71, 0));
    let then = strokes(&format!("?at={killed_ms}")).await;
    assert!((answered..71).contains(&then), "{then}");
    let stranger = class.site.token("x", Role::Student, "school-99");
    assert_eq!(get("", &stranger).await.status(), 403);
}

#[tokio::test]
async fn who_may_not_write_is_told_so_and_who_may_is_the_teachers_choice() {
    let mut class = Class::new().await;
    let mut wang = class.pupil("wang").await;
    wang.draw().await;
    wang.until("an answer", |wang| wang.pending.is_empty()).await;
    let writers = BoardWriters::Stage;
    class.teacher.ask(MemberCommand::BoardWriters { writers }).await.unwrap();
    wang.page.event(|e| matches!(e, EventBody::BoardWriters { .. })).await;
    wang.draw().await;
    let (code, sentence) = wang.refusal().await;
    assert_eq!(code, Refusal::BoardReadOnly);
    assert_eq!(sentence, "You may not write on the board now.");
    // As a page does then: the board as the node has it, under another name of the device.
    let token = class.site.token("wang", Role::Student, "school-01");
    drop(wang);
    let mut wang = Drawer::at(&class.school, &token, "wang", 2).await;
    let member = MemberId::new("wang").unwrap();
    class.teacher.ask(MemberCommand::Call { member }).await.unwrap();
    wang.page.event(|e| matches!(e, EventBody::StageCalled { .. })).await;
    wang.drawn = 1;
    wang.draw().await;
    wang.until("an answer", |wang| wang.pending.is_empty()).await;
    assert_eq!(wang.refused, []);
    let token = class.site.token("guest", Role::Observer, "campus");
    let mut guest = Drawer::at(&class.campus, &token, "guest", 1).await;
    guest.until("the board", |guest| guest.strokes() == 2).await;
    guest.draw().await;
    assert_eq!(guest.refusal().await.0, Refusal::BoardReadOnly);
    // Nobody but the teacher has the say.
    let writers = BoardWriters::Everyone;
    let asked = wang.page.ask(MemberCommand::BoardWriters { writers }).await;
    assert_eq!(asked, Err(Refusal::NotAllowed));
}

#[tokio::test]
async fn a_malicious_writer_harms_nobody() {
    let class = Class::new().await;
    let mut home = class.home("home").await;
    let mut mallory = class.home("mallory").await;
    home.draw().await;
    mallory.until("the board", |mallory| mallory.strokes() == 1).await;
    // In another's name, over another's stroke, and not for a board at all.
    let forged = {
        let mut forger = Drawer::at(
            &class.school,
            &class.site.token("f", Role::Student, "school-01"),
            "home",
            9,
        )
        .await;
        forger.stroke(10)
    };
    let hers = home.doc.get_or_insert_map(SURFACE);
    let key = format!("{}.1", base36(home.author));
    let over = {
        let map = mallory.doc.get_or_insert_map(SURFACE);
        let mut change = mallory.doc.transact_mut();
        map.insert(&mut change, key.as_str(), "gone");
        change.encode_update_v1()
    };
    let deep = {
        let mut bytes = vec![1, 1, 5, 0, 0x28, 1, 4, b'e', b'/', b'p', b'1', 1, b'k', 1];
        bytes.extend([117, 1].repeat(30_000));
        bytes
    };
    for (update, code) in [
        (forged, Refusal::BoardNotYours),
        (over, Refusal::BoardNotYours),
        (b"nonsense".to_vec(), Refusal::BoardMalformed),
        (deep, Refusal::BoardMalformed),
        (vec![0; 100_000], Refusal::BoardTooLarge),
    ] {
        mallory.send(update).await;
        let (said, sentence) = mallory.refusal().await;
        assert_eq!(said, code, "{sentence}");
        assert!(sentence.ends_with('.'));
    }
    for _ in 0..1000 {
        mallory.send(vec![0, 0]).await;
    }
    let too_fast = |m: &Drawer| m.refused.iter().any(|(code, _)| *code == Refusal::BoardTooFast);
    mallory.until("a refusal of a flood", too_fast).await;
    let ink = Frame::Ink { member: "li".into(), data: vec![1, 2, 3] };
    mallory.page.say_bytes(ink.encode()).await;
    // The others go on, see who draws by name, and have lost nothing.
    home.until("a stroke under way", |home| !home.inks.is_empty()).await;
    assert_eq!(home.inks, [("mallory".to_owned(), vec![1, 2, 3])]);
    home.draw().await;
    home.until("an answer", |home| home.pending.is_empty()).await;
    assert!(hers.get(&home.doc.transact(), &key).is_some());
    assert_eq!(home.strokes(), 2);
    mallory.page.say_bytes(b"\xffwhatever".to_vec()).await;
    assert_eq!(mallory.page.bye().await.0, ByeReason::Protocol);
    let state = home.page.state();
    assert_eq!(state.info.id.as_str(), LESSON);
}

#[tokio::test]
async fn closing_the_board_and_opening_it_again_gives_nobody_more_than_its_share() {
    let site = Site::new();
    let limits =
        [("LIMITS__BOARD_CHANGE_BURST", "10"), ("LIMITS__BOARD_CHANGES_PER_SECOND", "0.001")];
    let campus = site.campus(&limits).await;
    let mut li = Drawer::at(&campus, &site.token("li", Role::Teacher, "campus"), "li", 1).await;
    for round in 0..3 {
        for _ in 0..8 {
            li.draw().await;
        }
        li.until("answers", |li| li.pending.is_empty()).await;
        assert_eq!(li.refused.is_empty(), round == 0);
        li.page.say_bytes(Frame::Close.encode()).await;
        li.open().await;
    }
    assert_eq!(li.refused.len(), 14, "ten of twenty-four");
    assert!(li.refused.iter().all(|(code, _)| *code == Refusal::BoardTooFast));
    // Nor the whole board as often as it likes.
    for _ in 0..40 {
        li.open().await;
    }
    assert_eq!(li.page.bye().await.0, ByeReason::Protocol);
}

#[tokio::test]
async fn the_log_says_how_much_each_wrote_and_a_change_that_is_said_again_counts_once() {
    let class = Class::new().await;
    let token = class.site.token("w1", Role::Student, "school-01");
    let mut pupil = class.pupil("w1").await;
    let mut home = class.home("w2").await;
    for _ in 0..3 {
        pupil.draw().await;
        home.draw().await;
    }
    pupil.until("its answers", |d| d.pending.is_empty()).await;
    home.until("its answers", |d| d.pending.is_empty()).await;
    // As a page does that did not hear of its last stroke.
    let again = pupil.stroke(110);
    pupil.send(again.clone()).await;
    pupil.until("an answer", |d| d.pending.is_empty()).await;
    pupil.pending.insert(99, again);
    let pupil = pupil.again(&class.school, &token).await;
    home.erase_own_first().await;
    home.until("an answer", |d| d.pending.is_empty()).await;
    for drawer in [pupil, home] {
        let mut page = drawer.page;
        page.say(&ClientMessage::Leave).await;
        while page.hear().await.is_some() {}
    }
    let drawn = |name: &'static str| {
        let log = class.site.log("campus");
        let of = log.into_iter().filter_map(|event| match event.body {
            EventBody::BoardDrawn { member, strokes, from_ms } if member.as_str() == name => {
                Some((strokes, event.at_ms - from_ms))
            }
            _ => None,
        });
        of.collect::<Vec<_>>()
    };
    let both = async {
        while drawn("w1").is_empty() || drawn("w2").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("what was drawn in the log", both).await;
    for name in ["w1", "w2"] {
        let said = drawn(name);
        let strokes: u32 = said.iter().map(|(strokes, _)| strokes).sum();
        assert_eq!(strokes, 4, "{name}: {said:?}");
    }
}
