//! `runner analysis`: the programs, their settings and their tokens.
//!
//! Modules are `module`'s and variables are `variable`'s; both hang below this noun.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Session;
use super::client::Query;
use super::failure::Failure;
use super::input::{self, TagEdits};
use super::module::{self, Uploaded};
use super::output::{moment, tags};
use super::resolve::ANALYSIS;
use super::variable::VariableCommand;
use crate::tag::{Tag, Tags};

/// What can be done with analyses.
#[derive(Debug, clap::Subcommand)]
pub enum AnalysisCommand {
    /// Make an analysis, perhaps with its first module; prints its token this once
    #[command(after_help = "\
Examples:
  runner analysis create invoices --tag team=billing --module invoices.wasm
  runner analysis create slow --limit wall_time_ms=300000 --limit memory_bytes=536870912")]
    Create(Create),
    /// List analyses
    List(List),
    /// Show an analysis
    Show(Name),
    /// Change an analysis
    #[command(after_help = "\
Examples:
  runner analysis edit invoices --tag env=prod --limit wall_time_ms=5000
  runner analysis edit invoices --active false
  runner analysis edit invoices --run-on external --external true")]
    Edit(Edit),
    /// Delete an analysis, with its modules and variables
    Delete(Name),
    /// Upload a module or a script; it is compiled, and is what runs from then on
    Upload(module::Upload),
    /// Write an uploaded module or script to a file or to stdout
    Download(module::Download),
    /// List the uploaded modules
    Versions(Name),
    /// Make an earlier module the one that runs
    Activate(module::Activate),
    /// Let a module have what policies grant to the analysis
    Approve(module::Approve),
    /// Make a new token for the analysis and print it; the old one ends
    Token(Name),
    /// Set plain environment variables; they beat secrets of the same key
    #[command(subcommand)]
    Variable(VariableCommand),
}

/// A new analysis.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name, for people
    #[arg(value_name = "NAME")]
    name: String,
    /// Tag that policies select it by; may be given several times
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag)]
    tags: Vec<Tag>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Cap for its runs: wall_time_ms, memory_bytes, console_bytes, result_bytes, module_bytes,
    /// concurrency, queued_runs, scratch_bytes, outbound_requests, outbound_request_bytes,
    /// outbound_response_bytes or outbound_connections
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = input::limit)]
    limits: Vec<(String, u64)>,
    /// Where its runs are executed: tago, here; external, by a listener outside
    #[arg(long, value_name = "tago|external")]
    run_on: Option<Place>,
    /// Let its runs leave for listeners outside, with their secrets; for administrators
    #[arg(long, value_name = "true|false")]
    external: Option<bool>,
    /// Module or script to upload at once
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
}

/// Which analyses to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only analyses with this tag; may be given several times
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag)]
    tags: Vec<Tag>,
}

/// One analysis.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    pub analysis: String,
}

/// What to change.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// New name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// New description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether runs may start
    #[arg(long, value_name = "true|false")]
    active: Option<bool>,
    /// Where its runs are executed: tago, here; external, by a listener outside. A change ends the
    /// analysis's token
    #[arg(long, value_name = "tago|external")]
    run_on: Option<Place>,
    /// Let its runs leave for listeners outside, with their secrets; for administrators
    #[arg(long, value_name = "true|false")]
    external: Option<bool>,
    #[command(flatten)]
    tags: TagEdits,
    /// Cap for its runs, as in create; other caps stay
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = input::limit)]
    limits: Vec<(String, u64)>,
}

/// Where runs are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Place {
    Tago,
    External,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "snake_case")]
struct Sent {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_on: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Analysis {
    id: String,
    name: String,
    description: Option<String>,
    active: Option<bool>,
    run_on: Option<String>,
    external: Option<bool>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    limits: BTreeMap<String, u64>,
    #[serde(default)]
    variables: Vec<Key>,
    version: Option<u32>,
    token: Option<String>,
    last_run: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A variable without its value.
#[derive(Deserialize)]
struct Key {
    key: String,
}

impl AnalysisCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(args, session).await,
            Self::List(args) => list(args, session).await,
            Self::Show(args) => show(args, session).await,
            Self::Edit(args) => edit(args, session).await,
            Self::Delete(args) => {
                let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
                let answer = session.client.delete(&ANALYSIS.at(id)).await?;
                session.output.done(&answer, format_args!("analysis {} deleted", args.analysis))
            }
            Self::Upload(args) => module::upload(args, session).await,
            Self::Download(args) => module::download(args, session).await,
            Self::Versions(args) => module::versions(args, session).await,
            Self::Activate(args) => module::activate(args, session).await,
            Self::Approve(args) => module::approve(args, session).await,
            Self::Token(args) => token(args, session).await,
            Self::Variable(command) => command.execute(session).await,
        }
    }
}

