//! `runner policy`: which analyses may access which secrets and hosts.
//!
//! Owns the short forms for the common cases; everything else a policy can say goes through
//! `--file`, in the API's own JSON, whose rules are the API's.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Session;
use super::analysis::yes_no;
use super::client::Query;
use super::failure::Failure;
use super::input::{self, TagEdits};
use super::output::{moment, tags};
use super::policy_rules::{Permission, Rules, Selector, Targets, access, by_host, by_id, by_tag};
use super::resolve::{ANALYSIS, POLICY};
use crate::host::HostPattern;
use crate::tag::{Tag, Tags};

/// The longest name the API takes, in characters.
const MAX_NAME: usize = 100;

/// What can be done with policies.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Let an analysis access the secrets with a tag, or send requests to a host
    #[command(after_help = "\
Examples:
  runner policy grant invoices --tag team=billing
  runner policy grant invoices --tag for=hooks --sign
  runner policy grant invoices --host api.example.com
  runner policy grant invoices --host '*.example.com' --host http://meter.internal:8080

A host is reached over HTTPS on port 443 unless http:// or a port is given. *.example.com means
every name below example.com, and not example.com itself.")]
    Grant(Rule),
    /// Hide the secrets with a tag, or a host, from an analysis, whatever other policies allow
    #[command(after_help = "\
Examples:
  runner policy deny invoices --tag env=prod
  runner policy deny invoices --host '*.example.com'

A deny beats every allow. It hides secrets, never variables. A host is denied over HTTPS and HTTP
and on every port, unless http://, https:// or a port is given.")]
    Deny(Rule),
    /// Make a policy from flags, or from a JSON file
    #[command(after_help = "\
Examples:
  runner policy create billing --analysis-tag team=billing --allow-tag team=billing
  runner policy create no-prod --every-analysis --deny-tag env=prod
  runner policy create mail --analysis-tag mail=yes --allow-host smtp-api.example.com
  runner policy create --file policy.json

A file holds {\"name\", \"targets\", \"permissions\"}, as in
  {\"name\": \"billing\",
   \"targets\": [[\"analysis\", \"tag.key\", \"team\", \"tag.value\", \"billing\"]],
   \"permissions\": [{\"effect\": \"allow\", \"action\": [\"access\"],
                    \"resource\": [\"secrets\", \"tag_match\", \"team\"]}]}")]
    Create(Create),
    /// List policies
    List(List),
    /// Show a policy with its targets and permissions
    Show(Name),
    /// Change a policy
    #[command(after_help = "\
Examples:
  runner policy edit billing --active false
  runner policy edit billing --file policy.json     replaces the parts that the file has")]
    Edit(Edit),
    /// Delete a policy
    Delete(Name),
}

/// One analysis, some tags or hosts.
#[derive(Debug, clap::Args)]
pub struct Rule {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// Tag of the secrets; with several, a secret needs only one of them
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag,
        required_unless_present = "hosts")]
    tags: Vec<Tag>,
    /// The tags are about signing with the secrets, and not about having them
    #[arg(long, requires = "tags")]
    sign: bool,
    /// Host, such as api.example.com or *.example.com; may be given several times
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<HostPattern>,
    /// Name of the policy; made from the rest if left out
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// A new policy.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name of the policy
    #[arg(value_name = "NAME", required_unless_present = "file")]
    name: Option<String>,
    /// Read the policy's JSON from a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["targets", "rules"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    rules: Rules,
}

/// Which policies to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only policies with this tag; may be given several times
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag)]
    tags: Vec<Tag>,
}

/// One policy.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Name or id of the policy
    #[arg(value_name = "POLICY")]
    policy: String,
}

/// What to change.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Name or id of the policy
    #[arg(value_name = "POLICY")]
    policy: String,
    /// New name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Whether it counts
    #[arg(long, value_name = "true|false")]
    active: Option<bool>,
    #[command(flatten)]
    tags: TagEdits,
    /// Take the parts to replace from a JSON file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "active", "set", "unset"])]
    file: Option<PathBuf>,
}

#[derive(Serialize, Default)]
struct Sent {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<Selector>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    permissions: Vec<Permission>,
}

#[derive(Deserialize)]
struct Policy {
    id: String,
    name: String,
    active: Option<bool>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    targets: Vec<Selector>,
    #[serde(default)]
    permissions: Vec<Permission>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl PolicyCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Grant(args) => rule("allow", args, session).await,
            Self::Deny(args) => rule("deny", args, session).await,
            Self::Create(args) => create(args, session).await,
            Self::List(args) => list(args, session).await,
            Self::Show(args) => show(args, session).await,
            Self::Edit(args) => edit(args, session).await,
            Self::Delete(args) => {
                let id = POLICY.resolve(&session.client, &args.policy).await?;
                let answer = session.client.delete(&POLICY.at(id)).await?;
                session.output.done(&answer, format_args!("policy {} deleted", args.policy))
            }
        }
    }
}

