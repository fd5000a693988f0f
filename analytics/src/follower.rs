//! The process's one loop: what comes over the trunk goes through the pure parts into the
//! store. It is the store's only writer, and decides nothing about behaviours itself.
//!
//! Every lesson is read from its first event after a start: the state of a lesson follows
//! from its log and is kept nowhere else. What has been stored already is passed over.

use crate::derive::Derivation;
use crate::hearing::Hearing;
use crate::pseudonym::Pseudonyms;
use crate::record::Behaviour;
use crate::store::{LessonRow, Store, StoreError};
use crate::telemetry::Telemetry;
use cloudschool_protocol::event::{Event, EventBody};
use cloudschool_protocol::id::{LessonId, MemberId};
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::trunk::{LessonLine, MAX_DEMAND};
use cloudschool_relay::{Feed, Subscriber};
use cloudschool_service::health::Readiness;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often pauses are looked for. Well under the hangover, so that an interval is stored
/// soon after it ended.
const TICK: Duration = Duration::from_millis(250);

/// How often speech under way is noted: at most so much of it is lost in a crash.
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// How long to wait before a transaction is tried again. A full disk is emptied by a person.
const RETRY: Duration = Duration::from_secs(1);

/// Conditions of `/readyz`.
pub const TRUNK: &str = "trunk";
const STORE: &str = "store";

/// A lesson being followed.
struct Followed {
    derivation: Derivation,
    hearing: Hearing,
    demanded: Vec<TrackId>,
    /// Speech noted last.
    noted: Vec<Behaviour>,
}

/// Follows all lessons that are offered.
pub struct Follower {
    pub subscriber: Subscriber,
    pub store: Store,
    pub pseudonyms: Pseudonyms,
    pub telemetry: Arc<Telemetry>,
    pub readiness: Readiness,
    pub shutdown: CancellationToken,
}

/// The process goes down, and something could not be stored before.
struct GoingDown;

