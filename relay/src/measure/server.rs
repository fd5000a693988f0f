//! The campus's side: sends and counts trains, within bounds.

use super::train::{self, Counter};
use super::words::{Answer, Ask, Train};
use crate::close::{self, DONE, PROTOCOL};
use crate::conversation::{Conversation, NotSaid};
use quinn::Connection;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

/// A measurement is over by then.
const LIMIT: Duration = Duration::from_secs(40);

/// What one measurement may send or receive, bytes: the whole ladder, and half of it again.
const BYTES: u64 = 4_000_000;

const MOST_RATE: u32 = 20_000_000;
const MOST_MILLIS: u32 = 1_000;

/// Serves one connection, to its end.
pub async fn serve(connection: Connection) {
    let from = connection.remote_address();
    match timeout(LIMIT, answer(&connection)).await {
        Ok(Ok(())) => close::close(&connection, DONE, ""),
        // It has what it wanted and closed.
        Ok(Err(_)) if connection.close_reason().is_some() => {}
        Ok(Err(error)) => close::close(&connection, PROTOCOL, &error.to_string()),
        Err(_) => close::close(&connection, DONE, "the measurement took too long"),
    }
    tracing::info!(%from, "a line was measured");
}

async fn answer(connection: &Connection) -> Result<(), NotSaid> {
    let lost = |e: quinn::ConnectionError| NotSaid::Lost(close::sentence(&e));
    let mut conversation = Conversation::new(connection.accept_bi().await.map_err(lost)?);
    let mut spent = 0;
    loop {
        match conversation.hear().await? {
            Ask::Ping => conversation.say(&Answer::Pong { now_ms: now_ms() }).await?,
            Ask::Down(train) if affordable(train, &mut spent) => {
                let sent = train::send(connection, train).await;
                conversation.say(&Answer::DownEnd { sent }).await?;
            }
            Ask::Up(train) if affordable(train, &mut spent) => {
                conversation.say(&Answer::UpReady).await?;
                let mut counter = Counter::of(connection, train.id);
                let end = counter.until(conversation.hear::<Ask>()).await?;
                let Ask::UpEnd { sent } = end else {
                    return Err(NotSaid::Unreadable("a train has no end".into()));
                };
                let came = counter.rest(sent).await;
                conversation.say(&Answer::UpCame(came)).await?;
            }
            Ask::Down(_) | Ask::Up(_) => conversation.say(&Answer::Enough).await?,
            Ask::UpEnd { .. } => return Err(NotSaid::Unreadable("an end of no train".into())),
        }
    }
}

fn affordable(train: Train, spent: &mut u64) -> bool {
    let bytes = u64::from(train.rate) / 8 * u64::from(train.millis) / 1000;
    let good = train.rate <= MOST_RATE && train.millis <= MOST_MILLIS && *spent + bytes <= BYTES;
    *spent += if good { bytes } else { 0 };
    good
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
