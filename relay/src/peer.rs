//! Who a node is: what its certificate says, and nothing it says of itself.

use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::trunk::NodeKind;
use rustls::pki_types::CertificateDer;
use std::fmt;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Scheme of the URI in a node certificate's subject alternative names.
const SCHEME: &str = "cloudschool://";

/// One end of a trunk, as its certificate names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    pub node: NodeId,
    pub kind: NodeKind,
    /// The school an edge stands in.
    pub school: Option<SchoolId>,
}

/// A certificate that names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotANode {
    #[error("the certificate can't be read")]
    Unreadable,
    #[error("the certificate names no node: it has no cloudschool:// address")]
    NoAddress,
    #[error("the certificate's address {0:?} is not cloudschool://kind/node?school=school")]
    BadAddress(String),
}

impl Peer {
    /// The address that stands in the certificate: `cloudschool://edge/school-01?school=school-01`.
    #[must_use]
    pub fn uri(&self) -> String {
        let mut uri = format!("{SCHEME}{}/{}", self.kind.as_str(), self.node);
        if let Some(school) = &self.school {
            uri.push_str("?school=");
            uri.push_str(school.as_str());
        }
        uri
    }

    /// Reads such an address.
    pub(crate) fn from_uri(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix(SCHEME)?;
        let (kind, rest) = rest.split_once('/')?;
        let (node, school) = match rest.split_once('?') {
            None => (rest, None),
            Some((node, query)) => {
                (node, Some(SchoolId::new(query.strip_prefix("school=")?).ok()?))
            }
        };
        let kinds = [NodeKind::Origin, NodeKind::Edge, NodeKind::Recorder, NodeKind::Analytics];
        let kind = kinds.into_iter().find(|k| k.as_str() == kind)?;
        Some(Self { node: NodeId::new(node).ok()?, kind, school })
    }

    /// Reads who a certificate was issued to. Says nothing of whether it is to be trusted.
    pub(crate) fn from_certificate(der: &CertificateDer<'_>) -> Result<Self, NotANode> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NotANode::Unreadable)?;
        let names = certificate.subject_alternative_name().map_err(|_| NotANode::Unreadable)?;
        let names = names.ok_or(NotANode::NoAddress)?;
        let mut addresses = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        });
        let uri = addresses.next().ok_or(NotANode::NoAddress)?;
        // Two addresses would let a certificate be one node here and another there.
        if addresses.next().is_some() {
            return Err(NotANode::BadAddress(uri.into()));
        }
        Self::from_uri(uri).ok_or_else(|| NotANode::BadAddress(uri.into()))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(school: Option<&str>) -> Peer {
        Peer {
            node: NodeId::new("school-01").unwrap(),
            kind: NodeKind::Edge,
            school: school.map(|s| SchoolId::new(s).unwrap()),
        }
    }

    #[test]
    fn an_address_is_read_back_as_written() {
        for peer in [peer(Some("school-01")), peer(None)] {
            assert_eq!(Peer::from_uri(&peer.uri()), Some(peer));
        }
    }

    #[test]
    fn what_is_not_exactly_an_address_names_nobody() {
        for bad in [
            "",
            "cloudschool://",
            "cloudschool://edge",
            "cloudschool://edge/",
            "cloudschool://king/school-01",
            "cloudschool://edge/a/b",
            "cloudschool://edge/a?school=",
            "cloudschool://edge/a?town=b",
            "cloudschool://edge/a?school=b&school=c",
            "https://edge/a",
        ] {
            assert_eq!(Peer::from_uri(bad), None, "{bad}");
        }
    }
}
