//! The command line: serve, and the few commands that make certificates and tokens.

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::refusal::Lang;
use cloudschool_protocol::token::Claims;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::enrol::{Book, Code, Place};
use cloudschool_relay::measure::measure;
use cloudschool_relay::{Carries, Identity, Peer, ca};
use cloudschool_service::config::env;
use cloudschool_service::{clock, issuer};
use cloudschool_sfu::config::Config;
use cloudschool_sfu::school::doctor::diagnose;
use cloudschool_sfu::school::enrol;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A Cloudschool media node: the campus's, or with `[trunk] upstream` a school's.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub serve: Serve,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// The node's configuration; configs/campus.toml explains it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only say whether the configuration is good.
    #[arg(long, requires = "config")]
    pub check_config: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The campus's certificate authority, which vouches for nodes.
    #[command(subcommand)]
    Ca(CaCommand),
    /// A token issuer for this machine alone.
    #[command(subcommand)]
    Issuer(IssuerCommand),
    /// Sign a token with a local issuer, and print it.
    Token(Token),
    /// Make this machine a school's node, with a code from the campus.
    Enrol(Enrol),
    /// Measure the line to the campus, and say what a lesson will look like.
    Doctor(Doctor),
}

#[derive(Debug, Args)]
pub struct Enrol {
    /// The code, as in ABCD-1234: `sfu ca code` makes it at the campus.
    #[arg(long)]
    code: Code,
    /// The campus: host, or host:port where it is not 443.
    #[arg(long)]
    upstream: String,
    /// The configuration to write.
    #[arg(long, value_name = "FILE", default_value = "/etc/cloudschool/sfu.toml")]
    config: PathBuf,
    /// Directory for what the node keeps.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/cloudschool")]
    data: PathBuf,
    /// This machine's address in the school's network, where it has several.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Where pages are served without TLS, which sends browsers to those with.
    #[arg(long, default_value = "0.0.0.0:80")]
    http: SocketAddr,
    /// Where pages are served.
    #[arg(long, default_value = "0.0.0.0:443")]
    https: SocketAddr,
    /// Port of WebRTC.
    #[arg(long, default_value_t = 8091)]
    media: u16,
    /// Set up no systemd unit.
    #[arg(long)]
    no_service: bool,
    /// Replace the node this machine is already.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// The node's configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/cloudschool/sfu.toml")]
    config: PathBuf,
    /// The campus, host:port, where it is not the configuration's.
    #[arg(long)]
    upstream: Option<String>,
    /// For programs.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Make the authority, unless it is there.
    Init {
        #[arg(long)]
        dir: PathBuf,
    },
    /// Issue a node's certificate, or renew it.
    Issue {
        /// The authority's directory.
        #[arg(long)]
        dir: PathBuf,
        /// The node's name, as in its `[node] name`.
        #[arg(long)]
        node: NodeId,
        #[arg(long)]
        kind: Kind,
        /// The school it stands in. A school's node needs one.
        #[arg(long)]
        school: Option<SchoolId>,
        /// A school whose node may stand behind this one; once for each, or * for any. A
        /// district's or city's node needs them.
        #[arg(long, value_name = "SCHOOL")]
        carries: Vec<String>,
        /// Directory to write to: the node's `[trunk] identity`.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make a one-time code with which a machine becomes a school's node by itself.
    Code(CodeFor),
    /// Have nothing more to do with a node: its box was lost, or its school left.
    Withdraw {
        /// The authority's directory.
        #[arg(long, default_value = "data/ca")]
        dir: PathBuf,
        #[arg(long)]
        node: NodeId,
    },
}

#[derive(Debug, Args)]
pub struct CodeFor {
    /// The authority's directory: `[enrolment] ca` of the campus's node.
    #[arg(long, default_value = "data/ca")]
    dir: PathBuf,
    /// The school the machine will stand in.
    #[arg(long)]
    school: SchoolId,
    /// What the machine will be called; the school's name when not given.
    #[arg(long)]
    node: Option<NodeId>,
    /// How long the code is good for: 30m, 24h, 7d.
    #[arg(long, default_value = "24h", value_parser = life)]
    expires: Duration,
}

/// At most a month: a code that lies about is a key under the mat.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

fn life(text: &str) -> Result<Duration, String> {
    let units = [("m", 60), ("h", 3600), ("d", 24 * 3600)];
    let read = |(unit, seconds): &(&str, u64)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(count.checked_mul(*seconds)?))
    };
    let life = units.iter().find_map(read).ok_or("it is a number with m, h or d behind it")?;
    match life {
        Duration::ZERO => Err("a code that is never good is none".into()),
        life if life > LONGEST => Err("a code is good for a month at most".into()),
        life => Ok(life),
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    Origin,
    Edge,
    Recorder,
    Analytics,
}

