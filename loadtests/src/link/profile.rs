//! What a link is like over time: the files of `configs/links/`.

use super::conditions::{Change, Conditions};
use super::units::Span;
use serde::Deserialize;
use std::time::Duration;
use toml::Table;

/// A kind of line to someone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Profile {
    pub description: String,
    pub seed: u64,
    /// After this long both directions begin again.
    pub repeat: Option<Duration>,
    /// From the client to the server.
    pub up: Course,
    /// From the server to the client.
    pub down: Course,
}

/// How the conditions of one direction go.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "Table")]
pub struct Course {
    pub beginning: Conditions,
    /// When what changes, counted from the beginning; each on top of those before, in order.
    pub changes: Vec<(Duration, Change)>,
    /// In order, and apart.
    pub outages: Vec<Outage>,
}

/// Whatever is handed in between `at` and `at + length` is lost. What already waits or is
/// under way is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    pub at: Duration,
    pub length: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    description: String,
    #[serde(default = "first_seed")]
    seed: u64,
    repeat: Option<Span>,
    #[serde(default)]
    up: Course,
    #[serde(default)]
    down: Course,
}

fn first_seed() -> u64 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutage {
    at: Span,
    length: Span,
}

impl TryFrom<Raw> for Profile {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let repeat = raw.repeat.map(|Span(span)| span);
        if let Some(repeat) = repeat {
            if repeat.is_zero() {
                return Err("repeat is 0: leave it out for a line that does not repeat".into());
            }
            for (name, course) in [("up", &raw.up), ("down", &raw.down)] {
                if course.end() > repeat {
                    let (end, repeat) = (course.end(), repeat);
                    return Err(format!(
                        "{name} has changes or outages until {end:?}, after it repeats at {repeat:?}"
                    ));
                }
            }
        }
        let Raw { description, seed, up, down, .. } = raw;
        Ok(Self { description, seed, repeat, up, down })
    }
}

impl Course {
    /// The course of a line that is as it is.
    #[must_use]
    pub fn steady(conditions: Conditions) -> Self {
        Self { beginning: conditions, ..Self::default() }
    }

    fn end(&self) -> Duration {
        let changes = self.changes.iter().map(|(at, _)| *at);
        let outages = self.outages.iter().map(|outage| outage.at + outage.length);
        changes.chain(outages).max().unwrap_or_default()
    }
}

impl TryFrom<Table> for Course {
    type Error = String;

    /// A direction's table is the conditions of its beginning beside `changes` and `outages`.
    fn try_from(mut table: Table) -> Result<Self, String> {
        let mut changes = Vec::new();
        for mut change in take_tables(&mut table, "changes")? {
            let at = change.remove("at").ok_or("a change has no `at`")?;
            let Span(at) = at.try_into().map_err(|e: toml::de::Error| inside("changes", &e))?;
            let change = Change::deserialize(change)
                .map_err(|e| inside(&format!("the change at {at:?}"), &e))?;
            changes.push((at, change));
        }
        changes.sort_by_key(|(at, _)| *at);
        let mut outages = Vec::new();
        for outage in take_tables(&mut table, "outages")? {
            let RawOutage { at: Span(at), length: Span(length) } =
                RawOutage::deserialize(outage).map_err(|e| inside("outages", &e))?;
            outages.push(Outage { at, length });
        }
        outages.sort_by_key(|outage| outage.at);
        if let Some([_, second]) = outages.windows(2).find(|w| w[0].at + w[0].length > w[1].at) {
            return Err(format!("the outage at {:?} begins before another ends", second.at));
        }
        let beginning = Change::deserialize(table)
            .map_err(|e| e.message().to_owned())?
            .of(&Conditions::default())?;
        let mut conditions = beginning;
        for (at, change) in &changes {
            conditions = change.of(&conditions).map_err(|e| format!("after {at:?}, {e}"))?;
        }
        Ok(Self { beginning, changes, outages })
    }
}

/// Takes an array of tables out of a table; there may be none.
fn take_tables(table: &mut Table, key: &str) -> Result<Vec<Table>, String> {
    let Some(value) = table.remove(key) else { return Ok(Vec::new()) };
    value.try_into().map_err(|_| format!("{key} is a list of tables: [[up.{key}]], [[down.{key}]]"))
}

fn inside(place: &str, error: &toml::de::Error) -> String {
    format!("{place}: {}", error.message())
}
