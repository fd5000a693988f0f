//! `sfu`: a Cloudschool media node. Reads top to bottom: configuration, node, serve, drain.

mod cli;

use anyhow::Context;
use clap::Parser;
use cloudschool_relay::Identity;
use cloudschool_service::auth::Auth;
use cloudschool_service::{config, health::Readiness, http, https, shutdown, telemetry};
use cloudschool_sfu::config::Config;
use cloudschool_sfu::http::{App, beside, router};
use cloudschool_sfu::node::Node;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let done = match (cli.command, cli.serve.config) {
        (Some(command), _) => cli::run(command).map(|said| println!("{said}")),
        (None, Some(file)) if cli.serve.check_config => check(&file),
        (None, Some(file)) => load(&file).and_then(serve),
        (None, None) => Err(anyhow::anyhow!("name a configuration: sfu --config FILE")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sfu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(file: &Path) -> anyhow::Result<Config> {
    Ok(Config::load(file, config::env())?)
}

fn check(file: &Path) -> anyhow::Result<()> {
    let config = load(file)?;
    Auth::from_section(&config.auth, config.http.bind)?;
    Identity::load_as(&config.trunk.identity, config.kind(), &config.node.name)
        .context("[trunk] identity")?;
    let role = if config.is_edge() { "a school's node" } else { "the campus's node" };
    println!("{} is good: {}, {role}", file.display(), config.node.name);
    Ok(())
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::init(&config.log)?;
    let shutdown = shutdown::token().context("signals can't be watched")?;
    let listener = http::bind(config.http.bind).await?;
    let node = Node::start(&config).await?;

    let readiness = Readiness::default();
    if config.is_edge() {
        readiness.not_ready("campus", "the campus has not been reached yet");
        tokio::spawn(first_contact(node.clone(), readiness.clone()));
    }
    let app = App::new(node.clone(), &config, shutdown.clone())?;
    tracing::info!(node = %config.node.name, url = %config.http.url(), "serving");
    let router = router(app.clone(), readiness);
    match node.papers().https().cloned() {
        None => http::serve_on(listener, router, shutdown).await,
        Some(own) => {
            let secure = http::bind(own.bind).await?;
            let plain = beside(router.clone(), own.clone());
            tokio::select! {
                served = async {
                    let plain = http::serve_on(listener, plain, shutdown.clone());
                    let plain = async {
                        plain.await;
                        Ok(())
                    };
                    let certificates = own.certificates.clone();
                    tokio::try_join!(plain, https::serve_on(secure, router, certificates, shutdown))
                } => drop(served?),
                () = own.follow_files() => {}
            }
        }
    }

    app.drained().await;
    node.stop().await;
    tracing::info!("gone down");
    Ok(())
}

/// A school's node can do its work once it knows the campus's lessons. A line that breaks
/// later doesn't change that: the local class goes on.
async fn first_contact(node: Arc<Node>, readiness: Readiness) {
    let mut reachable = node.campus_reachable();
    // An error means that the node is gone, and with it who would ask.
    if reachable.wait_for(|reachable| *reachable).await.is_ok() {
        readiness.ready("campus");
    }
}
