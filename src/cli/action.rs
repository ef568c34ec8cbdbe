//! `runner action`: what starts analyses by itself.
//!
//! Owns the short forms of triggers; everything else goes through `--file`, in the API's own JSON,
//! whose rules are the API's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Session;
use super::analysis::yes_no;
use super::client::Query;
use super::failure::Failure;
use super::input::{self, TagEdits};
use super::output::{Output, moment, tags};
use super::resolve::{ACTION, ANALYSIS, SECRET};
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
    Slots(Slots),
    /// Delete an action
    Delete(Name),
}

/// What starts it.
#[derive(Debug, clap::Args)]
#[group(id = "trigger", multiple = false)]
struct TriggerFlags {
    /// Fire by a cron of five fields; needs --timezone
    #[arg(long, value_name = "CRON", requires = "timezone")]
    cron: Option<String>,
    /// Fire at a distance, such as '5 minutes'
    #[arg(long, value_name = "INTERVAL")]
    every: Option<String>,
    /// Fire when a resource changes: secrets, analysis, am, action or device, then create, update or
    /// delete
    #[arg(long, value_name = "RESOURCE:EVENT")]
    on: Option<String>,
    /// Fire for each message of an MQTT topic; + and # are wildcards
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Fire for requests to the action's own address, signed as github or timestamped, or unsigned
    #[arg(long, value_name = "FORM")]
    webhook: Option<String>,
    /// Take the trigger, and what else it has, from a JSON file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What refines a trigger, and the rules of starting.
#[derive(Debug, clap::Args)]
struct Refinements {
    /// Time zone of the cron, such as Europe/London
    #[arg(long, value_name = "ZONE", requires = "cron")]
    timezone: Option<String>,
    /// Only resources with this tag
    #[arg(long, value_name = "K=V", value_parser = input::tag, requires = "on")]
    on_tag: Option<Tag>,
    /// Key or id of the secret that requests are signed with
    #[arg(long, value_name = "SECRET", requires = "webhook")]
    secret: Option<String>,
    /// Late instants: skip, once or all [default: once]
    #[arg(long, value_name = "RULE")]
    misfire: Option<String>,
    /// While an earlier run goes on: skip, queue, cancel_previous or allow [default: skip; allow for
    /// events]
    #[arg(long, value_name = "RULE")]
    overlap: Option<String>,
    /// Spread starts over so many seconds
    #[arg(long, value_name = "SECONDS")]
    spread: Option<u32>,
    /// Runs of it at once, for each analysis
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
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

/// Which slots to list.
#[derive(Debug, clap::Args)]
pub struct Slots {
    /// Name or id of the action
    #[arg(value_name = "ACTION")]
    action: String,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
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

#[derive(Deserialize)]
struct Slot {
    analysis: String,
    instant: String,
    last: String,
    instants: u64,
    outcome: String,
    run: Option<String>,
    reason: Option<String>,
}

impl ActionCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(*args, session).await,
            Self::List(args) => list(args, session).await,
            Self::Show(args) => show(&args.action, session).await,
            Self::Edit(args) => edit(*args, session).await,
            Self::Slots(args) => slots(args, session).await,
            Self::Delete(args) => {
                let id = ACTION.resolve(&session.client, &args.action).await?;
                let answer = session.client.delete(&ACTION.at(id)).await?;
                session.output.done(&answer, format_args!("action {} deleted", args.action))
            }
        }
    }
}

