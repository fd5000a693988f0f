//! `sfu enrol`: a fresh machine becomes a school's node.

use super::unit::{self, Unit};
use super::welcome::Welcome;
use crate::config::Config;
use anyhow::{Context, bail, ensure};
use cloudschool_protocol::refusal::Lang;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::enrol::{Applied, ApplyError, Code};
use cloudschool_relay::{Identity, ca, enrol};
use cloudschool_service::config::env;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The port school networks let out.
const PORT: u16 = 443;

/// A key whose certificate has not come yet: the same code is good for the same key again
/// when the line breaks in between.
const PENDING: &str = "pending.key";

/// What is to be set up.
#[derive(Debug, Clone)]
pub struct Plan {
    pub code: Code,
    /// `host` or `host:port`.
    pub upstream: String,
    /// The configuration to write.
    pub config: PathBuf,
    /// What the node keeps.
    pub data: PathBuf,
    /// The address browsers in the school reach this machine at; found out when not given.
    pub address: Option<IpAddr>,
    /// Where pages are served, plain and over HTTPS.
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// Port of WebRTC.
    pub media: u16,
    /// Whether a systemd unit is set up.
    pub service: bool,
    /// Take the place of a node that was set up before.
    pub force: bool,
    /// Of what goes wrong at the campus.
    pub lang: Lang,
}

/// Sets the machine up, and says what was done. Run again after it was broken off, it goes on
/// where it was; run again after it was done, it changes nothing.
///
/// # Errors
/// Why not, in a sentence. A configuration that is there stays as it is without `force`.
pub async fn enrol(plan: &Plan) -> anyhow::Result<String> {
    let upstream = with_port(&plan.upstream);
    let tls = plan.data.join("tls");
    if plan.config.exists() && !plan.force {
        return existing(plan, &upstream);
    }
    let (key, csr) = pending_key(&tls)?;
    let applied = match enrol::apply(&upstream, &plan.code, &csr).await {
        Ok(applied) => applied,
        Err(ApplyError::Refused(why)) => bail!("{}", why.sentence(plan.lang)),
        Err(error) => return Err(error.into()),
    };
    ca::install(&tls, &applied.ca, &applied.certificate, &key)?;
    hand_over(&tls, &plan.data).context("the owner of the identity's files")?;
    let identity = Identity::load_as(&tls, NodeKind::Edge, &applied.node)
        .context("what the campus issued can't be used")?;
    let welcome: Welcome = serde_json::from_str(&applied.settings)
        .context("the campus's settings can't be read: bring both ends to the same release")?;
    let address = match plan.address {
        Some(address) => address,
        None => own_address(&upstream).context("this machine's address: name it in --address")?,
    };
    let text = configuration(plan, &upstream, &tls, &applied, &welcome, address);
    if let Some(dir) = plan.config.parent() {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    write_whole(&plan.config, &text)?;
    Config::load(&plan.config, std::iter::empty())
        .context("the configuration that was written is not good")?;
    // Only now is the key of no more use than the one in its place.
    std::fs::remove_file(tls.join(PENDING)).context("the pending key")?;
    let mut said = format!(
        "{} is now the node {} of the school {}, with {} as its campus.\nconfiguration: {}\n",
        hostname(),
        applied.node,
        applied.school,
        upstream,
        plan.config.display()
    );
    if let Some(validity) = identity.validity()
        && let Ok(left) = validity.until.duration_since(std::time::SystemTime::now())
    {
        let days = left.as_secs() / 86_400;
        writeln!(said, "certificate: good for {days} days, renewed over the trunk by itself")?;
    }
    if welcome.issuers.is_empty() {
        writeln!(
            said,
            "The campus named no platform that signs tokens, so nobody could come in: name one \
             in [[auth.issuers]] before it is started."
        )?;
        return Ok(said);
    }
    said.push_str(&service(plan)?);
    Ok(said)
}

/// A machine that has a configuration.
fn existing(plan: &Plan, upstream: &str) -> anyhow::Result<String> {
    let there = plan.config.display();
    let config = Config::load(&plan.config, env())
        .with_context(|| format!("{there} is there and not good: --force replaces it"))?;
    let same = config.trunk.upstream.as_ref().is_some_and(|u| u.iter().any(|u| u == upstream));
    let name = &config.node.name;
    let known = Identity::load_as(&config.trunk.identity, config.kind(), name);
    ensure!(
        same && known.is_ok(),
        "{there} makes this machine the node {name} already: --force replaces it"
    );
    let mut said = format!(
        "{there} makes this machine the node {name} with this campus already; nothing was \
         changed, and the code was not used\n"
    );
    if plan.service && unit::is_missing() {
        said.push_str(&service(plan)?);
    }
    Ok(said)
}

/// Gives what was written as root to whoever owns the data: once the node runs as a user of
/// its own, systemd looks at the directory's owner and no deeper.
fn hand_over(tls: &Path, data: &Path) -> std::io::Result<()> {
    let owner = std::fs::metadata(data)?;
    let give = |path: &Path| {
        let now = std::fs::metadata(path)?;
        match (now.uid(), now.gid()) == (owner.uid(), owner.gid()) {
            true => Ok(()),
            false => std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())),
        }
    };
    give(tls)?;
    for file in std::fs::read_dir(tls)? {
        give(&file?.path())?;
    }
    Ok(())
}

