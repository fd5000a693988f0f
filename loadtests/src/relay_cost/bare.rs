//! The least quinn can do: a sender in a process of its own that writes the packets of a
//! lesson to as many connections, sound in datagrams and each frame on a stream of its own.

use super::{BEGUN_WITHIN, Reading, WHOLE};
use crate::forward::work::{Burst, Work};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use cloudschool_protocol::roq;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint, TransportConfig, VarInt};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;

const NAME: &str = "bare.invalid";
const ALPN: &[u8] = b"bare";

/// One stream a frame, and those of a second may be open at once.
const STREAMS: u32 = 1024;

/// Flow ids of picture and sound.
const PICTURE: u64 = 1;
const SOUND: u64 = 2;

/// The arguments of the sender's process, which is started by `relay-cost` itself.
#[derive(Debug, Clone, clap::Args)]
pub struct Sender {
    #[arg(long)]
    pub receivers: usize,
    #[arg(long)]
    pub bitrate: u64,
    #[arg(long)]
    pub seed: u64,
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config.max_concurrent_uni_streams(VarInt::from_u32(STREAMS));
    Arc::new(config)
}

impl Sender {
    /// Listens, says where and with which certificate, sends to all who come once all are
    /// there, and ends with its input.
    ///
    /// # Errors
    /// When it can't listen or send.
    pub async fn run(&self) -> Result<()> {
        let work = super::lesson(self.receivers, self.bitrate, self.seed);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut crypto = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        crypto.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(crypto)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(transport());
        let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
        println!("{}\n{}", endpoint.local_addr()?, certificate.pem());
        println!();
        // Whoever started it is gone, however that came.
        std::thread::spawn(|| {
            let ended = std::io::stdin().read(&mut [0]);
            tracing::debug!(?ended, "nobody measures any more");
            std::process::exit(0);
        });
        let mut connections = Vec::new();
        while connections.len() < self.receivers {
            let incoming = endpoint.accept().await.context("the endpoint is closed")?;
            connections.push(incoming.await?);
        }
        send(&connections, &work).await
    }
}

/// Sends the lesson, over and over, in its own time.
async fn send(connections: &[Connection], work: &Work) -> Result<()> {
    const LENGTH: Duration = Duration::from_secs(8);
    let trace = work.trace(LENGTH);
    let began = Instant::now();
    for round in 0u32.. {
        for Burst { at, sizes } in &trace {
            let due = began + LENGTH * round + *at;
            tokio::time::sleep_until(due.into()).await;
            // What a lesson sends as a datagram is a packet of sound: the only small bursts.
            let sound = matches!(sizes[..], [size] if size < 200);
            let packets: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0x5a; *size]).collect();
            let bytes = match (sound, &packets[..]) {
                (true, [packet]) => Bytes::from(roq::datagram(SOUND, packet)),
                _ => Bytes::from(roq::stream(PICTURE, packets.iter().map(Vec::as_slice))),
            };
            for connection in connections {
                if sound {
                    connection.send_datagram(bytes.clone())?;
                    continue;
                }
                let mut stream = connection.open_uni().await?;
                stream.write_chunk(bytes.clone()).await?;
                stream.finish()?;
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    packets: AtomicU64,
    begun: AtomicU64,
    changed: Notify,
}

impl Counts {
    fn came(&self, packets: u64, first: &AtomicU64) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        if first.swap(1, Ordering::Relaxed) == 0 {
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_waiters();
        }
    }
}

/// A sender that runs, and those it sends to.
pub struct Running {
    _sender: Child,
    pid: u32,
    receivers: usize,
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

/// Starts the sender and receives from it as often as there are schools, until all have begun.
///
/// # Errors
/// When it does not start.
pub async fn start(receivers: usize, work: &Work) -> Result<Running> {
    let me = std::env::current_exe().context("where this program is")?;
    let mut sender = Command::new(me)
        .arg("bare-sender")
        .args(["--receivers", &receivers.to_string()])
        .args(["--bitrate", &work.bitrate.to_string()])
        .args(["--seed", &work.seed.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the bare sender")?;
    let pid = sender.id().context("the bare sender is gone")?;
    let mut lines = BufReader::new(sender.stdout.take().context("its output")?).lines();
    let address = lines.next_line().await?.context("the bare sender said nothing")?;
    let address: SocketAddr = address.parse().context("the bare sender's address")?;
    let mut pem = String::new();
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        pem.push_str(&line);
        pem.push('\n');
    }
    let config = client(&pem)?;
    let counts = Arc::new(Counts::default());
    let mut tasks = JoinSet::new();
    for _ in 0..receivers {
        // A socket each, as schools have.
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let connection = endpoint.connect_with(config.clone(), address, NAME)?.await?;
        receive(&mut tasks, endpoint, connection, &counts);
    }
    let begun = async {
        loop {
            let changed = counts.changed.notified();
            if counts.begun.load(Ordering::Relaxed) == receivers as u64 {
                return;
            }
            changed.await;
        }
    };
    tokio::time::timeout(BEGUN_WITHIN, begun).await.context("not every receiver got packets")?;
    Ok(Running { _sender: sender, pid, receivers, counts, _tasks: tasks })
}

impl Running {
    /// # Errors
    /// When the sender is gone.
    pub fn reading(&self) -> Result<Reading> {
        Reading::of(self.pid, self.counts.packets.load(Ordering::Relaxed))
    }

    /// Whether what came is what was sent.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, work: &Work, packets: u64, seconds: f64) -> Result<()> {
        let trace = work.trace(Duration::from_secs(8));
        let each: usize = trace.iter().map(|burst| burst.sizes.len()).sum();
        let published = each as f64 / 8.0 * self.receivers as f64 * seconds;
        let came = packets as f64 / published;
        ensure!((came - 1.0).abs() < WHOLE + 1.0 / seconds, "of what was sent {came:.2} came");
        Ok(())
    }
}

fn client(pem: &str) -> Result<quinn::ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
    let mut crypto = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    crypto.alpn_protocols = vec![ALPN.to_vec()];
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto)?));
    config.transport_config(transport());
    Ok(config)
}

fn receive(
    tasks: &mut JoinSet<()>,
    endpoint: Endpoint,
    connection: Connection,
    counts: &Arc<Counts>,
) {
    let first = Arc::new(AtomicU64::new(0));
    let (datagrams, counted, begun) = (connection.clone(), counts.clone(), first.clone());
    tasks.spawn(async move {
        while datagrams.read_datagram().await.is_ok() {
            counted.came(1, &begun);
        }
    });
    let counts = counts.clone();
    tasks.spawn(async move {
        let _endpoint = endpoint;
        while let Ok(mut stream) = connection.accept_uni().await {
            let (counts, first) = (counts.clone(), first.clone());
            tokio::spawn(async move {
                let mut decoder = roq::StreamDecoder::default();
                let mut packets = 0;
                while let Ok(Some(chunk)) = stream.read_chunk(usize::MAX, true).await {
                    decoder.push(&chunk.bytes);
                    while let Ok(Some(_)) = decoder.next() {
                        packets += 1;
                    }
                }
                counts.came(packets, &first);
            });
        }
    });
}
