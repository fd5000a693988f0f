//! The pictures on a board: [assets](crate::asset) of the lesson that its elements name.

use crate::asset::AssetId;

/// The entry `a` of an element, as the Yjs encoding (v1) writes it into a change: a key of one
/// byte, then a text (119) of 64.
const ENTRY: &[u8] = &[1, b'a', 119, 64];

/// The pictures that are, or were, put on a board by these changes, in their order; one may come
/// more than once. The bytes are searched, not understood: whatever is found is the name of an
/// asset, and it costs one pass.
pub fn named(changes: &[u8]) -> impl Iterator<Item = AssetId> {
    let places = changes.windows(ENTRY.len() + 64).filter_map(|w| w.strip_prefix(ENTRY));
    places.filter_map(|id| std::str::from_utf8(id).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_found_where_an_element_names_it_and_nowhere_else() {
        let asset = AssetId::of_digest([0xa7; 32]);
        let mut changes = b"\x05key: \x01a\x77\x40".to_vec();
        changes.extend(asset.to_string().bytes());
        changes.extend(b" \x01b\x77\x40");
        changes.extend(asset.to_string().bytes());
        assert_eq!(named(&changes).collect::<Vec<_>>(), [asset]);
        assert_eq!(named(&changes[..70]).count(), 0);
        assert_eq!(named(asset.to_string().as_bytes()).count(), 0);
    }
}
