//! The systemd unit of a node.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const TEMPLATE: &str = include_str!("../../../configs/systemd/cloudschool-sfu.service");

/// What the unit is called.
pub const NAME: &str = "cloudschool-sfu.service";

/// Where an administrator's units are.
const UNITS: &str = "/etc/systemd/system";

/// There when systemd runs the machine (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// systemd's own directory of what services keep. Under it a service needs no user of its own.
const STATE: &str = "/var/lib/";

/// The unit's text.
pub fn text(binary: &Path, config: &Path, data: &Path) -> String {
    let state = data.strip_prefix(STATE).ok().filter(|d| d.components().count() == 1);
    let user = match state {
        Some(dir) => format!(
            "# A user for as long as it runs, who owns its data and nothing else.\n\
             DynamicUser=yes\nStateDirectory={}\nStateDirectoryMode=0700",
            dir.display()
        ),
        None => format!("ReadWritePaths={}", data.display()),
    };
    TEMPLATE
        .replace("{binary}", &binary.display().to_string())
        .replace("{config}", &config.display().to_string())
        .replace("{user}", &user)
}

/// What became of it.
pub enum Unit {
    /// Enabled and running.
    Running,
    /// Written there; the machine has no systemd, or this is not root.
    Written(PathBuf),
}

/// Writes the unit, enables and starts it; beside the configuration and without starting it
/// where systemd does not run or may not be told.
pub fn install(text: &str, config: &Path) -> io::Result<Unit> {
    if Path::new(BOOTED).exists() && is_root() {
        std::fs::write(Path::new(UNITS).join(NAME), text)?;
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", NAME])?;
        systemctl(&["restart", NAME])?;
        return Ok(Unit::Running);
    }
    let beside = config.with_file_name(NAME);
    std::fs::write(&beside, text)?;
    Ok(Unit::Written(beside))
}

/// Whether systemd runs this machine, may be told, and has no such unit.
pub fn is_missing() -> bool {
    Path::new(BOOTED).exists() && is_root() && !Path::new(UNITS).join(NAME).exists()
}

fn systemctl(args: &[&str]) -> io::Result<()> {
    let done = Command::new("systemctl").args(args).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("systemctl {}: {}", args.join(" "), said.trim())))
}

#[allow(unsafe_code)]
fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, changes nothing and can't fail (geteuid(2)).
    unsafe { libc::geteuid() == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_every_path_and_systemd_takes_it() {
        let dir = tempfile::tempdir().unwrap();
        let binary = std::env::current_exe().unwrap();
        let config = dir.path().join("sfu.toml");
        for data in ["/var/lib/cloudschool", "/srv/school/data"] {
            let text = text(&binary, &config, Path::new(data));
            assert!(!text.contains('{'), "{text}");
            assert_eq!(text.contains("DynamicUser=yes"), data.starts_with(STATE));
            let unit = dir.path().join(NAME);
            std::fs::write(&unit, &text).unwrap();
            let verify = Command::new("systemd-analyze").arg("verify").arg(&unit).output();
            let Ok(said) = verify else {
                eprintln!("no systemd-analyze here: the unit's text alone was checked");
                continue;
            };
            let said = String::from_utf8_lossy(&said.stderr).into_owned();
            let about_us: Vec<&str> = said.lines().filter(|l| l.contains(NAME)).collect();
            assert!(about_us.is_empty(), "{about_us:?}");
        }
    }
}
