//! RTP header extensions (RFC 8285): elements of the one-byte and the two-byte form, read
//! without copying, and a block of the one-byte form written in place.

use super::FIXED_HEADER;

/// First two bytes of an extension block with one-byte elements.
const ONE_BYTE: u16 = 0xbede;
/// The same with two-byte elements; the low four bits are the application's.
const TWO_BYTE: u16 = 0x1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

/// The elements of one packet's header extension, in order: id and value.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

/// The header extension elements of a packet; none when it has no extension, one in another
/// form, or isn't whole.
#[must_use]
pub fn elements(packet: &[u8]) -> Elements<'_> {
    block(packet).unwrap_or(Elements { form: Form::OneByte, rest: &[] })
}

fn block(packet: &[u8]) -> Option<Elements<'_>> {
    let b0 = *packet.first()?;
    if b0 & 0x10 == 0 {
        return None;
    }
    let at = FIXED_HEADER + 4 * usize::from(b0 & 0x0f);
    let [p0, p1, w0, w1] = *packet.get(at..at + 4)?.first_chunk::<4>()?;
    let form = match u16::from_be_bytes([p0, p1]) {
        ONE_BYTE => Form::OneByte,
        profile if profile & 0xfff0 == TWO_BYTE => Form::TwoByte,
        _ => return None,
    };
    let end = at + 4 + 4 * usize::from(u16::from_be_bytes([w0, w1]));
    Some(Elements { form, rest: packet.get(at + 4..end)? })
}

impl<'a> Elements<'a> {
    fn read(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            let (&head, tail) = self.rest.split_first()?;
            if head == 0 {
                self.rest = tail;
                continue;
            }
            let (id, len, tail) = match self.form {
                // Id 0 with a length, and id 15, end the block (§4.2).
                Form::OneByte => match head >> 4 {
                    0 | 15 => return None,
                    id => (id, usize::from(head & 0x0f) + 1, tail),
                },
                Form::TwoByte => {
                    let (&len, tail) = tail.split_first()?;
                    (head, usize::from(len), tail)
                }
            };
            let value = tail.get(..len)?;
            self.rest = tail.get(len..)?;
            return Some((id, value));
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.read();
        if found.is_none() {
            self.rest = &[];
        }
        found
    }
}

/// The value of the first element with this id.
#[must_use]
pub fn extension(packet: &[u8], id: u8) -> Option<&[u8]> {
    elements(packet).find(|(found, _)| *found == id).map(|(_, value)| value)
}

/// Bytes a block of one-byte elements takes, whose values have these lengths together.
#[must_use]
pub const fn block_len(elements: usize, value_bytes: usize) -> usize {
    4 + (elements + value_bytes).next_multiple_of(4)
}

/// Writes a block of one-byte elements (§4.2) to the front of `out` and returns its length; the
/// packet's X bit is the caller's. `None`, and nothing of use written, when there is no room,
/// when an id isn't 1–14, or when a value isn't 1–16 bytes long.
pub fn put_elements(out: &mut [u8], elements: &[(u8, &[u8])]) -> Option<usize> {
    let values = elements.iter().map(|(_, value)| value.len()).sum();
    let len = block_len(elements.len(), values);
    let out = out.get_mut(..len)?;
    let words = u16::try_from(len / 4 - 1).ok()?;
    let (head, mut rest) = out.split_first_chunk_mut::<4>()?;
    head.first_chunk_mut::<2>()?.copy_from_slice(&ONE_BYTE.to_be_bytes());
    head.last_chunk_mut::<2>()?.copy_from_slice(&words.to_be_bytes());
    for (id, value) in elements {
        if !(1..=14).contains(id) || !(1..=16).contains(&value.len()) {
            return None;
        }
        let (head, tail) = rest.split_first_mut()?;
        *head = id << 4 | (value.len() - 1) as u8;
        let (to, tail) = tail.split_at_mut_checked(value.len())?;
        to.copy_from_slice(value);
        rest = tail;
    }
    rest.fill(0);
    Some(len)
}

