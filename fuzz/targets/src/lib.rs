//! What strangers' bytes go into: one function for each reader of network input. `make fuzz`
//! feeds them what a coverage-guided engine makes up, `cargo test` what is in `fuzz/corpus`.
//!
//! A target returns whatever the bytes are. It panics when a reader does, or when what was
//! read contradicts itself.

mod feedback;
mod layers;
mod packets;
mod peer;
mod secure;
mod trunk;

pub use secure::keys;

/// A reader under test.
pub type Target = fn(&[u8]);

/// All targets; each has a directory of its name in `fuzz/corpus` and a program in `fuzz/bins`.
pub const TARGETS: [(&str, Target); 12] = [
    ("rtp", packets::rtp),
    ("rtcp", packets::rtcp),
    ("payload", packets::payload),
    ("dependency", layers::dependency),
    ("describe", layers::describe),
    ("feedback", feedback::feedback),
    ("srtp", secure::srtp),
    ("stun", peer::stun),
    ("sdp", peer::sdp),
    ("fragment", peer::fragment),
    ("datagrams", peer::datagrams),
    ("trunk", trunk::trunk),
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, or it fails.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(own, _)| *own == name);
    target.expect("a target of this name").1(data);
}

/// Cuts data into pieces: each is a length of one byte, then so many bytes. What is left over
/// is the last piece.
pub fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&len, rest) = data.split_first()?;
        let (piece, rest) = rest.split_at(usize::from(len).min(rest.len()));
        data = rest;
        Some(piece)
    })
}

/// Puts pieces of up to 255 bytes together again: what [`pieces`] takes apart.
#[must_use]
pub fn joined<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        let piece = &piece[..piece.len().min(255)];
        out.push(piece.len() as u8);
        out.extend_from_slice(piece);
    }
    out
}
