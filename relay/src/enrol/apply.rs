//! The machine's side of enrolment.

use super::code::Code;
use super::exchange::{Half, Session};
use super::refused::Refused;
use super::words::{FromCampus, FromMachine, Issued};
use crate::close::{self, DONE};
use crate::conversation::{Conversation, NotSaid};
use crate::purpose::{ENROL_ALPN, Purpose};
use crate::reach::{self, ReachError};
use crate::tls;
use cloudschool_protocol::blob::Blob;
use cloudschool_protocol::id::{NodeId, SchoolId};
use std::time::Duration;
use tokio::time::timeout;

/// For the whole exchange once connected.
const LIMIT: Duration = Duration::from_secs(30);

/// What the campus made of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub node: NodeId,
    pub school: SchoolId,
    /// The campus CA's certificate, PEM.
    pub ca: String,
    /// This node's, PEM.
    pub certificate: String,
    /// What the campus tells every new node.
    pub settings: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("{0}")]
    Refused(Refused),
    #[error("the enrolment was broken off, try again: {0}")]
    Broken(String),
    #[error(
        "what answers at this address does not know the code. It may not be your campus: \
         nothing was taken from it"
    )]
    Impostor,
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] tls::TlsError),
}

impl From<NotSaid> for ApplyError {
    fn from(error: NotSaid) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Applies to the node at `upstream` (`host:port`) with a code for what `csr` asks. What is
/// returned comes from whoever gave out the code, and from nobody else.
///
/// # Errors
/// [`ApplyError`]; with [`ApplyError::Broken`] the same code and the same key may be tried
/// again.
pub async fn apply(upstream: &str, code: &Code, csr: &str) -> Result<Applied, ApplyError> {
    // Whoever answers has yet to prove that it knows the code.
    let tls = tls::stranger_config(ENROL_ALPN)?;
    let config = Purpose::Enrol.said_by(tls);
    let connection = reach::either(upstream, &config).await?.connection;
    // Some tens of milliseconds of work on purpose.
    let password = code.password();
    let applied = timeout(LIMIT, exchange(&connection, code, password, csr)).await;
    close::close(&connection, DONE, "");
    let late = |_| Err(ApplyError::Broken("the campus took too long".into()));
    applied.unwrap_or_else(late)
}

async fn exchange(
    connection: &quinn::Connection,
    code: &Code,
    password: super::code::Password,
    csr: &str,
) -> Result<Applied, ApplyError> {
    let broken = |e: quinn::ConnectionError| ApplyError::Broken(close::sentence(&e));
    let session = Session::of(connection).ok_or(ApplyError::Impostor)?;
    let mut conversation = Conversation::new(connection.open_bi().await.map_err(broken)?);
    let half = Half::machine(&password);
    let share = Blob(half.share.clone());
    let begin = FromMachine::Begin { code: code.name().to_owned(), share };
    conversation.say(&begin).await?;
    let share = match conversation.hear().await? {
        FromCampus::Share { share } => share,
        FromCampus::Refused { why } => return Err(ApplyError::Refused(why)),
        FromCampus::Issued { .. } => return Err(ApplyError::Impostor),
    };
    let keys = half.finish(&share.0, &session).map_err(|_| ApplyError::Impostor)?;
    let proof = Blob(keys.machine_proof(&[csr.as_bytes()]));
    conversation.say(&FromMachine::Request { csr: csr.to_owned(), proof }).await?;
    match conversation.hear().await? {
        FromCampus::Issued { issued, proof } if keys.campus_proves(&issued.said(csr), &proof.0) => {
            let Issued { node, school, ca, certificate, settings } = *issued;
            Ok(Applied { node, school, ca, certificate, settings })
        }
        FromCampus::Refused { why } => Err(ApplyError::Refused(why)),
        FromCampus::Issued { .. } | FromCampus::Share { .. } => Err(ApplyError::Impostor),
    }
}
