//! The wire format's page shows messages as they are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use cloudschool_protocol::frame::{self, Decoder};
use cloudschool_protocol::trunk::{ALPN, Control, OLDEST, VERSION};

const PAGE: &str = include_str!("../../docs/trunk.md");

#[test]
fn every_message_of_the_page_is_read_as_itself() {
    let mut kinds = std::collections::HashSet::new();
    for line in PAGE.lines().filter(|l| l.starts_with('{')) {
        let mut decoder = Decoder::default();
        decoder.push(&u32::try_from(line.len()).unwrap().to_be_bytes());
        decoder.push(line.as_bytes());
        let message: Control = decoder.next().unwrap().unwrap();
        let written = frame::encode(&message).unwrap();
        assert_eq!(std::str::from_utf8(&written[4..]).unwrap(), line);
        if let Control::Hello { version, oldest, .. } = message {
            assert_eq!((version, oldest), (VERSION, Some(OLDEST)));
        }
        kinds.insert(std::mem::discriminant(&message));
    }
    assert!(PAGE.contains(&format!("`{}`", std::str::from_utf8(ALPN).unwrap())));
    assert_eq!(kinds.len(), 37, "a message has no example");
}