/// The fields of the API that the flags stand for.
async fn body(
    trigger: TriggerFlags,
    refinements: Refinements,
    analyses: &[String],
    session: &Session,
) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    let entry = if let Some(cron) = trigger.cron {
        Some(("schedule", json!({"cron": cron, "timezone": refinements.timezone})))
    } else if let Some(every) = trigger.every {
        Some(("interval", json!({"interval": every})))
    } else if let Some(on) = trigger.on {
        let (resource, when) = on.split_once(':').ok_or_else(|| {
            Failure::usage(format_args!("{on:?} is not RESOURCE:EVENT, as in secrets:update"))
        })?;
        let mut entry = json!({"resource": resource, "when": when});
        if let Some(tag) = refinements.on_tag {
            entry["tag_key"] = json!(tag.key);
            entry["tag_value"] = json!(tag.value);
        }
        Some(("resource", entry))
    } else if let Some(topic) = trigger.topic {
        Some(("mqtt_topic", json!({"topic": topic})))
    } else if let Some(form) = trigger.webhook {
        let entry = match (form.as_str(), &refinements.secret) {
            ("unsigned", None) => json!({"unsigned": true}),
            ("unsigned", Some(_)) => {
                return Err(Failure::usage("an unsigned webhook has no --secret"));
            }
            (_, Some(secret)) => {
                let secret = SECRET.resolve(&session.client, secret).await?;
                json!({"form": form, "secret": secret})
            }
            (_, None) => {
                return Err(Failure::usage(
                    "a signed webhook needs the --secret it is signed with",
                )
                .hint("runner action create --help"));
            }
        };
        Some(("webhook", entry))
    } else {
        if let Some(path) = trigger.file {
            let text = input::read_file(&path)?;
            body = serde_json::from_str(&text).map_err(|error| {
                Failure::usage(format_args!("{} is not a JSON object: {error}", path.display()))
                    .hint("runner action create --help")
            })?;
        }
        None
    };
    if let Some((kind, entry)) = entry {
        body.insert("type".into(), kind.into());
        body.insert("trigger".into(), json!([entry]));
    }
    if !analyses.is_empty() {
        let mut ids = Vec::new();
        for analysis in analyses {
            ids.push(ANALYSIS.resolve(&session.client, analysis).await?);
        }
        body.insert("action".into(), json!({"type": "script", "script": ids}));
    }
    let rules = [
        ("misfire", refinements.misfire.map(Value::from)),
        ("overlap", refinements.overlap.map(Value::from)),
        ("spread_seconds", refinements.spread.map(Value::from)),
        ("concurrency", refinements.concurrency.map(Value::from)),
    ];
    let given = rules.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    body.extend(given);
    Ok(body)
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Made {
        action: String,
        hook: Option<String>,
        next: Option<Vec<String>>,
        changes: Option<Vec<String>>,
    }
    let mut body = body(args.trigger, args.refinements, &args.analyses, session).await?;
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
    let mut body = body(args.trigger, args.refinements, &args.analyses, session).await?;
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

async fn slots(args: Slots, session: &mut Session) -> Result<(), Failure> {
    let id = ACTION.resolve(&session.client, &args.action).await?;
    let path = format!("{}/slots", ACTION.at(id));
    let answer = session.client.list(&path, &Query::default(), Some(args.limit)).await?;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    if !session.output.is_json() {
        names = names_of_analyses(session).await?;
    }
    session.output.answer(&answer, |output, slots: Vec<Slot>| {
        let row = |slot: Slot| {
            let instant = match slot.instants {
                1 => moment(&slot.instant),
                many => format!("{} to {} ({many})", moment(&slot.instant), moment(&slot.last)),
            };
            let analysis = names.get(&slot.analysis).cloned().unwrap_or(slot.analysis);
            let why = slot.run.or(slot.reason).unwrap_or_default();
            vec![instant, analysis, slot.outcome, why]
        };
        let header = ["INSTANT", "ANALYSIS", "OUTCOME", "RUN OR REASON"];
        output.table(&header, slots.into_iter().map(row).collect())
    })
}

async fn names_of_analyses(session: &Session) -> Result<BTreeMap<String, String>, Failure> {
    #[derive(Deserialize, Serialize)]
    struct Named {
        id: String,
        name: String,
    }
    let query = Query::fields(&["id", "name"]);
    let named: Vec<Named> = session.client.list(ANALYSIS.path(), &query, None).await?.parse()?;
    Ok(named.into_iter().map(|named| (named.id, named.name)).collect())
}
