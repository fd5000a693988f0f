//! What is said at enrolment, framed as on the trunk: the machine begins, each speaks twice.

use super::refused::Refused;
use cloudschool_protocol::blob::Blob;
use cloudschool_protocol::id::{NodeId, SchoolId};
use serde::{Deserialize, Serialize};

/// From the machine that wants to become a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum FromMachine {
    /// The name of its code, and its half of SPAKE2.
    Begin { code: String, share: Blob },
    /// A certificate signing request (PKCS #10, PEM), and the proof over it.
    Request { csr: String, proof: Blob },
}

/// From the campus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum FromCampus {
    /// Its half of SPAKE2.
    Share {
        share: Blob,
    },
    Issued {
        issued: Box<Issued>,
        proof: Blob,
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
