//! Files of a lesson: given at one node, had at every other, each fetched once by a school.

mod common;
#[path = "common/line.rs"]
mod line;

use cloudschool_protocol::asset::AssetId;
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::DeckId;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::slides::Spot;
use cloudschool_protocol::slides::{Deck, DeckPage};
use cloudschool_protocol::socket::{ClientMessage, ServerMessage};
use common::{LESSON, Node, Page, Site, free_address, soon};
use futures_util::future::join_all;
use line::Line;
use reqwest::{Response, StatusCode};
use std::time::Duration;

/// A picture of so many bytes that no other test has.
fn picture(seed: u8, len: usize) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let mut bytes: Vec<u8> = (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    bytes[..12].copy_from_slice(b"RIFF\0\0\0\0WEBP");
    bytes
}

async fn give(node: &Node, token: &str, file: Vec<u8>) -> Response {
    let request = reqwest::Client::new().post(node.url(&format!("/api/lessons/{LESSON}/assets")));
    let request = request.bearer_auth(token).header("accept-language", "en").body(file);
    soon("an answer", request.send()).await.unwrap()
}

async fn kept(node: &Node, token: &str, file: Vec<u8>) -> AssetId {
    let answer = give(node, token, file).await;
    assert_eq!(answer.status(), StatusCode::CREATED, "{:?}", answer.text().await);
    let said: serde_json::Value = answer.json().await.unwrap();
    assert!(said.get("waiting").is_none(), "{said}");
    said["id"].as_str().unwrap().parse().unwrap()
}

async fn fetch(node: &Node, token: &str, asset: &str) -> Response {
    let url = node.url(&format!("/lessons/{LESSON}/assets/{asset}"));
    let request = reqwest::Client::new().get(url).bearer_auth(token);
    soon("a file", request.header("accept-language", "en").send()).await.unwrap()
}

/// Gets a file as a page does: again while it is on its way.
async fn had(node: &Node, token: &str, asset: AssetId) -> Vec<u8> {
    let getting = async {
        loop {
            let answer = fetch(node, token, &asset.to_string()).await;
            match answer.status() {
                StatusCode::OK => return answer.bytes().await.unwrap().to_vec(),
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::NOT_FOUND => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => panic!("{other}"),
            }
        }
    };
    soon("the file", getting).await
}

