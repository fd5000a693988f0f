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
use cloudschool_protocol::trunk::{Control, NodeKind, capability};
use cloudschool_relay::ca::{CaError, WebAuthority};
use cloudschool_relay::enrol::{Office, OfficeStats};
use cloudschool_relay::{Identity, Trunk};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::interval;

/// How often certificates' ages are looked at, and how often one that has not come is asked for.
const LOOK: Duration = Duration::from_secs(3600);

/// What to serve HTTPS with is asked for again after this: a node in between may have changed its
/// way to the campus unseen.
const ANEW: Duration = Duration::from_secs(24 * 3600);

/// Most bytes of a request and the certificate that is shown with it.
const REQUEST: usize = 24 * 1024;

/// Most names in a request, and bytes of one (RFC 1035 §2.3.4).
const NAMES: usize = 64;
const NAME: usize = 255;

/// Most characters of a reason that are logged.
const REASON: usize = 300;

/// Why a certificate is not passed on.
pub const TOO_OFTEN: &str = "more certificates are asked for than nodes need";
pub const TOO_LONG: &str = "the request for a certificate is too long";
pub const NOT_ITS_OWN: &str = "a certificate is asked for a node that does not stand behind it";
pub const NO_WAY_UP: &str =
    "the campus can't be reached now, or the node above is of a release that passes none on";

/// All of a node's certificates.
pub struct Papers {
    identity: Identity,
    giver: Option<Arc<Giver>>,
    https: Option<Arc<Https>>,
}

/// What attends to one trunk; ends with it.
pub struct Attending {
    task: JoinHandle<()>,
    again: Arc<Notify>,
}

impl Attending {
    fn new(task: JoinHandle<()>, again: Arc<Notify>) -> Self {
        Self { task, again }
    }

    /// The campus can be reached again, perhaps: what is lacking is asked for once more.
    pub fn look(&self) {
        self.again.notify_one();
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        self.task.abort();
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
        let (papers, again) = (self.clone(), Arc::new(Notify::new()));
        let look = again.clone();
        let task = tokio::spawn(async move {
            if trunk.peer_can(capability::CERTIFICATES) {
                papers.ask(trunk, &look).await;
            }
        });
        Attending::new(task, again)
    }

    async fn ask(&self, trunk: Trunk, again: &Notify) {
        let shown = || {
            let shown = self.identity.certificate();
            shown.inspect_err(|e| tracing::error!("this node's certificate: {e}")).ok()
        };
        if let Some(https) = &self.https {
            https.begins();
        }
        let mut asked: Option<Instant> = None;
        let mut look = interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = again.notified() => {}
            }
            if let Some(https) = &self.https
                && (!https.is_given() || asked.is_none_or(|at| at.elapsed() >= ANEW))
                && let Some(request) = https.request(shown())
            {
                asked = Some(Instant::now());
                say(&trunk, request).await;
            }
            let due = self.identity.validity().is_some_and(|v| v.renew_at() <= SystemTime::now());
            if !due {
                continue;
            }
            match self.identity.request() {
                Ok(csr) => {
                    say(&trunk, Control::Renew { csr, from: None, certificate: shown() }).await;
                }
                Err(error) => tracing::error!(%error, "the certificate can't be renewed"),
            }
        }
    }

    /// At a school's node: takes what the campus hands down. Gives back what is something
    /// else.
    pub fn take(&self, message: Control) -> Option<Control> {
        match message {
            Control::Renewed { certificate, .. } => match self.identity.renew(&certificate) {
                Ok(()) => tracing::info!("this node's certificate was renewed"),
                Err(error) => tracing::error!(%error, "this node's certificate"),
            },
            Control::HttpsCertificate(certificate) => {
                if let Some(https) = &self.https {
                    https.take(&certificate);
                }
            }
            Control::CertificateRefused { reason, .. } => {
                let reason: String = reason.chars().take(REASON).collect();
                tracing::warn!(?reason, "a certificate this node asked for does not come");
            }
            other => return Some(other),
        }
        None
    }

    /// Whether this node answers such a request itself: a district's has no certificates to give.
    #[must_use]
    pub fn gives(&self, asked: &Control) -> bool {
        self.giver.as_ref().is_some_and(|giver| match asked {
            Control::Renew { .. } => giver.office.is_some(),
            _ => true,
        }) || self.identity.kind() == NodeKind::Origin
    }

    /// At the campus: answers what `from` asks, the peer of the trunk or a node behind it. What is
    /// given back goes on answering.
    pub fn answer(&self, trunk: &Trunk, asked: Control, from: &NodeId) -> Option<Attending> {
        let (peer, to) = (trunk.peer(), from.clone());
        let refuse = |reason: String| {
            tracing::warn!(node = %to, peer = %peer.node, reason, "no certificate");
            let (trunk, message) = (trunk.clone(), refused(&peer.node, &to, &reason));
            tokio::spawn(async move { say(&trunk, message).await });
        };
        let Some(giver) = self.giver.clone() else {
            refuse("the campus gives none: it has neither [enrolment] ca nor [edge_tls]".into());
            return None;
        };
        let asker = |certificate: &Option<String>, renewal: Option<&str>| {
            Giver::asker(&self.identity, peer, &to, certificate.as_deref(), renewal)
        };
        match asked {
            Control::Renew { csr, certificate, .. } => {
                let renewed = asker(&certificate, Some(&csr));
                match renewed.and_then(|peer| giver.renew(&peer, &csr)) {
                    Ok(certificate) => {
                        let to = addressed(&peer.node, &to);
                        let (trunk, message) =
                            (trunk.clone(), Control::Renewed { certificate, to });
                        tokio::spawn(async move { say(&trunk, message).await });
                    }
                    Err(reason) => refuse(reason),
                }
                None
            }
            Control::Https { csr, names, certificate, .. } => match asker(&certificate, None) {
                Ok(asker) => {
                    let trunk = trunk.clone();
                    let giving = async move { giver.keep_giving(trunk, asker, csr, names).await };
                    Some(Attending::new(tokio::spawn(giving), Arc::default()))
                }
                Err(reason) => {
                    refuse(reason);
                    None
                }
            },
            _ => None,
        }
    }
}

