//! `[timetable]` and `[joining]`: when lessons open, and whether students come in by a code.

use serde::Deserialize;
use std::time::Duration;

/// `[timetable]`: lessons of the days to come, at the campus's node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimetableSection {
    /// Minutes before its planned start that a lesson opens by itself.
    pub opens_before_min: u64,
}

impl Default for TimetableSection {
    fn default() -> Self {
        Self { opens_before_min: 15 }
    }
}

impl TimetableSection {
    #[must_use]
    pub fn opens_before(&self) -> Duration {
        Duration::from_secs(self.opens_before_min.saturating_mul(60))
    }
}

/// `[joining]`: coming in without a platform's token, at the campus's node. A school's node goes
/// by what the lesson says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JoiningSection {
    /// Whether each lesson gets a code of eight digits that students come in by.
    pub codes: bool,
}
