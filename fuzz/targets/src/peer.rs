//! What a peer sends before its media: STUN, session descriptions and their fragments, DTLS.

use crate::pieces;
use cloudschool_sfu::peer::stun::{BindingRequest, Refusal, is_stun};
use cloudschool_sfu::peer::{
    Arrival, Condition, DtlsIdentity, Engine, EngineConfig, MAX_MEDIA_LINES, Route,
};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// RFC 5769 §2.1.
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// A check, and both answers to it.
pub fn stun(data: &[u8]) {
    let Some(request) = BindingRequest::parse(data) else { return };
    assert!(is_stun(data));
    assert!(!request.local_fragment().contains(':'));
    let _ = (request.is_genuine(PASSWORD), request.has_unknown());
    let mapped = SocketAddr::from(([192, 0, 2, 1], 32853));
    for answer in [
        request.accept(mapped, PASSWORD),
        request.refuse(Refusal::RoleConflict, PASSWORD),
        request.refuse(Refusal::UnknownAttribute, PASSWORD),
    ] {
        assert!(is_stun(&answer) && answer.len() % 4 == 0);
    }
}

static CONFIG: LazyLock<Arc<EngineConfig>> = LazyLock::new(|| {
    let address = SocketAddr::from(([192, 0, 2, 1], 8081));
    let identity = Arc::new(DtlsIdentity::generate().expect("a certificate"));
    Arc::new(EngineConfig { udp: vec![address], tcp: vec![address], identity })
});

/// An offer of a publisher and of a viewer, and the same again as a later offer.
pub fn sdp(data: &[u8]) {
    let Ok(offer) = std::str::from_utf8(data) else { return };
    for made in [Engine::publisher(&CONFIG, offer), Engine::viewer(&CONFIG, offer)] {
        let Ok((mut engine, answer)) = made else { continue };
        assert!(answer.sdp.starts_with("v=0\r\n") && answer.sdp.ends_with("\r\n"));
        assert!(!answer.lines.is_empty() && answer.lines.len() <= MAX_MEDIA_LINES);
        let again = engine.renegotiate(offer).expect("what was taken is taken again");
        assert_eq!(again.lines.len(), answer.lines.len());
    }
}

const OFFER: &str = include_str!("../../../sfu/src/peer/fixtures/chromium-watch.sdp");

fn engine() -> Engine {
    Engine::viewer(&CONFIG, OFFER).expect("a browser's offer is taken").0
}

/// A fragment that comes by PATCH.
pub fn fragment(data: &[u8]) {
    let Ok(fragment) = std::str::from_utf8(data) else { return };
    let mut engine = engine();
    let tag = engine.tag().to_owned();
    let _ = engine.patch(fragment, &Condition::Tags(vec![tag]));
    let _ = engine.patch(fragment, &Condition::Any);
    assert!(engine.username_fragments().count() <= 2);
}

/// Datagrams of a peer whose address is known: checks and DTLS.
pub fn datagrams(data: &[u8]) {
    let mut engine = engine();
    let from = Route::udp(SocketAddr::from(([192, 0, 2, 7], 40_000)));
    engine.admit(from);
    engine.send_to(from);
    let (mut now, mut events) = (Instant::now(), Vec::new());
    let mut joined = Vec::new();
    for piece in pieces(data) {
        // A whole datagram: pieces of 255 bytes are continued.
        joined.extend_from_slice(piece);
        if piece.len() == 255 {
            continue;
        }
        now += Duration::from_millis(20);
        let arrival = engine.handle_datagram(now, from, &joined);
        assert!(!matches!(arrival, Arrival::Check { .. }), "nobody knows the password");
        joined.clear();
        engine.handle_timeout(now);
        while engine.poll_transmit().is_some() {}
        engine.take_events(&mut events);
        events.clear();
    }
}
