//! Everything that came to one viewer, packet by packet and frame by frame: for those who
//! judge afterwards what was in time. Kept only where it is asked for.

use super::stamp::Stamp;

/// Bytes of IPv4 and UDP headers before an SRTP packet.
const IP_UDP: usize = 28;

/// What is no media of a publisher: padding, repeats, RTCP.
pub const OTHER: u8 = u8::MAX;

/// A datagram that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketSeen {
    /// Of which publisher, or [`OTHER`].
    pub source: u8,
    /// Size of its IP packet.
    pub ip_bytes: u16,
    /// When it was published; for [`OTHER`], when it came.
    pub sent_ns: u64,
    pub at_ns: u64,
}

/// A frame of which every packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSeen {
    pub source: u8,
    pub layer: u8,
    pub number: u32,
    pub key: bool,
    pub timestamp: u32,
    pub sent_ns: u64,
    /// When its last packet came.
    pub whole_ns: u64,
    /// When it and all it refers to had come.
    pub decodable_ns: Option<u64>,
}

/// A packet of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundSeen {
    pub source: u8,
    pub number: u32,
    pub timestamp: u32,
    pub sent_ns: u64,
    pub at_ns: u64,
}

/// What a sender report says: this RTP timestamp is that NTP time (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    pub ntp: u64,
    pub rtp: u32,
    pub at_ns: u64,
}

/// One line of one viewer.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    pub packets: Vec<PacketSeen>,
    pub frames: Vec<FrameSeen>,
    pub sounds: Vec<SoundSeen>,
    pub mappings: Vec<Mapping>,
}

impl Journal {
    /// A datagram of `bytes` UDP payload came, with `stamp` when it was new media.
    pub fn packet(&mut self, stamp: Option<&Stamp>, bytes: usize, at_ns: u64) {
        let ip_bytes = u16::try_from(bytes + IP_UDP).unwrap_or(u16::MAX);
        let (source, sent_ns) = stamp.map_or((OTHER, at_ns), |s| (s.source, s.sent_ns));
        self.packets.push(PacketSeen { source, ip_bytes, sent_ns, at_ns });
    }

    pub fn sound(&mut self, stamp: &Stamp, timestamp: u32, at_ns: u64) {
        let Stamp { source, number, sent_ns, .. } = *stamp;
        self.sounds.push(SoundSeen { source, number, timestamp, sent_ns, at_ns });
    }

    /// The last packet of a frame came.
    pub fn frame(&mut self, stamp: &Stamp, timestamp: u32, at_ns: u64) {
        self.frames.push(FrameSeen {
            source: stamp.source,
            layer: stamp.layer,
            number: stamp.frame,
            key: stamp.refers == 0,
            timestamp,
            sent_ns: stamp.sent_ns,
            whole_ns: at_ns,
            decodable_ns: None,
        });
    }

    /// A frame that was whole is decodable, too.
    pub fn decodable(&mut self, layer: u8, number: u32, at_ns: u64) {
        let mut newest_first = self.frames.iter_mut().rev();
        let frame = newest_first.find(|f| f.layer == layer && f.number == number);
        if let Some(frame) = frame {
            frame.decodable_ns.get_or_insert(at_ns);
        }
    }
}