/// In whose name a certificate is asked for, when that is said.
#[must_use]
pub fn asks(asked: &Control) -> Option<&NodeId> {
    match asked {
        Control::Renew { from, .. } | Control::Https { from, .. } => from.as_ref(),
        _ => None,
    }
}

/// Whether a request is of a length it can have.
#[must_use]
pub fn is_bearable(asked: &Control) -> bool {
    let text = |csr: &String, certificate: &Option<String>| {
        csr.len() + certificate.as_ref().map_or(0, String::len) <= REQUEST
    };
    match asked {
        Control::Renew { csr, certificate, .. } => text(csr, certificate),
        Control::Https { csr, names, certificate, .. } => {
            let short = names.iter().all(|name| name.len() <= NAME);
            text(csr, certificate) && names.len() <= NAMES && short
        }
        _ => false,
    }
}

/// The request, to be passed on in the name of the node that makes it.
#[must_use]
pub fn in_the_name_of(mut asked: Control, node: NodeId) -> Control {
    if let Control::Renew { from, .. } | Control::Https { from, .. } = &mut asked {
        *from = Some(node);
    }
    asked
}

/// That `node` gets no certificate, said to `peer`.
#[must_use]
pub fn refused(peer: &NodeId, node: &NodeId, reason: &str) -> Control {
    Control::CertificateRefused { to: addressed(peer, node), reason: reason.to_owned() }
}

/// How `peer` is told that something is for `node`.
fn addressed(peer: &NodeId, node: &NodeId) -> Option<NodeId> {
    (peer != node).then(|| node.clone())
}

/// For whom a message about certificates is, when it is not its receiver.
#[must_use]
pub fn to(message: &Control) -> Option<&NodeId> {
    match message {
        Control::Renewed { to, .. } | Control::CertificateRefused { to, .. } => to.as_ref(),
        Control::HttpsCertificate(certificate) => certificate.to.as_ref(),
        _ => None,
    }
}

/// The message as `peer` is told it.
#[must_use]
pub fn told(mut message: Control, peer: &NodeId) -> Control {
    let to = match &mut message {
        Control::Renewed { to, .. } | Control::CertificateRefused { to, .. } => to,
        Control::HttpsCertificate(certificate) => &mut certificate.to,
        _ => return message,
    };
    if to.as_ref() == Some(peer) {
        *to = None;
    }
    message
}

async fn say(trunk: &Trunk, message: Control) {
    if let Err(error) = trunk.send(message).await {
        tracing::debug!(%error, "a message about certificates was not sent");
    }
}
