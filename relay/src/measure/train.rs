//! Trains of datagrams: sent at a rate, counted as they come.

use super::words::{Came, SIZE, TICK, Train};
use quinn::Connection;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long the rest of a train is waited for once its end was heard and nothing comes: the
/// longest queue of a modem, longer than which nothing is of use to a lesson.
const REST: Duration = Duration::from_millis(700);

/// Sends a train and says how many packets it had.
pub async fn send(connection: &Connection, train: Train) -> u32 {
    let mut packet = vec![0; SIZE];
    packet.splice(..1, [train.id]);
    let packet = bytes::Bytes::from(packet);
    let due = |elapsed: Duration| {
        let bits = u128::from(train.rate) * elapsed.as_micros() / 1_000_000;
        u32::try_from(bits / (SIZE as u128 * 8)).unwrap_or(u32::MAX)
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (begin, whole) = (Instant::now(), Duration::from_millis(train.millis.into()));
    let mut sent = 0;
    loop {
        ticks.tick().await;
        let elapsed = begin.elapsed().min(whole);
        while sent < due(elapsed) {
            if connection.send_datagram(packet.clone()).is_err() {
                return sent;
            }
            sent += 1;
        }
        if elapsed == whole {
            return sent;
        }
    }
}

/// Counts the packets of one train.
pub struct Counter<'a> {
    connection: &'a Connection,
    id: u8,
    packets: u32,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl<'a> Counter<'a> {
    pub fn of(connection: &'a Connection, id: u8) -> Self {
        Self { connection, id, packets: 0, first: None, last: None }
    }

    /// Counts until something else is done.
    pub async fn until<F: Future>(&mut self, done: F) -> F::Output {
        let mut done = std::pin::pin!(done);
        loop {
            tokio::select! {
                datagram = self.connection.read_datagram() => match datagram {
                    Ok(datagram) => self.note(&datagram),
                    // What is waited for notices as well.
                    Err(_) => return done.await,
                },
                done = &mut done => return done,
            }
        }
    }

    /// Counts what of `sent` packets is still on its way.
    pub async fn rest(mut self, sent: u32) -> Came {
        while self.packets < sent {
            match timeout(REST, self.connection.read_datagram()).await {
                Ok(Ok(datagram)) => self.note(&datagram),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        let span = self.first.zip(self.last).map(|(first, last)| last - first);
        let micros = span.unwrap_or_default().as_micros().try_into().unwrap_or(u64::MAX);
        Came { packets: self.packets, micros }
    }

    fn note(&mut self, datagram: &[u8]) {
        if datagram.first() == Some(&self.id) {
            let now = Instant::now();
            self.packets = self.packets.saturating_add(1);
            self.first.get_or_insert(now);
            self.last = Some(now);
        }
    }
}
