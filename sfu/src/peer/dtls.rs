//! DTLS 1.2 towards one peer (RFC 6347), always as the server, and the SRTP keys that come of
//! it (RFC 5764). The peer is known by its certificate's fingerprint in the offer (RFC 8122);
//! nothing counts as connected before that was compared.

use super::description::Fingerprint;
use aws_lc_rs::digest;
use bytes::BytesMut;
use cloudschool_srtp::{Keys, Profile, SessionKeys};
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_crypto::{RTCCryptoProvider, SecretVec};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the library thinks the peer is. DTLS runs over whatever path ICE has by now, so its
/// association must not depend on an address.
const ANYWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// A flight that is not answered is sent again after this, seven times; then the peer is given
/// up. RFC 6347 §4.2.4.1 suggests 1 s and doubling for the open internet; a path that ICE has
/// just measured needs no such caution, and a lost flight is waited for by a whole class.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(600);

/// The library gives up its timer when any handshake message comes, be it a part of what it
/// waits for or a repetition, and would then wait for ever; we go on for it, so many times.
const REPETITIONS: u8 = 10;

/// RFC 5764 §4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// The certificate this node shows to its peers, one for all, made when it starts.
pub struct DtlsIdentity {
    config: Arc<HandshakeConfig>,
    fingerprint: String,
}

impl std::fmt::Debug for DtlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DtlsIdentity")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// The machine's randomness or cryptography failed.
#[derive(Debug, thiserror::Error)]
#[error("no DTLS certificate could be made: {0}")]
pub struct IdentityError(String);

impl DtlsIdentity {
    /// Makes a self-signed certificate with a new ECDSA P-256 key.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn generate() -> Result<Self, IdentityError> {
        let failed = |e: Error| IdentityError(e.to_string());
        let provider = Arc::new(AwsLcRsProvider::default());
        let names = vec!["cloudschool".to_owned()];
        let certificate =
            Certificate::generate_self_signed(names, provider.crypto()).map_err(failed)?;
        let shown = certificate.certificate.first().map(|der| der.to_vec()).unwrap_or_default();
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_flight_interval(FLIGHT_INTERVAL)
            .build(false, None)
            .map_err(failed)?;
        let fingerprint = colon_hex(digest::digest(&digest::SHA256, &shown).as_ref());
        Ok(Self { config: Arc::new(config), fingerprint })
    }

    /// The SHA-256 fingerprint, as `a=fingerprint:sha-256` has it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn colon_hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
    pairs.join(":")
}

/// What DTLS came to.
#[derive(Debug)]
pub enum DtlsEvent {
    /// The handshake is complete and the peer is who it said. The keys of SRTP, or `None` when
    /// it negotiated none.
    Established(Option<Box<SessionKeys>>),
    /// The peer closed, or is not who it said, or the handshake came to nothing.
    Ended,
}

/// The association with one peer.
pub struct Dtls {
    endpoint: Endpoint,
    expected: Vec<Fingerprint>,
    established: bool,
    ended: bool,
    outgoing: VecDeque<BytesMut>,
    /// What was sent last of a handshake that is not complete, when it is to be sent again,
    /// and how often it was.
    flight: Vec<BytesMut>,
    repeat_at: Option<Instant>,
    repeated: u8,
}

impl Dtls {
    /// Waits for a peer whose certificate has one of these fingerprints.
    #[must_use]
    pub fn new(identity: &DtlsIdentity, expected: Vec<Fingerprint>) -> Self {
        let config = Some(identity.config.clone());
        let endpoint = Endpoint::new(ANYWHERE, TransportProtocol::UDP, config);
        Self {
            endpoint,
            expected,
            established: false,
            ended: false,
            outgoing: VecDeque::new(),
            flight: Vec::new(),
            repeat_at: None,
            repeated: 0,
        }
    }

    /// The certificates it accepts.
    #[must_use]
    pub fn expected(&self) -> &[Fingerprint] {
        &self.expected
    }

    /// Takes a datagram of the peer's.
    pub fn handle(&mut self, datagram: &[u8], now: Instant) -> Option<DtlsEvent> {
        if self.ended {
            return None;
        }
        let outcome = self.read(datagram, now);
        self.collect(now);
        outcome
    }

