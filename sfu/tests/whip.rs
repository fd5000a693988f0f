//! WHIP and WHEP as RFC 9725 and draft-ietf-wish-whep have them, over HTTP alone: what is
//! answered, with which status and headers. That media flows is tested elsewhere.

mod common;

use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::member::Role;
use cloudschool_protocol::socket::{IceServer, ServerMessage};
use common::{LESSON, Node, OFFER, Site};
use reqwest::{Method, RequestBuilder, Response};

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

fn request(node: &Node, method: Method, path: &str, token: &str) -> RequestBuilder {
    reqwest::Client::new().request(method, node.url(path)).bearer_auth(token)
}

async fn patch(
    node: &Node,
    path: &str,
    token: &str,
    if_match: Option<&str>,
    body: &str,
) -> Response {
    let mut request = request(node, Method::PATCH, path, token).header("content-type", FRAGMENT);
    if let Some(tag) = if_match {
        request = request.header("if-match", tag);
    }
    request.body(body.to_owned()).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |v| v.to_str().unwrap())
}

/// A fragment of the peer that made [`OFFER`], with its credentials or others.
fn fragment(user: &str, password: &str) -> String {
    format!(
        "a=ice-ufrag:{user}\r\na=ice-pwd:{password}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
         a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host\r\na=end-of-candidates\r\n"
    )
}

const OWN: (&str, &str) = ("Oq7a", "p3q1Vn0cQeYh7cBq0xY7L0cK");

#[tokio::test]
async fn a_session_is_made_patched_restarted_and_ended() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let token = site.token("li", Role::Teacher, "campus");
    let made = node.whip(LESSON, &token, OFFER).await;
    assert_eq!(made.status(), 201);
    let (session, tag) = (header(&made, "location").to_owned(), header(&made, "etag").to_owned());
    assert!(session.starts_with(&format!("/whip/{LESSON}/")), "{session}");
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 6, "{tag}");
    assert!(header(&made, "access-control-expose-headers").contains("location"));
    let answer = made.text().await.unwrap();
    assert!(answer.contains("a=setup:passive\r\n") && answer.contains("a=ice-lite\r\n"));
    assert!(answer.contains(" tcptype passive\r\n") && answer.contains("a=end-of-candidates\r\n"));

    let own = fragment(OWN.0, OWN.1);
    let trickled = patch(&node, &session, &token, Some(&tag), &own).await;
    assert_eq!((trickled.status().as_u16(), trickled.text().await.unwrap().as_str()), (204, ""));
    let blind = patch(&node, &session, &token, None, &own).await;
    assert_eq!(blind.status(), 428);
    let stale = patch(&node, &session, &token, Some("\"else\""), &own).await;
    assert_eq!(stale.status(), 412);
    let empty = patch(&node, &session, &token, Some(&tag), "a=mid:0\r\n").await;
    assert_eq!(empty.status(), 400);
    let wrong =
        request(&node, Method::PATCH, &session, &token).body(own.clone()).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), header(&wrong, "accept-patch")), (415, FRAGMENT));
    let foreign = site.token("wang", Role::Student, "school-01");
    let foreign = patch(&node, &session, &foreign, Some(&tag), &own).await;
    assert_eq!(foreign.status(), 404, "another's session");

    let anew = fragment("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k");
    let restarted = patch(&node, &session, &token, Some("*"), &anew).await;
    assert_eq!(restarted.status(), 200);
    assert_eq!(header(&restarted, "content-type"), FRAGMENT);
    let new_tag = header(&restarted, "etag").to_owned();
    assert_ne!(new_tag, tag);
    let ours = restarted.text().await.unwrap();
    assert!(ours.contains("a=ice-ufrag:") && ours.contains("a=candidate:"), "{ours}");
    let old = patch(&node, &session, &token, Some(&tag), &anew).await;
    assert_eq!(old.status(), 412);
    let new = patch(&node, &session, &token, Some(&new_tag), &anew).await;
    assert_eq!(new.status(), 204);

    let ended = request(&node, Method::DELETE, &session, &token).send().await.unwrap();
    assert_eq!(ended.status(), 200);
    for method in [Method::DELETE, Method::PATCH] {
        let after = request(&node, method, &session, &token)
            .header("content-type", FRAGMENT)
            .header("if-match", "*")
            .body(anew.clone());
        assert_eq!(after.send().await.unwrap().status(), 404);
    }
}