async fn rule(effect: &str, args: Rule, session: &mut Session) -> Result<(), Failure> {
    let analysis = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let name = args.name.unwrap_or_else(|| {
        let hosts = args.hosts.iter().map(ToString::to_string);
        let what = Some(tags(&args.tags)).filter(|tags| !tags.is_empty()).into_iter().chain(hosts);
        let what = what.collect::<Vec<_>>().join(" ");
        let sign = if args.sign { " to sign with" } else { "" };
        format!("{effect} {}{sign} {what}", args.analysis).chars().take(MAX_NAME).collect()
    });
    let action = if args.sign { "sign" } else { "access" };
    let by_tags = args.tags.iter().map(|tag| Permission {
        effect: effect.to_owned(),
        action: vec![action.to_owned()],
        resource: by_tag("secrets", tag),
    });
    let by_hosts = args.hosts.iter().map(|host| access(effect, by_host(host)));
    let body = Sent {
        name: Some(name.clone()),
        targets: vec![by_id("analysis", analysis)],
        permissions: by_tags.chain(by_hosts).collect(),
        ..Sent::default()
    };
    post(&name, &body, session).await
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    if let Some(path) = &args.file {
        let mut policy = read(path)?;
        if let Some(name) = &args.name {
            let name = serde_json::value::to_raw_value(name).map_err(Failure::usage)?;
            policy.insert("name".to_owned(), name);
        }
        let name = policy.get("name").and_then(|name| serde_json::from_str(name.get()).ok());
        let name: String = name.ok_or_else(|| {
            Failure::usage(format_args!("{} has no \"name\"", path.display()))
                .hint("runner policy create NAME --file FILE")
        })?;
        return post(&name, &policy, session).await;
    }
    let name = args.name.unwrap_or_default();
    let targets = args.targets.selectors(&session.client).await?;
    let permissions = args.rules.permissions(&session.client).await?;
    if targets.is_empty() || permissions.is_empty() {
        return Err(Failure::usage(
            "a policy needs analyses it is about, and what they may access",
        )
        .hint("runner policy create NAME --analysis ANALYSIS --allow-tag K=V"));
    }
    let body = Sent { name: Some(name.clone()), targets, permissions, ..Sent::default() };
    post(&name, &body, session).await
}

async fn post(name: &str, body: &impl Serialize, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Created {
        am_id: String,
    }
    let answer = session.client.post(POLICY.path(), body).await?;
    session.output.answer(&answer, |output, created: Created| {
        output.line(format_args!("policy {name:?} created (id {})", created.am_id))
    })
}

/// The parts of a policy in a file; what they mean is the API's to judge.
fn read(path: &Path) -> Result<std::collections::BTreeMap<String, Box<RawValue>>, Failure> {
    serde_json::from_str(&input::read_file(path)?).map_err(|error| {
        Failure::usage(format_args!("{} is not a JSON object: {error}", path.display()))
            .hint("runner policy create --help")
    })
}

async fn list(args: List, session: &mut Session) -> Result<(), Failure> {
    let query = Query::fields(&["id", "name", "active", "tags", "updated_at"]);
    let answer = session.client.list(POLICY.path(), &query.tags(&args.tags), None).await?;
    session.output.answer(&answer, |output, policies: Vec<Policy>| {
        let row = |policy: Policy| {
            vec![
                policy.name,
                policy.id,
                policy.active.map(yes_no).unwrap_or_default(),
                tags(&policy.tags),
                policy.updated_at.map(|date| moment(&date)).unwrap_or_default(),
            ]
        };
        let header = ["NAME", "ID", "ACTIVE", "TAGS", "UPDATED"];
        output.table(&header, policies.into_iter().map(row).collect())
    })
}

async fn show(args: Name, session: &mut Session) -> Result<(), Failure> {
    let id = POLICY.resolve(&session.client, &args.policy).await?;
    let answer = session.client.get(&POLICY.at(id)).await?;
    session.output.answer(&answer, |output, policy: Policy| {
        let mut fields = vec![
            ("name", Some(policy.name)),
            ("id", Some(policy.id)),
            ("active", policy.active.map(yes_no)),
            ("tags", Some(tags(&policy.tags)).filter(|tags| !tags.is_empty())),
            ("created", policy.created_at.map(|date| moment(&date))),
            ("updated", policy.updated_at.map(|date| moment(&date))),
        ];
        fields.extend(policy.targets.iter().map(|target| ("target", Some(words(target)))));
        for (number, rule) in policy.permissions.iter().enumerate() {
            let actions = rule.action.join(", ");
            let text = format!("#{number} {} {actions} {}", rule.effect, words(&rule.resource));
            fields.push(("permission", Some(text)));
        }
        output.fields(fields)
    })
}

/// A selector as people say it: `secrets with tag env=prod`.
fn words(selector: &[String]) -> String {
    let words: Vec<&str> = selector.iter().map(String::as_str).collect();
    match words[..] {
        [kind] => format!("{kind}, all"),
        [kind, "id", id] => format!("{kind} with id {id}"),
        [kind, "tag.key", key, "tag.value", value] => format!("{kind} with tag {key}={value}"),
        [kind, "host", host] => format!("{kind} to {host}"),
        [kind, "tag_match", key] => format!("{kind} by tag_match {key}"),
        _ => words.join(" "),
    }
}

async fn edit(args: Edit, session: &mut Session) -> Result<(), Failure> {
    let id = POLICY.resolve(&session.client, &args.policy).await?;
    let answer = if let Some(path) = &args.file {
        session.client.put(&POLICY.at(id), &read(path)?).await?
    } else if args.name.is_none() && args.active.is_none() && args.tags.is_empty() {
        return Err(Failure::usage("nothing to change").hint("runner policy edit --help"));
    } else {
        let mut tags = None;
        if !args.tags.is_empty() {
            let policy: Policy = session.client.get(&POLICY.at(id)).await?.parse()?;
            tags = Some(args.tags.apply(policy.tags)?);
        }
        let body = Sent { name: args.name, active: args.active, tags, ..Sent::default() };
        session.client.put(&POLICY.at(id), &body).await?
    };
    session.output.done(&answer, format_args!("policy {} updated", args.policy))
}
