//! The token issuer on this machine: a key pair in a directory, made by `sfu issuer init`.
//! A node given it as `[auth] local` accepts its tokens from this machine alone.

use cloudschool_protocol::token::{BadKey, Issuer};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `iss` of its tokens.
pub const LOCAL: &str = "local";

/// How the names of nodes' own issuers begin.
pub const NODE: &str = "node:";

/// File of the private key, readable by its owner alone.
pub const PRIVATE_FILE: &str = "issuer.pem";
/// File of the public key.
pub const PUBLIC_FILE: &str = "issuer.pub.pem";

/// Why the issuer can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("{} can't be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} can't be read ({source}); `sfu issuer init` makes it", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the key could not be made: {0}")]
    Generate(#[from] rcgen::Error),
    #[error("{}: {source}", path.display())]
    Key { path: PathBuf, source: BadKey },
}

/// Makes a key pair in `dir`, unless one is there. Says whether it made one.
///
/// # Errors
/// [`IssuerError`] when the directory or the files can't be written.
pub fn init(dir: &Path) -> Result<bool, IssuerError> {
    let private = dir.join(PRIVATE_FILE);
    let public = dir.join(PUBLIC_FILE);
    if private.exists() && public.exists() {
        return Ok(false);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(|source| IssuerError::Write { path: dir.into(), source })?;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    // The public half first: a directory with a private key alone is made anew, one with
    // both is kept.
    write(&public, 0o644, &pair.public_key_pem())?;
    write(&private, 0o600, &pair.serialize_pem())?;
    Ok(true)
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), IssuerError> {
    let partial = path.with_extension("tmp");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|source| IssuerError::Write { path: path.into(), source })
}

/// Loads the issuer to sign tokens with.
///
/// # Errors
/// [`IssuerError`] when the key isn't there or isn't a key.
pub fn load(dir: &Path) -> Result<Issuer, IssuerError> {
    load_as(dir, LOCAL)
}

/// The same under another name.
///
/// # Errors
/// As [`load`].
pub fn load_as(dir: &Path, name: &str) -> Result<Issuer, IssuerError> {
    let path = dir.join(PRIVATE_FILE);
    let pem =
        std::fs::read(&path).map_err(|source| IssuerError::Read { path: path.clone(), source })?;
    Issuer::new(name, &pem).map_err(|source| IssuerError::Key { path, source })
}

/// `iss` of what the node `name` signs for those who come in by a code.
#[must_use]
pub fn of_node(name: &str) -> String {
    format!("{NODE}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_issuer_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("issuer");
        assert!(init(&dir).unwrap());
        let key = std::fs::read(dir.join(PRIVATE_FILE)).unwrap();
        assert!(!init(&dir).unwrap());
        assert_eq!(std::fs::read(dir.join(PRIVATE_FILE)).unwrap(), key);
        let mode = std::fs::metadata(dir.join(PRIVATE_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        load(&dir).unwrap();
    }

    #[test]
    fn a_missing_key_is_said_with_the_way_to_make_it() {
        let Err(err) = load(Path::new("/nonexistent")) else { panic!("loaded nothing") };
        assert!(err.to_string().contains("sfu issuer init"), "{err}");
    }
}
