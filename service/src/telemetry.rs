//! Logs: one line an event on standard error, for people or as JSON.

use crate::config::{LogFormat, LogSection};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// `[log] level` can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "[log] level {level:?} is neither a level nor directives like info,relay=debug: {source}"
    )]
    Level { level: String, source: tracing_subscriber::filter::ParseError },
    #[error("logs are already set up: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up logging for the whole process.
///
/// # Errors
/// [`LogError`] when the level can't be understood, or when called twice.
pub fn init(section: &LogSection) -> Result<(), LogError> {
    let filter = filter(&section.level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match section.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(LogError::Twice)
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    // One line for every embedded file at every start helps nobody, nor several for every
    // browser's handshake about what it also offers.
    let directives = format!("memory_serve=warn,rtc_dtls=error,{level}");
    EnvFilter::try_new(directives).map_err(|source| LogError::Level { level: level.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_cannot_be_understood_is_refused_with_the_key() {
        assert!(filter("info").is_ok());
        assert!(filter("warn,cloudschool_relay=debug").is_ok());
        let err = filter("info,relay=loud").unwrap_err();
        assert!(err.to_string().contains("[log] level"), "{err}");
    }
}
