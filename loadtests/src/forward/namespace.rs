//! A network namespace of this process's own, with an address that is not of the loopback
//! interface: some servers ignore that one. It is gone with the last process in it.

use anyhow::{Context, Result, bail};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

/// The address everything in it meets at.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));

const INTERFACE: &str = "media0";

/// Moves the calling thread, and with it all threads and processes it starts from now on,
/// into a new namespace. What it sends to [`ADDRESS`] it receives itself, by the same path in
/// the kernel as on the loopback interface.
///
/// # Errors
/// Without root, and on systems that have no such thing.
pub fn enter() -> Result<()> {
    leave().context(
        "a comparison with Janus needs a network namespace, and making one needs root \
         (CAP_SYS_ADMIN): run it as root, or leave janus out of --against",
    )?;
    let peer = format!("{INTERFACE}-peer");
    let address = format!("{ADDRESS}/24");
    for arguments in [
        &["link", "set", "lo", "up"][..],
        &["link", "add", INTERFACE, "type", "veth", "peer", "name", &peer],
        &["address", "add", &address, "dev", INTERFACE],
        &["link", "set", INTERFACE, "up"],
        &["link", "set", &peer, "up"],
    ] {
        let output = Command::new("ip").args(arguments).output();
        let output = output.context("`ip` can't be started: install iproute2")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("`ip {}` failed: {}", arguments.join(" "), words.trim());
        }
    }
    Ok(())
}

/// Moves the calling thread, and what it starts from now on, into a new and empty network.
///
/// # Errors
/// Without root, and on systems that have no such thing.
#[allow(unsafe_code)]
pub fn leave() -> std::io::Result<()> {
    // SAFETY: it changes which network the thread sees and touches no memory.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
