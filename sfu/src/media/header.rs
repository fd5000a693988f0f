//! The RTP header a viewer gets: written anew for each, with the two extensions a forwarder
//! adds or passes on.

use crate::peer;
use cloudschool_protocol::rtp;

/// Ids of the header extensions of a viewer's line (RFC 8285).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    /// The number by which the viewer tells of a packet's arrival.
    pub transport_cc: Option<u8>,
    pub dependency_descriptor: Option<u8>,
}

impl From<&peer::Extensions> for Extensions {
    fn from(ids: &peer::Extensions) -> Self {
        Self { transport_cc: ids.transport_cc, dependency_descriptor: ids.dependency_descriptor }
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub marker: bool,
    pub padded: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub transport_sequence: u16,
    /// The dependency descriptor, or nothing.
    pub dependencies: &'a [u8],
}

/// Appends a header to `out`. Returns its length.
pub fn write_header(out: &mut Vec<u8>, ids: Extensions, fields: &Fields<'_>) -> usize {
    let start = out.len();
    let dependencies = ids.dependency_descriptor.filter(|_| !fields.dependencies.is_empty());
    let extended = ids.transport_cc.is_some() || dependencies.is_some();
    let first = 0x80 | u8::from(fields.padded) << 5 | u8::from(extended) << 4;
    let [s0, s1] = fields.sequence.to_be_bytes();
    let [t0, t1, t2, t3] = fields.timestamp.to_be_bytes();
    let [c0, c1, c2, c3] = fields.ssrc.to_be_bytes();
    let second = u8::from(fields.marker) << 7 | fields.payload_type;
    let fixed = [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3];
    let [n0, n1] = fields.transport_sequence.to_be_bytes();
    match (ids.transport_cc, dependencies) {
        (None, None) => out.extend_from_slice(&fixed),
        // Nearly every packet: one piece.
        (Some(id), None) if id < 15 => {
            let mut whole = [0xbe; 20];
            let (head, tail) = whole.split_at_mut(fixed.len());
            head.copy_from_slice(&fixed);
            tail.copy_from_slice(&[0xbe, 0xde, 0, 1, id << 4 | 1, n0, n1, 0]);
            out.extend_from_slice(&whole);
        }
        (transport, dependencies) => {
            out.extend_from_slice(&fixed);
            let sequence = [n0, n1];
            let elements = [
                (transport.unwrap_or(0), transport.map_or(&[][..], |_| &sequence[..])),
                (dependencies.unwrap_or(0), dependencies.map_or(&[][..], |_| fields.dependencies)),
            ];
            rtp::append_elements(out, &elements);
        }
    }
    out.len() - start
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::rtp::Header;

    #[test]
    fn every_combination_reads_back() {
        let dependencies: Vec<u8> = (1..40).collect();
        for transport_cc in [None, Some(3), Some(20)] {
            for dependency_descriptor in [None, Some(8)] {
                for dependencies in [&[][..], &dependencies[..5], &dependencies] {
                    let ids = Extensions { transport_cc, dependency_descriptor };
                    let fields = Fields {
                        marker: true,
                        padded: false,
                        payload_type: 102,
                        sequence: 0x1234,
                        timestamp: 0x5678_9abc,
                        ssrc: 7,
                        transport_sequence: 0xfedc,
                        dependencies,
                    };
                    let mut packet = Vec::new();
                    let len = write_header(&mut packet, ids, &fields);
                    packet.extend_from_slice(b"payload");
                    let header = Header::parse(&packet).unwrap();
                    assert_eq!(header.payload_offset, len);
                    assert_eq!(
                        (header.marker, header.payload_type, header.sequence, header.timestamp),
                        (true, 102, 0x1234, 0x5678_9abc)
                    );
                    let found: Vec<_> = rtp::elements(&packet).collect();
                    let mut expected: Vec<(u8, &[u8])> = Vec::new();
                    expected.extend(transport_cc.map(|id| (id, &[0xfe, 0xdc][..])));
                    let kept = dependency_descriptor.filter(|_| !dependencies.is_empty());
                    expected.extend(kept.map(|id| (id, dependencies)));
                    assert_eq!(found, expected);
                }
            }
        }
    }
}
