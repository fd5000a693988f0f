//! The impaired link between real sockets, and `loadtest link` as it is used by hand.

use loadtests::link::{Limits, Profile, Proxy, Stats};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(10);

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn profile(text: &str) -> Profile {
    Profile::named(text, &configs().join("links")).unwrap()
}

/// Sends back whatever it gets, to where it came from.
async fn echo() -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind(any()).await.unwrap();
    let address = socket.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&buffer[..len], from).await.unwrap();
        }
    });
    (address, task)
}

async fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(any()).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    let len = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("an answer").unwrap();
    buffer.truncate(len);
    buffer
}

/// Waits until the figures are as they must become.
async fn figures(proxy: &Proxy, right: impl Fn(&Stats) -> bool) -> Stats {
    let wait = async {
        loop {
            let stats = proxy.stats();
            if right(&stats) {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{:?}", proxy.stats()))
}

#[tokio::test]
async fn a_round_trip_takes_the_delay_of_both_directions_and_little_more() {
    let (target, echo) = echo().await;
    let proxy = Proxy::start(target, profile("delay=20ms"), any()).unwrap();
    let client = client(proxy.address()).await;
    let mut took = Vec::new();
    for number in 0..50u8 {
        let begun = Instant::now();
        client.send(&[number; 1200]).await.unwrap();
        assert_eq!(receive(&client).await, [number; 1200]);
        took.push(begun.elapsed());
    }
    took.sort();
    assert!(took[0] >= Duration::from_millis(40), "{:?}", took[0]);
    // Two timers, each up to 1 ms late, and a busy machine.
    assert!(took[25] < Duration::from_millis(48), "{:?}", took[25]);
    let stats = proxy.stop().await;
    assert_eq!((stats.up.sent, stats.down.sent), (50, 50));
    echo.abort();
}

#[tokio::test]
async fn every_client_has_a_line_of_its_own_and_gets_its_own_answers() {
    let (target, echo) = echo().await;
    let proxy = Proxy::start(target, profile("rate=1mbit,queue=1MB"), any()).unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(client(proxy.address()).await);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        for (number, client) in clients.iter().enumerate() {
            client.send(&[u8::try_from(number).unwrap(); 1222]).await.unwrap();
        }
    }
    for (number, client) in clients.iter().enumerate() {
        for _ in 0..20 {
            assert_eq!(receive(client).await[0], u8::try_from(number).unwrap());
        }
    }
    // 20 packets of 10,000 bits up, the last one down once more; side by side, not in turn.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_millis(400), "{took:?}");
    assert_eq!(proxy.stats().clients, 3);
    echo.abort();
}

#[tokio::test]
async fn what_is_lost_is_lost_and_what_is_not_arrives() {
    let (target, echo) = echo().await;
    let link = profile("up.loss=30%,up.delay=5ms,seed=4");
    let proxy = Proxy::start(target, link, any()).unwrap();
    let client = client(proxy.address()).await;
    let mut last = Vec::new();
    let mut arrived = 0;
    // No more at a time than fit into everyone's socket buffers.
    for batch in 0..10u16 {
        for number in 0..50 {
            client.send(&(batch * 50 + number).to_be_bytes()).await.unwrap();
        }
        let sent = u64::from(batch + 1) * 50;
        let stats = figures(&proxy, |stats| stats.up.sent + stats.up.lost == sent).await;
        while arrived < stats.up.sent {
            let number = receive(&client).await;
            assert!(last < number, "in order");
            last = number;
            arrived += 1;
        }
    }
    let stats = figures(&proxy, |stats| stats.down.sent == arrived).await;
    assert_eq!(stats.up.sent, arrived);
    assert!((100..200).contains(&stats.up.lost), "{} of 500 lost", stats.up.lost);
    echo.abort();
}

#[tokio::test]
async fn a_running_proxy_is_cut_and_mended() {
    let (target, echo) = echo().await;
    let proxy = Proxy::start(target, profile("delay=1ms"), any()).unwrap();
    let client = client(proxy.address()).await;
    client.send(b"one").await.unwrap();
    assert_eq!(receive(&client).await, b"one");
    proxy.change("down.loss=100%".parse().unwrap()).unwrap();
    // Changes and datagrams come to a client's task in no certain order, so ask for its effect.
    let cut = async {
        while proxy.stats().down.lost < 3 {
            client.send(b"two").await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, cut).await.unwrap();
    proxy.change("down.loss=0%".parse().unwrap()).unwrap();
    let mended = async {
        loop {
            client.send(b"three").await.unwrap();
            if timeout(Duration::from_millis(50), receive(&client))
                .await
                .is_ok_and(|got| got == b"three")
            {
                return;
            }
        }
    };
    timeout(PATIENCE, mended).await.unwrap();
    echo.abort();
}

#[tokio::test]
async fn silent_clients_make_room_and_what_they_had_still_counts() {
    let (target, echo) = echo().await;
    let limits = Limits { clients: 1, silence: Duration::from_millis(200) };
    let proxy = Proxy::with_limits(target, Profile::perfect(), any(), limits).unwrap();
    let first = client(proxy.address()).await;
    first.send(b"first").await.unwrap();
    receive(&first).await;
    let second = client(proxy.address()).await;
    second.send(b"too many").await.unwrap();
    figures(&proxy, |stats| stats.refused == 1).await;
    figures(&proxy, |stats| stats.clients == 0).await;
    let admitted = async {
        loop {
            second.send(b"second").await.unwrap();
            if timeout(Duration::from_millis(50), receive(&second)).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, admitted).await.unwrap();
    let stats = proxy.stop().await;
    assert!(stats.down.sent >= 2, "{stats:?}");
    echo.abort();
}

#[tokio::test]
async fn a_stopped_proxy_leaves_its_port() {
    let (target, echo) = echo().await;
    let proxy = Proxy::start(target, Profile::perfect(), any()).unwrap();
    let address = proxy.address();
    let client = client(address).await;
    client.send(b"hello").await.unwrap();
    receive(&client).await;
    assert!(Proxy::start(target, Profile::perfect(), address).is_err());
    proxy.stop().await;
    Proxy::start(target, Profile::perfect(), address).unwrap();
    echo.abort();
}

#[tokio::test]
async fn by_hand_it_says_where_it_listens_takes_changes_and_ends_with_its_figures() {
    let (target, echo) = echo().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["link", "--target", &target.to_string(), "--link", "lossy,loss=0%"])
        .arg("--configs")
        .arg(configs())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = async || -> Value {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("a line").unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let first = said().await;
    assert_eq!(first["link"], "lossy,loss=0%");
    let listen: SocketAddr = first["listen"].as_str().unwrap().parse().unwrap();
    assert!(listen.ip().is_loopback());
    let client = client(listen).await;
    let begun = Instant::now();
    client.send(b"hello").await.unwrap();
    assert_eq!(receive(&client).await, b"hello");
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    input.write_all(b"delay=1ms\nnonsense\n").await.unwrap();
    assert_eq!(said().await["changed"], "delay=1ms");
    assert!(said().await["reason"].as_str().unwrap().contains("KEY=VALUE"));
    let counted = async {
        loop {
            // A datagram is counted just after it was sent.
            input.write_all(b"stats\n").await.unwrap();
            if said().await["stats"]["down"]["sent"] == 1 {
                return;
            }
        }
    };
    timeout(PATIENCE, counted).await.unwrap();
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert_eq!(said().await["stats"]["up"]["received"], 1);
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
    echo.abort();
}