impl From<Kind> for NodeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Origin => NodeKind::Origin,
            Kind::Edge => NodeKind::Edge,
            Kind::Recorder => NodeKind::Recorder,
            Kind::Analytics => NodeKind::Analytics,
        }
    }
}

impl Enrol {
    fn plan(self) -> enrol::Plan {
        enrol::Plan {
            code: self.code,
            upstream: self.upstream,
            config: self.config,
            data: self.data,
            address: self.address,
            http: self.http,
            https: self.https,
            media: self.media,
            service: !self.no_service,
            force: self.force,
            lang: lang(),
        }
    }
}

/// The language of whoever reads the terminal (POSIX, "Internationalization Variables").
fn lang() -> Lang {
    let set = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    let said = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
    if said.is_some_and(|l| l.starts_with("zh")) { Lang::Zh } else { Lang::En }
}

fn examine(doctor: &Doctor) -> anyhow::Result<String> {
    let config = Config::load(&doctor.config, env())?;
    let upstream = doctor.upstream.clone();
    let first = || config.trunk.upstream.as_ref().and_then(|u| u.first()).cloned();
    let upstream = upstream.or_else(first).context("name the campus with --upstream")?;
    let identity = Identity::load_as(&config.trunk.identity, config.kind(), &config.node.name)?;
    let report = runtime()?.block_on(measure(&upstream, &identity));
    let said = diagnose(report, lang());
    Ok(match doctor.json {
        true => serde_json::to_string_pretty(&said)?,
        false => said.says.join("\n"),
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("the program can't start its threads")
}

#[derive(Debug, Subcommand)]
pub enum IssuerCommand {
    /// Make the issuer's keys, unless they are there.
    Init {
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct Token {
    /// The issuer's directory.
    #[arg(long)]
    issuer: PathBuf,
    #[arg(long)]
    member: MemberId,
    /// The name shown to people.
    #[arg(long)]
    name: String,
    #[arg(long)]
    role: RoleName,
    #[arg(long)]
    school: SchoolId,
    /// The only lesson it is good for; without, for all.
    #[arg(long)]
    lesson: Option<LessonId>,
    /// How long it is good for.
    #[arg(long, default_value_t = 8.0)]
    hours: f64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Teacher,
    Assistant,
    Classroom,
    Student,
    Observer,
    Operator,
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Teacher => Role::Teacher,
            RoleName::Assistant => Role::Assistant,
            RoleName::Classroom => Role::Classroom,
            RoleName::Student => Role::Student,
            RoleName::Observer => Role::Observer,
            RoleName::Operator => Role::Operator,
        }
    }
}

/// Carries out a command and returns what it has to say.
///
/// # Errors
/// Why it could not, in a sentence.
pub fn run(command: Command) -> anyhow::Result<String> {
    match command {
        Command::Ca(CaCommand::Init { dir }) => {
            let made = ca::init(&dir)?;
            let there = dir.display();
            Ok(match made {
                ca::Init::Made => format!("made a certificate authority in {there}"),
                ca::Init::Existed => format!("{there} has a certificate authority; left as it is"),
            })
        }
        Command::Ca(CaCommand::Issue { dir, node, kind, school, carries, out }) => {
            let kind = NodeKind::from(kind);
            let carries = Carries::parse(carries.iter().map(String::as_str));
            let carries = carries.map_err(|e| anyhow::anyhow!("--carries: {e}"))?;
            let peer = Peer { node, kind, school, carries };
            let needed = kind == NodeKind::Edge && peer.school.is_none() && !peer.carries_others();
            ensure!(
                !needed,
                "a school's node needs --school, and a district's --carries: the campus lets it \
                 in by that"
            );
            ca::issue_to(&dir, &peer, &out)?;
            let node = peer.node;
            Ok(format!("issued a certificate for {node} in {}", out.display()))
        }
        Command::Ca(CaCommand::Code(wanted)) => {
            // Without a CA the code would be good for nothing.
            ca::Authority::open(&wanted.dir)?;
            let node = match wanted.node {
                Some(node) => node,
                None => NodeId::new(wanted.school.as_str()).context("--node")?,
            };
            let place = Place { node, school: wanted.school };
            let code = Book::of(&wanted.dir).make(&place, wanted.expires, clock::now_ms())?;
            let hours = wanted.expires.as_secs_f64() / 3600.0;
            Ok(format!(
                "{code}\nfor the node {} of the school {}, once, within {hours} hours. On its \
                 machine, as root:\n  sfu enrol --code {code} --upstream THIS-CAMPUS",
                place.node, place.school
            ))
        }
        Command::Ca(CaCommand::Withdraw { dir, node }) => {
            ca::Authority::open(&dir)?;
            Book::of(&dir).withdraw(&node)?;
            Ok(format!(
                "{node} is let in no more; a trunk it has is closed when it next connects. A new \
                 code for it takes this back"
            ))
        }
        Command::Enrol(wanted) => {
            let plan = wanted.plan();
            Ok(runtime()?.block_on(enrol::enrol(&plan))?.trim_end().to_owned())
        }
        Command::Doctor(doctor) => examine(&doctor),
        Command::Issuer(IssuerCommand::Init { dir }) => {
            let there = dir.display();
            Ok(if issuer::init(&dir)? {
                format!("made a token issuer for this machine in {there}")
            } else {
                format!("{there} has a token issuer; left as it is")
            })
        }
        Command::Token(token) => sign(token),
    }
}

fn sign(token: Token) -> anyhow::Result<String> {
    ensure!(token.hours.is_finite() && token.hours > 0.0, "--hours must be more than 0");
    let claims = Claims {
        aud: String::new(),
        iss: String::new(),
        sub: token.member,
        name: token.name,
        role: token.role.into(),
        school: token.school,
        lesson: token.lesson,
        exp: clock::now_ms() / 1000 + (token.hours * 3600.0) as u64,
        nbf: None,
    };
    issuer::load(&token.issuer)?.sign(claims).context("the token could not be signed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_token_signed_here_is_accepted_by_a_node_that_trusts_this_issuer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let run_line = |line: &[&str]| {
            let line = ["sfu"].iter().chain(line);
            run(Cli::try_parse_from(line).unwrap().command.unwrap())
        };
        run_line(&["issuer", "init", "--dir", &path]).unwrap();
        let token = run_line(&[
            "token",
            "--issuer",
            &path,
            "--member",
            "li",
            "--name",
            "李老师",
            "--role",
            "teacher",
            "--school",
            "campus",
            "--lesson",
            "math",
            "--hours",
            "0.5",
        ])
        .unwrap();
        let mut verifier = cloudschool_protocol::token::Verifier::default();
        let public = std::fs::read(dir.path().join(issuer::PUBLIC_FILE)).unwrap();
        verifier.trust(issuer::LOCAL, &public).unwrap();
        let claims = verifier.verify(&token, clock::now_ms() / 1000).unwrap();
        assert_eq!(claims.role, Role::Teacher);
        assert!(claims.exp <= clock::now_ms() / 1000 + 1800);
    }

    #[test]
    fn a_codes_life_is_read_with_its_unit() {
        assert_eq!(life("24h").unwrap(), Duration::from_secs(86_400));
        assert_eq!(life("7d").unwrap(), Duration::from_secs(604_800));
        for bad in ["", "24", "h", "0m", "-1h", "40d", "99999999999999999999d", "1 h"] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_schools_node_needs_its_school() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca").display().to_string();
        let issue = [
            "sfu",
            "ca",
            "issue",
            "--dir",
            &path,
            "--node",
            "school-01",
            "--kind",
            "edge",
            "--out",
            &path,
        ];
        let command = Cli::try_parse_from(issue).unwrap().command.unwrap();
        assert!(run(command).unwrap_err().to_string().contains("--school"));
    }
}