fn service(plan: &Plan) -> anyhow::Result<String> {
    let binary = std::env::current_exe().context("where this program is")?;
    let config = std::path::absolute(&plan.config)?;
    let run = format!("run it: {} --config {}\n", binary.display(), config.display());
    if !plan.service {
        return Ok(run);
    }
    let data = std::path::absolute(&plan.data)?;
    let text = unit::text(&binary, &config, &data);
    let unit = unit::install(&text, &config).context("the systemd unit")?;
    Ok(match unit {
        Unit::Running => {
            format!("service: {} is enabled and running\n", unit::NAME)
        }
        Unit::Written(file) => format!(
            "This machine has no systemd, or you are not root: the unit is in {}. As root:\n  \
             install -m 644 {} /etc/systemd/system/ && systemctl enable --now {}\nor {run}",
            file.display(),
            file.display(),
            unit::NAME
        ),
    })
}

/// The key that waits for its certificate, made if there is none.
fn pending_key(tls: &Path) -> anyhow::Result<(String, String)> {
    let file = tls.join(PENDING);
    if let Ok(key) = std::fs::read_to_string(&file)
        && let Ok(csr) = ca::request(&key)
    {
        return Ok((key, csr));
    }
    let (key, csr) = ca::new_key()?;
    ca::keep_key(&file, &key)?;
    Ok((key, csr))
}

fn with_port(upstream: &str) -> String {
    let numeric = upstream.parse::<std::net::Ipv6Addr>().is_ok();
    match upstream.rsplit_once(':') {
        _ if numeric => format!("[{upstream}]:{PORT}"),
        Some((_, port)) if port.parse::<u16>().is_ok() => upstream.to_owned(),
        _ => format!("{upstream}:{PORT}"),
    }
}

/// The address that packets to the campus leave from. None is sent.
fn own_address(upstream: &str) -> std::io::Result<IpAddr> {
    use std::net::ToSocketAddrs;
    let to = upstream.to_socket_addrs()?.next();
    let to = to.ok_or_else(|| std::io::Error::other("the campus has no address"))?;
    let from: SocketAddr = match to {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this machine".into() } else { name.trim().to_owned() }
}

fn write_whole(file: &Path, text: &str) -> anyhow::Result<()> {
    let beside = file.with_extension("new");
    let write = || {
        std::fs::write(&beside, text)?;
        std::fs::File::open(&beside)?.sync_all()?;
        std::fs::rename(&beside, file)
    };
    write().with_context(|| file.display().to_string())
}

/// A TOML string: what JSON escapes, TOML reads the same way (TOML 1.0, "String").
fn quoted(text: impl AsRef<str>) -> String {
    serde_json::Value::from(text.as_ref()).to_string().replace('\u{7f}', "\\u007f")
}

fn configuration(
    plan: &Plan,
    upstream: &str,
    tls: &Path,
    applied: &Applied,
    welcome: &Welcome,
    address: IpAddr,
) -> String {
    let absolute = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        quoted(path.display().to_string())
    };
    let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
    let media = SocketAddr::new(any, plan.media);
    let mut text = format!(
        "# A school's node, written by `sfu enrol`. configs/school.toml and configs/campus.toml\n\
         # explain every key; `sfu --config THIS --check-config` says whether it is good.\n\n\
         [node]\nname = {}\nschool = {}\ndata = {}\n\n\
         [http]\nbind = {}\n\n[https]\nbind = {}\n\n\
         [media]\nbind = {}\n# This machine's address in the school's network: give it a fixed one.\n\
         announce = [{}]\n\n\
         [trunk]\nidentity = {}\nupstream = {}\n",
        quoted(applied.node.as_str()),
        quoted(applied.school.as_str()),
        absolute(&plan.data.join("node")),
        quoted(plan.http.to_string()),
        quoted(plan.https.to_string()),
        quoted(media.to_string()),
        quoted(address.to_string()),
        absolute(tls),
        quoted(upstream),
    );
    if welcome.issuers.is_empty() {
        text.push_str("\n[auth]\n# [[auth.issuers]]\n# name = \"city-platform\"\n# public_key = \"/etc/cloudschool/city-platform.pub.pem\"\n");
    }
    for platform in &welcome.issuers {
        text.push_str(&format!(
            "\n[[auth.issuers]]\nname = {}\npublic_key = {}\n",
            quoted(&platform.name),
            quoted(&platform.public_key)
        ));
    }
    text.push_str("\n[links]\n");
    for (key, link) in [("library", &welcome.library), ("report", &welcome.report)] {
        if let Some(link) = link {
            text.push_str(&format!("{key} = {}\n", quoted(link)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_campus_is_443_unless_it_is_said() {
        for (said, meant) in [
            ("campus.example", "campus.example:443"),
            ("campus.example:8443", "campus.example:8443"),
            ("10.0.0.1", "10.0.0.1:443"),
            ("2001:db8::1", "[2001:db8::1]:443"),
            ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(with_port(said), meant);
        }
    }

    #[test]
    fn whatever_a_name_holds_it_stays_one_string() {
        for text in ["a\"b", "line\nbreak", "\\", "\u{7f}\u{1}", "学校"] {
            let toml = format!("[node]\nname = \"n\"\nschool = \"s\"\ndata = {}", quoted(text));
            #[derive(serde::Deserialize)]
            struct Read {
                node: cloudschool_service::config::NodeSection,
            }
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("a.toml");
            std::fs::write(&file, toml).unwrap();
            let read: Read = cloudschool_service::config::load(&file, std::iter::empty()).unwrap();
            assert_eq!(read.node.data, PathBuf::from(text));
        }
    }
}
