//! What is said at enrolment, framed as on the trunk: the machine begins, each speaks twice.

use super::refused::Refused;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudschool_protocol::id::{NodeId, SchoolId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// From the machine that wants to become a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum FromMachine {
    /// The name of its code, and its half of SPAKE2.
    Begin { code: String, share: Bytes },
    /// A certificate signing request (PKCS #10, PEM), and the proof over it.
    Request { csr: String, proof: Bytes },
}

/// From the campus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum FromCampus {
    /// Its half of SPAKE2.
    Share {
        share: Bytes,
    },
    Issued {
        issued: Box<Issued>,
        proof: Bytes,
    },
    Refused {
        why: Refused,
    },
}

/// What the machine becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    pub node: NodeId,
    pub school: SchoolId,
    /// The campus CA's certificate, PEM.
    pub ca: String,
    /// The node's, PEM.
    pub certificate: String,
    /// What else the campus has to tell a node; the programs' own affair.
    pub settings: String,
}

/// Bytes that are base 64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(D::Error::custom)
    }
}
