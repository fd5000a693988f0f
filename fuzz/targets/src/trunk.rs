//! What other nodes send: control messages and media over QUIC.

use cloudschool_protocol::frame::{Decoder, FrameError, encode};
use cloudschool_protocol::roq::{self, StreamDecoder};
use cloudschool_protocol::socket::{ClientMessage, ServerMessage};
use cloudschool_protocol::trunk::{Control, Versions};

/// By the first byte: control messages, lesson socket messages, or media on a stream and in
/// a datagram.
pub fn trunk(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            let mut decoder = Decoder::of_stranger();
            for piece in data.chunks(7) {
                decoder.push(piece);
                loop {
                    match decoder.next::<Control>() {
                        Ok(Some(Control::Unknown)) | Err(FrameError::Malformed(_)) => {}
                        Ok(Some(message)) => {
                            agreed(&message);
                            written_again(&message);
                        }
                        Ok(None) => break,
                        Err(_) => return,
                    }
                }
            }
        }
        1 => {
            if let Ok(message) = serde_json::from_slice::<ClientMessage>(data) {
                let text = serde_json::to_vec(&message).expect("it was read");
                assert_eq!(serde_json::from_slice::<ClientMessage>(&text).ok(), Some(message));
            }
            let _ = serde_json::from_slice::<ServerMessage>(data);
        }
        _ => {
            let _ = roq::split_datagram(data);
            let mut decoder = StreamDecoder::default();
            for piece in data.chunks(7) {
                decoder.push(piece);
                while let Ok(Some((flow, packet))) = decoder.next() {
                    assert!(flow <= roq::MAX_VARINT && packet.len() <= roq::MAX_PACKET);
                }
            }
        }
    }
}

/// Both ends of a hello come to the same version, or to none.
fn agreed(message: &Control) {
    let Control::Hello { version, oldest, .. } = message else { return };
    let theirs = Versions::said(*version, *oldest);
    match (Versions::OURS.with(theirs), theirs.with(Versions::OURS)) {
        (Ok(here), Ok(there)) => assert_eq!(here, there),
        (Err(here), Err(there)) => assert_ne!(here.to_string(), there.to_string()),
        (here, there) => panic!("{here:?} and {there:?}"),
    }
}

fn written_again(message: &Control) {
    let bytes = encode(message).expect("it came in a frame");
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    assert_eq!(decoder.next::<Control>().ok().flatten().as_ref(), Some(message));
}
