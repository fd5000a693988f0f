//! Lessons planned ahead, one and many, opening by themselves; and coming in by a code.

mod common;

use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::socket::ServerMessage;
use cloudschool_service::clock::now_ms;
use common::{LESSON, Node, Site, soon};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use std::time::Duration;

const QUARTER_MS: u64 = 15 * 60_000;

/// Somebody who looks after lessons.
struct Operator<'a> {
    node: &'a Node,
    token: String,
}

impl<'a> Operator<'a> {
    fn new(site: &Site, node: &'a Node) -> Self {
        Self { node, token: site.sign("ops", Role::Operator, "campus", None, 600) }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = Client::new().request(method, self.node.url(path)).bearer_auth(&self.token);
        let request = request.header("accept-language", "en");
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.unwrap()
    }

    async fn plan(&self, id: &str, start_ms: u64) -> Response {
        let lesson = json!({
            "id": id, "title": "光的折射", "teacher": "周老师", "campus": "campus",
            "schools": ["school-01"], "plannedStartMs": start_ms,
        });
        self.send(Method::POST, "/api/lessons", Some(lesson)).await
    }

    /// The line of a lesson in the list.
    async fn line(&self, id: &str) -> Option<Value> {
        let list: Value = self.send(Method::GET, "/api/lessons", None).await.json().await.unwrap();
        let lines = list["lessons"].as_array().unwrap();
        lines.iter().find(|line| line["info"]["id"] == id).cloned()
    }

