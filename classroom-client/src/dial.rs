//! How a node is reached, over HTTP or HTTPS: whose certificates are believed, and in which
//! language the node is to answer. The lesson socket and WHIP go through here, so that both
//! say the same when a node can't be reached or can't be trusted.
//!
//! It follows no redirects, keeps no connections and goes through no proxy: a node is near.

mod ask;
mod error;

pub(crate) use ask::Answer;
pub use error::{CaFileError, DialError, Distrust};

use cloudschool_protocol::refusal::Lang;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use url::{Host, Url};

/// How long TCP and TLS may take together.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// A connection to a node.
pub(crate) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// How nodes are reached. Cheap to clone.
#[derive(Clone)]
pub struct Dial {
    lang: Lang,
    /// CAs that are believed besides the system's.
    campus: Arc<[CertificateDer<'static>]>,
    /// Made when the first node is reached over HTTPS.
    tls: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dial")
            .field("lang", &self.lang)
            .field("campus", &self.campus.len())
            .finish_non_exhaustive()
    }
}

impl Default for Dial {
    /// In English, believing whom the system believes.
    fn default() -> Self {
        Self::new(Lang::En)
    }
}

impl Dial {
    /// Believes whom the system believes.
    #[must_use]
    pub fn new(lang: Lang) -> Self {
        Self { lang, campus: Arc::new([]), tls: Arc::default() }
    }

    /// Believes the CAs of `file` too, PEM or DER.
    ///
    /// # Errors
    /// [`CaFileError`].
    pub fn trusting(file: &Path, lang: Lang) -> Result<Self, CaFileError> {
        let none = || CaFileError::NoCertificate(file.to_path_buf());
        let bytes = std::fs::read(file);
        let bytes = bytes.map_err(|e| CaFileError::Unreadable(file.to_path_buf(), e))?;
        let pem: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let mut campus = pem.map_err(|_| none())?;
        if campus.is_empty() {
            campus.push(CertificateDer::from(bytes));
        }
        let mut roots = RootCertStore::empty();
        if campus.iter().any(|c| roots.add(c.clone()).is_err()) {
            return Err(none());
        }
        Ok(Self { campus: campus.into(), ..Self::new(lang) })
    }

    /// In which language nodes are asked to answer.
    #[must_use]
    pub fn lang(&self) -> Lang {
        self.lang
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!(%error, "the system's CAs");
        }
        // A machine without any still reaches nodes of the campus's CA.
        let (_, unusable) = roots.add_parsable_certificates(system.certs);
        if unusable > 0 {
            tracing::debug!(unusable, "some of the system's CAs can't be used");
        }
        for ca in self.campus.iter() {
            roots.add(ca.clone())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }

    /// A connection to the node of `url`.
    pub(crate) async fn connect(&self, url: &Url) -> Result<Stream, DialError> {
        let connected = timeout(CONNECT_WITHIN, self.connected(url)).await;
        connected.map_err(|_| DialError::Silent(site(url)))?
    }

    async fn connected(&self, url: &Url) -> Result<Stream, DialError> {
        let address = || DialError::Address(site(url));
        let unreachable = |e| DialError::Unreachable(site(url), e);
        let encrypted = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(address()),
        };
        let port = url.port_or_known_default().ok_or_else(address)?;
        let (tcp, name) = match url.host().ok_or_else(address)? {
            Host::Domain(name) => {
                let server = ServerName::try_from(name.to_owned()).map_err(|_| address())?;
                (TcpStream::connect((name, port)).await, server)
            }
            Host::Ipv4(ip) => (TcpStream::connect((ip, port)).await, ServerName::from(ip)),
            Host::Ipv6(ip) => (TcpStream::connect((ip, port)).await, ServerName::from(ip)),
        };
        let tcp = tcp.map_err(unreachable)?;
        // A raised hand is a small message that waits for nothing.
        tcp.set_nodelay(true).map_err(unreachable)?;
        if !encrypted {
            return Ok(Either::Left(tcp));
        }
        let config = self.tls().map_err(|e| unreachable(io::Error::other(e)))?;
        match TlsConnector::from(config).connect(name, tcp).await {
            Ok(tls) => Ok(Either::Right(tls)),
            Err(error) => Err(match Distrust::of(&error) {
                Some(why) => DialError::Certificate(site(url), why),
                None => unreachable(error),
            }),
        }
    }
}

