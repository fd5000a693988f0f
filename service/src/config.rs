//! Configuration: one TOML file, overlaid by the environment.
//!
//! `CLOUDSCHOOL__HTTP__BIND=0.0.0.0:80` replaces `[http] bind`: `__` separates levels, names
//! are lower-cased, and the value is read as a TOML value or, where it isn't one, taken as a
//! string. A key nobody reads is an error that names it, wherever it was written: a typing
//! mistake in a configuration must not pass for a default.

use cloudschool_protocol::id::{NodeId, SchoolId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What environment variables that overlay the configuration begin with.
pub const ENV_PREFIX: &str = "CLOUDSCHOOL__";

/// Why a configuration can't be used. The text says where to look.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration {} can't be read: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("the configuration {} is not valid TOML: {source}", file.display())]
    Syntax { file: PathBuf, source: toml::de::Error },
    #[error("the environment variable {name} sets {key}, but {parent} is not a section")]
    NotASection { name: String, key: String, parent: String },
    #[error("the environment variable {0} names no key: it is CLOUDSCHOOL__SECTION__KEY")]
    NoKey(String),
    #[error("in the configuration {} (or the environment over it), {key}: {reason}", file.display())]
    Key { file: PathBuf, key: String, reason: String },
}

/// `[node]`: who this process is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    /// Its name on the trunk, in metrics and in logs.
    pub name: NodeId,
    /// The school it stands in.
    pub school: SchoolId,
    /// The directory it keeps everything in.
    pub data: PathBuf,
}

/// `[http]`: where it serves pages and APIs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSection {
    pub bind: SocketAddr,
    /// How others reach it, when that differs from `http://{bind}`.
    #[serde(default)]
    pub public_url: Option<String>,
}

impl HttpSection {
    /// The address in links handed out, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.bind),
        }
    }
}

/// `[trunk]`: the connection between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkSection {
    /// Directory with `ca.pem`, `node.pem` and `node.key`.
    pub identity: PathBuf,
    /// `host:port` to dial, or several in order of preference. A node with an upstream is an
    /// edge.
    #[serde(default)]
    pub upstream: Option<Upstream>,
    /// Seconds an upstream that is preferred to the present one must have been there before
    /// the node goes back to it.
    #[serde(default = "return_after")]
    pub return_after_s: u64,
    /// Address (UDP) at which others dial in.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Whether others may dial in over TCP too, at the same port, where UDP is blocked. Unless
    /// it is said, as long as no other program has the port.
    #[serde(default)]
    pub tcp: Option<bool>,
    /// Most that lessons may take of this site's line, in each direction.
    #[serde(default)]
    pub cap: Option<BitRate>,
    /// DSCP of what is sent: a number, or a name as `af41`.
    #[serde(default)]
    pub dscp: Option<Mark>,
}

