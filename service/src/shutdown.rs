//! Going down: the first Ctrl-C or SIGTERM asks, the second insists.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of a process that was told twice.
const INSISTED: i32 = 130;

/// A token cancelled by the first SIGINT or SIGTERM. A second signal ends the process at once.
///
/// # Errors
/// When the signals can't be watched.
pub fn token() -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        for nth in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if nth > 0 {
                std::process::exit(INSISTED);
            }
            tracing::info!("going down; once more to go down at once");
            asked.cancel();
        }
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_cancels_the_token() {
        let token = token().unwrap();
        assert!(!token.is_cancelled());
        let pid = std::process::id().to_string();
        let kill = tokio::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(kill.await.unwrap().success());
        tokio::time::timeout(std::time::Duration::from_secs(5), token.cancelled()).await.unwrap();
    }
}
