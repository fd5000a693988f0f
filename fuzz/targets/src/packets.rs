//! RTP headers and extensions, RTCP compounds, and the payloads of each codec.

use cloudschool_protocol::media::Codec;
use cloudschool_protocol::rtcp::{self, Rtcp};
use cloudschool_protocol::rtp::{self, Header, av1, h264, red, vp8, vp9};

const CODECS: [Codec; 5] = [Codec::Opus, Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1];

/// A header as it came, its extension written again, and its fields rewritten in place.
pub fn rtp(data: &[u8]) {
    let elements: Vec<_> = rtp::elements(data).collect();
    let short = |e: &&(u8, &[u8])| (1..=14).contains(&e.0) && (1..=16).contains(&e.1.len());
    let writable: Vec<_> = elements.iter().filter(short).copied().collect();
    let mut packet = vec![0x90; 12];
    packet.resize(12 + 4 + 2 * data.len() + 16, 0);
    let len = rtp::put_elements(&mut packet[12..], &writable).expect("there is room");
    assert_eq!(rtp::elements(&packet[..12 + len]).collect::<Vec<_>>(), writable);
    for (id, _) in &elements {
        assert!(rtp::extension(data, *id).is_some());
    }
    let _ = rtp::audio_level(data);

    let Some(header) = Header::parse(data) else { return };
    assert!(header.payload_offset <= header.payload_end && header.payload_end <= data.len());
    for codec in CODECS {
        let _ = rtp::starts_keyframe(codec, header.payload(data));
    }
    let mut rewritten = data.to_vec();
    rtp::set_payload_type(&mut rewritten, 45);
    rtp::set_sequence(&mut rewritten, 1);
    rtp::set_timestamp(&mut rewritten, 2);
    rtp::set_ssrc(&mut rewritten, 3);
    let expected = Header { payload_type: 45, sequence: 1, timestamp: 2, ssrc: 3, ..header };
    assert_eq!(Header::parse(&rewritten), Some(expected));
}

/// A compound, to the end of every packet in it.
pub fn rtcp(data: &[u8]) {
    let _ = rtcp::is_rtcp(data);
    for packet in rtcp::packets(data) {
        match packet {
            Rtcp::SenderReport(report) => assert!(report.blocks.count() < 32),
            Rtcp::ReceiverReport(blocks) => assert!(blocks.count() < 32),
            Rtcp::Nack { entries, .. } => {
                assert!(entries.sequences().count() <= 17 * data.len() / 4);
            }
            Rtcp::Fir { entries } => assert!(entries.sources().count() <= data.len() / 8),
            Rtcp::TransportCc { fci } => assert!(fci.len() < data.len()),
            Rtcp::Bye { sources } => assert!(sources.len() % 4 == 0),
            Rtcp::Pli { .. } | Rtcp::Other { .. } => {}
        }
    }
}

/// The descriptors in front of each codec's data, and their picture ids moved there and back.
pub fn payload(data: &[u8]) {
    let Some((&kind, payload)) = data.split_first() else { return };
    let mut moved = payload.to_vec();
    match kind % 5 {
        0 => {
            if let Some(d) = vp8::Descriptor::parse(payload) {
                assert!(d.len <= payload.len());
                let _ = d.begins_keyframe(payload);
            }
            vp8::shift(&mut moved, 0x1234, 0x56);
            assert_eq!(
                vp8::Descriptor::parse(payload).is_some(),
                vp8::Descriptor::parse(&moved).is_some()
            );
            vp8::shift(&mut moved, 0x1234_u16.wrapping_neg(), 0x56_u8.wrapping_neg());
        }
        1 => {
            if let Some(d) = vp9::Descriptor::parse(payload) {
                assert!(d.len <= payload.len());
                let _ = d.begins_keyframe();
            }
            vp9::shift(&mut moved, 0x1234, 0x56);
            assert_eq!(
                vp9::Descriptor::parse(payload).is_some(),
                vp9::Descriptor::parse(&moved).is_some()
            );
            vp9::shift(&mut moved, 0x1234_u16.wrapping_neg(), 0x56_u8.wrapping_neg());
        }
        2 => {
            assert!(h264::units(payload).map(|u| u.body.len()).sum::<usize>() <= payload.len());
            let _ = (h264::begins_keyframe(payload), h264::begins_picture(payload));
        }
        3 => {
            let _ = av1::AggregationHeader::parse(payload).map(|h| h.begins_keyframe());
        }
        _ => {
            if let Some(blocks) = red::blocks(payload) {
                assert!(blocks.map(|b| b.data.len()).sum::<usize>() < payload.len());
                assert!(red::primary(payload).is_some_and(|b| b.timestamp_offset == 0));
            }
        }
    }
    assert_eq!(moved, payload);
}
