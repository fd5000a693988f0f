//! What a node serves its own pages with.

use super::files::{LOOK, Pair};
use crate::config::{HttpsSection, MediaSection};
use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::trunk::{Control, HttpsCertificate};
use cloudschool_relay::ca;
use cloudschool_service::https::Certificates;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use tokio::time::interval;

const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";
/// The key of requests, which never leaves the machine.
const OWN_KEY: &str = "own.key";
const ROOT: &str = "root.pem";
const NAME: &str = "name";

/// What browsers meet at the HTTPS address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shown {
    /// Nothing can be shown yet.
    #[default]
    Nothing,
    /// A certificate every browser knows; for this name, if it is known here.
    Public { name: Option<String> },
    /// One of the campus's CA, PEM, which devices have to know first.
    OfCampus { root: String },
}

/// HTTPS of one node.
pub struct Https {
    /// Where it is served.
    pub bind: SocketAddr,
    pub certificates: Arc<Certificates>,
    own: Option<Pair>,
    dir: PathBuf,
    names: Vec<String>,
    shown: watch::Sender<Shown>,
    /// Whether the campus has given one since it was last asked over a new trunk.
    given: AtomicBool,
}

impl Https {
    /// With what was kept from before, or its own files.
    pub fn new(section: &HttpsSection, data: &Path, media: &MediaSection, node: &NodeId) -> Self {
        let addresses = media.announce.iter().map(|a| a.ip.to_string());
        let mut names: Vec<String> = section.names.iter().cloned().chain(addresses).collect();
        if !media.bind.ip().is_unspecified() {
            names.push(media.bind.ip().to_string());
        }
        names.push(format!("{}.local", node.as_str().to_ascii_lowercase()));
        let https = Self {
            bind: section.bind,
            certificates: Arc::default(),
            own: section.own().map(|(certificate, key)| Pair::new(certificate, key)),
            dir: data.join("https"),
            names,
            shown: watch::Sender::default(),
            given: AtomicBool::new(false),
        };
        if let Err(error) = https.load() {
            tracing::warn!(%error, "nothing to serve HTTPS with yet");
        }
        https
    }

    /// What browsers meet now.
    #[must_use]
    pub fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }

    /// Follows its own files for as long as it is polled.
    pub async fn follow_files(&self) {
        let Some(pair) = &self.own else { return std::future::pending().await };
        let mut stamp = pair.stamp();
        let mut look = interval(LOOK);
        loop {
            look.tick().await;
            let now = pair.stamp();
            if now != stamp {
                stamp = now;
                match self.load() {
                    Ok(()) => tracing::info!("HTTPS is served with the renewed certificate"),
                    Err(error) => tracing::error!(%error, "the renewed certificate"),
                }
            }
        }
    }

    fn load(&self) -> io::Result<()> {
        let kept = || Pair::new(self.dir.join(CHAIN), self.dir.join(KEY));
        let (chain, key) = self.own.clone().unwrap_or_else(kept).read()?;
        self.certificates.set(&chain, &key).map_err(io::Error::other)?;
        let kept = |file: &str| match &self.own {
            None => std::fs::read_to_string(self.dir.join(file)).ok(),
            Some(_) => None,
        };
        self.shown.send_replace(match kept(ROOT) {
            Some(root) => Shown::OfCampus { root },
            None => Shown::Public { name: kept(NAME) },
        });
        Ok(())
    }

    /// A trunk is new: what was given over another does not count.
    pub(super) fn begins(&self) {
        self.given.store(false, Ordering::Relaxed);
    }

    /// Whether the campus has given something since.
    pub(super) fn is_given(&self) -> bool {
        self.given.load(Ordering::Relaxed)
    }

    /// What to ask the campus, showing the node's own `certificate`; nothing where it has files
    /// of its own.
    pub(super) fn request(&self, certificate: Option<String>) -> Option<Control> {
        if self.own.is_some() {
            return None;
        }
        let csr = self.csr();
        let csr = csr.inspect_err(|e| tracing::error!("no certificate is asked for: {e}")).ok()?;
        Some(Control::Https { csr, names: self.names.clone(), from: None, certificate })
    }

    fn csr(&self) -> io::Result<String> {
        let file = self.dir.join(OWN_KEY);
        if let Ok(key) = std::fs::read_to_string(&file)
            && let Ok(csr) = ca::request(&key)
        {
            return Ok(csr);
        }
        let (key, csr) = ca::new_key().map_err(io::Error::other)?;
        ca::keep_key(&file, &key).map_err(io::Error::other)?;
        Ok(csr)
    }

    /// Serves with what the campus handed down, and keeps it.
    pub(super) fn take(&self, certificate: &HttpsCertificate) {
        if self.own.is_some() {
            return;
        }
        self.given.store(true, Ordering::Relaxed);
        match self.keep(certificate).and_then(|()| self.load()) {
            Ok(()) => tracing::info!(name = certificate.name, "HTTPS is served"),
            Err(error) => tracing::error!(%error, "the certificate the campus handed down"),
        }
    }

    fn keep(&self, certificate: &HttpsCertificate) -> io::Result<()> {
        let key = match &certificate.key {
            Some(key) => key.clone(),
            None => std::fs::read_to_string(self.dir.join(OWN_KEY))?,
        };
        // What can't be served must not replace what can.
        Certificates::default().set(&certificate.chain, &key).map_err(io::Error::other)?;
        ca::keep_key(&self.dir.join(KEY), &key).map_err(io::Error::other)?;
        std::fs::write(self.dir.join(CHAIN), &certificate.chain)?;
        for (file, text) in [(ROOT, &certificate.root), (NAME, &certificate.name)] {
            let file = self.dir.join(file);
            match text {
                Some(text) => std::fs::write(&file, text)?,
                None if file.exists() => std::fs::remove_file(&file)?,
                None => {}
            }
        }
        Ok(())
    }
}
