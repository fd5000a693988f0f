//! `loadtest demo`: one lesson through the four processes of an installation — a synthetic
//! teacher at the campus, students behind the school's node — measured, and judged.

mod lesson;
mod report;

pub use report::{Check, Report};

use crate::stack::{Ports, Settings, Stack};
use crate::up::Stop;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the demo is made with.
#[derive(Debug, Clone)]
pub struct Plan {
    pub programs: PathBuf,
    pub configs: PathBuf,
    /// Emptied at the beginning; what the lesson leaves stays in it.
    pub data: PathBuf,
    pub students: usize,
    /// Length of the measured part of the lesson.
    pub length: Duration,
    pub log_level: Option<String>,
}

/// Marks a data directory as a demo's, which may be emptied.
const MARK: &str = ".cloudschool-demo";

/// Runs the demo; the report says what was measured, and what of it is wrong.
///
/// # Errors
/// When it can't be carried through: then there is nothing to report.
pub async fn demo(plan: &Plan) -> Result<Report> {
    ensure!(plan.students > 0, "a lesson needs a student");
    empty(&plan.data)?;
    let mut stop = Stop::new()?;
    let settings = Settings {
        programs: plan.programs.clone(),
        configs: plan.configs.clone(),
        data: plan.data.clone(),
        ports: Ports::free()?,
        log_level: plan.log_level.clone(),
    };
    let mut stack = tokio::select! {
        stack = Stack::start(settings) => stack?,
        () = stop.asked() => bail!("interrupted"),
    };
    let site = stack.site();
    let outcome = tokio::select! {
        outcome = lesson::give(&site, plan) => outcome,
        death = stack.died() => Err(anyhow::anyhow!("{death}")),
        () = stop.asked() => Err(anyhow::anyhow!("interrupted")),
    };
    stack.stop().await;
    outcome
}

/// A demo begins with nothing. A directory that isn't a demo's is left alone.
fn empty(data: &Path) -> Result<()> {
    let mark = data.join(MARK);
    if mark.exists() {
        fs::remove_dir_all(data).with_context(|| format!("emptying {}", data.display()))?;
    }
    let taken = fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!taken, "{} has files in it that are no demo's: choose another --data", data.display());
    fs::create_dir_all(data)
        .and_then(|()| fs::write(&mark, b""))
        .with_context(|| format!("making {}", data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_empties_its_own_directory_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("demo");
        empty(&data).unwrap();
        fs::write(data.join("left over"), b"").unwrap();
        empty(&data).unwrap();
        assert!(!data.join("left over").exists());
        fs::remove_file(data.join(MARK)).unwrap();
        fs::write(data.join("homework"), b"").unwrap();
        assert!(empty(&data).unwrap_err().to_string().contains("no demo's"));
        assert!(data.join("homework").exists());
    }
}