    async fn table(&self, query: &str, csv: &str) -> (u16, Value) {
        let url = self.node.url(&format!("/api/timetable?zone=%2B08:00&lang=en{query}"));
        let request = Client::new().post(url).bearer_auth(&self.token);
        let request = request.header("accept-language", "en");
        let response =
            request.header("content-type", "text/csv").body(csv.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

#[tokio::test]
async fn a_planned_lesson_waits_and_opens_by_itself_before_its_bell() {
    let site = Site::new();
    let mut node = site.campus(&[]).await;
    {
        let operator = Operator::new(&site, &node);
        let late = operator.plan("physics", now_ms() + QUARTER_MS + 3_600_000).await;
        assert_eq!(late.status(), 201);
        assert_eq!(late.json::<Value>().await.unwrap()["phase"], "scheduled");
        let moved = operator.plan("physics", now_ms() + QUARTER_MS + 7_200_000).await;
        assert_eq!(moved.status(), 200);
        assert_eq!(operator.line("physics").await.unwrap()["phase"], "scheduled");
        let called_off = operator.send(Method::DELETE, "/api/lessons/physics", None).await;
        assert_eq!(called_off.status(), 204);
        assert!(operator.line("physics").await.is_none());
        let gone = operator.send(Method::DELETE, "/api/lessons/physics", None).await;
        assert_eq!(gone.status(), 404);
        let open = operator.send(Method::DELETE, &format!("/api/lessons/{LESSON}"), None).await;
        assert_eq!(open.status(), 409);

        let soon = operator.plan("biology", now_ms() + QUARTER_MS + 1_500).await;
        assert_eq!(soon.json::<Value>().await.unwrap()["phase"], "scheduled");
    }
    // Nobody may come in before, also not after a restart in between.
    node.kill().await;
    node = site.campus(&[]).await;
    if Operator::new(&site, &node).line("biology").await.unwrap()["phase"] == "scheduled" {
        node.logged("its time has come").await;
    }
    let operator = Operator::new(&site, &node);
    assert_eq!(operator.line("biology").await.unwrap()["phase"], "open");
    let token = site.sign("wang", Role::Student, "school-01", Some("biology"), 600);
    let mut pupil = node.knock("biology").await;
    pupil.say_join(&token).await;
    pupil.welcome().await;
}

#[tokio::test]
async fn a_table_is_taken_as_a_whole_or_not_at_all() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let operator = Operator::new(&site, &node);
    let good = "课号,课名,教师,开始时间,时长,学校\n\
                m-1,分数的意义,李老师,2099-11-23 08:00,40,school-01\n\
                m-2,小数的意义,李老师,2099-11-23 09:00,40,school-01;school-02\n";
    let bad = format!("{good}m 3,百分数,李老师,2099-11-23 10:00,40,\nm-4,,李老师,never,40,\n");

    // A whole district's term is more than other requests may say.
    let mut term = "课号,课名,教师,开始时间,时长,学校\n".to_owned();
    while term.len() < 300_000 {
        let n = term.len();
        term.push_str(&format!(
            "t-{n},二次函数的图像和性质,李老师,2099-11-23 08:00,40,school-01\n"
        ));
    }
    let (status, answer) = operator.table("&dry-run=true", &term).await;
    assert_eq!((status, &answer["faulty"]), (200, &json!(0)), "{}", answer["detail"]);

    let (status, answer) = operator.table("", &bad).await;
    assert_eq!((status, &answer["taken"], &answer["faulty"]), (422, &json!(false), &json!(2)));
    assert_eq!(answer["faults"][0]["line"], 4);
    assert!(answer["faults"][1]["message"].as_str().unwrap().contains("never"));
    assert!(operator.line("m-1").await.is_none());

    let (status, answer) = operator.table("&dry-run=true", good).await;
    assert_eq!((status, &answer["taken"]), (200, &json!(false)));
    assert_eq!(answer["lessons"][1]["outcome"], "new");
    assert!(operator.line("m-1").await.is_none());

    let (status, answer) = operator.table("", good).await;
    assert_eq!((status, &answer["taken"]), (200, &json!(true)));
    assert_eq!(operator.line("m-2").await.unwrap()["phase"], "scheduled");

    let changed = good.replace("小数的意义", "小数的性质");
    let (_, answer) = operator.table("", &changed).await;
    assert_eq!(answer["lessons"][0]["outcome"], "same");
    assert_eq!(answer["lessons"][1]["outcome"], "changed");
    assert_eq!(operator.line("m-2").await.unwrap()["info"]["title"], "小数的性质");

    let teacher = Operator { token: site.token("li", Role::Teacher, "campus"), node: &node };
    let (status, _) = teacher.table("", good).await;
    assert_eq!(status, 403);
    let (status, answer) = operator.table("", "一,二\n").await;
    assert_eq!(status, 400);
    assert!(answer["detail"].as_str().unwrap().contains("\"id\""), "{answer}");
}

async fn enter(node: &Node, body: Value) -> (u16, Value) {
    let request = Client::new().post(node.url("/api/join")).header("accept-language", "en");
    let response = request.json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// What a page that comes in with the token is told of other services.
async fn school_links(node: &Node, token: &str) -> Value {
    let mut page = node.knock(LESSON).await;
    page.say_join(token).await;
    match page.hear().await {
        Some(ServerMessage::Welcome { links, .. }) => serde_json::to_value(links).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn students_come_in_by_a_code_at_their_own_node() {
    let site = Site::new();
    let campus = site.campus(&[("JOINING__CODES", "true")]).await;
    let school = site.school(&[]).await;
    school.ready().await;
    let operator = Operator::new(&site, &campus);
    let code = operator.line(LESSON).await.unwrap()["info"]["code"].as_str().unwrap().to_owned();
    assert_eq!(code.len(), 8);

    let look = reqwest::get(school.url(&format!("/api/join/{code}"))).await.unwrap();
    let look: Value = look.json().await.unwrap();
    assert_eq!(look["lesson"], LESSON);
    assert_eq!(look["schools"], json!(["school-01"]));
    let typed = format!("{} {}", &code[..4], &code[4..]);
    let (status, entered) = enter(&school, json!({"code": typed, "name": "王小明"})).await;
    assert_eq!((status, &entered["lesson"]), (201, &json!(LESSON)));
    let token = entered["token"].as_str().unwrap();
    let pupil = school.join(token).await;
    let of_school = pupil.state().members.values().find(|m| m.name == "王小明").unwrap();
    assert_eq!((of_school.school.as_str(), of_school.role), ("school-01", Role::Student));
    let links = school_links(&school, token).await;
    assert_eq!(links, json!({}), "no other service would take its token");
    // It is the school's to vouch for, and nobody else's.
    let mut elsewhere = campus.knock(LESSON).await;
    elsewhere.say_join(token).await;
    elsewhere.bye().await;

    // At the campus one says which school one is of.
    let (status, _) = enter(&campus, json!({"code": code, "name": "李四"})).await;
    assert_eq!(status, 409);
    let said = json!({"code": code, "name": "李四", "school": "school-01"});
    assert_eq!(enter(&campus, said).await.0, 201);
    let other = json!({"code": code, "name": "李四", "school": "school-09"});
    assert_eq!(enter(&campus, other).await.0, 409);
    for name in ["", "  ", "a\nb", &"名".repeat(65)] {
        let (status, _) = enter(&school, json!({"code": code, "name": name})).await;
        assert_eq!(status, 400, "{name:?}");
    }
}

#[tokio::test]
async fn who_was_taken_out_or_finds_the_door_locked_hears_it_where_the_code_is_typed() {
    let site = Site::new();
    let node = site.campus(&[("JOINING__CODES", "true")]).await;
    let line = Operator::new(&site, &node).line(LESSON).await.unwrap();
    let code = line["info"]["code"].as_str().unwrap().to_owned();
    let look = reqwest::get(node.url(&format!("/api/join/{code}"))).await.unwrap();
    let look: Value = look.json().await.unwrap();
    assert_eq!(look["schoolNames"]["school-01"], "青山镇中心小学");
    let comes = |name: &str| json!({"code": code, "name": name, "school": "school-01"});
    let (status, entered) = enter(&node, comes("捣蛋")).await;
    assert_eq!(status, 201);
    let pupil = node.join(entered["token"].as_str().unwrap()).await;
    let mut teacher = node.join(&site.token("li", Role::Teacher, "campus")).await;
    let guest = pupil.me().id.clone();
    teacher.ask(MemberCommand::RemoveMember { member: guest.clone() }).await.unwrap();
    let (status, problem) = enter(&node, comes("捣蛋")).await;
    assert_eq!(
        (status, &problem["type"]),
        (403, &json!("urn:cloudschool:problem:removed")),
        "{problem}"
    );
    assert_eq!(enter(&node, comes("另一个")).await.0, 201);
    teacher.ask(MemberCommand::LetIn { member: guest }).await.unwrap();
    assert_eq!(enter(&node, comes("捣蛋")).await.0, 201);
    teacher.ask(MemberCommand::Lock { locked: true }).await.unwrap();
    let (status, problem) = enter(&node, comes("新来的")).await;
    assert_eq!(
        (status, &problem["type"]),
        (403, &json!("urn:cloudschool:problem:locked")),
        "{problem}"
    );
}

#[tokio::test]
async fn who_tries_codes_digit_by_digit_is_slowed_down_and_a_class_is_not() {
    let site = Site::new();
    let node = site.campus(&[("JOINING__CODES", "true")]).await;
    let line = Operator::new(&site, &node).line(LESSON).await.unwrap();
    let code = line["info"]["code"].as_str().unwrap().to_owned();
    let right = |n: usize| json!({"code": code, "name": format!("学生{n}"), "school": "campus"});
    for n in 0..60 {
        assert_eq!(enter(&node, right(n)).await.0, 201);
    }
    let wrong = if code == "00000000" { "00000001" } else { "00000000" };
    let tries = async {
        let mut misses = 0;
        loop {
            match enter(&node, json!({"code": wrong, "name": "x"})).await.0 {
                404 => misses += 1,
                status => return (misses, status),
            }
        }
    };
    let (misses, status) = soon("too many tries", tries).await;
    assert_eq!(status, 429);
    assert!((20..=25).contains(&misses), "{misses}");
    assert_eq!(enter(&node, right(0)).await.0, 429);
    let waiting = async {
        while enter(&node, right(0)).await.0 != 201 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    soon("the next try", waiting).await;
}

#[tokio::test]
async fn a_token_for_one_lesson_makes_changes_and_calls_off_no_other() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let bound = site.sign("ops", Role::Operator, "campus", Some(LESSON), 600);
    let free = site.sign("ops", Role::Operator, "campus", None, 600);
    let http = reqwest::Client::new();
    let info = serde_json::json!({"id": "physics", "title": "光", "teacher": "周老师", "campus": "campus",
        "plannedStartMs": cloudschool_service::clock::now_ms() + 864_000_000});
    let open = async |token: &str| {
        let asked = http.post(node.url("/api/lessons")).bearer_auth(token).json(&info).send();
        asked.await.unwrap().status()
    };
    let sheet = async |token: &str| {
        let sheet = "id,title,teacher,start\nchemistry,水,王老师,2099-01-01 08:00\n";
        let asked = http.post(node.url("/api/timetable")).bearer_auth(token).body(sheet).send();
        asked.await.unwrap().status()
    };
    let call_off = async |token: &str| {
        let url = node.url("/api/lessons/physics");
        http.delete(url).bearer_auth(token).send().await.unwrap().status()
    };
    assert_eq!(
        (open(&bound).await, sheet(&bound).await),
        (403.try_into().unwrap(), 403.try_into().unwrap())
    );
    assert_eq!(open(&free).await, 201);
    assert_eq!(call_off(&bound).await, 403);
    assert_eq!(call_off(&free).await, 204);
}
