//! The command line: serve, and the few commands that make certificates and tokens.

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::token::Claims;
use cloudschool_protocol::trunk::NodeKind;
use cloudschool_relay::ca;
use cloudschool_service::{clock, issuer};
use std::path::PathBuf;

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
        /// Directory to write to: the node's `[trunk] identity`.
        #[arg(long)]
        out: PathBuf,
    },
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
        Command::Ca(CaCommand::Issue { dir, node, kind, school, out }) => {
            let kind = NodeKind::from(kind);
            let needed = kind == NodeKind::Edge && school.is_none();
            ensure!(!needed, "a school's node needs --school: the campus lets it in by that");
            ca::issue(&dir, &node, kind, school.as_ref(), &out)?;
            Ok(format!("issued a certificate for {node} in {}", out.display()))
        }
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