/// What `create` prints; the token is never to be had again.
#[derive(Serialize, Deserialize)]
struct Created {
    id: crate::id::Id,
    token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<Uploaded>,
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    let module = match &args.module {
        Some(path) => Some((path, module::File::read(path).await?)),
        None => None,
    };
    let body = Sent {
        name: Some(args.name),
        description: args.description,
        active: None,
        run_on: args.run_on,
        external: args.external,
        tags: (!args.tags.is_empty()).then(|| input::tags(&args.tags)).transpose()?,
        limits: args.limits.into_iter().collect(),
    };
    let mut created: Created = session.client.post(ANALYSIS.path(), &body).await?.parse()?;
    let mut failed = None;
    if let Some((path, file)) = module {
        match file.send(&session.client, created.id).await {
            Ok(answer) => created.module = Some(answer.parse()?),
            // The analysis stands, and its token is shown only now.
            Err(failure) => {
                let again = format!("runner analysis upload {} {}", created.id, path.display());
                failed = Some(failure.hint(again));
            }
        }
    }
    if session.output.is_json() {
        session.output.json(&created)?;
    } else {
        session.output.fields(vec![
            ("id", Some(created.id.to_string())),
            ("token", Some(created.token)),
            ("module", created.module.map(|module| module.to_string())),
        ])?;
    }
    failed.map_or(Ok(()), Err)
}

async fn list(args: List, session: &mut Session) -> Result<(), Failure> {
    let query = Query::fields(&["id", "name", "active", "tags", "version", "last_run"]);
    let answer = session.client.list(ANALYSIS.path(), &query.tags(&args.tags), None).await?;
    session.output.answer(&answer, |output, analyses: Vec<Analysis>| {
        let row = |analysis: Analysis| {
            vec![
                analysis.name,
                analysis.id,
                analysis.active.map(yes_no).unwrap_or_default(),
                analysis.version.map(|version| version.to_string()).unwrap_or_default(),
                tags(&analysis.tags),
                analysis.last_run.map(|date| moment(&date)).unwrap_or_default(),
            ]
        };
        let header = ["NAME", "ID", "ACTIVE", "VERSION", "TAGS", "LAST RUN"];
        output.table(&header, analyses.into_iter().map(row).collect())
    })
}

async fn show(args: Name, session: &mut Session) -> Result<(), Failure> {
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let answer = session.client.get(&ANALYSIS.at(id)).await?;
    session.output.answer(&answer, |output, analysis: Analysis| {
        let some = |text: String| (!text.is_empty()).then_some(text);
        let keys: Vec<_> = analysis.variables.into_iter().map(|variable| variable.key).collect();
        let limits: Vec<_> =
            analysis.limits.iter().map(|(name, cap)| format!("{name}={cap}")).collect();
        output.fields(vec![
            ("name", Some(analysis.name)),
            ("id", Some(analysis.id)),
            ("description", analysis.description),
            ("active", analysis.active.map(yes_no)),
            ("runs on", analysis.run_on),
            ("external mode", analysis.external.map(yes_no)),
            ("tags", some(tags(&analysis.tags))),
            ("variables", some(keys.join(", "))),
            ("limits", some(limits.join(", "))),
            ("version", analysis.version.map(|version| version.to_string())),
            ("token", analysis.token),
            ("last run", analysis.last_run.map(|date| moment(&date))),
            ("created", analysis.created_at.map(|date| moment(&date))),
            ("updated", analysis.updated_at.map(|date| moment(&date))),
        ])
    })
}

async fn edit(args: Edit, session: &mut Session) -> Result<(), Failure> {
    let named = args.name.is_some() || args.description.is_some();
    let placed = args.run_on.is_some() || args.external.is_some();
    let settings = named || placed || args.active.is_some();
    if !settings && args.tags.is_empty() && args.limits.is_empty() {
        return Err(Failure::usage("nothing to change").hint("runner analysis edit --help"));
    }
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let mut tags = None;
    let mut moves = false;
    if !args.tags.is_empty() || args.run_on.is_some() {
        let analysis: Analysis = session.client.get(&ANALYSIS.at(id)).await?.parse()?;
        let word = |place| if place == Place::External { "external" } else { "tago" };
        moves = args.run_on.is_some_and(|place| analysis.run_on.as_deref() != Some(word(place)));
        if !args.tags.is_empty() {
            tags = Some(args.tags.apply(analysis.tags)?);
        }
    }
    let body = Sent {
        name: args.name,
        description: args.description,
        active: args.active,
        run_on: args.run_on,
        external: args.external,
        tags,
        limits: args.limits.into_iter().collect(),
    };
    let answer = session.client.put(&ANALYSIS.at(id), &body).await?;
    session.output.done(&answer, format_args!("analysis {} updated", args.analysis))?;
    if moves {
        let again = format!("runner analysis token {}", args.analysis);
        session.output.note(format_args!("its token has ended; make a new one with: {again}"));
    }
    Ok(())
}

async fn token(args: Name, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Rotated {
        analysis_token: String,
    }
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let answer = session.client.get(&format!("{}/token", ANALYSIS.at(id))).await?;
    session.output.answer(&answer, |output, rotated: Rotated| {
        output.line(rotated.analysis_token)?;
        output.note("this is shown once; the token before it has ended");
        Ok(())
    })
}

/// `yes` or `no`.
pub fn yes_no(answer: bool) -> String {
    if answer { "yes" } else { "no" }.to_owned()
}
