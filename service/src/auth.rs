//! Who is asking: bearer tokens checked against the issuers this process trusts.

use crate::clock;
use crate::config::{AuthSection, IssuerSection};
use crate::issuer::{self, IssuerError};
use crate::problem::Problem;
use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::token::{BadKey, Claims, TokenError, Verifier};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why `[auth]` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error(
        "[auth] local accepts tokens anyone on this machine can make, so [http] bind must be a \
         loopback address, not {0}; for real use name your platform in [[auth.issuers]]"
    )]
    LocalNeedsLoopback(SocketAddr),
    #[error("[auth] names no issuer, so nobody could come in: set local or [[auth.issuers]]")]
    NoIssuer,
    #[error("[[auth.issuers]] names {0:?} twice")]
    Twice(String),
    #[error(
        "[[auth.issuers]] can't have the name \"local\", which [auth] local has, nor one that \
         begins with \"node:\", as nodes' own have"
    )]
    Reserved,
    #[error("the public key of issuer {name:?} can't be read from {}: {source}", path.display())]
    Read { name: String, path: PathBuf, source: std::io::Error },
    #[error("the public key of issuer {name:?}: {source}")]
    Key { name: String, source: BadKey },
}

/// The issuers this process trusts.
#[derive(Clone)]
pub struct Auth {
    /// Trusted from anywhere.
    issuers: Verifier,
    /// These and, from this machine, the local issuer.
    with_local: Verifier,
}

impl Auth {
    /// Reads the keys `section` names. `bind` is where HTTP is going to be served.
    ///
    /// # Errors
    /// [`AuthError`] when a key can't be read, nobody is trusted, or the local issuer would
    /// be reachable from other machines.
    pub fn from_section(section: &AuthSection, bind: SocketAddr) -> Result<Self, AuthError> {
        if section.local.is_some() && !is_loopback(bind.ip()) {
            return Err(AuthError::LocalNeedsLoopback(bind));
        }
        if section.local.is_none() && section.issuers.is_empty() {
            return Err(AuthError::NoIssuer);
        }
        let mut issuers = Verifier::default();
        for (n, entry) in section.issuers.iter().enumerate() {
            if entry.name == issuer::LOCAL || entry.name.starts_with(issuer::NODE) {
                return Err(AuthError::Reserved);
            }
            if section.issuers.iter().take(n).any(|e| e.name == entry.name) {
                return Err(AuthError::Twice(entry.name.clone()));
            }
            trust(&mut issuers, &entry.name, public_key(entry)?.as_bytes())?;
        }
        let mut with_local = issuers.clone();
        if let Some(dir) = &section.local {
            let pem = read(issuer::LOCAL, &dir.join(issuer::PUBLIC_FILE))?;
            trust(&mut with_local, issuer::LOCAL, pem.as_bytes())?;
        }
        Ok(Self { issuers, with_local })
    }

