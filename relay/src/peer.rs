//! Who a node is: what its certificate says, and nothing it says of itself.

use cloudschool_protocol::id::{NodeId, SchoolId};
use cloudschool_protocol::trunk::NodeKind;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeSet;
use std::fmt;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Scheme of the URI in a node certificate's subject alternative names.
const SCHEME: &str = "cloudschool://";

/// Stands for every school; no id is written so.
const EVERY: &str = "*";

/// One end of a trunk, as its certificate names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    pub node: NodeId,
    pub kind: NodeKind,
    /// The school an edge stands in.
    pub school: Option<SchoolId>,
    /// The schools whose nodes may stand behind it.
    pub carries: Carries,
}

/// Schools whose nodes may stand behind a node, besides its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Carries {
    /// These; none for a school's node.
    Only(BTreeSet<SchoolId>),
    /// Every school of the campus.
    All,
}

impl Carries {
    /// Reads school ids, or one `*` for all.
    ///
    /// # Errors
    /// When one of them is neither, as a sentence.
    pub fn parse<'a>(said: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let said: Vec<&str> = said.into_iter().collect();
        if said == [EVERY] {
            return Ok(Self::All);
        }
        let school = |id: &&str| {
            SchoolId::new(*id)
                .map_err(|_| format!("{id:?} is no school, and not * for all of them"))
        };
        said.iter().map(school).collect::<Result<_, _>>().map(Self::Only)
    }
}

impl Default for Carries {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// A certificate that names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotANode {
    #[error("the certificate can't be read")]
    Unreadable,
    #[error("the certificate names no node: it has no cloudschool:// address")]
    NoAddress,
    #[error(
        "the certificate's address {0:?} is not cloudschool://kind/node?school=school&carries=school"
    )]
    BadAddress(String),
}

impl Peer {
    /// A node nobody stands behind.
    #[must_use]
    pub fn new(node: NodeId, kind: NodeKind, school: Option<SchoolId>) -> Self {
        Self { node, kind, school, carries: Carries::default() }
    }

    /// The address that stands in the certificate: `cloudschool://edge/school-01?school=school-01`,
    /// with `carries=` for each school whose nodes may stand behind it, `*` for any.
    #[must_use]
    pub fn uri(&self) -> String {
        let school = self.school.iter().map(|s| ("school", s.as_str()));
        let mut parts: Vec<_> = school.collect();
        match &self.carries {
            Carries::Only(schools) => {
                parts.extend(schools.iter().map(|s| ("carries", s.as_str())));
            }
            Carries::All => parts.push(("carries", EVERY)),
        }
        let mut uri = format!("{SCHEME}{}/{}", self.kind.as_str(), self.node);
        for (n, (key, value)) in parts.into_iter().enumerate() {
            uri.push(if n == 0 { '?' } else { '&' });
            uri.extend([key, "=", value]);
        }
        uri
    }

    /// Whether nodes of other schools may stand behind it.
    #[must_use]
    pub fn carries_others(&self) -> bool {
        self.carries != Carries::default()
    }

    /// Whether it may speak for a node that stands in `school`: its own, or one it carries.
    #[must_use]
    pub fn speaks_for(&self, school: &SchoolId) -> bool {
        let carries = match &self.carries {
            Carries::Only(schools) => schools.contains(school),
            Carries::All => true,
        };
        carries || self.school.as_ref() == Some(school)
    }

    /// Reads such an address.
    pub(crate) fn from_uri(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix(SCHEME)?;
        let (kind, rest) = rest.split_once('/')?;
        let (node, query) = match rest.split_once('?') {
            None => (rest, None),
            Some((node, query)) => (node, Some(query)),
        };
        let (school, carries) = query.map_or(Some(Default::default()), Self::from_query)?;
        let kinds = [NodeKind::Origin, NodeKind::Edge, NodeKind::Recorder, NodeKind::Analytics];
        let kind = kinds.into_iter().find(|k| k.as_str() == kind)?;
        Some(Self { node: NodeId::new(node).ok()?, kind, school, carries })
    }

    fn from_query(query: &str) -> Option<(Option<SchoolId>, Carries)> {
        let (mut school, mut only, mut all) = (None, BTreeSet::new(), false);
        for part in query.split('&') {
            match part.split_once('=')? {
                ("school", id) if school.is_none() => school = Some(SchoolId::new(id).ok()?),
                ("carries", EVERY) if !all => all = true,
                ("carries", id) => {
                    if !only.insert(SchoolId::new(id).ok()?) {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        match all {
            true if !only.is_empty() => None,
            true => Some((school, Carries::All)),
            false => Some((school, Carries::Only(only))),
        }
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
        let school = school.map(|s| SchoolId::new(s).unwrap());
        Peer::new(NodeId::new("school-01").unwrap(), NodeKind::Edge, school)
    }

    fn carrying(schools: &[&str]) -> Peer {
        let schools = schools.iter().map(|s| SchoolId::new(*s).unwrap()).collect();
        Peer { carries: Carries::Only(schools), ..peer(None) }
    }

    #[test]
    fn an_address_is_read_back_as_written() {
        let district = carrying(&["school-01", "school-02"]);
        let city = Peer { carries: Carries::All, ..peer(Some("city")) };
        assert!(city.uri().ends_with("?school=city&carries=*"), "{}", city.uri());
        for peer in [peer(Some("school-01")), peer(None), district, city] {
            assert_eq!(Peer::from_uri(&peer.uri()), Some(peer));
        }
    }

    #[test]
    fn a_node_speaks_for_its_own_school_and_those_it_carries() {
        let school = |s: &str| SchoolId::new(s).unwrap();
        assert!(peer(Some("a")).speaks_for(&school("a")));
        assert!(!peer(Some("a")).speaks_for(&school("b")) && !peer(None).speaks_for(&school("a")));
        assert!(carrying(&["a", "b"]).speaks_for(&school("b")));
        assert!(!carrying(&["a", "b"]).speaks_for(&school("c")));
        assert!(Peer { carries: Carries::All, ..peer(None) }.speaks_for(&school("c")));
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
            "cloudschool://edge/a?school=*",
            "cloudschool://edge/a?",
            "cloudschool://edge/a?carries=b&carries=b",
            "cloudschool://edge/a?carries=b&carries=*",
            "cloudschool://edge/a?carries",
            "https://edge/a",
        ] {
            assert_eq!(Peer::from_uri(bad), None, "{bad}");
        }
    }
}
