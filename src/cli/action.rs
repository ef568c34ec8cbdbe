//! `runner action`: what starts analyses by itself.
//!
//! Owns the short forms of triggers; everything else goes through `--file`, in the API's own JSON,
//! whose rules are the API's.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Session;
use super::analysis::yes_no;
use super::client::Query;
use super::failure::Failure;
use super::input::{self, TagEdits};
use super::output::{Output, moment, tags};
use super::resolve::ACTION;
use super::slots;
use super::trigger::{self, Refinements, TriggerFlags};
use crate::tag::Tag;

/// What can be done with actions.
#[derive(Debug, clap::Subcommand)]
pub enum ActionCommand {
    /// Make an action
    #[command(after_help = "\
Examples:
  runner action create nightly --analysis invoices --cron '0 2 * * *' --timezone Europe/London
  runner action create often --analysis invoices --every '5 minutes'
  runner action create rotated --analysis invoices --on secrets:update --on-tag env=prod
  runner action create push --analysis verify-webhook --webhook github --secret WEBHOOK_SECRET
  runner action create alarm --analysis alarm --topic 'plant/+/alarm'
  runner action create hot --analysis alert --file action.json

A file holds TagoIO's shape, as in
  {\"type\": \"condition\",
   \"trigger\": [{\"device\": \"<id>\", \"variable\": \"temperature\", \"is\": \">\", \"value\": \"30\",
               \"value_type\": \"number\"}]}

A cron whose minute or hour is * or */n fires by elapsed time. Every other one fires at each of its
civil times once, also when clocks change; the answer says what happens then.")]
    Create(Box<Create>),
    /// List actions
    List(List),
    /// Show an action, when it is due next and why it failed
    Show(Name),
    /// Change an action
    #[command(after_help = "\
Examples:
  runner action edit nightly --active false
  runner action edit nightly --cron '0 3 * * *' --timezone Europe/London
  runner action edit nightly --overlap queue --misfire all

A new trigger begins anew: nothing that was due before is made up for.")]
    Edit(Box<Edit>),
    /// Say what became of each instant that an action was due
    Slots(slots::Slots),
    /// Delete an action
    Delete(Name),
}

/// A new action.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name of the action
    #[arg(value_name = "NAME")]
    name: String,
    /// Name or id of an analysis to run; up to ten
    #[arg(long = "analysis", value_name = "ANALYSIS")]
    analyses: Vec<String>,
    #[command(flatten)]
    trigger: TriggerFlags,
    #[command(flatten)]
    refinements: Refinements,
    /// Tag of the action; may be given several times
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag)]
    tags: Vec<Tag>,
}

/// Which actions to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only actions with this tag; may be given several times
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag)]
    tags: Vec<Tag>,
}

/// One action.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Name or id of the action
    #[arg(value_name = "ACTION")]
    action: String,
}

/// What to change.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Name or id of the action
    #[arg(value_name = "ACTION")]
    action: String,
    /// New name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Whether it fires
    #[arg(long, value_name = "true|false")]
    active: Option<bool>,
    /// Analyses to run instead; up to ten
    #[arg(long = "analysis", value_name = "ANALYSIS")]
    analyses: Vec<String>,
    #[command(flatten)]
    trigger: TriggerFlags,
    #[command(flatten)]
    refinements: Refinements,
    #[command(flatten)]
    tags: TagEdits,
}

#[derive(Deserialize)]
struct Action {
    id: String,
    name: String,
    active: Option<bool>,
    #[serde(default)]
    tags: Vec<Tag>,
    r#type: Option<String>,
    trigger: Option<Vec<Box<RawValue>>>,
    action: Option<Started>,
    overlap: Option<String>,
    misfire: Option<String>,
    concurrency: Option<u32>,
    hook: Option<String>,
    lock: Option<bool>,
    last_triggered: Option<String>,
    fault: Option<Fault>,
    next: Option<Vec<String>>,
    changes: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Started {
    script: Vec<String>,
}

#[derive(Deserialize)]
struct Fault {
    code: String,
    message: String,
    at: String,
}

impl ActionCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(*args, session).await,
            Self::List(args) => list(args, session).await,
            Self::Show(args) => show(&args.action, session).await,
            Self::Edit(args) => edit(*args, session).await,
            Self::Slots(args) => slots::slots(args, session).await,
            Self::Delete(args) => {
                let id = ACTION.resolve(&session.client, &args.action).await?;
                let answer = session.client.delete(&ACTION.at(id)).await?;
                session.output.done(&answer, format_args!("action {} deleted", args.action))
            }
        }
    }
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Made {
        action: String,
        hook: Option<String>,
        next: Option<Vec<String>>,
        changes: Option<Vec<String>>,
    }
    let mut body = trigger::body(args.trigger, args.refinements, &args.analyses, session).await?;
    body.insert("name".into(), json!(args.name));
    if !args.tags.is_empty() {
        body.insert("tags".into(), json!(input::tags(&args.tags)?));
    }
    if !body.contains_key("trigger") {
        return Err(Failure::usage("an action needs something that starts it")
            .hint("runner action create --help"));
    }
    if !body.contains_key("action") {
        return Err(Failure::usage("an action needs an --analysis to run")
            .hint("runner action create --help"));
    }
    let answer = session.client.post(ACTION.path(), &body).await?;
    session.output.answer(&answer, |output, made: Made| {
        output.line(format_args!("action {} created (id {})", args.name, made.action))?;
        if let Some(hook) = made.hook {
            output.note(format_args!("started by POST {hook}"));
        }
        ahead(output, made.next, made.changes);
        Ok(())
    })
}