/// A DSCP as people write it, number or name. What it means is the relay's to say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Mark {
    Number(u8),
    Name(String),
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Bit/s, written `"800kbit"`, `"3mbit"` or `"2.5mbit"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BitRate(pub u64);

/// The text is no rate.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no rate: write \"800kbit\" or \"3mbit\"")]
pub struct NoBitRate(String);

impl TryFrom<String> for BitRate {
    type Error = NoBitRate;

    fn try_from(text: String) -> Result<Self, NoBitRate> {
        let unit = [("kbit", 1e3), ("mbit", 1e6)];
        let parsed = unit.iter().find_map(|(name, unit)| {
            let number: f64 = text.trim().strip_suffix(name)?.trim().parse().ok()?;
            Some(number * unit)
        });
        match parsed {
            // A voice is the least a lesson is.
            Some(rate) if (64e3..1e12).contains(&rate) => Ok(Self(rate as u64)),
            _ => Err(NoBitRate(text)),
        }
    }
}

fn return_after() -> u64 {
    60
}

/// The nodes to dial, the preferred first; in the file one string, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMore")]
pub struct Upstream(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl TryFrom<OneOrMore> for Upstream {
    type Error = &'static str;

    fn try_from(said: OneOrMore) -> Result<Self, Self::Error> {
        let all = match said {
            OneOrMore::One(upstream) => vec![upstream],
            OneOrMore::More(upstreams) => upstreams,
        };
        match all.is_empty() || all.iter().any(|u| u.trim().is_empty()) {
            true => Err("an upstream is host:port"),
            false => Ok(Self(all)),
        }
    }
}

impl std::ops::Deref for Upstream {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

/// `[auth]`: whose tokens are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSection {
    /// Directory of an issuer on this machine, for trying things out: its tokens count only
    /// from this machine, and `[http] bind` must then be a loopback address.
    pub local: Option<PathBuf>,
    pub issuers: Vec<IssuerSection>,
}

/// `[[auth.issuers]]`: a platform that signs tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSection {
    /// The `iss` of its tokens.
    pub name: String,
    /// File with its Ed25519 public key in PEM, or the PEM itself.
    pub public_key: String,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives as in `info,relay=debug`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// This process's environment, as [`load`] takes it. What isn't Unicode can't be ours.
pub fn env() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text)
}

/// Reads `file`, lays `env` over it and checks every key against `T`, whose structs are to
/// have `deny_unknown_fields`.
///
/// # Errors
/// [`ConfigError`] when the file can't be read, isn't TOML, or a key is unknown, missing or
/// of the wrong kind.
pub fn load<T: DeserializeOwned>(
    file: &Path,
    env: impl Iterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Read { file: file.into(), source })?;
    let mut table: Table =
        text.parse().map_err(|source| ConfigError::Syntax { file: file.into(), source })?;
    // In a fixed order, so that a conflict between two variables is the same every time.
    let mut env: Vec<_> = env.filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
    env.sort();
    for (name, value) in env {
        overlay(&mut table, &name, &value)?;
    }
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|e| {
        let key = match e.path().to_string() {
            path if path == "." => "the top level".into(),
            path => path,
        };
        let reason = e.inner().message().to_owned();
        ConfigError::Key { file: file.into(), key, reason }
    })
}

fn overlay(table: &mut Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let path: Vec<String> =
        name[ENV_PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
    let (last, sections) = match path.split_last() {
        Some((last, sections)) if path.iter().all(|p| !p.is_empty()) => (last, sections),
        _ => return Err(ConfigError::NoKey(name.into())),
    };
    let mut at = table;
    for (depth, section) in sections.iter().enumerate() {
        let entry =
            at.entry(section.clone()).or_insert_with(|| Value::Table(Table::new())).as_table_mut();
        at = entry.ok_or_else(|| ConfigError::NotASection {
            name: name.into(),
            key: path.join("."),
            parent: path[..=depth].join("."),
        })?;
    }
    at.insert(last.clone(), parse_value(value));
    Ok(())
}

/// A TOML value where `text` is one, a string otherwise.
fn parse_value(text: &str) -> Value {
    let parsed = format!("v = {text}").parse::<Table>().ok();
    match parsed {
        // More than one key means a line break let the value end early.
        Some(mut table) if table.len() == 1 => {
            table.remove("v").unwrap_or_else(|| Value::String(text.into()))
        }
        _ => Value::String(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_one_or_several_and_never_none() {
        let read = |upstream: &str| {
            toml::from_str::<TrunkSection>(&format!("identity = \"tls\"\n{upstream}"))
        };
        let one = read("upstream = \"a:443\"").unwrap();
        assert_eq!(*one.upstream.unwrap(), ["a:443"]);
        assert_eq!(one.return_after_s, 60);
        let two = read("upstream = [\"a:443\", \"b:443\"]").unwrap().upstream.unwrap();
        assert_eq!(*two, ["a:443", "b:443"]);
        assert!(read("upstream = []").is_err() && read("upstream = [\"\"]").is_err());
        assert!(read("").unwrap().upstream.is_none());
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        node: NodeSection,
        http: HttpSection,
        #[serde(default)]
        auth: AuthSection,
        #[serde(default)]
        log: LogSection,
        #[serde(default)]
        announce: Vec<String>,
    }

    const GOOD: &str = r#"
        [node]
        name = "campus"
        school = "campus"
        data = "data/campus"
        [http]
        bind = "127.0.0.1:8080"
    "#;

    fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Example, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.toml");
        std::fs::write(&file, text).unwrap();
        load(&file, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn a_file_is_read_and_what_it_leaves_out_has_defaults() {
        let c = load_text(GOOD, &[]).unwrap();
        assert_eq!(c.node.name.as_str(), "campus");
        assert_eq!(c.http.url(), "http://127.0.0.1:8080");
        assert_eq!(c.log, LogSection::default());
        assert_eq!(c.auth, AuthSection::default());
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let c = load_text(
            GOOD,
            &[
                ("CLOUDSCHOOL__HTTP__BIND", "127.0.0.1:9"),
                ("CLOUDSCHOOL__NODE__NAME", "school-01"),
                ("CLOUDSCHOOL__LOG__LEVEL", "info,relay=debug"),
                ("CLOUDSCHOOL__LOG__FORMAT", "\"json\""),
                ("CLOUDSCHOOL__ANNOUNCE", r#"["10.0.0.1", "10.0.0.2"]"#),
                ("CLOUDSCHOOL__AUTH__ISSUERS", r#"[{name="city", public_key="city.pem"}]"#),
                ("PATH", "/bin"),
            ],
        )
        .unwrap();
        assert_eq!(c.http.bind.port(), 9);
        assert_eq!(c.node.name.as_str(), "school-01");
        assert_eq!(c.log.level, "info,relay=debug");
        assert_eq!(c.log.format, LogFormat::Json);
        assert_eq!(c.announce, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(c.auth.issuers[0].name, "city");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_path() {
        let text = GOOD.replace("bind =", "bnid = 1\nbind =");
        let err = load_text(&text, &[]).unwrap_err().to_string();
        assert!(err.contains("http") && err.contains("bnid"), "{err}");
        let err = load_text(GOOD, &[("CLOUDSCHOOL__NODE__NMAE", "x")]).unwrap_err().to_string();
        assert!(err.contains("node") && err.contains("nmae"), "{err}");
        let err = load_text(GOOD, &[("CLOUDSCHOOL__NDOE__NAME", "x")]).unwrap_err().to_string();
        assert!(err.contains("ndoe"), "{err}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_path() {
        let err = load_text(GOOD, &[("CLOUDSCHOOL__HTTP__BIND", "nowhere")]).unwrap_err();
        assert!(err.to_string().contains("http.bind"), "{err}");
        let err = load_text(GOOD, &[("CLOUDSCHOOL__NODE__NAME", "../x")]).unwrap_err();
        assert!(err.to_string().contains("a node id must be"), "{err}");
    }

    #[test]
    fn what_the_environment_cannot_set_is_said() {
        let err = load_text(GOOD, &[("CLOUDSCHOOL__NODE__NAME__X", "1")]).unwrap_err();
        assert!(
            matches!(err, ConfigError::NotASection { ref parent, .. } if parent == "node.name")
        );
        let err = load_text(GOOD, &[("CLOUDSCHOOL__", "1")]).unwrap_err();
        assert!(matches!(err, ConfigError::NoKey(_)));
    }

    #[test]
    fn a_value_with_a_line_break_cannot_smuggle_in_another_key() {
        assert_eq!(parse_value("1\nw = 2"), Value::String("1\nw = 2".into()));
        assert_eq!(parse_value(""), Value::String(String::new()));
        assert_eq!(parse_value("true"), Value::Boolean(true));
        assert_eq!(parse_value("127.0.0.1:80"), Value::String("127.0.0.1:80".into()));
    }

    #[test]
    fn a_missing_file_and_broken_toml_are_told_apart() {
        let none = load::<Example>(Path::new("/nonexistent/x.toml"), std::iter::empty());
        assert!(matches!(none, Err(ConfigError::Read { .. })));
        assert!(matches!(load_text("[node", &[]), Err(ConfigError::Syntax { .. })));
    }
}
