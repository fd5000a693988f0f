//! Seats: which socket a member sits behind.
//!
//! A second socket of a member takes the seat over. When a socket breaks the seat is kept for
//! a while: a page that comes back in time has never been away. Sitting down and getting up
//! are one after the other for a member, so that its leaving can't overtake its return.

use cloudschool_protocol::id::{LessonId, MemberId};
use dashmap::DashMap;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

type Key = (LessonId, MemberId);
type Seat = Arc<Mutex<Sitter>>;

/// All seats of a node that someone sits in, or may come back to.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    seats: DashMap<Key, Seat>,
}

#[derive(Debug, Default)]
struct Sitter {
    /// Counts who sat here; 0 while nobody has.
    nth: u64,
    /// Cancelled when the next one sits down.
    replaced: CancellationToken,
}

/// A socket's hold on its seat.
#[derive(Debug)]
pub(super) struct Hold {
    key: Key,
    nth: u64,
    /// Cancelled when another socket of the member takes the seat over.
    pub(super) replaced: CancellationToken,
}

impl Seats {
    /// Lets a member sit down if `join` lets it in.
    ///
    /// # Errors
    /// Those of `join`; whoever sat there stays.
    pub(super) async fn sit<T, E>(
        &self,
        lesson: LessonId,
        member: MemberId,
        join: impl Future<Output = Result<T, E>>,
    ) -> Result<(T, Hold), E> {
        let key = (lesson, member);
        let mut sitter = self.reserve(&key).await;
        let joined = match join.await {
            Ok(joined) => joined,
            Err(refused) => {
                if sitter.nth == 0 {
                    self.seats.remove(&key);
                }
                return Err(refused);
            }
        };
        sitter.nth += 1;
        let replaced = CancellationToken::new();
        std::mem::replace(&mut sitter.replaced, replaced.clone()).cancel();
        Ok((joined, Hold { key, nth: sitter.nth, replaced }))
    }

    /// Gives the seat up and runs `leave`, unless another socket has it by now.
    pub(super) async fn rise(&self, hold: &Hold, leave: impl Future<Output = ()>) {
        let sitter = self.reserve(&hold.key).await;
        if sitter.nth == hold.nth {
            leave.await;
        }
        if sitter.nth == hold.nth || sitter.nth == 0 {
            self.seats.remove(&hold.key);
        }
    }

    /// The seat, for oneself until the guard is dropped. Only who has it may remove it.
    async fn reserve(&self, key: &Key) -> OwnedMutexGuard<Sitter> {
        loop {
            let seat = self.seats.entry(key.clone()).or_default().clone();
            let sitter = seat.clone().lock_owned().await;
            // While one waited, the last sitter may have taken the seat away.
            if self.seats.get(key).is_some_and(|s| Arc::ptr_eq(&s, &seat)) {
                return sitter;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn key() -> Key {
        (LessonId::new("math").unwrap(), MemberId::new("wang").unwrap())
    }

    async fn sit(seats: &Seats) -> Hold {
        let (lesson, member) = key();
        let Ok(((), hold)) = seats.sit::<(), ()>(lesson, member, async { Ok(()) }).await else {
            panic!("was not let in")
        };
        hold
    }

    #[tokio::test]
    async fn a_second_socket_replaces_the_first_whose_going_then_means_nothing() {
        let seats = Seats::default();
        let first = sit(&seats).await;
        let second = sit(&seats).await;
        assert!(first.replaced.is_cancelled() && !second.replaced.is_cancelled());
        let left = AtomicU32::new(0);
        let leave = async || {
            left.fetch_add(1, Ordering::Relaxed);
        };
        seats.rise(&first, leave()).await;
        assert_eq!(left.load(Ordering::Relaxed), 0);
        seats.rise(&second, leave()).await;
        assert_eq!(left.load(Ordering::Relaxed), 1);
        seats.rise(&second, leave()).await;
        assert_eq!(left.load(Ordering::Relaxed), 1, "one leaves once");
        assert!(seats.seats.is_empty());
    }

    #[tokio::test]
    async fn who_is_not_let_in_takes_no_seat_away() {
        let seats = Seats::default();
        let (lesson, member) = key();
        let refused = seats.sit::<(), &str>(lesson.clone(), member.clone(), async { Err("full") });
        assert_eq!(refused.await.err(), Some("full"));
        assert!(seats.seats.is_empty());
        let first = sit(&seats).await;
        let refused = seats.sit::<(), &str>(lesson, member, async { Err("away") });
        assert_eq!(refused.await.err(), Some("away"));
        assert!(!first.replaced.is_cancelled());
    }

    #[tokio::test]
    async fn coming_back_waits_for_a_leaving_that_has_begun() {
        let seats = Arc::new(Seats::default());
        let first = sit(&seats).await;
        let (go_on, wait) = tokio::sync::oneshot::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel::<()>();
        let rising = tokio::spawn({
            let seats = seats.clone();
            async move {
                let leave = async {
                    begun.send(()).unwrap();
                    wait.await.unwrap();
                };
                seats.rise(&first, leave).await;
            }
        });
        has_begun.await.unwrap();
        let mut back = Box::pin(sit(&seats));
        assert!(futures_util::poll!(&mut back).is_pending());
        go_on.send(()).unwrap();
        rising.await.unwrap();
        let back = back.await;
        assert!(!back.replaced.is_cancelled());
        assert_eq!(seats.seats.len(), 1);
    }
}