/// The node of an address, without what is asked there.
fn site(url: &Url) -> Url {
    let mut site = url.clone();
    site.set_path("/");
    site.set_query(None);
    site.set_fragment(None);
    site
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// A site over HTTPS for `name`, valid from so many days from now to so many, and its own
    /// CA's certificate, PEM.
    async fn serve(name: &str, from: i64, to: i64) -> (Url, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::default();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.distinguished_name.push(rcgen::DnType::CommonName, "the tests' CA");
        let root = ca.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(ca, key);
        let own = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now + time::Duration::days(from);
        params.not_after = now + time::Duration::days(to);
        let leaf = params.signed_by(&own, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}/a?b", listener.local_addr().unwrap().port());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(tls.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                let length = request.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                tls.write_all((answer + &request).as_bytes()).await.unwrap();
                tls.flush().await.unwrap();
            }
        });
        (url.parse().unwrap(), root)
    }

    fn dial(root: &str) -> Dial {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), root).unwrap();
        Dial::trusting(file.path(), Lang::Zh).unwrap()
    }

    async fn why(dial: &Dial, url: &Url) -> Distrust {
        match dial.connect(url).await {
            Err(DialError::Certificate(_, why)) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it is trusted"),
        }
    }

    #[tokio::test]
    async fn a_node_of_the_campus_ca_is_asked_over_https_in_the_language_of_whoever_asks() {
        let (url, root) = serve("127.0.0.1", -1, 1).await;
        let answer = dial(&root).ask(&url, Request::builder(), String::new()).await.unwrap();
        assert_eq!(answer.status, 200);
        let asked = answer.text.to_ascii_lowercase();
        assert!(asked.starts_with("get /a?b http/1.1\r\n"), "{asked}");
        assert!(asked.contains("accept-language: zh-cn\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: 127.0.0.1:{}\r\n", url.port().unwrap())), "{asked}");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_certificate_is_said_in_both_languages() {
        let (url, root) = serve("127.0.0.1", -1, 1).await;
        let (_, other) = serve("127.0.0.1", -1, 1).await;
        assert_eq!(why(&Dial::default(), &url).await, Distrust::UnknownCa);
        // Another CA of the same name: its key did not sign this.
        assert_eq!(why(&dial(&other), &url).await, Distrust::UnknownCa);
        let mut wrong = url.clone();
        wrong.set_host(Some("localhost")).unwrap();
        assert_eq!(why(&dial(&root), &wrong).await, Distrust::Name);
        let (past, root) = serve("127.0.0.1", -3, -1).await;
        assert_eq!(why(&dial(&root), &past).await, Distrust::Expired);
        let (future, root) = serve("127.0.0.1", 1, 3).await;
        assert_eq!(why(&dial(&root), &future).await, Distrust::NotYet);

        let error = DialError::Certificate(site(&url), Distrust::UnknownCa);
        assert!(error.sentence(Lang::En).contains("--ca"), "{error}");
        assert!(error.sentence(Lang::Zh).contains("请用 --ca"), "{}", error.sentence(Lang::Zh));
    }

    #[test]
    fn a_ca_is_read_as_pem_and_as_der_and_nothing_else_is_taken_for_one() {
        let made = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        for good in [made.cert.pem().into_bytes(), made.cert.der().to_vec()] {
            std::fs::write(file.path(), good).unwrap();
            assert_eq!(Dial::trusting(file.path(), Lang::En).unwrap().campus.len(), 1);
        }
        for bad in
            [&b""[..], b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            std::fs::write(file.path(), bad).unwrap();
            let error = Dial::trusting(file.path(), Lang::En).unwrap_err();
            assert!(matches!(error, CaFileError::NoCertificate(_)), "{error}");
        }
        let error = Dial::trusting(Path::new("/nowhere/ca.pem"), Lang::Zh).unwrap_err();
        assert!(error.sentence(Lang::Zh).starts_with("无法读取 /nowhere/ca.pem"));
    }

    #[tokio::test]
    async fn only_web_addresses_are_addresses_of_nodes() {
        for url in ["ftp://127.0.0.1/", "data:x"] {
            let error = Dial::default().connect(&url.parse().unwrap()).await.err();
            assert!(matches!(error, Some(DialError::Address(_))), "{url}");
        }
    }
}
