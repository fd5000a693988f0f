//! What a campus tells a new node besides its certificate: whose tokens count, and where the
//! other services are.

use crate::config::Config;
use cloudschool_service::config::IssuerSection;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Carried as JSON. What a newer campus adds is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Welcome {
    /// The platforms whose tokens are accepted.
    pub issuers: Vec<Platform>,
    /// Addresses of the recorder and of analytics.
    pub library: Option<String>,
    pub report: Option<String>,
}

/// `[[auth.issuers]]`, with the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Platform {
    pub name: String,
    /// PEM.
    pub public_key: String,
}

impl Welcome {
    /// What the campus of this configuration tells. A local issuer's tokens count on its
    /// machine alone, and are not told of.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let platform = |issuer: &IssuerSection| {
            let inline = issuer.public_key.trim_start().starts_with("-----BEGIN");
            let public_key = match inline {
                true => issuer.public_key.clone(),
                // It was read when the node started, or the node would not have.
                false => std::fs::read_to_string(Path::new(&issuer.public_key)).ok()?,
            };
            Some(Platform { name: issuer.name.clone(), public_key })
        };
        // In the file they are the services' addresses, in `links` those of their pages.
        let service = |page: &Option<String>, path: &str| {
            page.as_ref().map(|page| page.trim_end_matches(path).to_owned())
        };
        Self {
            issuers: config.auth.issuers.iter().filter_map(platform).collect(),
            library: service(&config.links.library, "/library"),
            report: service(&config.links.report, "/report/{lesson}"),
        }
    }
}
