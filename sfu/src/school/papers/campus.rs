//! The campus's side: what its schools' nodes are given.

use super::files::{LOOK, Pair, Stamp};
use super::say;
use crate::config::EdgeTlsSection;
use cloudschool_protocol::trunk::{Control, HttpsCertificate, NodeKind};
use cloudschool_relay::ca::{Request, WebAuthority};
use cloudschool_relay::enrol::Office;
use cloudschool_relay::{Peer, Trunk};
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
    pub fn renew(&self, peer: &Peer, csr: &str) -> Option<String> {
        let office = self.office.as_ref()?;
        if office.withdrawn(&peer.node) {
            tracing::warn!(node = %peer.node, "a withdrawn node asks for a new certificate");
            return None;
        }
        let request = Request::read(csr);
        let request =
            request.inspect_err(|e| tracing::warn!(node = %peer.node, "no renewal: {e}")).ok()?;
        let renewed = office.authority().certify(peer, &request);
        tracing::info!(node = %peer.node, good = renewed.is_ok(), "a certificate is renewed");
        renewed.inspect_err(|e| tracing::error!(node = %peer.node, "no renewal: {e}")).ok()
    }

    /// Gives a node what to serve HTTPS with, and gives it again when that changes, for as
    /// long as its trunk lasts.
    pub async fn keep_giving(&self, trunk: Trunk, csr: String, names: Vec<String>) {
        if trunk.peer().kind != NodeKind::Edge {
            return;
        }
        let pair = self.edge_tls.as_ref().map(|tls| pair(tls, trunk.peer()));
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
            if let Some(certificate) = self.certificate(trunk.peer(), pair.as_ref(), &csr, &names) {
                tracing::info!(node = %trunk.peer().node, name = certificate.name, "HTTPS");
                say(&trunk, Control::HttpsCertificate(certificate)).await;
            }
        }
    }

    fn certificate(
        &self,
        peer: &Peer,
        pair: Option<&Pair>,
        csr: &str,
        names: &[String],
    ) -> Option<HttpsCertificate> {
        if let (Some(tls), Some(pair)) = (&self.edge_tls, pair) {
            match pair.read() {
                Ok((chain, key)) => {
                    let name = Some(tls.name.replace("{node}", peer.node.as_str()));
                    return Some(HttpsCertificate { name, chain, key: Some(key), root: None });
                }
                Err(error) => tracing::error!(node = %peer.node, "[edge_tls] {error}"),
            }
        }
        let web = self.web.as_ref()?;
        let request = Request::read(csr);
        let request =
            request.inspect_err(|e| tracing::warn!(node = %peer.node, "no HTTPS: {e}")).ok()?;
        let chain = web.certify(names, &request);
        let chain =
            chain.inspect_err(|e| tracing::error!(node = %peer.node, "no HTTPS: {e}")).ok()?;
        let Some(chain) = chain else {
            tracing::warn!(node = %peer.node, ?names, "none of these is inside a school");
            return None;
        };
        let root = Some(web.certificate().to_owned());
        Some(HttpsCertificate { name: None, chain, key: None, root })
    }
}

fn pair(tls: &EdgeTlsSection, peer: &Peer) -> Pair {
    let of = |path: &str| path.replace("{node}", peer.node.as_str());
    Pair::new(of(&tls.certificate), of(&tls.key))
}
