//! One line for everything that crosses it, TCP as well: a network namespace for the far end
//! and two TUN devices with [`Line`]s between them.
//!
//! This process and the nodes it starts are in a namespace of their own. The far end, where
//! the campus is reached by the trunk and from where downloads come, is in another; what goes
//! between them goes over the emulated line, IP packet by IP packet. The campus itself is on
//! this side, reached from the far end over a veth pair that nothing else uses: so members of
//! the campus don't share the school's line.

use crate::link::{Datagram, Line, Profile, Proxy};
use anyhow::{Context, Result, bail};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends of the line, and of the pair of cables.
const NEAR: &str = "10.98.0.1";
const FAR: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 2);
const CAMPUS: Ipv4Addr = Ipv4Addr::new(10, 97, 0, 1);
const CAMPUS_FROM_FAR: &str = "10.97.0.2";

/// Congestion control of downloads, whatever the system's own choice is: it is the one most
/// servers use (RFC 9438).
pub const CONTROL: &str = "cubic";

const TRUNK_PORT: u16 = 8443;
const DOWNLOAD_PORT: u16 = 8080;

/// Bytes of IPv4 and UDP headers, which a [`Line`] counts beside a datagram.
const COUNTED: usize = 28;
const LARGEST: usize = 65_536;

/// Where the campus is to listen for trunks.
#[must_use]
pub fn campus_trunk() -> SocketAddr {
    (CAMPUS, TRUNK_PORT).into()
}

/// Where schools dial it, over the line.
#[must_use]
pub fn upstream() -> SocketAddr {
    (FAR, TRUNK_PORT).into()
}

/// Where downloads come from, over the line.
#[must_use]
pub fn download() -> SocketAddr {
    (FAR, DOWNLOAD_PORT).into()
}

/// Moves this process into a namespace of its own with the line in it. To be called before
/// there are threads; the line works for as long as the process lives.
///
/// # Errors
/// Where namespaces or TUN devices are not allowed; the text begins with "no shared line".
pub fn prepare(profile: &Profile) -> Result<()> {
    lay(profile).context("no shared line: it needs root and /dev/net/tun")
}

fn lay(profile: &Profile) -> Result<()> {
    crate::forward::namespace::leave()?;
    let holder = hold()?;
    let pid = holder.id().to_string();
    let (near, far) = (tun("near0")?, tun("far0")?);
    ip(&["link", "set", "lo", "up"])?;
    ip(&["address", "add", &format!("{NEAR}/24"), "dev", "near0"])?;
    ip(&["link", "set", "near0", "up"])?;
    ip(&["link", "add", "cable0", "type", "veth", "peer", "name", "cable1"])?;
    ip(&["address", "add", &format!("{CAMPUS}/24"), "dev", "cable0"])?;
    ip(&["link", "set", "cable0", "up"])?;
    for device in ["far0", "cable1"] {
        ip(&["link", "set", device, "netns", &pid])?;
    }
    let far_address = format!("{FAR}/24");
    let cable_address = format!("{CAMPUS_FROM_FAR}/24");
    for arguments in [
        &["link", "set", "lo", "up"][..],
        &["address", "add", &far_address, "dev", "far0"],
        &["link", "set", "far0", "up"],
        &["address", "add", &cable_address, "dev", "cable1"],
        &["link", "set", "cable1", "up"],
    ] {
        run("nsenter", &[&["-t", &pid, "-n", "ip"], arguments].concat())?;
    }
    let line = |course, way| Line::new(course, None, profile.seed, way, Instant::now());
    let lines = [line(&profile.up, 0), line(&profile.down, 1)];
    let emulator = Emulator { devices: [near, far], lines, poll: Poll::new()? };
    std::thread::Builder::new().name("line".into()).spawn(move || {
        let _holder = holder;
        if let Err(error) = emulator.run() {
            tracing::error!(%error, "the line is broken");
        }
    })?;
    FAR_END.set(pid).ok().context("a process has one shared line")
}

