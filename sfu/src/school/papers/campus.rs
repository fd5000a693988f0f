//! The campus's side: what its schools' nodes are given.

use super::files::{LOOK, Pair, Stamp};
use super::{addressed, refused, say};
use crate::config::EdgeTlsSection;
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::trunk::{Control, HttpsCertificate, NodeKind};
use cloudschool_relay::ca::{Request, WebAuthority};
use cloudschool_relay::enrol::Office;
use cloudschool_relay::{Identity, Peer, Trunk};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::interval;

/// A certificate of the campus's own CA is given anew after this, a quarter of its life.
const ANEW: Duration = Duration::from_secs(30 * 24 * 3600);

pub struct Giver {
    pub office: Option<Arc<Office>>,
    pub web: Option<WebAuthority>,
    pub edge_tls: Option<EdgeTlsSection>,
}

impl Giver {
    /// A new certificate that says of the peer what its old one says.
    ///
    /// # Errors
    /// A sentence for whoever runs the node.
    pub fn renew(&self, peer: &Peer, csr: &str) -> Result<String, String> {
        let none = || "the campus renews none: it has no [enrolment] ca".to_owned();
        let office = self.office.as_ref().ok_or_else(none)?;
        self.not_withdrawn(peer)?;
        let request = Request::read(csr).map_err(|e| e.to_string())?;
        let renewed = office.authority().certify(peer, &request);
        tracing::info!(node = %peer.node, good = renewed.is_ok(), "a certificate is renewed");
        renewed.map_err(|e| {
            tracing::error!(node = %peer.node, "no renewal: {e}");
            "the campus's CA can't issue it: its log says why".to_owned()
        })
    }

    fn not_withdrawn(&self, peer: &Peer) -> Result<(), String> {
        let withdrawn = self.office.as_ref().is_some_and(|o| o.withdrawn(&peer.node));
        if withdrawn { Err("the campus has withdrawn this node".to_owned()) } else { Ok(()) }
    }

    /// Who asks over `trunk` in the name of `from`: the peer itself, or a node behind it that
    /// shows a certificate of the campus CA, of a school the peer speaks for.
    ///
    /// # Errors
    /// A sentence for whoever runs the node.
    pub fn asker(
        identity: &Identity,
        trunk: &Peer,
        from: &NodeId,
        certificate: Option<&str>,
        renewal: Option<&str>,
    ) -> Result<Peer, String> {
        if *from == trunk.node {
            return Ok(trunk.clone());
        }
        let certificate = certificate.ok_or("its own certificate was not shown")?;
        let shown = identity.vouched(certificate).map_err(|e| e.to_string())?;
        let peer = shown.peer();
        let carried = match &peer.school {
            Some(school) => trunk.speaks_for(school),
            None => trunk.carries_others(),
        };
        if peer.node != *from || peer.kind != NodeKind::Edge || !carried {
            return Err(format!("the certificate that is shown for it is of the {peer}"));
        }
        if let Some(csr) = renewal {
            let request = Request::read(csr).map_err(|e| e.to_string())?;
            // Who stands in between must not get a certificate for a key of its own.
            if !shown.asks(&request) {
                return Err("the request is not for the key of its certificate".to_owned());
            }
        }
        Ok(peer.clone())
    }

    /// Gives a node what to serve HTTPS with, and gives it again when that changes, for as
    /// long as its trunk lasts.
    pub async fn keep_giving(&self, trunk: Trunk, peer: Peer, csr: String, names: Vec<String>) {
        if peer.kind != NodeKind::Edge {
            return;
        }
        let pair = self.edge_tls.as_ref().map(|tls| pair(tls, &peer));
        let mut given: Option<(Stamp, Instant)> = None;
        let mut look = interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                _ = trunk.closed() => return,
            }
            let stamp = pair.as_ref().and_then(Pair::stamp);
            let old = |at: Instant| stamp.is_none() && at.elapsed() >= ANEW;
            if given.is_some_and(|(known, at)| known == stamp && !old(at)) {
                continue;
            }
            given = Some((stamp, Instant::now()));
            let given = self.not_withdrawn(&peer);
            let given = given.and_then(|()| self.certificate(&peer, pair.as_ref(), &csr, &names));
            let message = match given {
                Ok(mut certificate) => {
                    tracing::info!(node = %peer.node, name = certificate.name, "HTTPS");
                    certificate.to = addressed(&trunk.peer().node, &peer.node);
                    Control::HttpsCertificate(certificate)
                }
                Err(reason) => {
                    tracing::warn!(node = %peer.node, reason, "no HTTPS");
                    refused(&trunk.peer().node, &peer.node, &reason)
                }
            };
            say(&trunk, message).await;
        }
    }

    fn certificate(
        &self,
        peer: &Peer,
        pair: Option<&Pair>,
        csr: &str,
        names: &[String],
    ) -> Result<HttpsCertificate, String> {
        if let (Some(tls), Some(pair)) = (&self.edge_tls, pair) {
            match pair.read() {
                Ok((chain, key)) => {
                    let name = Some(tls.name.replace("{node}", peer.node.as_str()));
                    let key = Some(key);
                    return Ok(HttpsCertificate { to: None, name, chain, key, root: None });
                }
                Err(error) => tracing::error!(node = %peer.node, "[edge_tls] {error}"),
            }
        }
        let none =
            || "the campus has none to give: neither [edge_tls] nor [enrolment] ca".to_owned();
        let web = self.web.as_ref().ok_or_else(none)?;
        let request = Request::read(csr).map_err(|e| e.to_string())?;
        let chain = web.certify(names, &request).map_err(|e| {
            tracing::error!(node = %peer.node, "no HTTPS: {e}");
            "the campus's CA can't issue it: its log says why".to_owned()
        })?;
        let chain = chain.ok_or_else(|| format!("none of {names:?} is inside a school"))?;
        let root = Some(web.certificate().to_owned());
        Ok(HttpsCertificate { to: None, name: None, chain, key: None, root })
    }
}

fn pair(tls: &EdgeTlsSection, peer: &Peer) -> Pair {
    let of = |path: &str| path.replace("{node}", peer.node.as_str());
    Pair::new(of(&tls.certificate), of(&tls.key))
}
