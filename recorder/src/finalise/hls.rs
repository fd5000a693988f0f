//! HLS playlists (RFC 8216) of a finished lesson. A rendition is one file; its segments are
//! byte ranges of it, so a lesson is a handful of files however long it was.

use std::fmt::Write;

/// A segment of a rendition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    pub seconds: f64,
    pub offset: u64,
    pub len: u64,
}

/// A rendition: one file, header first.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendition {
    pub file: String,
    pub header_len: u64,
    pub segments: Vec<Segment>,
    pub codecs: String,
}

impl Rendition {
    /// Its playlist.
    #[must_use]
    pub fn playlist(&self) -> String {
        let longest = self.segments.iter().map(|s| s.seconds).fold(0.0, f64::max);
        let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:VOD\n");
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MEDIA-SEQUENCE:0\n");
        let file = &self.file;
        // Writing to a String can't fail.
        let _ = writeln!(out, "#EXT-X-TARGETDURATION:{}", longest.ceil().max(1.0));
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{file}\",BYTERANGE=\"{}@0\"", self.header_len);
        for s in &self.segments {
            let _ = writeln!(out, "#EXTINF:{:.6},", s.seconds);
            let _ = writeln!(out, "#EXT-X-BYTERANGE:{}@{}\n{file}", s.len, s.offset);
        }
        out.push_str("#EXT-X-ENDLIST\n");
        out
    }

    /// Bits per second of its heaviest segment.
    #[must_use]
    pub fn peak(&self) -> u64 {
        let rate = |s: &Segment| (s.len as f64 * 8.0 / s.seconds.max(0.1)) as u64;
        self.segments.iter().map(rate).max().unwrap_or(0)
    }

    /// Bits per second over all.
    #[must_use]
    pub fn average(&self) -> u64 {
        let seconds: f64 = self.segments.iter().map(|s| s.seconds).sum();
        let bytes: u64 = self.segments.iter().map(|s| s.len).sum();
        (bytes as f64 * 8.0 / seconds.max(0.1)) as u64
    }
}

/// The playlist a player opens.
#[must_use]
pub fn master(video: &Rendition, size: (u32, u32), audio: &Rendition, channels: u16) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Lesson\",DEFAULT=YES,AUTOSELECT=YES,\
         CHANNELS=\"{channels}\",URI=\"audio.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{},{}\",\
         RESOLUTION={}x{},AUDIO=\"audio\"\nvideo.m3u8\n",
        video.peak() + audio.peak(),
        video.average() + audio.average(),
        video.codecs,
        audio.codecs,
        size.0,
        size.1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendition() -> Rendition {
        let segment = |offset, seconds| Segment { seconds, offset, len: 1000 };
        Rendition {
            file: "video.mp4".into(),
            header_len: 700,
            segments: vec![segment(700, 6.0), segment(1700, 2.5)],
            codecs: "avc1.42c01f".into(),
        }
    }

    #[test]
    fn a_playlist_names_every_byte_of_the_file_once() {
        let text = rendition().playlist();
        assert!(text.starts_with("#EXTM3U\n#EXT-X-VERSION:7\n"));
        assert!(text.contains("#EXT-X-MAP:URI=\"video.mp4\",BYTERANGE=\"700@0\"\n"));
        assert!(text.contains("#EXTINF:2.500000,\n#EXT-X-BYTERANGE:1000@1700\nvideo.mp4\n"));
        assert!(text.contains("#EXT-X-TARGETDURATION:6\n"));
        assert!(text.ends_with("#EXT-X-ENDLIST\n"));
    }

    #[test]
    fn the_master_playlist_binds_picture_and_sound() {
        let text = master(&rendition(), (1280, 720), &rendition(), 1);
        assert!(text.contains("RESOLUTION=1280x720,AUDIO=\"audio\"\nvideo.m3u8\n"));
        assert!(text.contains("BANDWIDTH=6400,"), "{text}");
    }
}
