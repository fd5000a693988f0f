//! Which ports the processes use, and who has them when they are taken.

use cloudschool_service::ports::unclaimed;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Ports next to each other that a node's media may use: one for each shard, so one for each
/// core.
const MEDIA_PORTS: u16 = 16;

/// All addresses of an installation, on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    http: BTreeMap<&'static str, u16>,
    media: BTreeMap<&'static str, u16>,
    trunk: u16,
    /// The way to it, from a process that does not dial it directly.
    lines: BTreeMap<&'static str, SocketAddr>,
}

/// A port can't be had.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    #[error(
        "{protocol} port {port}, which {process} needs, is in use by {holder}: end that, or start with --ports free"
    )]
    InUse { protocol: Protocol, port: u16, process: &'static str, holder: String },
    #[error("{protocol} port {port}, which {process} needs, can't be had: {source}")]
    Refused { protocol: Protocol, port: u16, process: &'static str, source: io::Error },
    #[error("no free ports: {0}")]
    None(#[source] io::Error),
}

/// What a port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        })
    }
}

impl Default for Ports {
    /// Those of the configuration files.
    fn default() -> Self {
        Self {
            http: [("campus", 8080), ("school", 8090), ("recorder", 8070), ("analytics", 8060)]
                .into(),
            media: [("campus", 8081), ("school", 8091)].into(),
            trunk: 8443,
            lines: BTreeMap::new(),
        }
    }
}

impl Ports {
    /// The processes that have ports.
    pub const PROCESSES: [&'static str; 4] = ["campus", "school", "recorder", "analytics"];

    /// Ports that nobody uses at this moment.
    ///
    /// # Errors
    /// [`PortsError::None`] when the machine has none left.
    pub fn free() -> Result<Self, PortsError> {
        let one = || unclaimed(1).map_err(PortsError::None);
        let http: Result<BTreeMap<_, _>, PortsError> =
            Self::PROCESSES.into_iter().map(|name| Ok((name, one()?))).collect();
        let media = || unclaimed(MEDIA_PORTS).map_err(PortsError::None);
        Ok(Self {
            http: http?,
            media: [("campus", media()?), ("school", media()?)].into(),
            trunk: one()?,
            lines: BTreeMap::new(),
        })
    }

    /// Where a process serves pages and APIs.
    #[must_use]
    pub fn http(&self, process: &str) -> SocketAddr {
        loopback(self.http[process])
    }

    /// Where a node takes media: this port and as many after it as it has shards.
    #[must_use]
    pub fn media(&self, process: &str) -> SocketAddr {
        loopback(self.media[process])
    }

    /// Where the campus node is dialled.
    #[must_use]
    pub fn trunk(&self) -> SocketAddr {
        loopback(self.trunk)
    }

    /// The same, where `process` reaches the campus node by `line`.
    #[must_use]
    pub fn by_line(mut self, process: &'static str, line: SocketAddr) -> Self {
        self.lines.insert(process, line);
        self
    }

    /// What a process dials to reach the campus node.
    #[must_use]
    pub fn upstream(&self, process: &str) -> SocketAddr {
        self.lines.get(process).copied().unwrap_or_else(|| self.trunk())
    }

    /// Looks whether every port is free, so that the one who starts it is told what is in the
    /// way before anything runs.
    ///
    /// # Errors
    /// [`PortsError::InUse`] with the process that has it.
    pub fn check(&self) -> Result<(), PortsError> {
        for (process, port) in &self.http {
            let bound = TcpListener::bind(loopback(*port)).map(drop);
            judge(bound, Protocol::Tcp, *port, process)?;
        }
        for (process, port) in self.media.iter().chain([(&"campus", &self.trunk)]) {
            let bound = UdpSocket::bind(loopback(*port)).map(drop);
            judge(bound, Protocol::Udp, *port, process)?;
        }
        Ok(())
    }
}

fn judge(
    bound: io::Result<()>,
    protocol: Protocol,
    port: u16,
    process: &'static str,
) -> Result<(), PortsError> {
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = holder(protocol, port).unwrap_or_else(|| "another process".into());
            PortsError::InUse { protocol, port, process, holder }
        }
        _ => PortsError::Refused { protocol, port, process, source },
    })
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Name and process id of who has a port, where the system lets us see it.
fn holder(protocol: Protocol, port: u16) -> Option<String> {
    let tables: [&str; 2] = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let tables = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    let inode = tables.filter_map(|table| inode(&table, protocol, port)).next()?;
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        files.find(|f| fs::read_link(f.path()).is_ok_and(|l| l.as_os_str() == socket.as_str()))?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some(format!("{} (process {pid})", name.trim()))
    })
}

/// The inode of the socket bound to `port`, from a table as proc(5) describes it.
fn inode(table: &str, protocol: Protocol, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    let wanted = format!("{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, bound) = fields.get(1)?.rsplit_once(':')?;
        let listens = protocol == Protocol::Udp || *fields.get(3)? == LISTENING;
        (bound == wanted && listens).then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_who_has_it() {
        let mut ports = Ports::free().unwrap();
        let socket = UdpSocket::bind(loopback(0)).unwrap();
        ports.trunk = socket.local_addr().unwrap().port();
        let error = ports.check().unwrap_err().to_string();
        let me = format!("process {}", std::process::id());
        assert!(error.contains(&format!("UDP port {}", ports.trunk)), "{error}");
        assert!(error.contains(&me), "{error}");
    }

    #[test]
    fn a_listening_port_in_use_is_named_too() {
        let mut ports = Ports::free().unwrap();
        let listener = TcpListener::bind(loopback(0)).unwrap();
        ports.http.insert("recorder", listener.local_addr().unwrap().port());
        let error = ports.check().unwrap_err();
        assert!(
            matches!(error, PortsError::InUse { protocol: Protocol::Tcp, process: "recorder", .. }),
            "{error}"
        );
    }

    #[test]
    fn free_ports_are_free_and_different() {
        let ports = Ports::free().unwrap();
        ports.check().unwrap();
        let mut all: Vec<u16> = ports.http.values().copied().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4);
        assert!(ports.media["campus"].abs_diff(ports.media["school"]) >= MEDIA_PORTS);
    }
}
