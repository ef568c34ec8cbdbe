//! What the flags of `runner policy` make of targets and permissions.

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::failure::Failure;
use super::input;
use super::resolve::{ANALYSIS, SECRET};
use crate::host::HostPattern;
use crate::tag::Tag;

/// A selector of the API, such as `["secrets", "tag.key", K, "tag.value", V]`.
pub(super) type Selector = Vec<String>;

/// A permission of the API.
#[derive(Serialize, Deserialize)]
pub(super) struct Permission {
    pub(super) effect: String,
    pub(super) action: Vec<String>,
    pub(super) resource: Selector,
}

/// Which analyses it is about; at least one.
#[derive(Debug, clap::Args)]
#[group(id = "targets", multiple = true)]
pub struct Targets {
    /// This analysis; may be given several times
    #[arg(long = "analysis", value_name = "ANALYSIS")]
    analyses: Vec<String>,
    /// Analyses with this tag; may be given several times
    #[arg(long = "analysis-tag", value_name = "K=V", value_parser = input::tag)]
    analysis_tags: Vec<Tag>,
    /// All analyses
    #[arg(long)]
    every_analysis: bool,
}

/// What they may access, and what not; at least one.
#[derive(Debug, clap::Args)]
#[group(id = "rules", multiple = true)]
pub struct Rules {
    /// Allow secrets with this tag; may be given several times
    #[arg(long, value_name = "K=V", value_parser = input::tag)]
    allow_tag: Vec<Tag>,
    /// Deny secrets with this tag; may be given several times
    #[arg(long, value_name = "K=V", value_parser = input::tag)]
    deny_tag: Vec<Tag>,
    /// Allow requests to this host, such as api.example.com or *.example.com; may be given several
    /// times
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<HostPattern>,
    /// Deny requests to this host; may be given several times
    #[arg(long, value_name = "HOST")]
    deny_host: Vec<HostPattern>,
    /// Allow this secret; may be given several times
    #[arg(long, value_name = "SECRET")]
    allow_secret: Vec<String>,
    /// Deny this secret; may be given several times
    #[arg(long, value_name = "SECRET")]
    deny_secret: Vec<String>,
}

impl Targets {
    /// The targets of the API.
    pub(super) async fn selectors(&self, client: &Client) -> Result<Vec<Selector>, Failure> {
        let mut targets = Vec::new();
        for analysis in &self.analyses {
            targets.push(by_id("analysis", ANALYSIS.resolve(client, analysis).await?));
        }
        targets.extend(self.analysis_tags.iter().map(|tag| by_tag("analysis", tag)));
        if self.every_analysis {
            targets.push(vec!["analysis".to_owned()]);
        }
        Ok(targets)
    }
}

impl Rules {
    /// The permissions of the API.
    pub(super) async fn permissions(&self, client: &Client) -> Result<Vec<Permission>, Failure> {
        let mut permissions = Vec::new();
        for (effect, tags, hosts, secrets) in [
            ("allow", &self.allow_tag, &self.allow_host, &self.allow_secret),
            ("deny", &self.deny_tag, &self.deny_host, &self.deny_secret),
        ] {
            permissions.extend(hosts.iter().map(|host| access(effect, by_host(host))));
            permissions.extend(tags.iter().map(|tag| access(effect, by_tag("secrets", tag))));
            for secret in secrets {
                let id = SECRET.resolve(client, secret).await?;
                permissions.push(access(effect, by_id("secrets", id)));
            }
        }
        Ok(permissions)
    }
}

/// One resource of a kind.
pub(super) fn by_id(kind: &str, id: crate::id::Id) -> Selector {
    vec![kind.to_owned(), "id".to_owned(), id.to_string()]
}

/// Those of a kind with a tag.
pub(super) fn by_tag(kind: &str, tag: &Tag) -> Selector {
    [kind, "tag.key", &tag.key, "tag.value", &tag.value].map(str::to_owned).to_vec()
}

/// Requests to hosts.
pub(super) fn by_host(host: &HostPattern) -> Selector {
    ["network", "host", &host.to_string()].map(str::to_owned).to_vec()
}

/// Access, allowed or denied.
pub(super) fn access(effect: &str, resource: Selector) -> Permission {
    Permission { effect: effect.to_owned(), action: vec!["access".to_owned()], resource }
}
