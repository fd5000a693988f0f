//! Embeds the built web client, or a stub page when it has not been built yet, so that
//! `cargo build` alone works without Node.

use std::path::Path;

const DIST: &str = "../classroom-client/web/dist";
const STUB: &str = "stub";

fn main() {
    // Cargo takes a watched path that doesn't exist for changed, at every build. An empty
    // directory (git ignores it) avoids rebuilding everything above this crate each time.
    // On a read-only tree that costs rebuilds, nothing else.
    let _ = std::fs::create_dir_all(DIST);
    println!("cargo:rerun-if-changed={DIST}");
    println!("cargo:rerun-if-changed={STUB}");
    println!("cargo:rerun-if-changed=build.rs");
    let built = Path::new(DIST).join("index.html").exists();
    println!("cargo:rustc-env=CLOUDSCHOOL_WEB={}", if built { "built" } else { "stub" });
    embed(Path::new(if built { DIST } else { STUB })).unwrap();
}

/// Writes the list of assets as code. (The library's own way prints a warning for each.)
fn embed(dir: &Path) -> std::io::Result<()> {
    let out = std::env::var_os("OUT_DIR").ok_or(std::io::ErrorKind::NotFound)?;
    let out = Path::new(&out);
    let dir = dir.canonicalize()?;
    let code = memory_serve::assets_to_code(&dir.to_string_lossy(), &dir, out, true, |_| {});
    std::fs::write(out.join("pages.rs"), code)
}
