//! What happens to the links while a lesson is measured: the changes and outages of a profile,
//! counted from the beginning of what is measured rather than from the first datagram.

use crate::forward::clock::wall_ns;
use crate::link::{Change, LinkChange, Profile, Proxy};
use anyhow::{Result, bail, ensure};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Change(Box<LinkChange>),
    Cut(bool),
}

/// A profile taken apart: what its links are from their beginning, and what happens later.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub beginning: Profile,
    steps: Vec<(Duration, Step)>,
}

impl Schedule {
    /// Takes `profile` apart, with one more outage where one is wanted.
    ///
    /// # Errors
    /// When the profile repeats, or its directions are not cut at the same time.
    pub fn new(mut profile: Profile, outage: Option<(Duration, Duration)>) -> Result<Self> {
        ensure!(
            profile.repeat.is_none(),
            "a profile that repeats has no place in a measurement of its own length: leave out \
             its repeat"
        );
        ensure!(
            profile.up.outages == profile.down.outages,
            "the trunk's line is cut in both directions or in none"
        );
        let mut steps: Vec<(Duration, Step)> = Vec::new();
        for (at, up) in std::mem::take(&mut profile.up.changes) {
            steps.push((at, Step::Change(Box::new(LinkChange { up, down: Change::default() }))));
        }
        for (at, down) in std::mem::take(&mut profile.down.changes) {
            steps.push((at, Step::Change(Box::new(LinkChange { up: Change::default(), down }))));
        }
        profile.up.outages.clear();
        let outages = std::mem::take(&mut profile.down.outages).into_iter();
        let outages = outages.map(|o| (o.at, o.length)).chain(outage);
        for (at, length) in outages {
            steps.push((at, Step::Cut(true)));
            steps.push((at + length, Step::Cut(false)));
        }
        steps.sort_by_key(|(at, _)| *at);
        Ok(Self { beginning: profile, steps })
    }

    /// The last thing that happens.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.steps.last().map_or(Duration::ZERO, |(at, _)| *at)
    }

    /// When the rate from above changes, and to what, bit/s; `None` is unlimited.
    #[must_use]
    pub fn rates(&self) -> Vec<(Duration, Option<u64>)> {
        let mut conditions = self.beginning.down.beginning;
        let mut rates = vec![(Duration::ZERO, conditions.rate.limit())];
        for (at, step) in &self.steps {
            let Step::Change(change) = step else { continue };
            conditions = change.down.of(&conditions).unwrap_or(conditions);
            if rates.last().is_none_or(|(_, rate)| *rate != conditions.rate.limit()) {
                rates.push((*at, conditions.rate.limit()));
            }
        }
        rates
    }

    /// Carries it out on `links` from `began` on; gives when the lines were away, nanoseconds
    /// since 1970.
    ///
    /// # Errors
    /// When a link refuses a change.
    pub async fn carry_out(&self, began: Instant, links: &[&Proxy]) -> Result<Vec<(u64, u64)>> {
        let mut cuts = Vec::new();
        let mut cut_at = None;
        for (at, step) in &self.steps {
            tokio::time::sleep_until((began + *at).into()).await;
            match step {
                Step::Change(change) => {
                    for link in links {
                        if let Err(reason) = link.change(**change) {
                            bail!("the link can't change: {reason}");
                        }
                    }
                }
                Step::Cut(cut) => {
                    let now = wall_ns();
                    links.iter().for_each(|link| link.cut(*cut));
                    match (cut, cut_at) {
                        (true, None) => cut_at = Some(now),
                        (false, Some(from)) => {
                            cuts.push((from, now));
                            cut_at = None;
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(cuts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn named(text: &str) -> Profile {
        let links = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/links");
        Profile::named(text, &links).unwrap()
    }

    #[test]
    fn a_profile_is_taken_apart_into_its_beginning_and_what_happens_later() {
        let outage = Some((Duration::from_secs(20), Duration::from_secs(8)));
        let schedule = Schedule::new(named("narrowing-trunk"), outage).unwrap();
        assert!(schedule.beginning.down.changes.is_empty());
        assert_eq!(schedule.end(), Duration::from_secs(40));
        let rates: Vec<_> =
            schedule.rates().into_iter().map(|(at, rate)| (at.as_secs(), rate.unwrap())).collect();
        assert_eq!(rates, [(0, 4_000_000), (10, 300_000), (40, 4_000_000)]);
        let cuts: Vec<_> =
            schedule.steps.iter().filter(|(_, step)| matches!(step, Step::Cut(_))).collect();
        assert_eq!(cuts.len(), 2);
    }

    #[test]
    fn a_line_that_is_cut_one_way_or_repeats_is_refused() {
        assert!(Schedule::new(named("up.outage=3s+1s"), None).is_err());
        assert!(Schedule::new(named("village-evening"), None).is_err());
    }
}