    fn read(&mut self, datagram: &[u8], now: Instant) -> Option<DtlsEvent> {
        let events = match self.endpoint.read(now, ANYWHERE, None, BytesMut::from(datagram)) {
            Ok(events) => events,
            Err(error) => {
                // Anyone can send such a datagram with the peer's address on it: it ends nothing.
                tracing::debug!(%error, "a DTLS datagram was not taken");
                return None;
            }
        };
        let mut outcome = None;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete if !self.established => {
                    outcome = Some(self.establish(now));
                }
                EndpointEvent::PeerClosed => {
                    self.ended = true;
                    outcome = Some(DtlsEvent::Ended);
                }
                // There is no SCTP on it, and so nothing to be said by application data.
                _ => {}
            }
        }
        outcome
    }

    fn establish(&mut self, now: Instant) -> DtlsEvent {
        self.established = true;
        let state = self.endpoint.get_connection_state(ANYWHERE);
        let shown = state.and_then(|s| s.peer_certificates.first());
        let known = shown.is_some_and(|der| self.expected.iter().any(|f| matches(f, der)));
        let Some(state) = state.filter(|_| known) else {
            tracing::warn!("a peer's DTLS certificate is not the one in its offer; it is dropped");
            self.close(now);
            return DtlsEvent::Ended;
        };
        let keys = session_keys(state).map(Box::new);
        if keys.is_none() {
            tracing::warn!("a peer negotiated no SRTP profile that is known here");
        }
        DtlsEvent::Established(keys)
    }

    /// Takes what the library has to say, and remembers it for as long as it may be lost.
    fn collect(&mut self, now: Instant) {
        let said = self.outgoing.len();
        self.outgoing
            .extend(std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|t| t.message));
        if self.established || self.ended {
            self.flight = Vec::new();
            self.repeat_at = None;
        } else if self.outgoing.len() > said {
            self.flight = self.outgoing.iter().skip(said).cloned().collect();
            self.repeat_at = Some(now + FLIGHT_INTERVAL);
        }
    }

    /// Lets the retransmission timers fire.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<DtlsEvent> {
        if self.ended || self.poll_timeout().is_none_or(|at| now < at) {
            return None;
        }
        let failed = self.endpoint.handle_timeout(ANYWHERE, now).err();
        self.collect(now);
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.repeated += 1;
            self.repeat_at = Some(now + FLIGHT_INTERVAL);
            self.outgoing.extend(self.flight.iter().cloned());
        }
        if failed.is_none() && self.repeated <= REPETITIONS {
            return None;
        }
        tracing::debug!(error = ?failed, "a DTLS handshake came to nothing");
        self.ended = true;
        self.collect(now);
        Some(DtlsEvent::Ended)
    }

    /// When [`Self::handle_timeout`] is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let library = self.endpoint.poll_timeout(&ANYWHERE);
        [library, self.repeat_at].into_iter().flatten().min().filter(|_| !self.ended)
    }

    /// The next datagram to send to the peer.
    pub fn poll_transmit(&mut self) -> Option<BytesMut> {
        self.outgoing.pop_front()
    }

    /// Says goodbye (close_notify), where there was a handshake.
    pub fn close(&mut self, now: Instant) {
        self.ended = true;
        if let Err(error) = self.endpoint.close(now) {
            tracing::debug!(%error, "a DTLS association did not close cleanly");
        }
        self.collect(now);
    }
}

fn matches(fingerprint: &Fingerprint, der: &[u8]) -> bool {
    let algorithm = match fingerprint.algorithm.as_str() {
        "sha-256" => &digest::SHA256,
        "sha-384" => &digest::SHA384,
        "sha-512" => &digest::SHA512,
        _ => return false,
    };
    colon_hex(digest::digest(algorithm, der).as_ref()).eq_ignore_ascii_case(&fingerprint.value)
}

/// RFC 5764 §4.2: client's and server's master key, then client's and server's master salt.
fn session_keys(state: &State) -> Option<SessionKeys> {
    let profile = match state.srtp_protection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AeadAes128Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::Aes128CmHmacSha1_80,
        _ => return None,
    };
    let salt_len = profile.salt_len();
    let exported = state.export_keying_material(EXPORTER_LABEL, &[], 2 * (16 + salt_len));
    let exported: SecretVec = match exported {
        Ok(exported) => exported,
        Err(error) => {
            tracing::error!(%error, "the SRTP keys could not be exported");
            return None;
        }
    };
    let (client_key, rest) = exported.as_ref().split_first_chunk::<16>()?;
    let (server_key, salts) = rest.split_first_chunk::<16>()?;
    let (client_salt, server_salt) = salts.split_at_checked(salt_len)?;
    let derive = |key: &[u8; 16], salt: &[u8]| {
        let mut padded = [0; 14];
        padded.iter_mut().zip(salt).for_each(|(p, s)| *p = *s);
        Keys::derive(profile, key, &padded).ok()
    };
    Some(SessionKeys {
        local: derive(server_key, server_salt)?,
        remote: derive(client_key, client_salt)?,
    })
}