    /// Trusts from anywhere what this process signs itself as `name`, with the key in `dir`.
    ///
    /// # Errors
    /// [`IssuerError`] when the public key can't be read.
    pub fn trust_own(&mut self, name: &str, dir: &Path) -> Result<(), IssuerError> {
        let path = dir.join(issuer::PUBLIC_FILE);
        let pem = std::fs::read(&path)
            .map_err(|source| IssuerError::Read { path: path.clone(), source })?;
        for verifier in [&mut self.issuers, &mut self.with_local] {
            let trusted = verifier.trust(name, &pem);
            trusted.map_err(|source| IssuerError::Key { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Checks a token that came from `peer`, now.
    ///
    /// # Errors
    /// A 401 that says what is wrong with the token.
    pub fn check(&self, token: &str, peer: IpAddr) -> Result<Claims, Problem> {
        let verifier = if is_loopback(peer) { &self.with_local } else { &self.issuers };
        verifier.verify(token, clock::now_ms() / 1000).map_err(|e| unauthorized(&e))
    }
}

fn trust(verifier: &mut Verifier, name: &str, pem: &[u8]) -> Result<(), AuthError> {
    verifier.trust(name, pem).map_err(|source| AuthError::Key { name: name.into(), source })
}

fn public_key(entry: &IssuerSection) -> Result<String, AuthError> {
    if entry.public_key.trim_start().starts_with("-----BEGIN") {
        return Ok(entry.public_key.clone());
    }
    read(&entry.name, Path::new(&entry.public_key))
}

fn read(name: &str, path: &Path) -> Result<String, AuthError> {
    std::fs::read_to_string(path).map_err(|source| AuthError::Read {
        name: name.into(),
        path: path.into(),
        source,
    })
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The 401 for a token that isn't accepted (RFC 6750 §3).
fn unauthorized(error: &TokenError) -> Problem {
    let zh = match error {
        TokenError::Malformed => "缺少凭证,或凭证的格式不对。".to_owned(),
        TokenError::UnknownIssuer => "这里不认识签发这个凭证的平台。".to_owned(),
        TokenError::Signature => "凭证的签名不对。".to_owned(),
        TokenError::Expired => "凭证已过期,请重新获取链接。".to_owned(),
        TokenError::NotYet => "凭证还没有到生效时间。".to_owned(),
        TokenError::Claims(what) => format!("凭证的内容不完整:{what}。"),
    };
    let text = error.to_string();
    let en = format!("{}{}.", text[..1].to_uppercase(), &text[1..]);
    let kind = if *error == TokenError::Expired { "token-expired" } else { "token-invalid" };
    let challenge = r#"Bearer realm="cloudschool", error="invalid_token""#;
    Problem::new(StatusCode::UNAUTHORIZED, zh, en)
        .kind(kind)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// Lets a token in to `lesson`, or says that it is for another.
///
/// # Errors
/// A 403.
pub fn admit(claims: &Claims, lesson: &LessonId) -> Result<(), Problem> {
    if claims.admits_to(lesson) {
        return Ok(());
    }
    let en = "This token is for another lesson.";
    Err(Problem::forbidden("这个凭证是另一节课的。", en).kind("other-lesson"))
}

/// Extracts what the request's bearer token says, or answers 401.
///
/// Needs `Arc<Auth>` in the state and the peer's address in the request, as
/// [`crate::http::serve`] provides it.
pub struct Bearer(pub Claims);

impl<S> FromRequestParts<S> for Bearer
where
    Arc<Auth>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(token) = bearer(&parts.headers) else {
            let challenge = HeaderValue::from_static(r#"Bearer realm="cloudschool""#);
            let zh = "请先登录:缺少 Authorization: Bearer 凭证。";
            let en = "A token is needed: send it as Authorization: Bearer.";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, zh, en)
                .kind("token-missing")
                .header(WWW_AUTHENTICATE, challenge));
        };
        let peer = Peer::of(parts).0;
        Arc::<Auth>::from_ref(state).check(token, peer).map(Bearer)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Extracts where the request came from. What a reverse proxy passed on counts as from
/// elsewhere, even when the proxy is on this machine.
pub struct Peer(pub IpAddr);

impl Peer {
    fn of(parts: &Parts) -> Self {
        let elsewhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let proxied = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
        if proxied.iter().any(|name| parts.headers.contains_key(*name)) {
            return Self(elsewhere);
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Self(peer.map_or(elsewhere, |ConnectInfo(address)| address.ip()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use cloudschool_protocol::id::{MemberId, SchoolId};
    use cloudschool_protocol::member::Role;
    use cloudschool_protocol::refusal::Lang;
    use tower::ServiceExt;

    const HOME: &str = "127.0.0.1:8080";

    fn claims(exp: u64) -> Claims {
        Claims {
            aud: String::new(),
            iss: String::new(),
            sub: MemberId::new("li").unwrap(),
            name: "李".into(),
            role: Role::Teacher,
            school: SchoolId::new("campus").unwrap(),
            lesson: Some(LessonId::new("math").unwrap()),
            exp,
            nbf: None,
        }
    }

    fn local() -> (tempfile::TempDir, AuthSection, String) {
        let dir = tempfile::tempdir().unwrap();
        issuer::init(dir.path()).unwrap();
        let token = issuer::load(dir.path()).unwrap().sign(claims(u64::MAX / 2)).unwrap();
        let section = AuthSection { local: Some(dir.path().into()), issuers: vec![] };
        (dir, section, token)
    }

    #[test]
    fn a_local_token_counts_from_this_machine_alone() {
        let (_dir, section, token) = local();
        let auth = Auth::from_section(&section, HOME.parse().unwrap()).unwrap();
        auth.check(&token, "127.0.0.1".parse().unwrap()).unwrap();
        auth.check(&token, "::ffff:127.0.0.1".parse().unwrap()).unwrap();
        let err = auth.check(&token, "10.0.0.7".parse().unwrap()).unwrap_err();
        assert_eq!(err.status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_local_issuer_refuses_to_be_served_to_other_machines() {
        let (_dir, section, _) = local();
        let err = Auth::from_section(&section, "0.0.0.0:8080".parse().unwrap()).err().unwrap();
        assert!(matches!(err, AuthError::LocalNeedsLoopback(_)), "{err}");
    }

    #[test]
    fn a_platforms_tokens_count_from_anywhere() {
        let (dir, _, _) = local();
        let private = std::fs::read(dir.path().join(issuer::PRIVATE_FILE)).unwrap();
        let key = dir.path().join(issuer::PUBLIC_FILE);
        let city = IssuerSection { name: "city".into(), public_key: key.display().to_string() };
        let section = AuthSection { local: None, issuers: vec![city.clone()] };
        let auth = Auth::from_section(&section, "0.0.0.0:80".parse().unwrap()).unwrap();
        let platform = cloudschool_protocol::token::Issuer::new("city", &private).unwrap();
        let token = platform.sign(claims(u64::MAX / 2)).unwrap();
        auth.check(&token, "10.0.0.7".parse().unwrap()).unwrap();
        let old = platform.sign(claims(1)).unwrap();
        let err = auth.check(&old, "10.0.0.7".parse().unwrap()).unwrap_err();
        assert_eq!(err.sentence(Lang::En), "The token has expired.");

        let inline = std::fs::read_to_string(&key).unwrap();
        let inline = IssuerSection { public_key: inline, ..city.clone() };
        let twice = AuthSection { local: None, issuers: vec![city, inline] };
        let err = Auth::from_section(&twice, HOME.parse().unwrap()).err().unwrap();
        assert!(matches!(err, AuthError::Twice(_)));
    }

    #[test]
    fn a_process_that_trusts_nobody_does_not_start() {
        let none = Auth::from_section(&AuthSection::default(), HOME.parse().unwrap());
        assert!(matches!(none.err().unwrap(), AuthError::NoIssuer));
    }

    async fn ask(auth: &Arc<Auth>, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap) {
        let app = Router::new()
            .route("/", get(async |Bearer(claims): Bearer| claims.name))
            .with_state(auth.clone());
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer: SocketAddr = "127.0.0.1:5555".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = app.oneshot(request).await.unwrap();
        (response.status(), response.headers().clone())
    }

    #[tokio::test]
    async fn a_request_without_a_good_token_is_answered_401_with_a_challenge() {
        let (_dir, section, token) = local();
        let auth = Arc::new(Auth::from_section(&section, HOME.parse().unwrap()).unwrap());
        let good = format!("Bearer {token}");
        assert_eq!(ask(&auth, &[("authorization", &good)]).await.0, StatusCode::OK);
        let (status, headers) = ask(&auth, &[]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(headers[WWW_AUTHENTICATE], r#"Bearer realm="cloudschool""#);
        for bad in ["Bearer", "Bearer x.y.z", "Basic bGk6bGk="] {
            let (status, headers) = ask(&auth, &[("authorization", bad)]).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{bad}");
            assert!(headers.contains_key(WWW_AUTHENTICATE));
        }
    }

    #[tokio::test]
    async fn a_local_token_through_a_proxy_on_this_machine_is_not_local() {
        let (_dir, section, token) = local();
        let auth = Arc::new(Auth::from_section(&section, HOME.parse().unwrap()).unwrap());
        let good = format!("Bearer {token}");
        let via = [("authorization", good.as_str()), ("x-forwarded-for", "10.0.0.7")];
        assert_eq!(ask(&auth, &via).await.0, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_token_for_another_lesson_is_forbidden() {
        admit(&claims(1), &LessonId::new("math").unwrap()).unwrap();
        let err = admit(&claims(1), &LessonId::new("art").unwrap()).unwrap_err();
        assert_eq!(err.status(), StatusCode::FORBIDDEN);
    }
}
