//! STUN and TURN servers as members are told of them, with credentials by the TURN REST scheme
//! (draft-uberti-behave-turn-rest-00): the user name says until when they are good and for
//! whom, the password proves it to the relay, which knows the same secret.

use crate::config::{InvalidConfig, Secret, TurnSection, needs_credentials};
use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, LINK};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::socket::IceServer;
use cloudschool_service::clock::now_ms;
use std::time::Duration;

/// The servers of `[turn]`.
#[derive(Debug, Clone, Default)]
pub(super) struct IceServers {
    open: Vec<String>,
    relays: Vec<String>,
    secret: Option<Secret>,
    ttl: Duration,
}

impl IceServers {
    pub(super) fn new(section: &TurnSection) -> Result<Self, InvalidConfig> {
        let urls = section.urls.iter().cloned();
        let (relays, open) = urls.partition(|url| needs_credentials(url));
        Ok(Self { open, relays, secret: section.shared_secret()?, ttl: section.ttl() })
    }

    /// What `member` is told now.
    pub(super) fn of(&self, member: &MemberId) -> Vec<IceServer> {
        self.at(member, now_ms() / 1000)
    }

    fn at(&self, member: &MemberId, now_s: u64) -> Vec<IceServer> {
        let mut servers = Vec::new();
        if !self.open.is_empty() {
            servers.push(IceServer { urls: self.open.clone(), username: None, credential: None });
        }
        if let Some(secret) = self.secret.as_ref().filter(|_| !self.relays.is_empty()) {
            let username = format!("{}:{member}", now_s + self.ttl.as_secs());
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
            let credential = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
            servers.push(IceServer {
                urls: self.relays.clone(),
                username: Some(username),
                credential: Some(credential),
            });
        }
        servers
    }

    /// Adds the `Link` headers of RFC 9725 §4.6, one a server.
    pub(super) fn link(&self, member: &MemberId, headers: &mut HeaderMap) {
        for server in self.of(member) {
            for url in &server.urls {
                let mut link = format!("<{url}>; rel=\"ice-server\"");
                if let (Some(user), Some(credential)) = (&server.username, &server.credential) {
                    link.push_str(&format!(
                        "; username=\"{user}\"; credential=\"{credential}\"; \
                         credential-type=\"password\""
                    ));
                }
                // Both were checked when the configuration was read; ids have no other letters.
                if let Ok(link) = HeaderValue::try_from(link) {
                    headers.append(LINK, link);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> IceServers {
        IceServers::new(&TurnSection {
            urls: vec!["stun:t.example".into(), "turn:t.example?transport=udp".into()],
            secret: Some(Secret::new("north wind")),
            ttl_s: 1000,
            ..TurnSection::default()
        })
        .unwrap()
    }

    #[test]
    fn credentials_say_until_when_and_for_whom() {
        let told = servers().at(&"li".parse().unwrap(), 1_789_999_000);
        assert_eq!((told[0].urls[0].as_str(), &told[0].username), ("stun:t.example", &None));
        assert_eq!(told[1].username.as_deref(), Some("1790000000:li"));
        // printf 1790000000:li | openssl dgst -sha1 -hmac 'north wind' -binary | base64
        assert_eq!(told[1].credential.as_deref(), Some("NI85A3tsX7JUeC3wuVpzlTmHxR4="));
    }

    #[test]
    fn each_server_is_a_link() {
        let mut headers = HeaderMap::new();
        servers().link(&"li".parse().unwrap(), &mut headers);
        let links: Vec<_> = headers.get_all(LINK).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(links[0], "<stun:t.example>; rel=\"ice-server\"");
        assert!(
            links[1].starts_with("<turn:t.example?transport=udp>; rel=\"ice-server\"; username=\"")
        );
        assert!(links[1].contains(":li\"; credential=\"") && links[1].ends_with("=\"password\""));
    }

    #[test]
    fn a_node_without_relays_tells_of_none() {
        let none = IceServers::new(&TurnSection::default()).unwrap();
        assert!(none.of(&"li".parse().unwrap()).is_empty());
    }
}
