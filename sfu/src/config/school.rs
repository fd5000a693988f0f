//! `[enrolment]` and `[edge_tls]` at the campus, `[https]` wherever pages are served: what
//! makes schools' machines nodes, and their pages ones that browsers give a camera.

use super::InvalidConfig;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[enrolment]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnrolmentSection {
    /// Directory of the campus CA. With it this node issues certificates to machines that
    /// have a code, and renews those of its schools' nodes.
    pub ca: Option<PathBuf>,
}

/// `[edge_tls]`: what schools' nodes serve HTTPS with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeTlsSection {
    /// The name of a school's node, with `{node}` for its own.
    pub name: String,
    /// PEM files; `{node}` in them is the node's name, where each has one of its own.
    pub certificate: String,
    pub key: String,
}

/// `[https]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpsSection {
    pub bind: SocketAddr,
    /// PEM files of its own; without them the campus hands a certificate down.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// What browsers in the school call this machine besides its addresses in
    /// `[media] announce`; for a certificate of the campus's own CA.
    #[serde(default)]
    pub names: Vec<String>,
}

impl HttpsSection {
    /// Its own files, both of them.
    #[must_use]
    pub fn own(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.certificate.as_ref().zip(self.key.as_ref())
    }

    pub(super) fn check(&self, edge: bool) -> Result<(), InvalidConfig> {
        match self.certificate.is_some() == self.key.is_some() {
            false => Err(InvalidConfig::HttpsHalf),
            true if !edge && self.own().is_none() => Err(InvalidConfig::HttpsNothing),
            true => Ok(()),
        }
    }
}