impl Follower {
    /// Runs until shutdown, or until the subscriber has nothing more to tell.
    pub async fn run(self, mut feed: mpsc::Receiver<Feed>) {
        let mut lessons = BTreeMap::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut note = tokio::time::interval(NOTE_EVERY);
        note.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let went = tokio::select! {
                () = self.shutdown.cancelled() => break,
                next = feed.recv() => match next {
                    Some(next) => self.feed(&mut lessons, next).await,
                    None => break,
                },
                _ = tick.tick() => self.pauses(&mut lessons).await,
                _ = note.tick() => self.note(&mut lessons).await,
            };
            if went.is_err() {
                break;
            }
        }
        for followed in lessons.values_mut() {
            let spoken = followed.hearing.finish(&followed.derivation);
            if self.speech(spoken).await.is_err() {
                break;
            }
        }
    }

    async fn feed(
        &self,
        lessons: &mut BTreeMap<LessonId, Followed>,
        feed: Feed,
    ) -> Result<(), GoingDown> {
        match feed {
            Feed::Up => {
                tracing::info!("the trunk is up");
                self.telemetry.trunk_up.set(1);
                self.readiness.ready(TRUNK);
            }
            Feed::Down { reason } => {
                tracing::warn!(%reason, "the trunk is down");
                self.telemetry.trunk_up.set(0);
                self.readiness.not_ready(TRUNK, reason);
            }
            Feed::Lessons(lines) => self.offered(lessons, lines).await?,
            Feed::Events { lesson, events } => self.events(lessons, &lesson, &events).await?,
            Feed::FollowRefused { lesson, refusal } => {
                tracing::warn!(%lesson, %refusal, "a lesson can't be followed now");
            }
            Feed::Packet { lesson, track, packet } => {
                self.telemetry.packets.inc();
                if let Some(followed) = lessons.get_mut(&lesson)
                    && followed.derivation.state().phase == Phase::Live
                {
                    let Followed { derivation, hearing, .. } = followed;
                    let over = hearing.packet(derivation, &track, &packet, now_ms());
                    self.speech(over.into_iter().collect()).await?;
                }
            }
            Feed::Track { .. }
            | Feed::TrackEnd { .. }
            | Feed::Clock { .. }
            | Feed::Spooled { .. }
            | Feed::SpoolPiece { .. }
            | Feed::AssetChunk { .. }
            | Feed::AssetRefused { .. }
            | Feed::BoardPiece { .. } => {}
        }
        self.telemetry.following.set(count(lessons.len()));
        Ok(())
    }

    /// Follows what is new on the list, and lets go what is no longer on it.
    async fn offered(
        &self,
        lessons: &mut BTreeMap<LessonId, Followed>,
        lines: Vec<LessonLine>,
    ) -> Result<(), GoingDown> {
        let gone: Vec<_> =
            lessons.keys().filter(|id| lines.iter().all(|l| l.info.id != **id)).cloned().collect();
        for id in gone {
            self.let_go(lessons, &id).await?;
        }
        for line in lines {
            let id = line.info.id.clone();
            // An ended lesson that is open again has begun a new log.
            let anew = lessons.get(&id).is_some_and(|f| {
                let phase = f.derivation.state().phase;
                phase >= Phase::Ended && line.phase < Phase::Ended
            });
            if anew {
                self.let_go(lessons, &id).await?;
            }
            if lessons.contains_key(&id) || self.complete(&id, line.phase).await? {
                continue;
            }
            tracing::info!(lesson = %id, "following");
            let followed = Followed {
                derivation: Derivation::new(line.info, self.pseudonyms.clone()),
                hearing: Hearing::default(),
                demanded: Vec::new(),
                noted: Vec::new(),
            };
            self.subscriber.follow(&id, 0);
            lessons.insert(id, followed);
        }
        Ok(())
    }

    /// Whether everything of a lesson has been stored that will ever happen in it.
    async fn complete(&self, id: &LessonId, phase: Phase) -> Result<bool, GoingDown> {
        if phase < Phase::Ended {
            return Ok(false);
        }
        loop {
            match self.store.lesson(id).await {
                Ok(row) => return Ok(row.is_some_and(|row| row.phase == Phase::Archived)),
                Err(error) => self.failed(&error).await?,
            }
        }
    }

    async fn let_go(
        &self,
        lessons: &mut BTreeMap<LessonId, Followed>,
        id: &LessonId,
    ) -> Result<(), GoingDown> {
        let Some(mut followed) = lessons.remove(id) else { return Ok(()) };
        let spoken = followed.hearing.finish(&followed.derivation);
        self.speech(spoken).await?;
        self.subscriber.unfollow(id);
        Ok(())
    }

    async fn events(
        &self,
        lessons: &mut BTreeMap<LessonId, Followed>,
        id: &LessonId,
        events: &[Event],
    ) -> Result<(), GoingDown> {
        let Some(followed) = lessons.get_mut(id) else { return Ok(()) };
        let mut records = Vec::new();
        for event in events {
            if let Some(member) = silenced(event) {
                let spoken = followed.hearing.gone(&followed.derivation, member);
                self.speech(spoken.into_iter().collect()).await?;
            }
            match followed.derivation.apply(event) {
                Ok(new) => records.extend(new),
                Err(gap) => {
                    tracing::warn!(lesson = %id, %gap, "events are missing");
                    self.subscriber.follow(id, gap.last);
                    break;
                }
            }
            self.telemetry.events.inc();
        }
        let Some(log) = followed.derivation.log() else { return Ok(()) };
        let state = followed.derivation.state();
        let phase = state.phase;
        self.derived(&LessonRow::of(state, log), records).await?;
        if phase != Phase::Live {
            let spoken = followed.hearing.finish(&followed.derivation);
            self.speech(spoken).await?;
        }
        let wanted = wanted(followed.derivation.state());
        if wanted != followed.demanded {
            self.subscriber.demand(id, wanted.clone());
            followed.demanded = wanted;
            let all: usize = lessons.values().map(|f| f.demanded.len()).sum();
            self.telemetry.microphones.set(count(all));
        }
        if phase == Phase::Archived {
            self.let_go(lessons, id).await?;
        }
        Ok(())
    }

    async fn pauses(&self, lessons: &mut BTreeMap<LessonId, Followed>) -> Result<(), GoingDown> {
        let now = now_ms();
        for followed in lessons.values_mut() {
            let spoken = followed.hearing.tick(&followed.derivation, now);
            self.speech(spoken).await?;
        }
        Ok(())
    }

    async fn note(&self, lessons: &mut BTreeMap<LessonId, Followed>) -> Result<(), GoingDown> {
        for (id, followed) in lessons {
            let under_way = followed.hearing.under_way(&followed.derivation);
            if under_way == followed.noted {
                continue;
            }
            while let Err(error) = self.store.note_speech(id, &under_way).await {
                self.failed(&error).await?;
            }
            followed.noted = under_way;
        }
        Ok(())
    }

    /// Stores what followed from events.
    async fn derived(&self, row: &LessonRow, records: Vec<Behaviour>) -> Result<(), GoingDown> {
        let records = self.valid(records);
        loop {
            match self.store.write(row, &records).await {
                Ok(new) => {
                    self.stored(new);
                    return Ok(());
                }
                Err(error) => self.failed(&error).await?,
            }
        }
    }

    /// Stores speech that is over.
    async fn speech(&self, records: Vec<Behaviour>) -> Result<(), GoingDown> {
        let records = self.valid(records);
        if records.is_empty() {
            return Ok(());
        }
        loop {
            match self.store.write_speech(&records).await {
                Ok(new) => {
                    self.stored(new);
                    return Ok(());
                }
                Err(error) => self.failed(&error).await?,
            }
        }
    }

    /// Leaves out what the profile doesn't allow: an origin that sends nonsense must not keep
    /// what is good from being stored.
    fn valid(&self, mut records: Vec<Behaviour>) -> Vec<Behaviour> {
        records.retain(|record| match record.check() {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(lesson = %record.lesson_id, id = %record.id, %error, "left out");
                self.telemetry.invalid.inc();
                false
            }
        });
        records
    }

    fn stored(&self, new: u64) {
        self.readiness.ready(STORE);
        self.telemetry.stored(new);
    }

    /// Waits before another attempt: nothing may be lost, so nothing more is read until then.
    async fn failed(&self, error: &StoreError) -> Result<(), GoingDown> {
        tracing::error!(%error, "trying again");
        self.telemetry.store_failures.inc();
        self.readiness.not_ready(STORE, error.to_string());
        tokio::select! {
            () = tokio::time::sleep(RETRY) => Ok(()),
            () = self.shutdown.cancelled() => Err(GoingDown),
        }
    }
}

