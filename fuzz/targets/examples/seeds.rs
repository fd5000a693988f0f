//! Writes what fuzzing begins with into `fuzz/corpus`: whole inputs of every kind that is read,
//! most of them as browsers sent them.
//!
//! `cargo run -p cloudschool-fuzz-targets --example seeds`

use cloudschool_fuzz_targets::{joined, keys};
use cloudschool_protocol::frame;
use cloudschool_protocol::media::Codec;
use cloudschool_protocol::roq;
use cloudschool_protocol::rtcp::{Block, Nack, Writer};
use cloudschool_protocol::rtp;
use cloudschool_protocol::trunk::Control;
use cloudschool_srtp::{Profile, Sealer};
use std::path::{Path, PathBuf};

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn write(target: &str, name: &str, data: &[u8]) {
    let directory = here().join("../corpus").join(target);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(name), data).unwrap();
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.chars().filter(char::is_ascii_hexdigit).collect();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn files(directory: &Path, extension: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn main() {
    captures();
    packets();
    control();
    secure();
    peers();
}

/// Packets as Chromium sent them.
fn captures() {
    for (name, text) in files(&here().join("../../sfu/src/media/layers/captures"), "txt") {
        let codec = match name.split('-').next() {
            Some("vp8") => 0u8,
            Some("vp9") => 1,
            Some("av1") => 2,
            _ => 3,
        };
        let payload_codec = [0u8, 1, 3, 2][usize::from(codec)];
        let lines: Vec<Vec<&str>> =
            text.lines().filter(|l| !l.starts_with('#')).map(|l| l.split(' ').collect()).collect();
        let media: Vec<_> = lines.iter().filter(|l| l[0] == "0" && l[5] != "-").take(12).collect();
        let descriptors: Vec<_> = media.iter().map(|l| bytes(l[4])).collect();
        write("dependency", &name, &joined(descriptors.iter().map(Vec::as_slice)));
        let mut packets = Vec::new();
        for (line, descriptor) in media.iter().zip(&descriptors) {
            packets.push(vec![codec | if line[3] == "1" { 0x80 } else { 0 }]);
            packets.push(bytes(line[5]));
            packets.push(descriptor.clone());
        }
        write("describe", &name, &joined(packets.iter().map(Vec::as_slice)));
        let first = bytes(media[0][5]);
        write("payload", &name, &[&[payload_codec], first.as_slice()].concat());
    }
}

fn packets() {
    let header = |first: u8| [first, 0x80 | 96, 0x12, 0x34, 0, 0, 3, 0xe8, 1, 2, 3, 4];
    let payload = bytes("90e08102052000");
    write("rtp", "plain", &[&header(0x80)[..], &payload].concat());
    let mut block = [0; 32];
    let elements: [(u8, &[u8]); 3] = [(1, &[0x9e]), (4, &[0, 7]), (13, &[0xc0, 0, 1])];
    let len = rtp::put_elements(&mut block, &elements).unwrap();
    write("rtp", "one-byte-elements", &[&header(0x90)[..], &block[..len], &payload].concat());
    let two_byte = bytes("1000 0003 0100 0201aa 00 c804 01020304");
    write("rtp", "two-byte-elements", &[&header(0x90)[..], &two_byte, &payload].concat());
    let sources = [0, 0, 0, 5, 0, 0, 0, 6];
    let padded = [&header(0xa2)[..], &sources, &payload, &[0, 0, 0, 4]].concat();
    write("rtp", "sources-and-padding", &padded);

    // Descriptors in the forms that browsers don't send.
    write("payload", "vp8-short-id", &bytes("00 90 80 17 00"));
    write("payload", "vp8-layers", &bytes("00 90 f0 8102 05 a0 01"));
    write(
        "payload",
        "vp9-layers-of-a-group",
        &bytes("01 aa 9234 00 07 18 04 14 04 54 01 34 02 58 01 02"),
    );
    write("payload", "vp9-references", &bytes("01 f8 05 32 03 04 aa"));
    write("payload", "h264-fragment", &bytes("02 7c 85 88 01"));
    write("payload", "opus-redundant", &bytes("04 ef 0f00 03 6f 010203 0909"));

    let mut out = Vec::new();
    let block = Block {
        ssrc: 7,
        fraction_lost: 25,
        lost: -3,
        highest: 0x0001_0203,
        jitter: 44,
        last_report: 0xaabb_ccdd,
        delay: 65_536,
    };
    let mut writer = Writer::new(&mut out);
    writer.sender_report(1, 5 << 32 | 9, 777, 10, 20, &[block]);
    writer.description(1, "school-01");
    writer.bye(1);
    write("rtcp", "sender-report", &out);
    out.clear();
    let mut writer = Writer::new(&mut out);
    writer.receiver_report(1, &[block, block]);
    writer.nack(&Nack { sender: 1, media: 9 }, [100, 101, 116, 118, 300].into_iter());
    writer.pli(1, 9);
    write("rtcp", "receiver-report-nack-pli", &out);
    write("rtcp", "full-intra-request", &bytes("84ce0004 00000001 00000000 00000009 05000000"));
    out.clear();
    let feedback = bytes("0064 0006 000a6b 01 2003 9000 0428 fc10 14 00 1c 0000 ff");
    Writer::new(&mut out).transport_cc(1, 9, |fci| fci.extend_from_slice(&feedback));
    write("rtcp", "transport-cc", &out);

    // Base sequence number, packets told of, reference time, count; chunks; deltas
    // (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
    let runs = bytes("0000 0014 000010 00 2014") // a run of 20 that came with small deltas
        .into_iter()
        .chain([20; 20]);
    let runs: Vec<u8> = runs.collect();
    let vector = bytes("0014 0007 000011 01 b24f 0a 0014 14 0a 0000");
    let lost = bytes("0028 0014 000012 02 0014");
    write("feedback", "runs", &joined([&runs[..]]));
    write("feedback", "vectors", &joined([&runs[..], &vector]));
    write("feedback", "losses", &joined([&runs[..], &vector, &lost, &runs]));
}

fn control() {
    let track = "li/camera".parse().unwrap();
    let lesson = "algebra-1".parse().unwrap();
    let messages = [
        Control::Flow { flow: 4, lesson, track, codec: Codec::Vp9 },
        Control::Clock { flow: 4, ntp: 5 << 32, rtp: 1000 },
        Control::Keyframe { flow: 4 },
    ];
    let mut all = vec![0];
    for (message, name) in messages.iter().zip(["flow", "clock", "keyframe"]) {
        let frame = frame::encode(message).unwrap();
        write("trunk", name, &[&[0], frame.as_slice()].concat());
        all.extend_from_slice(&frame);
    }
    write("trunk", "messages", &all);
    // As docs/trunk.md has them, and two that only a later release could say.
    for (name, message) in [
        (
            "hello",
            r#"{"type":"hello","version":3,"oldest":1,"node":"a","kind":"edge","school":"a","software":"s","capabilities":["tree"]}"#,
        ),
        ("path", r#"{"type":"path","nodes":["campus","district"],"away":true}"#),
        ("behind", r#"{"type":"behind","nodes":[{"node":"a","school":"a"},{"node":"b"}]}"#),
        (
            "demand",
            r#"{"type":"demand","lesson":"m","tracks":["li/camera"],"limits":[{"track":"li/camera","encoding":0,"bitrate":1}]}"#,
        ),
        (
            "hand-up",
            r#"{"type":"hand-up","lesson":"m","entries":[{"id":"0198c7a2-5f00-7000-8000-000000000001","atMs":1,"command":{"kind":"member","by":"w","command":{"do":"raise-hand"}}}]}"#,
        ),
        ("later", r#"{"type":"weather","rain":[1,2,{"deep":[]}]}"#),
        ("later-field", r#"{"type":"keyframe","flow":4,"encoding":2}"#),
    ] {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        write("trunk", name, &[&[0], &length[..], message.as_bytes()].concat());
    }
    let hand = br#"{"type":"command","request":7,"command":{"type":"raise-hand"}}"#;
    write("trunk", "socket-command", &[&[1], &hand[..]].concat());
    let packet = bytes("8060123400000009000000010203");
    let stream = roq::stream(1, [packet.as_slice(), &packet, &[]]);
    write("trunk", "media-stream", &[&[2], stream.as_slice()].concat());
    write("trunk", "media-datagram", &[&[2], roq::datagram(1 << 20, &packet).as_slice()].concat());
}

fn secure() {
    let packet = bytes("8060123400000009000000010203040506070809");
    let report = bytes("80c90001 00000001");
    for (kind, name, profile) in
        [(0u8, "gcm", Profile::AeadAes128Gcm), (1, "cm", Profile::Aes128CmHmacSha1_80)]
    {
        let mut sealer = Sealer::new(&keys(profile)).unwrap();
        let mut sealed = packet.clone();
        sealed.resize(packet.len() + sealer.tag_len(), 0);
        assert!(sealer.seal(&mut sealed, 12, 0));
        write("srtp", &format!("{name}-rtp"), &[&[kind], sealed.as_slice()].concat());
        let mut sealed = report.clone();
        assert!(sealer.seal_rtcp(&mut sealed));
        write("srtp", &format!("{name}-rtcp"), &[&[kind | 2], sealed.as_slice()].concat());
    }
}

fn peers() {
    // RFC 5769 §2.1, and the same without what authenticates it.
    let sample = bytes(
        "00010058 2112a442 b7e7a701bc34d686fa87dfae 8022001053544e2074657374 20636c69656e7420
         002400046e0001ff 80290008932ff9b151263b36 00060009 6576746a3a68367659 202020
         000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004e57a3bcf",
    );
    let request = bytes(
        "00010058 2112a442 b7e7a701bc34d686fa87dfae 80220010 5354554e207465737420636c69656e74
         002400046e0001ff 80290008932ff9b151263b36 00060009 6576746a3a68367659 202020
         00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf",
    );
    write("stun", "rfc-5769-request", &request);
    write("stun", "lengths-that-lie", &sample);
    let bare = bytes(
        "00010018 2112a442 000102030405060708090a0b 00060009 6576746a3a68367659 202020 0025 0000",
    );
    write("stun", "nominating", &bare);

    for (name, offer) in files(&here().join("../../sfu/src/peer/fixtures"), "sdp") {
        write("sdp", &name, offer.as_bytes());
    }
    let restart = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n";
    write("fragment", "restart", restart.as_bytes());
    let candidates = format!(
        "{restart}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
         a=candidate:1 1 UDP 2130706431 192.0.2.7 40000 typ host\r\na=end-of-candidates\r\n"
    );
    write("fragment", "candidates", candidates.as_bytes());
    write("fragment", "nothing", b"a=end-of-candidates\r\n");

    let hello = include_str!("chromium-client-hello.txt");
    let flights: Vec<_> = hello.lines().filter(|l| !l.starts_with('#')).map(bytes).collect();
    // Datagrams over 254 bytes are pieces of 255 and a shorter one.
    let pieces = |datagrams: &[Vec<u8>]| {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for datagram in datagrams {
            pieces.extend(datagram.chunks(255).map(<[u8]>::to_vec));
            if datagram.len() % 255 == 0 {
                pieces.push(Vec::new());
            }
        }
        joined(pieces.iter().map(Vec::as_slice))
    };
    write("datagrams", "chromium-client-hello", &pieces(&flights));
    write("datagrams", "second-half-first", &pieces(&[flights[1].clone(), flights[0].clone()]));
    write(
        "datagrams",
        "check-and-hello",
        &pieces(&[request, flights[0].clone(), flights[1].clone()]),
    );
}
