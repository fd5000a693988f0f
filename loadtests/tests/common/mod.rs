//! The programs that tests run besides `loadtest` itself.

use std::path::Path;
use std::process::Command;

/// Says, with any value, that the whole workspace was built just now, as `make test` does:
/// building a part of it alone would choose other features of the dependencies, and compile
/// many of them once more.
const BUILT: &str = "CLOUDSCHOOL_BUILT";

/// The directory where the binaries of `packages` are, built as this test was.
pub fn programs(packages: &[&str]) -> &'static Path {
    if std::env::var_os(BUILT).is_none() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--bins"]);
        packages.iter().for_each(|package| {
            cargo.args(["--package", package]);
        });
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the programs do not build");
    }
    Path::new(env!("CARGO_BIN_EXE_loadtest")).parent().unwrap()
}