#[tokio::test]
async fn addresses_say_what_they_take_and_refuse_the_rest() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let token = site.token("li", Role::Teacher, "campus");
    for kind in ["whip", "whep"] {
        let endpoint = format!("/{kind}/{LESSON}");
        let session = format!("{endpoint}/0123456789abcdef");
        let client = reqwest::Client::new();
        let said = client.request(Method::OPTIONS, node.url(&endpoint)).send().await.unwrap();
        assert_eq!(
            (said.status().as_u16(), header(&said, "accept-post")),
            (204, "application/sdp")
        );
        let said = client.request(Method::OPTIONS, node.url(&session)).send().await.unwrap();
        assert_eq!((said.status().as_u16(), header(&said, "accept-patch")), (204, FRAGMENT));
        let preflight = client
            .request(Method::OPTIONS, node.url(&session))
            .header("origin", "https://page.example")
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,content-type,if-match")
            .send()
            .await
            .unwrap();
        assert!(header(&preflight, "access-control-allow-methods").contains("PATCH"));
        assert!(header(&preflight, "access-control-allow-headers").contains("if-match"));
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            for path in [&endpoint, &session] {
                let refused = request(&node, method.clone(), path, &token).send().await.unwrap();
                assert_eq!(refused.status(), 405, "{method} {path}");
            }
        }
        let refused = request(&node, Method::POST, &session, &token).send().await.unwrap();
        assert_eq!(refused.status(), 405);
        let wrong = request(&node, Method::POST, &endpoint, &token).json(&1).send().await.unwrap();
        assert_eq!(
            (wrong.status().as_u16(), header(&wrong, "accept-post")),
            (415, "application/sdp")
        );
    }
}

#[tokio::test]
async fn a_player_gets_lines_to_receive_on() {
    let site = Site::new();
    let node = site.campus(&[]).await;
    let token = site.token("wang", Role::Student, "school-01");
    let offer = OFFER.replace("a=sendonly", "a=recvonly");
    let played = request(&node, Method::POST, &format!("/whep/{LESSON}"), &token)
        .header("content-type", "application/sdp")
        .body(offer)
        .send()
        .await
        .unwrap();
    assert_eq!(played.status(), 201);
    let (session, tag) =
        (header(&played, "location").to_owned(), header(&played, "etag").to_owned());
    assert!(session.starts_with(&format!("/whep/{LESSON}/")));
    let answer = played.text().await.unwrap();
    assert_eq!(answer.matches("a=sendonly\r\n").count(), 2, "{answer}");
    let own = fragment(OWN.0, OWN.1);
    assert_eq!(patch(&node, &session, &token, Some(&tag), &own).await.status(), 204);
    let ended = request(&node, Method::DELETE, &session, &token).send().await.unwrap();
    assert_eq!(ended.status(), 200);
}

const TURN: [(&str, &str); 2] = [
    ("TURN__URLS", r#"["stun:turn.example:3478", "turn:turn.example:3478?transport=udp"]"#),
    ("TURN__SECRET", "north wind"),
];

#[tokio::test]
async fn members_are_told_of_relays_and_strangers_are_not() {
    let site = Site::new();
    let node = site.campus(&TURN).await;
    let token = site.token("li", Role::Teacher, "campus");
    let links = |response: &Response| -> Vec<String> {
        let all = response.headers().get_all("link");
        all.iter().map(|v| v.to_str().unwrap().to_owned()).collect()
    };
    let whole = |links: &[String]| {
        assert_eq!(links[0], "<stun:turn.example:3478>; rel=\"ice-server\"");
        assert!(links[1].starts_with("<turn:turn.example:3478?transport=udp>; rel=\"ice-server\""));
        assert!(links[1].contains(":li\"; credential=\""), "{links:?}");
    };
    let made = node.whip(LESSON, &token, OFFER).await;
    whole(&links(&made));
    let endpoint = format!("/whip/{LESSON}");
    let asked = request(&node, Method::OPTIONS, &endpoint, &token).send().await.unwrap();
    whole(&links(&asked));
    let client = reqwest::Client::new();
    let stranger = client.request(Method::OPTIONS, node.url(&endpoint)).send().await.unwrap();
    assert!(links(&stranger).is_empty());

    let mut page = node.knock(LESSON).await;
    page.say_join(&token).await;
    let Some(ServerMessage::Welcome { ice_servers, .. }) = page.hear().await else {
        panic!("a welcome");
    };
    let [
        IceServer { username: None, .. },
        IceServer { urls, username: Some(_), credential: Some(_) },
    ] = &ice_servers[..]
    else {
        panic!("{ice_servers:?}");
    };
    assert_eq!(urls, &["turn:turn.example:3478?transport=udp"]);
    page.ask(MemberCommand::Start).await.unwrap();
}

#[tokio::test]
async fn a_node_on_both_families_announces_both() {
    let site = Site::new();
    let announce = r#"["127.0.0.1", "::1", "203.0.113.7:9000"]"#;
    let port = cloudschool_service::ports::unclaimed(1).unwrap();
    let bind = format!("[::]:{port}");
    let node = site.campus(&[("MEDIA__BIND", &bind), ("MEDIA__ANNOUNCE", announce)]).await;
    let token = site.token("li", Role::Teacher, "campus");
    let answer = node.whip(LESSON, &token, OFFER).await.text().await.unwrap();
    for (protocol, address, port) in [
        ("udp", "127.0.0.1", port),
        ("udp", "::1", port),
        ("tcp", "::1", port),
        ("udp", "203.0.113.7", 9000),
    ] {
        let told = answer.lines().any(|l| {
            l.contains(&format!(" 1 {protocol} "))
                && l.contains(&format!(" {address} {port} typ host"))
        });
        assert!(told, "{protocol} {address} {port} in {answer}");
    }
}
