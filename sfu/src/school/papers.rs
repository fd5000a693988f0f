//! Certificates that must not run out: a node's own, renewed over its trunk, and the one it
//! serves its pages with, handed down by the campus.
//!
//! At the campus this answers what its schools' nodes ask; at a school's node it asks, takes
//! what comes, and keeps it on disk, so that a node that starts without its line still serves
//! HTTPS. Everywhere it follows files that others renew.

mod campus;
mod files;
mod own;

pub use files::Pair;
pub use own::{Https, Shown};

use crate::config::Config;
use campus::Giver;
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::trunk::{Control, capability};
use cloudschool_relay::ca::{CaError, WebAuthority};
use cloudschool_relay::enrol::{Office, OfficeStats};
use cloudschool_relay::{Identity, Trunk};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;
use tokio::time::interval;

/// How often certificates' ages are looked at.
const LOOK: Duration = Duration::from_secs(3600);

/// All of a node's certificates.
pub struct Papers {
    identity: Identity,
    giver: Option<Arc<Giver>>,
    https: Option<Arc<Https>>,
}

/// What attends to one trunk; ends with it.
pub struct Attending(JoinHandle<()>);

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Papers {
    /// The papers of a node configured like that. `office` is the campus's, if it has one.
    ///
    /// # Errors
    /// [`CaError`] when the CA for browsers can't be made.
    pub fn new(
        config: &Config,
        identity: Identity,
        office: Option<Arc<Office>>,
    ) -> Result<Self, CaError> {
        let web = config.enrolment.ca.as_deref().map(WebAuthority::open_or_make).transpose()?;
        let gives = office.is_some() || config.edge_tls.is_some();
        let giver =
            gives.then(|| Arc::new(Giver { office, web, edge_tls: config.edge_tls.clone() }));
        let https = config.https.as_ref().map(|section| {
            Arc::new(Https::new(section, &config.node.data, &config.media, &config.node.name))
        });
        Ok(Self { identity, giver, https })
    }

    /// What pages are served with, where HTTPS is configured.
    #[must_use]
    pub fn https(&self) -> Option<&Arc<Https>> {
        self.https.as_ref()
    }

    /// What came to this node's counter, where it has one.
    #[must_use]
    pub fn enrolments(&self) -> Option<OfficeStats> {
        let office = self.giver.as_ref()?.office.as_ref()?;
        Some(*office.stats().borrow())
    }

    /// Whether the campus wants no more of this node.
    #[must_use]
    pub fn withdrawn(&self, node: &NodeId) -> bool {
        let office = self.giver.as_ref().and_then(|g| g.office.as_ref());
        office.is_some_and(|office| office.withdrawn(node))
    }

    /// At a school's node, for as long as a trunk upwards lasts: asks for what is needed.
    #[must_use]
    pub fn attend(self: &Arc<Self>, trunk: Trunk) -> Attending {
        let papers = self.clone();
        Attending(tokio::spawn(async move {
            if trunk.peer_can(capability::CERTIFICATES) {
                papers.ask(trunk).await;
            }
        }))
    }

    async fn ask(&self, trunk: Trunk) {
        let mut look = interval(LOOK);
        if let Some(request) = self.https.as_ref().and_then(|https| https.request()) {
            say(&trunk, request).await;
        }
        loop {
            look.tick().await;
            let due = self.identity.validity().is_some_and(|v| v.renew_at() <= SystemTime::now());
            if !due {
                continue;
            }
            match self.identity.request() {
                Ok(csr) => say(&trunk, Control::Renew { csr }).await,
                Err(error) => tracing::error!(%error, "the certificate can't be renewed"),
            }
        }
    }

    /// At a school's node: takes what the campus hands down. Gives back what is something
    /// else.
    pub fn take(&self, message: Control) -> Option<Control> {
        match message {
            Control::Renewed { certificate } => match self.identity.renew(&certificate) {
                Ok(()) => tracing::info!("this node's certificate was renewed"),
                Err(error) => tracing::error!(%error, "this node's certificate"),
            },
            Control::HttpsCertificate(certificate) => {
                if let Some(https) = &self.https {
                    https.take(&certificate);
                }
            }
            other => return Some(other),
        }
        None
    }

    /// At the campus: answers what a node asks over its trunk. Gives back what is something
    /// else.
    pub fn answer(
        &self,
        trunk: &Trunk,
        message: Control,
    ) -> Result<Option<Attending>, Box<Control>> {
        let asked = matches!(message, Control::Renew { .. } | Control::Https { .. });
        let Some(giver) = &self.giver else {
            // A district's node has no certificates to give.
            return if asked { Ok(None) } else { Err(Box::new(message)) };
        };
        match message {
            Control::Renew { csr } => {
                let (giver, trunk) = (giver.clone(), trunk.clone());
                tokio::spawn(async move {
                    if let Some(certificate) = giver.renew(trunk.peer(), &csr) {
                        say(&trunk, Control::Renewed { certificate }).await;
                    }
                });
                Ok(None)
            }
            Control::Https { csr, names } => {
                let (giver, trunk) = (giver.clone(), trunk.clone());
                let giving = async move { giver.keep_giving(trunk, csr, names).await };
                Ok(Some(Attending(tokio::spawn(giving))))
            }
            other => Err(Box::new(other)),
        }
    }
}

async fn say(trunk: &Trunk, message: Control) {
    if let Err(error) = trunk.send(message).await {
        tracing::debug!(%error, "a message about certificates was not sent");
    }
}
