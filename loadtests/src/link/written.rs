//! Links as they are named on a command line: a profile, a file, figures, or a profile and
//! figures on top of it.
//!
//! ```text
//! lossy
//! lossy,seed=7
//! ./my-line.toml,down.rate=2mbit
//! rate=4mbit,delay=50ms,loss=5%,seed=7
//! rate=4mbit,rate@10s=0.8mbit,rate@40s=4mbit,outage=60s+2s
//! ```
//!
//! `KEY=VALUE` sets a condition of both directions, `up.KEY=VALUE` and `down.KEY=VALUE` of
//! one; `KEY@TIME=VALUE` changes it later.

use super::conditions::Change;
use super::profile::Profile;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::{Table, Value};

/// Why a link can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("there is no link {name:?}; in {} there are: {}", dir.display(), known.join(", "))]
    Unknown { name: String, dir: PathBuf, known: Vec<String> },
    #[error("the link {} can't be read: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("the link {}: {source}", file.display())]
    File { file: PathBuf, source: Box<toml::de::Error> },
    #[error("{part:?} in the link: {reason}")]
    Part { part: String, reason: String },
    #[error("the link {text:?}: {reason}")]
    Whole { text: String, reason: String },
}

/// Other conditions for a running link, written as figures without times: `rate=0.8mbit`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkChange {
    #[serde(default)]
    pub up: Change,
    #[serde(default)]
    pub down: Change,
}

impl Profile {
    /// Reads a profile's file.
    ///
    /// # Errors
    /// When the file can't be read, or is no profile; the text says where.
    pub fn load(file: &Path) -> Result<Self, LinkError> {
        let (_, profile) = read(file)?;
        Ok(profile)
    }

    /// Reads a link as it is written on a command line. `dir` has the profiles known by name.
    ///
    /// # Errors
    /// When there is no such profile or something in it can't be; the text says what.
    pub fn named(text: &str, dir: &Path) -> Result<Self, LinkError> {
        let mut parts = text.split(',').map(str::trim).peekable();
        let (mut table, bare) = match parts.next_if(|part| !part.contains('=')) {
            Some(name) => read(&find(name, dir)?)?,
            None => (Table::new(), Profile::perfect()),
        };
        if parts.peek().is_none() {
            return Ok(bare);
        }
        for part in parts {
            overlay(&mut table, part)?;
        }
        Profile::deserialize(table).map_err(|e| whole(text, &e))
    }

    /// Both directions of a line that does nothing to what passes.
    #[must_use]
    pub fn perfect() -> Self {
        Self {
            description: String::new(),
            seed: 1,
            repeat: None,
            up: Default::default(),
            down: Default::default(),
        }
    }
}

impl FromStr for LinkChange {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let mut table = Table::new();
        for part in text.split(',').map(str::trim) {
            overlay(&mut table, part)?;
        }
        Self::deserialize(table).map_err(|e| whole(text, &e))
    }
}

fn whole(text: &str, error: &toml::de::Error) -> LinkError {
    LinkError::Whole { text: text.to_owned(), reason: error.message().to_owned() }
}

/// Both as the tables of the file, to be overlaid, and as what they mean.
fn read(file: &Path) -> Result<(Table, Profile), LinkError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| LinkError::Read { file: file.to_owned(), source })?;
    let wrong = |source| LinkError::File { file: file.to_owned(), source: Box::new(source) };
    Ok((toml::from_str(&text).map_err(wrong)?, toml::from_str(&text).map_err(wrong)?))
}

fn find(name: &str, dir: &Path) -> Result<PathBuf, LinkError> {
    if name.contains('/') || name.ends_with(".toml") {
        return Ok(name.into());
    }
    let file = dir.join(format!("{name}.toml"));
    if !name.is_empty() && file.exists() {
        return Ok(file);
    }
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut known: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    known.sort();
    Err(LinkError::Unknown { name: name.to_owned(), dir: dir.to_owned(), known })
}

/// Lays one `KEY=VALUE` over a profile's tables.
fn overlay(table: &mut Table, part: &str) -> Result<(), LinkError> {
    let wrong = |reason: &str| LinkError::Part { part: part.to_owned(), reason: reason.to_owned() };
    let (key, text) = part.split_once('=').ok_or_else(|| wrong("it is not KEY=VALUE"))?;
    let (key, at) = match key.split_once('@') {
        Some((key, at)) => (key, Some(at)),
        None => (key, None),
    };
    let key = key.replace('-', "_");
    let (ways, key): (&[&str], &str) = match key.split_once('.') {
        Some(("up", key)) => (&["up"], key),
        Some(("down", key)) => (&["down"], key),
        Some(_) => return Err(wrong("a direction is up or down")),
        None => (&["up", "down"], &key),
    };
    if let ("seed" | "repeat", None, [_, _]) = (key, at, ways) {
        table.insert(key.to_owned(), value(text));
        return Ok(());
    }
    for way in ways {
        let direction = table.entry(*way).or_insert_with(|| Table::new().into());
        let direction = direction.as_table_mut().ok_or_else(|| wrong("not a direction"))?;
        match (key, at) {
            ("outage", None) => {
                let (at, length) =
                    text.split_once('+').ok_or_else(|| wrong("an outage is BEGIN+LENGTH"))?;
                let outage = [("at", value(at)), ("length", value(length))];
                append(direction, "outages", outage).ok_or_else(|| wrong("outages is no list"))?;
            }
            ("outage", Some(_)) => return Err(wrong("an outage is outage=BEGIN+LENGTH")),
            (key, Some(at)) => {
                let change = [("at", value(at)), (key, value(text))];
                append(direction, "changes", change).ok_or_else(|| wrong("changes is no list"))?;
            }
            (key, None) => drop(direction.insert(key.to_owned(), value(text))),
        }
    }
    Ok(())
}

