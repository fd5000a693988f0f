//! What an appliance is sent: a track of the lesson under a configured flow id, sound in
//! datagrams and pictures on one stream for as long as it is connected. It can't ask for less, so
//! it is sent the best there is; when its line is behind, whole frames are left out up to a
//! keyframe, which is asked for.

use crate::config::Watched;
use crate::lesson::LessonHandle;
use crate::media::TrackBatch;
use crate::media::lane::TrunkBatches;
use crate::node::{Node, Taking};
use crate::trunk::closing::Closing;
use crate::trunk::frames::{Frame, Whole};
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Codec, Kind};
use cloudschool_relay::{FrameKind, PlainOutward, PlainStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What waits longer is late at the other end.
const BEHIND: Duration = Duration::from_millis(400);

/// Between two requests for a keyframe.
const KEYFRAME_AGAIN: Duration = Duration::from_secs(1);

/// One flow towards an appliance.
pub struct Outgoing {
    pub node: Arc<Node>,
    pub lesson: Arc<LessonHandle>,
    pub way: PlainOutward,
    pub flow: u64,
    pub watched: Watched,
}

impl Outgoing {
    /// Sends the track whenever it is published, until the connection is closed.
    pub async fn run(self) {
        let mut stream = self.way.stream(self.flow);
        let mut told = false;
        loop {
            let (state, mut events) = self.lesson.follow();
            if self.is_published(&state, &mut told) {
                if !self.send(&mut stream).await {
                    return;
                }
            } else {
                // Another history says no less of what is published now.
                let _again = events.next().await;
            }
        }
    }

    /// Whether the track is there, in the codec that is expected of it.
    fn is_published(&self, state: &State, told: &mut bool) -> bool {
        let going_on = matches!(state.phase, Phase::Open | Phase::Live);
        let published = state.tracks.get(&self.watched.track).filter(|_| going_on);
        let Some(published) = published else {
            *told = false;
            return false;
        };
        let right = published.codec == self.watched.codec;
        if !right && !std::mem::replace(told, true) {
            let (track, codec) = (&published.track, published.codec);
            tracing::warn!(%track, ?codec, "not sent to an appliance, which expects another codec");
        }
        right
    }

    /// Sends the track for as long as it is published. False when nothing more can be sent.
    async fn send(&self, stream: &mut PlainStream) -> bool {
        // The node knows the lesson no more.
        let Ok(room) = self.node.room(self.lesson.id()) else { return false };
        let (taking, mut batches): (Taking, TrunkBatches) =
            room.take(&self.node, &self.watched.track);
        // What happened until it was taken is in this.
        let (state, mut events) = self.lesson.follow();
        let mut told = false;
        if !self.is_published(&state, &mut told) {
            return true;
        }
        let mut pictures = Pictures::new(self.watched.codec);
        let datagrams = self.watched.codec.kind() == Kind::Audio && self.way.takes_datagrams();
        loop {
            tokio::select! {
                batch = batches.recv() => match batch {
                    None => return true,
                    Some(batch) if datagrams => self.sound(&batch),
                    Some(batch) => pictures.put(&batch, stream, &taking),
                },
                open = stream.flush(), if stream.is_waiting() => if !open {
                    return false;
                },
                _ = events.next() => {
                    let (state, anew) = self.lesson.follow();
                    events = anew;
                    if !self.is_published(&state, &mut told) {
                        return true;
                    }
                }
            }
        }
    }

    fn sound(&self, batch: &TrackBatch) {
        for packet in batch.packets() {
            if !self.way.datagram(self.flow, packet) {
                tracing::debug!(flow = self.flow, "a packet of sound was not sent");
            }
        }
    }
}

/// Frames on their way into a stream.
struct Pictures {
    codec: Codec,
    frame: Frame,
    closing: Closing,
    /// A frame was left out that the next ones need.
    broken: bool,
    next_keyframe: Instant,
}

impl Pictures {
    fn new(codec: Codec) -> Self {
        let (frame, closing) = (Frame::default(), Closing::default());
        Self { codec, frame, closing, broken: false, next_keyframe: Instant::now() }
    }

    fn put(&mut self, batch: &TrackBatch, stream: &mut PlainStream, taking: &Taking) {
        if self.codec.kind() == Kind::Audio {
            batch.packets().for_each(|packet| stream.put(&[packet]));
            return;
        }
        let cut = batch.cut();
        let mut frame = std::mem::take(&mut self.frame);
        for piece in &cut.pieces {
            frame.push(cut, *piece, |whole| {
                if self.takes(whole, stream.behind()) {
                    stream.put(&whole.numbered(0, &mut self.closing));
                } else {
                    whole.leave_out(0, &mut self.closing);
                    self.want_keyframe(stream.behind(), taking);
                }
            });
        }
        self.frame = frame;
    }

    /// Whether a frame is sent, when what waits before it has waited so long.
    fn takes(&mut self, whole: &Whole, behind: Duration) -> bool {
        let kind = whole.kind();
        if behind > BEHIND {
            self.broken |= kind != FrameKind::Discardable;
            return false;
        }
        self.broken &= kind != FrameKind::Keyframe;
        !self.broken
    }

    /// Asks for one once it would go out.
    fn want_keyframe(&mut self, behind: Duration, taking: &Taking) {
        let now = Instant::now();
        if self.broken && behind <= BEHIND && now >= self.next_keyframe {
            self.next_keyframe = now + KEYFRAME_AGAIN;
            taking.want_keyframe();
        }
    }
}