/// A figure of a node's metrics page.
async fn figure(node: &Node, name: &str) -> u64 {
    let text = reqwest::get(node.url("/metrics")).await.unwrap().text().await.unwrap();
    let named = |line: &&str| line.split_once(' ').is_some_and(|(n, _)| n == name);
    let line = text.lines().find(named).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

const SENT: &str = "cloudschool_assets_bytes_sent_total";

fn deck(pages: &[AssetId]) -> Box<Deck> {
    let page = |asset: &AssetId| DeckPage {
        asset: *asset,
        width: 1920,
        height: 1080,
        small: None,
        title: None,
    };
    let id = DeckId::new("deck-1").unwrap();
    Box::new(Deck {
        id,
        title: "抛物线".into(),
        pages: pages.iter().map(page).collect(),
        text: None,
    })
}

/// Waits until the page hears that the campus is away.
async fn cut_off(page: &mut Page) {
    loop {
        let heard = page.hear().await.expect("the page stays connected");
        if matches!(heard, ServerMessage::Campus { reachable: false }) {
            return;
        }
    }
}

async fn teacher(node: &Node, site: &Site, school: &str) -> Page {
    node.join(&site.token("li", Role::Teacher, school)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_school_fetches_a_file_once_however_many_want_it_and_has_it_in_a_cut() {
    let site = Site::new();
    let campus = site.campus(&[]).await;
    let line = Line::to(site.trunk()).await;
    let upstream = line.address.to_string();
    let school = site.school(&[("TRUNK__UPSTREAM", &upstream)]).await;
    school.ready().await;
    let token = site.token("li", Role::Teacher, "campus");

    let file = picture(1, 300_000);
    let asset = kept(&campus, &token, file.clone()).await;
    assert_eq!(kept(&campus, &token, file.clone()).await, asset, "its name is what is in it");
    let mut li = teacher(&campus, &site, "campus").await;
    li.ask(MemberCommand::SlidesOpen { deck: deck(&[asset]), page: None }).await.unwrap();

    let readers = (0..20).map(|_| had(&school, &token, asset));
    assert!(join_all(readers).await.iter().all(|got| *got == file));
    assert_eq!(figure(&campus, SENT).await, file.len() as u64, "it crossed the line once");
    assert_eq!(figure(&school, "cloudschool_assets_fetched_total").await, 1);

    let mut pupil = school.join(&site.token("wang", Role::Student, "school-01")).await;
    line.cut();
    cut_off(&mut pupil).await;
    assert_eq!(had(&school, &token, asset).await, file, "what is here is here");
    // A teacher at the school opens slides that only the campus has.
    let mut zhang = school.join(&site.token("zhang", Role::Teacher, "school-01")).await;
    let later = kept(&campus, &token, picture(2, 50_000)).await;
    let other = Box::new(Deck { id: DeckId::new("deck-2").unwrap(), ..*deck(&[later]) });
    zhang.ask(MemberCommand::SlidesOpen { deck: other, page: None }).await.unwrap();
    let answer = fetch(&school, &token, &later.to_string()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    line.mend();
    assert_eq!(had(&school, &token, later).await, picture(2, 50_000));
    assert_eq!(figure(&campus, SENT).await, 350_000);

    // And over a restart of the school's node.
    school.terminate().await;
    line.cut();
    let school = site.school(&[("TRUNK__UPSTREAM", &upstream)]).await;
    assert_eq!(had(&school, &token, asset).await, file);
}

/// What a refusal says.
async fn detail(answer: Response) -> (StatusCode, String) {
    let status = answer.status();
    let problem: serde_json::Value = answer.json().await.unwrap();
    (status, problem["detail"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_given_only_to_who_may_see_the_lesson() {
    let site = Site::new();
    let campus = site.campus(&[]).await;
    let li = site.token("li", Role::Teacher, "campus");
    let asset = kept(&campus, &li, picture(1, 2_000)).await.to_string();
    let refused = async |token: &str, status: StatusCode, says: &str| {
        let (was, said) = detail(fetch(&campus, token, &asset).await).await;
        assert_eq!(was, status, "{said}");
        assert!(said.contains(says), "{said}");
    };
    let url = campus.url(&format!("/lessons/{LESSON}/assets/{asset}"));
    let stranger = reqwest::Client::new().get(url).header("accept-language", "en");
    let (status, said) = detail(stranger.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(said, "A token is needed: send it as Authorization: Bearer.");
    refused("made.up.token", StatusCode::UNAUTHORIZED, "").await;
    let expired = site.sign("wang", Role::Student, "school-01", Some(LESSON), -3600);
    refused(&expired, StatusCode::UNAUTHORIZED, "expired").await;
    let elsewhere = site.sign("wang", Role::Student, "school-01", Some("another"), 3600);
    refused(&elsewhere, StatusCode::FORBIDDEN, "another lesson").await;
    let uninvited = site.token("wang", Role::Student, "school-77");
    refused(&uninvited, StatusCode::FORBIDDEN, "school").await;
    for role in [Role::Student, Role::Classroom, Role::Observer] {
        let token = site.token("wang", role, "school-01");
        assert_eq!(fetch(&campus, &token, &asset).await.status(), StatusCode::OK);
    }

    let wang = site.token("wang", Role::Student, "school-01");
    let page = campus.join(&wang).await;
    let mut teaching = teacher(&campus, &site, "campus").await;
    let member = page.me().id.clone();
    teaching.ask(MemberCommand::RemoveMember { member }).await.unwrap();
    refused(&wang, StatusCode::FORBIDDEN, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_a_lesson_never_named_cost_its_school_nothing() {
    let site = Site::new();
    let campus = site.campus(&[]).await;
    let line = Line::to(site.trunk()).await;
    let upstream = line.address.to_string();
    let school = site.school(&[("TRUNK__UPSTREAM", &upstream)]).await;
    school.ready().await;
    let token = site.token("li", Role::Teacher, "campus");
    let mut li = teacher(&campus, &site, "campus").await;
    let wang = site.token("wang", Role::Student, "school-01");
    let mut pupil = school.join(&wang).await;

    // As long as the line is away, whatever the school asks the campus for is not answered.
    line.cut();
    cut_off(&mut pupil).await;
    let made_up: Vec<String> = (0..64).map(|n| format!("{n:064x}")).collect();
    let asked = made_up.iter().map(|name| fetch(&school, &wang, name));
    for answer in join_all(asked).await {
        let (status, said) = detail(answer).await;
        assert_eq!((status, &*said), (StatusCode::NOT_FOUND, "There is no such file."));
    }
    let file = picture(30, 60_000);
    let asset = kept(&campus, &token, file.clone()).await;
    li.ask(MemberCommand::SlidesOpen { deck: deck(&[asset]), page: None }).await.unwrap();
    line.mend();
    pupil.event(|e| matches!(e, EventBody::SlidesOpened { .. })).await;
    assert_eq!(had(&school, &wang, asset).await, file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decks_pages_are_at_the_school_before_they_are_turned_to() {
    let site = Site::new();
    let campus = site.campus(&[]).await;
    let school = site.school(&[]).await;
    school.ready().await;
    let token = site.token("li", Role::Teacher, "campus");
    let mut pages = Vec::new();
    for n in 0..4 {
        pages.push(kept(&campus, &token, picture(10 + n, 40_000)).await);
    }
    let mut li = teacher(&campus, &site, "campus").await;
    let mut wang = school.join(&site.token("wang", Role::Student, "school-01")).await;
    li.ask(MemberCommand::SlidesOpen { deck: deck(&pages), page: None }).await.unwrap();
    wang.event(|e| matches!(e, EventBody::SlidesOpened { page: 1, .. })).await;
    let fetched = async {
        while figure(&school, "cloudschool_assets_fetched_total").await < 4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("all pages, though nobody has asked for one", fetched).await;
    li.ask(MemberCommand::SlidesTurn { page: 2 }).await.unwrap();
    wang.event(|e| matches!(e, EventBody::SlidesTurned { page: 2, .. })).await;
    assert_eq!(had(&school, &token, pages[1]).await, picture(11, 40_000));
    assert_eq!(figure(&campus, SENT).await, 160_000);

    // The teacher's pointer is seen at the school, a pupil's nowhere.
    let at = Some(Spot { x: 5_000, y: 2_500 });
    wang.say(&ClientMessage::Pointer { at: Some(Spot { x: 1, y: 1 }) }).await;
    li.say(&ClientMessage::Pointer { at: Some(Spot { x: 20_000, y: 1 }) }).await;
    li.say(&ClientMessage::Pointer { at }).await;
    let pointed = loop {
        if let Some(ServerMessage::Pointer { by, at }) = wang.hear().await {
            break (by.to_string(), at);
        }
    };
    assert_eq!(pointed, ("li".to_owned(), at));
    let log = site.log("campus");
    assert!(!serde_json::to_string(&log).unwrap().contains("pointer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_at_a_school_is_at_the_origin_through_a_district_also_after_a_cut() {
    let site = Site::new();
    let campus = site.campus(&[]).await;
    let district = free_address();
    let between = site.district("district-1", district, &[]).await;
    between.ready().await;
    let upstream = district.to_string();
    let line = Line::to(district).await;
    let crossed = line.address.to_string();
    let school = site.school(&[("TRUNK__UPSTREAM", &crossed)]).await;
    let own = [("NODE__NAME", "school-02"), ("NODE__SCHOOL", "school-02")];
    let identity = site.path("tls").join("school-02").display().to_string();
    let data = site.data("school-02").display().to_string();
    let others = [
        ("TRUNK__UPSTREAM", upstream.as_str()),
        ("TRUNK__IDENTITY", &identity),
        ("NODE__DATA", &data),
    ];
    let other = site.school(&[&own[..], &others[..]].concat()).await;
    school.ready().await;
    other.ready().await;

    let token = site.token("li", Role::Teacher, "school-01");
    let file = picture(20, 120_000);
    let asset = kept(&school, &token, file.clone()).await;
    // Answered only when the origin has it: through the district's node.
    assert_eq!(fetch(&campus, &token, &asset.to_string()).await.status(), StatusCode::OK);
    assert_eq!(had(&between, &token, asset).await, file);
    assert_eq!(figure(&campus, SENT).await, 0, "the district's node had it already");
    // A school that is not invited does not even know of the lesson.
    let answer = fetch(&other, &token, &asset.to_string()).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);

    // Cut off, it is taken all the same and goes up when the line is back.
    let mut li = teacher(&school, &site, "school-01").await;
    line.cut();
    cut_off(&mut li).await;
    let answer = give(&school, &token, picture(21, 30_000)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let said: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(said["waiting"], true);
    let asset: AssetId = said["id"].as_str().unwrap().parse().unwrap();
    let nowhere = fetch(&campus, &token, &asset.to_string()).await;
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
    line.mend();
    assert_eq!(had(&campus, &token, asset).await, picture(21, 30_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_teaches_gives_files_and_only_files_that_are_what_they_say() {
    let site = Site::new();
    let limits = [
        ("LIMITS__ASSET_MB", "1"),
        ("LIMITS__LESSON_ASSETS_MB", "2"),
        ("LIMITS__LESSON_ASSETS", "4"),
    ];
    let campus = site.campus(&limits).await;
    let li = site.token("li", Role::Teacher, "campus");
    let refused = async |token: &str, file: Vec<u8>, status: StatusCode, says: &str| {
        let answer = give(&campus, token, file).await;
        assert_eq!(answer.status(), status);
        let problem: serde_json::Value = answer.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{detail}");
    };
    for role in [Role::Student, Role::Classroom, Role::Observer] {
        let token = site.token("wang", role, "campus");
        refused(&token, picture(1, 99), StatusCode::FORBIDDEN, "Your role").await;
    }
    let elsewhere = site.sign("li", Role::Teacher, "campus", Some("another"), 3600);
    refused(&elsewhere, picture(1, 99), StatusCode::FORBIDDEN, "").await;
    refused("", picture(1, 99), StatusCode::UNAUTHORIZED, "").await;
    let kind = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    for other in ["<svg onload=alert(1)>", "<html>", "GIF89a", "", "RIFF", r#"{"cloudschool":1}"#] {
        refused(&li, other.into(), kind, "Only WebP").await;
    }
    let text = |pages: &str| format!(r#"{{"cloudschool":"deck-text/1","pages":{pages}}}"#);
    refused(&li, text("[1]").into(), kind, "Only WebP").await;
    let large = StatusCode::PAYLOAD_TOO_LARGE;
    refused(&li, picture(1, (1 << 20) + 1), large, "at most 1 MB").await;

    // Without saying how long it is.
    let chunks = (0..3).map(|_| Ok::<_, std::io::Error>(picture(1, 600_000)));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let url = campus.url(&format!("/api/lessons/{LESSON}/assets"));
    let endless =
        reqwest::Client::new().post(url).bearer_auth(&li).body(body).send().await.unwrap();
    assert_eq!(endless.status(), large);

    let first = kept(&campus, &li, picture(2, 1 << 20)).await;
    kept(&campus, &li, text(r#"["抛物线"]"#).into()).await;
    let full = StatusCode::INSUFFICIENT_STORAGE;
    refused(&li, picture(3, 1 << 20), full, "no room").await;
    kept(&campus, &li, picture(4, 20)).await;
    kept(&campus, &li, picture(5, 20)).await;
    refused(&li, picture(6, 20), full, "no room").await;

    let answer = fetch(&campus, &li, &first.to_string()).await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "image/webp");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
    assert!(header("cache-control").contains("immutable"));
    let secret = site.data("campus").join("lessons").join(LESSON).join("events.ndjson");
    assert!(secret.exists());
    let upper = first.to_string().to_uppercase();
    for path in ["..%2Fevents.ndjson", "%2e%2e%2f%2e%2e", "events.ndjson", &upper, &"0".repeat(64)]
    {
        let answer = fetch(&campus, &li, path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let folder = secret.with_file_name("assets");
    let left = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(left, 4, "what was refused leaves nothing behind");
}
