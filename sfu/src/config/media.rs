//! `[media]`: the ports of WebRTC, and what browsers are told about them.

use super::InvalidConfig;
use crate::media::Announced;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

/// `[media]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaSection {
    /// Address of the first shard; shard `n` has port + n. `[::]` is all addresses of both
    /// families.
    pub bind: SocketAddr,
    /// Addresses told to browsers; empty for the one in `bind`.
    #[serde(default, deserialize_with = "announced")]
    pub announce: Vec<Announced>,
    /// Whether media is also taken over TCP, at the same port numbers.
    #[serde(default = "yes")]
    pub tcp: bool,
    #[serde(default = "one_shard")]
    pub shards: NonZeroUsize,
    /// Whether each shard keeps to a processor of its own.
    #[serde(default)]
    pub pin: bool,
}

fn yes() -> bool {
    true
}

fn one_shard() -> NonZeroUsize {
    NonZeroUsize::MIN
}

/// An address, or an address and the port a router forwards.
fn announced<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Announced>, D::Error> {
    let read = |text: String| {
        if let Ok(ip) = text.parse() {
            return Ok(Announced { ip, port: None });
        }
        let whole = text.parse::<SocketAddr>();
        whole.map(|a| Announced { ip: a.ip(), port: Some(a.port()) }).map_err(|_| {
            D::Error::custom(format!("{text:?} is neither an address nor address:port"))
        })
    };
    Vec::<String>::deserialize(list)?.into_iter().map(read).collect()
}

impl MediaSection {
    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        let shards = self.shards.get();
        if self.bind.ip().is_unspecified() && self.announce.is_empty() {
            return Err(InvalidConfig::AnnounceMissing(self.bind));
        }
        let useless = |ip: &IpAddr| ip.is_unspecified() || ip.is_multicast();
        if let Some(ip) = self.announce.iter().map(|a| a.ip).find(useless) {
            return Err(InvalidConfig::AnnounceUseless(ip));
        }
        let other_family = |a: &&Announced| match self.bind.ip() {
            IpAddr::V6(ip) if ip.is_unspecified() => false,
            ip => ip.is_ipv4() != a.ip.is_ipv4(),
        };
        if let Some(announced) = self.announce.iter().find(other_family) {
            return Err(InvalidConfig::AnnounceUnreachable { ip: announced.ip, bind: self.bind });
        }
        let ports = self.announce.iter().filter_map(|a| a.port).chain([self.bind.port()]);
        for port in ports {
            if usize::from(port) + shards - 1 > usize::from(u16::MAX) {
                return Err(InvalidConfig::PortsMissing { port, shards });
            }
        }
        Ok(())
    }
}
