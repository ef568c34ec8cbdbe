//! `runner action slots`: what became of each instant that an action was due.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Session;
use super::client::Query;
use super::failure::Failure;
use super::output::moment;
use super::resolve::{ACTION, ANALYSIS};

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

/// Does it.
pub async fn slots(args: Slots, session: &mut Session) -> Result<(), Failure> {
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
    #[derive(Deserialize)]
    struct Named {
        id: String,
        name: String,
    }
    let query = Query::fields(&["id", "name"]);
    let named: Vec<Named> = session.client.list(ANALYSIS.path(), &query, None).await?.parse()?;
    Ok(named.into_iter().map(|named| (named.id, named.name)).collect())
}
