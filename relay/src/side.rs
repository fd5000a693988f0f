//! What comes to a node's port and is no trunk: machines that want to become nodes, nodes that
//! measure their line. A limited number at once, so that they take nothing from trunks.

use crate::enrol::{self, Office};
use crate::identity::Identity;
use crate::measure;
use crate::purpose::Purpose;
use crate::shares::Shares;
use crate::tls::TlsError;
use quinn::{Connection, Incoming, ServerConfig, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Machines at the counter at once, and those of them that come from one address: a room in
/// which new machines are set up. Who takes its share and says nothing keeps nobody else out.
const ENROLLING: usize = 32;
const ENROLLING_FROM_ONE: usize = 8;

/// Lines measured at once: each is given up to 20 Mbit/s for some seconds.
const MEASURING: usize = 4;
const MEASURING_FROM_ONE: usize = 2;

/// For TLS.
const LIMIT: Duration = Duration::from_secs(10);

/// Bytes of an application that may lie unread.
const APPLICATION: u32 = 64 * 1024;

/// The doors beside that of trunks.
pub struct SideDoors {
    enrol: ServerConfig,
    measure: ServerConfig,
    office: Option<Arc<Office>>,
    enrolling: Shares,
    measuring: Shares,
}

impl SideDoors {
    pub fn new(identity: &Identity, office: Option<Arc<Office>>) -> Result<Self, TlsError> {
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .receive_window(VarInt::from_u32(APPLICATION));
        let mut enrol = ServerConfig::with_crypto(identity.enrol_server()?);
        enrol.transport_config(Arc::new(transport));
        let mut measure = ServerConfig::with_crypto(identity.measure_server()?);
        measure.transport_config(measure::transport());
        let enrolling = Shares::new(ENROLLING, ENROLLING_FROM_ONE);
        let measuring = Shares::new(MEASURING, MEASURING_FROM_ONE);
        Ok(Self { enrol, measure, office, enrolling, measuring })
    }

    /// Serves a connection that is for no trunk.
    pub fn serve(self: &Arc<Self>, incoming: Incoming, purpose: Purpose) {
        let (config, places) = match purpose {
            Purpose::Measure => (&self.measure, &self.measuring),
            Purpose::Enrol | Purpose::Trunk => (&self.enrol, &self.enrolling),
        };
        // Who waits here long may as well come again: the address is asked to be its own.
        let Some(place) = places.take(incoming.remote_address().ip()) else {
            return incoming.refuse();
        };
        if places.left() < 2 && incoming.may_retry() {
            if let Err(error) = incoming.retry() {
                tracing::debug!(%error, "no proof of address asked for");
            }
            return;
        }
        let from = incoming.remote_address();
        let connecting = match incoming.accept_with(Arc::new(config.clone())) {
            Ok(connecting) => connecting,
            Err(error) => return tracing::debug!(%from, %error, "not accepted"),
        };
        let doors = self.clone();
        tokio::spawn(async move {
            match timeout(LIMIT, connecting).await {
                Ok(Ok(connection)) => doors.open(connection, purpose).await,
                Ok(Err(error)) => tracing::info!(%from, ?purpose, "no connection: {error}"),
                Err(_) => tracing::info!(%from, ?purpose, "no connection in time"),
            }
            drop(place);
        });
    }

    async fn open(&self, connection: Connection, purpose: Purpose) {
        match (purpose, &self.office) {
            (Purpose::Measure, _) => measure::serve(connection).await,
            (_, Some(office)) => office.serve(connection).await,
            (_, None) => enrol::not_here(connection).await,
        }
    }
}