/// Appends a block with those of `elements` that have a value, in the one-byte form, or in the
/// two-byte form (RFC 8285 §4.3) when an id or a value is too large for it. Nothing is appended
/// when there is none. Values of more than 255 bytes are left out.
pub fn append_elements(out: &mut Vec<u8>, elements: &[(u8, &[u8])]) {
    let fits = |(_, value): &&(u8, &[u8])| (1..=255).contains(&value.len());
    let present = || elements.iter().filter(fits);
    if present().next().is_none() {
        return;
    }
    let small = present().all(|(id, value)| (1..=14).contains(id) && value.len() <= 16);
    let start = out.len();
    let profile = if small { ONE_BYTE } else { TWO_BYTE };
    out.extend_from_slice(&profile.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    for (id, value) in present() {
        match small {
            true => out.push(id << 4 | (value.len() - 1) as u8),
            false => out.extend_from_slice(&[*id, value.len() as u8]),
        }
        out.extend_from_slice(value);
    }
    out.resize(start + (out.len() - start).next_multiple_of(4), 0);
    let words = ((out.len() - start) / 4 - 1) as u16;
    if let Some(length) = out.get_mut(start + 2..start + 4) {
        length.copy_from_slice(&words.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(block: &[u8]) -> Vec<u8> {
        let mut p = vec![0x91, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9, 9];
        p.extend_from_slice(block);
        p.extend_from_slice(b"payload");
        p
    }

    #[test]
    fn one_byte_elements_are_found_behind_padding() {
        // RFC 8285 §4.2's example: elements of 1, 2 and 4 bytes with padding between.
        let p = packet(&[0xbe, 0xde, 0, 3, 0x10, 0xaa, 0x21, 0xbb, 0xbc, 0, 0, 0x33, 1, 2, 3, 4]);
        let read: Vec<_> = elements(&p).collect();
        assert_eq!(read, [(1, &[0xaa][..]), (2, &[0xbb, 0xbc]), (3, &[1, 2, 3, 4])]);
        assert_eq!(extension(&p, 2), Some(&[0xbb, 0xbc][..]));
        assert_eq!(extension(&p, 4), None);
    }

    #[test]
    fn two_byte_elements_may_be_empty_and_have_high_ids() {
        // RFC 8285 §4.3's example.
        let p =
            packet(&[0x10, 0x00, 0, 3, 0x01, 0x00, 0x02, 0x01, 0xaa, 0x00, 0xc8, 0x04, 1, 2, 3, 4]);
        let read: Vec<_> = elements(&p).collect();
        assert_eq!(read, [(1, &[][..]), (2, &[0xaa]), (200, &[1, 2, 3, 4])]);
    }

    #[test]
    fn reserved_ids_end_the_block() {
        let p = packet(&[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0xf0, 0xbb, 0x20, 0xcc, 0, 0]);
        assert_eq!(elements(&p).count(), 1);
        let p = packet(&[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x01, 0xbb, 0x20, 0xcc, 0, 0]);
        assert_eq!(elements(&p).count(), 1);
    }

    #[test]
    fn what_does_not_fit_the_short_form_takes_the_long_one() {
        let long: Vec<u8> = (0..40).collect();
        for elements_in in [
            &[(3, &[1u8, 2][..])][..],
            &[(3, &[1, 2]), (4, &long)],
            &[(20, &[1, 2]), (4, &[])],
            &[],
        ] {
            let mut out = Vec::new();
            append_elements(&mut out, elements_in);
            let present: Vec<_> = elements_in.iter().copied().filter(|e| !e.1.is_empty()).collect();
            assert_eq!(out.is_empty(), present.is_empty());
            if !out.is_empty() {
                assert_eq!(elements(&packet(&out)).collect::<Vec<_>>(), present);
            }
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let mut out = [0; 12];
        assert_eq!(put_elements(&mut out, &[(15, &[1])]), None);
        assert_eq!(put_elements(&mut out, &[(0, &[1])]), None);
        assert_eq!(put_elements(&mut out, &[(1, &[])]), None);
        assert_eq!(put_elements(&mut out, &[(1, &[0; 9])]), None, "no room");
        assert_eq!(put_elements(&mut out, &[(1, &[7, 8, 9]), (2, &[1, 2])]), Some(12));
        assert_eq!(out, [0xbe, 0xde, 0, 2, 0x12, 7, 8, 9, 0x21, 1, 2, 0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            written in prop::collection::vec((1u8..=14, prop::collection::vec(any::<u8>(), 1..=16)), 0..6),
        ) {
            let elements_in: Vec<_> = written.iter().map(|(id, v)| (*id, v.as_slice())).collect();
            let mut block = vec![0xff; 200];
            let len = put_elements(&mut block, &elements_in).unwrap();
            let values = written.iter().map(|(_, v)| v.len()).sum();
            prop_assert_eq!(len, block_len(written.len(), values));
            let p = packet(&block[..len]);
            prop_assert_eq!(elements(&p).collect::<Vec<_>>(), elements_in);
        }

        #[test]
        fn any_block_is_read_or_ended(bytes in prop::collection::vec(any::<u8>(), 0..80), two in any::<bool>()) {
            let mut block = if two { vec![0x10, 0x07] } else { vec![0xbe, 0xde] };
            block.extend_from_slice(&bytes);
            let _ = elements(&packet(&block)).count();
            let _ = elements(&bytes).count();
        }
    }
}
