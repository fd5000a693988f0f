//! Why a node can't be reached or is not trusted, in words for whoever sits at the terminal.

use super::CONNECT_WITHIN;
use cloudschool_protocol::refusal::Lang;
use rustls::CertificateError;
use std::io;
use std::path::PathBuf;
use url::Url;

/// Why a CA's file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    #[error("{} can't be read: {}", .0.display(), .1)]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{} has no certificate, neither PEM nor DER", .0.display())]
    NoCertificate(PathBuf),
}

impl CaFileError {
    /// The sentence shown to a person.
    #[must_use]
    pub fn sentence(&self, lang: Lang) -> String {
        match (lang, self) {
            (Lang::En, _) => self.to_string(),
            (Lang::Zh, Self::Unreadable(file, why)) => {
                format!("无法读取 {}:{why}", file.display())
            }
            (Lang::Zh, Self::NoCertificate(file)) => {
                format!("{} 里没有证书(PEM 或 DER 格式)。", file.display())
            }
        }
    }
}

/// What is wrong with the certificate a node shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// No CA that is believed stands behind it.
    UnknownCa,
    /// It is for other names.
    Name,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYet,
    /// Something else, in the words of the TLS library.
    Other(String),
}

impl Distrust {
    /// When a certificate is what a handshake failed of.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let rustls::Error::InvalidCertificate(why) = error else { return None };
        Some(match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::UnknownCa,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Distrust::Name
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Distrust::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Distrust::NotYet
            }
            other => Distrust::Other(other.to_string()),
        })
    }
}

/// Why a node can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{0} is no address of a node: it begins with http:// or https://")]
    Address(Url),
    #[error("{0} can't be reached: {1}")]
    Unreachable(Url, #[source] io::Error),
    #[error("{0} can't be reached: no answer within {s} s", s = CONNECT_WITHIN.as_secs())]
    Silent(Url),
    #[error("{}", distrusted(.0, .1, Lang::En))]
    Certificate(Url, Distrust),
    #[error("{0} gives no answer of HTTP: {1}")]
    NoHttp(Url, String),
}

impl DialError {
    /// The sentence shown to a person.
    #[must_use]
    pub fn sentence(&self, lang: Lang) -> String {
        match (lang, self) {
            (Lang::En, _) => self.to_string(),
            (Lang::Zh, Self::Address(url)) => {
                format!("{url} 不是节点的地址:应以 http:// 或 https:// 开头。")
            }
            (Lang::Zh, Self::Unreachable(url, why)) => format!("无法连接 {url}:{why}"),
            (Lang::Zh, Self::Silent(url)) => {
                format!("无法连接 {url}:{} 秒内没有应答。", CONNECT_WITHIN.as_secs())
            }
            (Lang::Zh, Self::Certificate(url, why)) => distrusted(url, why, lang),
            (Lang::Zh, Self::NoHttp(url, why)) => format!("{url} 的应答不是 HTTP:{why}"),
        }
    }
}

fn distrusted(url: &Url, why: &Distrust, lang: Lang) -> String {
    match (lang, why) {
        (Lang::En, Distrust::UnknownCa) => format!(
            "the certificate of {url} is not trusted: no CA known to this machine stands behind it. \
             If it is the campus's own, name its certificate with --ca"
        ),
        (Lang::Zh, Distrust::UnknownCa) => format!(
            "{url} 的证书不受信任:本机不认识签发它的 CA。如果是总部校区自己的 CA,请用 --ca 指定它的证书。"
        ),
        (Lang::En, Distrust::Name) => format!(
            "the certificate of {url} is for another name or address: use the one it was made for"
        ),
        (Lang::Zh, Distrust::Name) => {
            format!("{url} 的证书不是发给这个名称或地址的:请使用证书里的名称。")
        }
        (Lang::En, Distrust::Expired) => format!(
            "the certificate of {url} has expired: look at this machine's clock, and whether the \
             node reaches the campus, which renews it"
        ),
        (Lang::Zh, Distrust::Expired) => {
            format!("{url} 的证书已过期:请检查本机的时间,以及节点能否连接总部校区(证书由它更新)。")
        }
        (Lang::En, Distrust::NotYet) => {
            format!("the certificate of {url} is not valid yet: look at this machine's clock")
        }
        (Lang::Zh, Distrust::NotYet) => {
            format!("{url} 的证书尚未生效:请检查本机的时间。")
        }
        (Lang::En, Distrust::Other(why)) => {
            format!("the certificate of {url} is not accepted: {why}")
        }
        (Lang::Zh, Distrust::Other(why)) => format!("{url} 的证书不被接受:{why}"),
    }
}
