//! An asset that is coming by a trunk, in pieces that may be lost, doubled or out of order, as a
//! value. What has come stays over a cut of the line. Asks for nothing itself.

use cloudschool_protocol::asset::{AssetId, AssetKind, Chunk, MAX_CHUNK};

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// It was missing.
    New,
    /// It was there, or is no part of it.
    Useless,
    /// The asset is larger than it may be.
    TooLarge,
}

/// What has come so far.
#[derive(Debug, Default)]
pub struct Partial {
    kind: Option<AssetKind>,
    bytes: Vec<u8>,
    /// Of pieces of [`MAX_CHUNK`] bytes, which have come.
    there: Vec<bool>,
}

impl Partial {
    /// Puts a piece in its place. One of another size or kind than those before begins anew:
    /// the other end has changed its mind about what it has.
    pub fn put(&mut self, chunk: &Chunk<'_>, most: u64) -> Piece {
        if u64::from(chunk.total) > most {
            return Piece::TooLarge;
        }
        let total = chunk.total as usize;
        if self.kind != Some(chunk.kind) || self.bytes.len() != total {
            *self = Self {
                kind: Some(chunk.kind),
                bytes: vec![0; total],
                there: vec![false; total.div_ceil(MAX_CHUNK)],
            };
        }
        let offset = chunk.offset as usize;
        let whole = chunk.data.len() == MAX_CHUNK.min(total.saturating_sub(offset));
        let place = self.bytes.get_mut(offset..offset + chunk.data.len());
        let there = self.there.get_mut(offset / MAX_CHUNK);
        match (place, there) {
            (Some(place), Some(there)) if whole && offset.is_multiple_of(MAX_CHUNK) && !*there => {
                place.copy_from_slice(chunk.data);
                *there = true;
                Piece::New
            }
            _ => Piece::Useless,
        }
    }

    /// Where to go on: the first byte that is missing.
    #[must_use]
    pub fn offset(&self) -> u64 {
        let missing = self.there.iter().position(|there| !there);
        missing.unwrap_or(0) as u64 * MAX_CHUNK as u64
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.kind.is_some() && self.there.iter().all(|there| *there)
    }

    /// The asset, when it is whole and is `id`. One that is whole and isn't is thrown away.
    pub fn take_if_whole(&mut self, id: &AssetId) -> Option<(AssetKind, Vec<u8>)> {
        let kind = self.kind.filter(|_| self.is_whole())?;
        let bytes = std::mem::take(&mut self.bytes);
        *self = Self::default();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        let right = digest.as_ref() == id.digest() && AssetKind::sniff(&bytes) == Some(kind);
        right.then_some((kind, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picture(len: usize) -> (AssetId, Vec<u8>) {
        let mut bytes: Vec<u8> = (0..len).map(|n| (n * 7 + n / 251) as u8).collect();
        bytes[..12].copy_from_slice(b"RIFF\0\0\0\0WEBP");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        (AssetId::of_digest(digest.as_ref().try_into().unwrap()), bytes)
    }

    fn chunks(bytes: &[u8]) -> Vec<Chunk<'_>> {
        let total = bytes.len() as u32;
        let pieces = bytes.chunks(MAX_CHUNK).enumerate();
        pieces
            .map(|(n, data)| {
                let offset = (n * MAX_CHUNK) as u32;
                Chunk { request: 1, kind: AssetKind::Webp, total, offset, data }
            })
            .collect()
    }

    #[test]
    fn pieces_that_are_no_part_of_it_change_nothing() {
        let (id, bytes) = picture(2 * MAX_CHUNK + 5);
        let all = chunks(&bytes);
        let mut partial = Partial::default();
        assert_eq!(partial.put(&all[0], 10), Piece::TooLarge);
        assert_eq!(partial.put(&all[1], 1 << 20), Piece::New);
        assert_eq!(partial.offset(), 0);
        assert_eq!(partial.put(&all[1], 1 << 20), Piece::Useless);
        let short = Chunk { data: &all[0].data[..9], ..all[0] };
        let aside = Chunk { offset: 1, ..all[0] };
        assert_eq!(partial.put(&short, 1 << 20), Piece::Useless);
        assert_eq!(partial.put(&aside, 1 << 20), Piece::Useless);
        assert_eq!(partial.put(&all[0], 1 << 20), Piece::New);
        assert_eq!(partial.offset(), 2 * MAX_CHUNK as u64);
        assert_eq!(partial.take_if_whole(&id), None);
        assert_eq!(partial.put(&all[2], 1 << 20), Piece::New);
        assert_eq!(partial.take_if_whole(&id), Some((AssetKind::Webp, bytes)));
    }

    #[test]
    fn what_is_whole_and_is_another_is_thrown_away() {
        let (_, bytes) = picture(100);
        let (other, _) = picture(101);
        let mut partial = Partial::default();
        partial.put(&chunks(&bytes)[0], 1 << 20);
        assert_eq!(partial.take_if_whole(&other), None);
        assert_eq!(partial.offset(), 0, "from the beginning");
    }

    proptest! {
        #[test]
        fn in_whatever_order_and_however_often_the_pieces_come_it_is_what_it_was(
            len in 12usize..5 * MAX_CHUNK,
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let (id, bytes) = picture(len);
            let all = chunks(&bytes);
            let mut partial = Partial::default();
            for index in order {
                partial.put(index.get(&all), 1 << 20);
            }
            // What is missing is asked for again, as after a cut.
            let mut whole = partial.take_if_whole(&id);
            while whole.is_none() {
                let at = partial.offset() as usize / MAX_CHUNK;
                prop_assert_eq!(partial.put(&all[at], 1 << 20), Piece::New);
                whole = partial.take_if_whole(&id);
            }
            prop_assert_eq!(whole, Some((AssetKind::Webp, bytes)));
        }
    }
}
