//! `loadtest link`: the proxy by hand and for browser tests.
//!
//! Says where it listens as one line of JSON. Each line on its input changes the running link,
//! as in `down.rate=0.8mbit`, or asks for figures: `stats`. Every such line is answered by one
//! of JSON, and the figures come once more at the end.

use super::{LinkChange, Profile, Proxy};
use crate::up::Stop;
use anyhow::Result;
use serde_json::json;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::path::Path;
use tokio::sync::mpsc;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where clients send to. Port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Where it is forwarded to.
    #[arg(long)]
    pub target: SocketAddr,
    /// A profile of configs/links, a file, figures, or figures on top of one:
    /// village-4g, lossy,seed=7 or rate=4mbit,delay=50ms,rate@10s=0.8mbit.
    #[arg(long)]
    pub link: String,
}

/// Forwards until told to stop. `profiles` has the links known by name.
///
/// # Errors
/// When there is no such link, or the address can't be had.
pub async fn run(options: &Options, profiles: &Path) -> Result<()> {
    let mut stop = Stop::new()?;
    let profile = Profile::named(&options.link, profiles)?;
    let (description, seed) = (profile.description.clone(), profile.seed);
    let proxy = Proxy::start(options.target, profile, options.listen)?;
    say(&json!({
        "listen": proxy.address(),
        "target": options.target,
        "link": options.link,
        "description": description,
        "seed": seed,
    }))?;
    let mut asked = input();
    loop {
        let line = tokio::select! {
            Some(line) = asked.recv() => line,
            () = stop.asked() => break,
        };
        say(&match line.trim() {
            "" => continue,
            "stats" => json!({ "stats": proxy.stats() }),
            figures => match change(&proxy, figures) {
                Ok(()) => json!({ "changed": figures }),
                Err(reason) => json!({ "refused": figures, "reason": reason }),
            },
        })?;
    }
    say(&json!({ "stats": proxy.stop().await }))
}

fn change(proxy: &Proxy, figures: &str) -> Result<(), String> {
    let change: LinkChange = figures.parse().map_err(|e: super::LinkError| e.to_string())?;
    proxy.change(change)
}

fn say(what: &serde_json::Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()?;
    Ok(())
}

/// Lines of the standard input. A thread waits for them, which no one waits for: reading from
/// a terminal can't be cancelled.
fn input() -> mpsc::UnboundedReceiver<String> {
    let (lines, received) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    received
}
