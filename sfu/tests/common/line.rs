//! The line between a school and the campus, which a test can cut: a UDP port that forwards to
//! the campus's trunk.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::UdpSocket;

pub struct Line {
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Line {
    pub async fn to(campus: SocketAddr) -> Self {
        let port = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = port.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::default());
        let task = tokio::spawn(forward(port, campus, cut.clone()));
        Self { address, cut, task }
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    pub fn mend(&self) {
        self.cut.store(false, Ordering::Relaxed);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(port: Arc<UdpSocket>, campus: SocketAddr, cut: Arc<AtomicBool>) {
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut backs = tokio::task::JoinSet::new();
    let mut datagram = vec![0; 65_535];
    loop {
        let Ok((length, from)) = port.recv_from(&mut datagram).await else { continue };
        let towards = match clients.get(&from) {
            Some(socket) => socket.clone(),
            None => {
                let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                socket.connect(campus).await.unwrap();
                clients.insert(from, socket.clone());
                let (back, port, cut) = (socket.clone(), port.clone(), cut.clone());
                backs.spawn(async move {
                    let mut datagram = vec![0; 65_535];
                    loop {
                        // A campus that is down is no end of the line.
                        let Ok(length) = back.recv(&mut datagram).await else { continue };
                        if !cut.load(Ordering::Relaxed) {
                            let _lost = port.send_to(&datagram[..length], from).await;
                        }
                    }
                });
                socket
            }
        };
        if !cut.load(Ordering::Relaxed) {
            let _lost = towards.send(&datagram[..length]).await;
        }
    }
}