/// Says when it is due and what happens when clocks change.
fn ahead(output: &mut Output, next: Option<Vec<String>>, changes: Option<Vec<String>>) {
    if let Some(next) = next {
        output.note(format_args!("next: {}", next.join(", ")));
    }
    changes.into_iter().flatten().for_each(|change| output.note(change));
}

async fn list(args: List, session: &mut Session) -> Result<(), Failure> {
    let query = Query::fields(&["id", "name", "active", "type", "tags", "last_triggered", "fault"]);
    let answer = session.client.list(ACTION.path(), &query.tags(&args.tags), None).await?;
    session.output.answer(&answer, |output, actions: Vec<Action>| {
        let row = |action: Action| {
            vec![
                action.name,
                action.id,
                action.r#type.unwrap_or_default(),
                action.active.map(yes_no).unwrap_or_default(),
                tags(&action.tags),
                action.last_triggered.map(|date| moment(&date)).unwrap_or_default(),
                action.fault.map(|fault| fault.code).unwrap_or_default(),
            ]
        };
        let header = ["NAME", "ID", "TYPE", "ACTIVE", "TAGS", "LAST", "FAULT"];
        output.table(&header, actions.into_iter().map(row).collect())
    })
}

async fn show(action: &str, session: &mut Session) -> Result<(), Failure> {
    let id = ACTION.resolve(&session.client, action).await?;
    let answer = session.client.get(&ACTION.at(id)).await?;
    session.output.answer(&answer, |output, action: Action| {
        let fault = action.fault;
        let mut fields = vec![
            ("name", Some(action.name)),
            ("id", Some(action.id)),
            ("active", action.active.map(yes_no)),
            ("type", action.r#type),
            ("hook", action.hook),
            ("analyses", action.action.map(|started| started.script.join(", "))),
            ("overlap", action.overlap),
            ("misfire", action.misfire),
            ("concurrency", action.concurrency.map(|most| most.to_string())),
            ("locked", action.lock.map(yes_no)),
            ("tags", Some(tags(&action.tags)).filter(|tags| !tags.is_empty())),
            ("last", action.last_triggered.map(|date| moment(&date))),
            ("fault", fault.map(|f| format!("{}: {} ({})", f.code, f.message, moment(&f.at)))),
        ];
        let entries = action.trigger.into_iter().flatten();
        fields.extend(entries.map(|entry| ("trigger", Some(entry.get().to_owned()))));
        fields.extend(action.next.into_iter().flatten().map(|next| ("next", Some(moment(&next)))));
        let changes = action.changes.into_iter().flatten();
        fields.extend(changes.map(|change| ("clock change", Some(change))));
        output.fields(fields)
    })
}

async fn edit(args: Edit, session: &mut Session) -> Result<(), Failure> {
    let id = ACTION.resolve(&session.client, &args.action).await?;
    let mut body = trigger::body(args.trigger, args.refinements, &args.analyses, session).await?;
    body.extend(args.name.map(|name| ("name".to_owned(), json!(name))));
    body.extend(args.active.map(|active| ("active".to_owned(), json!(active))));
    if !args.tags.is_empty() {
        let action: Action = session.client.get(&ACTION.at(id)).await?.parse()?;
        body.insert("tags".into(), json!(args.tags.apply(action.tags)?));
    }
    if body.is_empty() {
        return Err(Failure::usage("nothing to change").hint("runner action edit --help"));
    }
    let answer = session.client.put(&ACTION.at(id), &body).await?;
    session.output.done(&answer, format_args!("action {} updated", args.action))?;
    if !session.output.is_json() {
        let action: Action = session.client.get(&ACTION.at(id)).await?.parse()?;
        ahead(&mut session.output, action.next, action.changes);
    }
    Ok(())
}
