//! The dialling end of a tunnel.

use super::lane::Lane;
use super::socket::{Lanes, TunnelSocket};
use super::{ALPN, hub};
use crate::backoff::Backoff;
use crate::tls::{self, SERVER_NAME};
use quinn::AsyncUdpSocket;
use rustls::pki_types::ServerName;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// For TCP and TLS together: three round trips of a satellite, and a lost packet.
const LIMIT: Duration = Duration::from_secs(8);

/// Connects to `address`, whose host is called `host`, and gives a socket that reaches that
/// address and no other.
///
/// # Errors
/// Why there is no connection. One that breaks later is made again for as long as the socket
/// is in use.
pub async fn dial(address: SocketAddr, host: &str) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let connector = Connector::new(address, host)?;
    let first = connector.connect().await?;
    let local = first.get_ref().0.local_addr()?;
    let lane = Arc::new(Lane::default());
    let lanes: Lanes = Arc::new(RwLock::new(HashMap::from([(address, lane.clone())])));
    let (socket, arrived, end) = TunnelSocket::new(local, lanes);
    tokio::spawn(end.run_until_cancelled_owned(async move {
        let mut stream = first;
        let mut backoff = Backoff::default();
        loop {
            let broken = lane.run(stream, address, &arrived).await;
            tracing::info!(%address, ?broken, "the TCP connection of a tunnel ended");
            stream = loop {
                tokio::time::sleep(backoff.after_failure(rand::random())).await;
                match connector.connect().await {
                    Ok(stream) => break stream,
                    Err(error) => tracing::info!(%address, %error, "no tunnel"),
                }
            };
            backoff.reset();
        }
    }));
    Ok(socket)
}

struct Connector {
    address: SocketAddr,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Connector {
    fn new(address: SocketAddr, host: &str) -> io::Result<Self> {
        // What looks like a web site's name is let through more often than none.
        let name = ServerName::try_from(host.to_owned()).or_else(|_| SERVER_NAME.try_into());
        let name = name.map_err(io::Error::other)?;
        let tls = tls::stranger(ALPN).map_err(io::Error::other)?;
        Ok(Self { address, name, tls: TlsConnector::from(Arc::new(tls)) })
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let connect = async {
            let stream = TcpStream::connect(self.address).await?;
            hub::prepare(&stream)?;
            let stream = self.tls.connect(self.name.clone(), stream).await?;
            // A web server that has the port would make nothing of what follows.
            match stream.get_ref().1.alpn_protocol() {
                Some(ALPN) => Ok(stream),
                _ => Err(io::Error::other("what answers over TCP takes no trunks")),
            }
        };
        timeout(LIMIT, connect).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}