/// Process that holds the far end's namespace.
static FAR_END: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// A process that only keeps a namespace. It ends with its input, so with us.
fn hold() -> Result<Child> {
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c", "echo; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("`unshare` can't be started: install util-linux")?;
    let mut said = [0];
    let out = child.stdout.as_mut().context("its output")?;
    out.read_exact(&mut said).context("a namespace for the far end")?;
    Ok(child)
}

/// Starts what is at the far end: the way on to the campus, and a source of downloads.
///
/// # Errors
/// When it can't be started.
pub fn start_far_end() -> Result<tokio::process::Child> {
    let pid = FAR_END.get().context("there is no shared line")?;
    let me = std::env::current_exe().context("where this program is")?;
    tokio::process::Command::new("nsenter")
        .args(["-t", pid, "-n"])
        .arg(me)
        .arg("far-end")
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("`nsenter` can't be started: install util-linux")
}

/// What is at the far end, until its input ends.
///
/// # Errors
/// When an address can't be had.
pub async fn far_end() -> Result<()> {
    std::thread::spawn(|| {
        let ended = std::io::stdin().read(&mut [0]);
        tracing::debug!(?ended, "the near end is gone");
        std::process::exit(0);
    });
    let _forwarder = Proxy::start(campus_trunk(), Profile::perfect(), upstream())?;
    let listener = tokio::net::TcpListener::bind(download()).await?;
    // Who is accepted inherits it; the system's default may be another.
    let control = SockRef::from(&listener).set_tcp_congestion(CONTROL.as_bytes());
    control.with_context(|| format!("a download over TCP {CONTROL}"))?;
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let mut socket = socket;
            let block = vec![0x5a; 64 * 1024];
            while socket.write_all(&block).await.is_ok() {}
        });
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("`{program}` can't be started"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed: {}", arguments.join(" "), words.trim());
    }
    Ok(())
}

/// A TUN device of IP packets, gone with its file.
fn tun(name: &str) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .context("opening /dev/net/tun")?;
    name_tun(&file, name).with_context(|| format!("making the device {name}"))?;
    Ok(file)
}

#[allow(unsafe_code)]
fn name_tun(file: &File, name: &str) -> std::io::Result<()> {
    // SAFETY: an interface request is plain memory, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the file is open and the request outlives the call, which reads and writes
    // nothing else.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// An IP packet, of which a line counts what it counts of a datagram.
#[derive(Clone)]
struct Packet(Vec<u8>);

impl Datagram for Packet {
    fn size(&self) -> usize {
        self.0.len().saturating_sub(COUNTED)
    }
}

/// Carries packets from one device to the other.
struct Emulator {
    /// The near end's and the far end's.
    devices: [File; 2],
    /// From the near end up, and from the far end down.
    lines: [Line<Packet>; 2],
    poll: Poll,
}

impl Emulator {
    fn run(mut self) -> std::io::Result<()> {
        for (n, device) in self.devices.iter().enumerate() {
            let fd = device.as_raw_fd();
            self.poll.registry().register(&mut SourceFd(&fd), Token(n), Interest::READABLE)?;
        }
        let mut events = Events::with_capacity(8);
        let mut buffer = vec![0; LARGEST];
        loop {
            let next = self.lines.iter().filter_map(Line::next).min();
            let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
            // Of a wait the system rounds up to milliseconds the last part is spent awake.
            let wait = wait.map(|w| if w < Duration::from_millis(1) { Duration::ZERO } else { w });
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for (device, line) in self.devices.iter_mut().zip(&mut self.lines) {
                // What is not IP is no file error: the device says so when it is down.
                while let Ok(len @ 1..) = device.read(&mut buffer) {
                    line.push(Instant::now(), Packet(buffer[..len].to_vec()));
                }
            }
            for (n, line) in self.lines.iter_mut().enumerate() {
                while let Some(Packet(bytes)) = line.poll(Instant::now()) {
                    if let Err(error) = self.devices[1 - n].write(&bytes) {
                        tracing::debug!(%error, "a packet was not taken");
                    }
                }
            }
        }
    }
}
