//! The flags that say what starts an action, and how.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::Session;
use super::failure::Failure;
use super::input;
use super::resolve::{ANALYSIS, SECRET};
use crate::tag::Tag;

/// What starts it.
#[derive(Debug, clap::Args)]
#[group(id = "trigger", multiple = false)]
pub struct TriggerFlags {
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
pub struct Refinements {
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

/// The fields of the API that the flags stand for.
pub async fn body(
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