fn append(table: &mut Table, list: &str, entry: [(&str, Value); 2]) -> Option<()> {
    let entry: Table = entry.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let list = table.entry(list).or_insert_with(|| Value::Array(Vec::new()));
    list.as_array_mut()?.push(entry.into());
    Some(())
}

/// Numbers and truth values as such, everything else as the string it would be in a file.
fn value(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    if let Ok(number) = text.parse::<f64>() {
        return number.into();
    }
    text.parse::<bool>().map_or_else(|_| text.into(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::super::units::Rate;
    use super::*;
    use std::time::Duration;

    fn profiles() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/links")
    }

    fn named(text: &str) -> Profile {
        Profile::named(text, &profiles()).unwrap_or_else(|e| panic!("{e}"))
    }

    fn refused(text: &str) -> String {
        Profile::named(text, &profiles()).unwrap_err().to_string()
    }

    #[test]
    fn every_profile_that_comes_with_the_program_is_good_and_says_what_it_is() {
        let files: Vec<_> =
            std::fs::read_dir(profiles()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 6);
        for file in files {
            let profile = Profile::load(&file).unwrap_or_else(|e| panic!("{e}"));
            assert!(!profile.description.is_empty(), "{}", file.display());
        }
    }

    #[test]
    fn lossy_loses_5_percent_at_a_round_trip_of_100_ms() {
        let lossy = named("lossy");
        for course in [&lossy.up, &lossy.down] {
            assert_eq!(course.beginning.loss, 0.05);
            assert_eq!(course.beginning.delay, Duration::from_millis(50));
        }
    }

    #[test]
    fn narrowing_goes_from_4_to_800_kbit_and_back() {
        let down = named("narrowing").down;
        let mut conditions = down.beginning;
        let mut rates = vec![conditions.rate];
        for (_, change) in &down.changes {
            conditions = change.of(&conditions).unwrap();
            rates.push(conditions.rate);
        }
        assert_eq!(rates, [4_000_000, 800_000, 4_000_000].map(Rate::bits_per_second));
    }

    #[test]
    fn figures_make_a_link_without_a_profile() {
        let link = named("rate=4mbit,delay=50ms,loss=5%,seed=7,up.rate=1mbit,burst-length=3");
        assert_eq!(link.seed, 7);
        assert_eq!(link.down.beginning.rate, Rate::bits_per_second(4_000_000));
        assert_eq!(link.up.beginning.rate, Rate::bits_per_second(1_000_000));
        assert_eq!(link.up.beginning.loss, 0.05);
        assert_eq!(link.up.beginning.bursts.length, 3.0);
    }

    #[test]
    fn figures_go_on_top_of_a_profile() {
        let link = named("lossy,seed=9,loss=1%");
        assert_eq!(link.seed, 9);
        assert_eq!(link.up.beginning.loss, 0.01);
        assert_eq!(link.up.beginning.delay, Duration::from_millis(50));
    }

    #[test]
    fn figures_may_come_into_force_later_and_lines_may_be_cut() {
        let link = named("rate=4mbit,rate@10s=0.8mbit,down.outage=30s+2s,repeat=1min");
        assert_eq!(link.up.changes.len(), 1);
        assert_eq!(link.up.changes[0].0, Duration::from_secs(10));
        assert!(link.up.outages.is_empty());
        assert_eq!(link.down.outages[0].length, Duration::from_secs(2));
        assert_eq!(link.repeat, Some(Duration::from_secs(60)));
    }

    #[test]
    fn what_can_not_be_is_refused_with_the_reason() {
        assert!(refused("lossi").contains("lossy, narrowing"));
        assert!(refused("./nowhere.toml").contains("nowhere.toml"));
        assert!(refused("rate=4mb").contains("a rate such as"));
        assert!(refused("loss=0.05").contains("a share such as"));
        assert!(refused("lag=1s").contains("unknown field `lag`"));
        assert!(refused("left.rate=1mbit").contains("up or down"));
        assert!(refused("loss").contains("there is no link"));
        assert!(refused("rate=1mbit,loss").contains("KEY=VALUE"));
        assert!(refused("outage=3s").contains("BEGIN+LENGTH"));
        assert!(refused("outage=3s+2s,outage=4s+2s").contains("before another ends"));
        assert!(refused("burst_share=90%,burst_length=2").contains("nothing between"));
        assert!(refused("burst_length=0").contains("1 datagram at least"));
        assert!(refused("rate@90s=1mbit,repeat=1min").contains("repeats at 60s"));
        assert!(refused("burst_share=1%,burst_share@1s=100%").contains("after 1s"));
    }

    #[test]
    fn an_error_in_a_file_names_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("odd.toml");
        std::fs::write(&file, "seed = 1\n\n[down]\nrate = \"4mbit\"\nlos = \"5%\"\n").unwrap();
        let said = Profile::load(&file).unwrap_err().to_string();
        assert!(said.contains("odd.toml") && said.contains("unknown field `los`"), "{said}");
        assert!(said.contains("line 3"), "{said}");
    }

    #[test]
    fn a_running_link_is_changed_by_figures_alone() {
        let change: LinkChange = "down.rate=0.8mbit,loss=1%".parse().unwrap();
        let before = named("rate=4mbit");
        assert_eq!(change.up.of(&before.up.beginning).unwrap().rate, before.up.beginning.rate);
        let down = change.down.of(&before.down.beginning).unwrap();
        assert_eq!((down.rate, down.loss), (Rate::bits_per_second(800_000), 0.01));
        assert!("lossy".parse::<LinkChange>().is_err());
        assert!("seed=3".parse::<LinkChange>().is_err());
        assert!("rate@3s=1mbit".parse::<LinkChange>().is_err());
    }
}
