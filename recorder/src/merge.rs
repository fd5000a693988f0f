//! Puts what schools kept while the campus was away into a lesson's recording, at its true place:
//! by the publisher's own clock, where the recording knows it, else by the time it came at the
//! school's node. What the recording has all the same is left out.
//!
//! Done when the lesson is over, before it is published; done twice, it changes nothing more.

use crate::backfill;
use crate::capture::{Capture, Outcome};
use crate::clock::{Nanos, SECOND, Unwrap32, ntp_add, ntp_between, ticks_to_nanos};
use crate::manifest::Manifest;
use crate::writer::Syncer;
use bytes::Bytes;
use cloudschool_protocol::rtp::Header;
use cloudschool_protocol::spool::{Record, SpoolPart};
use std::path::Path;

/// How far a school's clock may be from ours. Beyond, the publisher's clock is not the one the
/// recording knows.
const SKEW: Nanos = 30 * SECOND;

/// Adds every part in `dir` to `manifest`. Blocks.
///
/// # Errors
/// When `dir` can't be read. A part that can't be put in is logged and left.
pub fn merge(dir: &Path, manifest: &mut Manifest, syncer: &Syncer) -> std::io::Result<()> {
    for (part, path) in backfill::fetched(dir)? {
        if part.session != manifest.session {
            continue;
        }
        match std::fs::read(&path) {
            Ok(bytes) => add(dir, manifest, syncer, &part, &bytes),
            Err(error) => tracing::error!(path = %path.display(), %error, "a kept part is lost"),
        }
    }
    Ok(())
}

/// A packet and when it was sent, in lesson time.
struct Placed<'a> {
    record: Record<'a>,
    /// When it came at the school.
    arrival: Nanos,
    /// By the publisher's clock.
    ntp: Option<u64>,
}

fn add(dir: &Path, manifest: &mut Manifest, syncer: &Syncer, part: &SpoolPart, bytes: &[u8]) {
    let mut placed = place(manifest, part, bytes);
    let zero = clock_at_begin(manifest, part, &placed);
    if let Some(zero) = zero {
        move_to(&mut placed, zero);
    }
    let entry = manifest.track(&part.track).clone();
    let recorded = entry.parts.clone();
    let missing = |placed: &Placed<'_>| {
        let at = placed.ntp.zip(zero).map_or(placed.arrival, |(ntp, zero)| ntp_between(zero, ntp));
        at >= 0 && !recorded.iter().any(|part| part.covers(at))
    };
    let mut capture = Capture::new(dir, syncer, part.codec, entry);
    let mut out = Outcome::default();
    let mut clock = None;
    for one in placed {
        match one.record {
            Record::Packet { packet, .. } if missing(&one) => {
                capture.packet(Bytes::copy_from_slice(packet), one.arrival, &mut out);
                // A clock that was said before the first packet is said to its file as well.
                if let Some((ntp, rtp)) = clock.take() {
                    capture.report(ntp, rtp, &mut out);
                }
            }
            Record::Packet { .. } => capture.tick(one.arrival, &mut out),
            Record::Clock { ntp, rtp, .. } => {
                clock = Some((ntp, rtp));
                capture.report(ntp, rtp, &mut out);
            }
        }
    }
    capture.close(&mut out);
    let begun = out.begun;
    for part in out.ended {
        if let Err(error) = part.finish() {
            tracing::error!(%error, "a school's part may lack its last second");
        }
    }
    for error in out.failed {
        tracing::error!(%error, "a school's part could not be put in");
    }
    tracing::info!(track = %part.track, files = begun, "a school's part is in its place");
    *manifest.track(&part.track) = capture.entry;
}

fn place<'a>(manifest: &Manifest, part: &SpoolPart, bytes: &'a [u8]) -> Vec<Placed<'a>> {
    let rate = part.codec.clock_rate();
    let first_clock = Record::read_all(bytes).find_map(|record| match record {
        Record::Clock { ntp, rtp, .. } => Some((ntp, rtp)),
        Record::Packet { .. } => None,
    });
    let mut timestamps = Unwrap32::default();
    let mut clock = first_clock.map(|(ntp, rtp)| (ntp, timestamps.extend(rtp)));
    let mut placed = Vec::new();
    for record in Record::read_all(bytes) {
        let wall = i64::try_from(record.at_ns()).unwrap_or(Nanos::MAX);
        let ntp = match record {
            Record::Packet { packet, .. } => Header::parse(packet).and_then(|header| {
                let timestamp = timestamps.extend(header.timestamp);
                let (ntp, at) = clock?;
                Some(ntp_add(ntp, ticks_to_nanos(timestamp - at, rate)))
            }),
            Record::Clock { ntp, rtp, .. } => {
                clock = Some((ntp, timestamps.peek(rtp)));
                Some(ntp)
            }
        };
        placed.push(Placed { record, arrival: wall.saturating_sub(manifest.zero_wall_ns), ntp });
    }
    placed
}

/// What the publisher's clock said when the lesson began, as the recording of the member's
/// tracks knows it.
fn clock_at_begin(manifest: &Manifest, part: &SpoolPart, placed: &[Placed<'_>]) -> Option<u64> {
    let (arrival, ntp) = placed.iter().find_map(|p| Some((p.arrival, p.ntp?)))?;
    let of_member = manifest.tracks.iter().filter(|t| t.track.member == part.track.member);
    let known = of_member.flat_map(|t| &t.parts).filter_map(|p| p.timing.ntp_zero);
    let off = |zero: &u64| (ntp_between(*zero, ntp) - arrival).abs();
    known.min_by_key(off).filter(|zero| off(zero) < SKEW)
}

/// Moves all arrivals so that the least delayed packet lies where the clock has it: the school's
/// wall clock is not ours.
fn move_to(placed: &mut [Placed<'_>], zero: u64) {
    let ahead = |p: &Placed<'_>| Some(ntp_between(zero, p.ntp?) - p.arrival);
    if let Some(by) = placed.iter().filter_map(ahead).max() {
        placed.iter_mut().for_each(|p| p.arrival = p.arrival.saturating_add(by));
    }
}