/// Whose microphone is gone with `event`.
fn silenced(event: &Event) -> Option<&MemberId> {
    match &event.body {
        EventBody::MemberLeft { member, .. } => Some(member),
        EventBody::TrackUnpublished { track } if track.source == Source::Microphone => {
            Some(&track.member)
        }
        _ => None,
    }
}

/// The microphones to listen to: all while the lesson is live. Where they are too many, the
/// teacher's, then those on stage, then classrooms come first.
fn wanted(state: &State) -> Vec<TrackId> {
    if state.phase != Phase::Live {
        return Vec::new();
    }
    let rank = |track: &TrackId| {
        let role = state.members.get(&track.member).map(|m| m.role);
        match role {
            Some(Role::Teacher) => 0,
            _ if state.stage.contains(&track.member) => 1,
            Some(Role::Classroom) => 2,
            _ => 3,
        }
    };
    let mut wanted: Vec<_> =
        state.tracks.keys().filter(|t| t.source == Source::Microphone).cloned().collect();
    wanted.sort_by_cached_key(|track| (rank(track), track.clone()));
    wanted.truncate(MAX_DEMAND);
    wanted
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::script::*;
    use cloudschool_protocol::event::EventBody;

    #[test]
    fn microphones_are_wanted_while_the_lesson_is_live_the_teachers_first() {
        let mut d = derivation();
        let bodies = [
            EventBody::LessonOpened { info: info() },
            joined("amy", Role::Student, "campus"),
            joined("bob", Role::Student, "campus"),
            joined("class1", Role::Classroom, "school-01"),
            joined("li", Role::Teacher, "campus"),
            track("amy/microphone", true),
            track("bob/microphone", true),
            track("class1/microphone", true),
            track("li/microphone", true),
            track("li/camera", true),
            EventBody::LessonStarted { by: id("li"), session: uuid::Uuid::from_u128(1) },
            EventBody::StageCalled { member: id("bob"), by: id("li") },
            EventBody::LessonEnded { by: id("li") },
        ];
        let mut seen = Vec::new();
        for event in events(bodies) {
            d.apply(&event).unwrap();
            seen.push(wanted(d.state()).iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        assert!(seen[..10].iter().all(Vec::is_empty));
        let names = |who: [&str; 4]| who.map(|w| format!("{w}/microphone"));
        assert_eq!(seen[10], names(["li", "class1", "amy", "bob"]));
        assert_eq!(seen[11], names(["li", "bob", "class1", "amy"]));
        assert!(seen[12].is_empty());
    }
}
