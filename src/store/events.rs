//! Changes of resources that actions listen to.
//!
//! A change is written down in its own transaction, together with its audit entry, and handled
//! soon after: actions that listen to it fire in the transaction that takes it off the list. So
//! each change is handled once, even when the process ends in between.

use super::actions::{self, StoredAction};
use super::firing::{Fired, Firing, fire};
use super::row::damaged;
use super::statement::query;
use super::{Connection, Error, Host, tags};
use crate::action::{Resource, When};
use crate::audit::{Entry, Event};
use crate::cause::Chain;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::tag::Tags;

/// The most changes that are handled in one transaction.
const BATCH: i64 = 100;

/// A change of a resource.
pub struct Change {
    /// Whose it is.
    pub profile: Id,
    /// The kind of resource.
    pub resource: Resource,
    /// What happened to it.
    pub when: When,
    /// The resource.
    pub id: Id,
    /// Its tags; of a deleted one, its last.
    pub tags: Tags,
    /// When.
    pub at: Timestamp,
    /// Who did it, in the form the audit uses.
    pub principal: String,
    /// If a run did it: the runs that led here.
    pub chain: Chain,
}

/// Which change an audit entry tells of.
const fn change(event: Event) -> Option<(Resource, When)> {
    Some(match event {
        Event::SecretsCreate => (Resource::Secrets, When::Create),
        Event::SecretsEdit => (Resource::Secrets, When::Update),
        Event::SecretsDelete => (Resource::Secrets, When::Delete),
        Event::PolicyCreate => (Resource::Policy, When::Create),
        Event::PolicyEdit => (Resource::Policy, When::Update),
        Event::PolicyDelete => (Resource::Policy, When::Delete),
        Event::AnalysisCreate => (Resource::Analysis, When::Create),
        Event::AnalysisEdit | Event::AnalysisUpload | Event::AnalysisActivate => {
            (Resource::Analysis, When::Update)
        }
        Event::AnalysisDelete => (Resource::Analysis, When::Delete),
        Event::DeviceCreate => (Resource::Device, When::Create),
        Event::DeviceEdit => (Resource::Device, When::Update),
        Event::DeviceDelete => (Resource::Device, When::Delete),
        Event::ActionCreate => (Resource::Action, When::Create),
        Event::ActionEdit => (Resource::Action, When::Update),
        Event::ActionDelete => (Resource::Action, When::Delete),
        _ => return None,
    })
}

/// Writes the change down, where somebody in the profile listens to changes of that kind. Tags
/// are those that the resource has now: of a deletion, it must be told before they are removed.
pub(super) async fn note(
    connection: &mut Connection,
    profile: &str,
    entry: &Entry,
) -> Result<(), Error> {
    let Some((resource, when)) = change(entry.event) else { return Ok(()) };
    let forms = format!("{resource}:{when}:");
    let heard = query(
        "SELECT 1 AS heard FROM action_trigger WHERE profile_id = $1 AND kind = 'resource' \
         AND form IN ($2, $3) LIMIT 1",
    )
    .bind(profile)
    .bind(format!("{forms}any"))
    .bind(format!("{forms}tag"))
    .fetch_optional(&mut *connection)
    .await?;
    if heard.is_none() {
        return Ok(());
    }
    let Chain { depth, root } = chain(connection, &entry.principal).await?;
    let mut tags = tags::of(connection, &[entry.resource]).await?;
    let tags = tags.remove(&entry.resource).unwrap_or_default();
    query(
        "INSERT INTO event (profile_id, at, resource, happened, resource_id, tags, principal, \
         depth, root_run) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(profile)
    .bind(entry.at.as_millis())
    .bind(resource.as_str())
    .bind(when.as_str())
    .bind(entry.resource.to_string())
    // Strings cannot fail to be written as JSON.
    .bind(serde_json::to_string(&tags).unwrap_or_default())
    .bind(&entry.principal)
    .bind(i64::from(depth))
    .bind(root.map(|root| root.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

/// What a change by this principal adds to: the chain of the run that made it. An analysis that
/// acts with its own token is taken to be its latest run that is not over.
async fn chain(connection: &mut Connection, principal: &str) -> Result<Chain, Error> {
    let Some((who, id)) = principal.rsplit_once(':') else { return Ok(Chain::default()) };
    let select = match who {
        "analysis" => {
            "SELECT id, depth, root_run FROM run WHERE analysis_id = $1 \
             AND state IN ('queued', 'running') ORDER BY id DESC LIMIT 1"
        }
        // Whoever acts inside a run names it last.
        _ if who.ends_with("run") => "SELECT id, depth, root_run FROM run WHERE id = $1",
        _ => return Ok(Chain::default()),
    };
    let Some(run) = query(select).bind(id).fetch_optional(connection).await? else {
        return Ok(Chain::default());
    };
    let root = run.optional_word("root_run")?.map_or_else(|| run.id("id"), Ok)?;
    Ok(Chain { depth: run.number::<u32>("depth")? + 1, root: Some(root) })
}

impl Host {
    /// Handles changes that wait, the oldest first. `decide` says what an action that listens to
    /// a change shall do, if anything; it is asked inside the transaction and must not block.
    /// Answers what became of the starts, and how many changes were handled.
    pub async fn handle_changes<F>(&self, mut decide: F) -> Result<(Vec<Fired>, usize), Error>
    where
        F: FnMut(&Change, &StoredAction, Timestamp) -> Option<Firing> + Send + 'static,
    {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?;
                let changes = waiting(connection).await?;
                let mut fired = Vec::new();
                for (_, change) in &changes {
                    let listening = listening(connection, change).await?;
                    let decided = listening.iter().filter_map(|a| decide(change, a, now));
                    let firings = decided.collect();
                    fired.extend(fire(connection, firings, now).await?);
                }
                for (sequence, _) in &changes {
                    handled(connection, *sequence).await?;
                }
                Ok((fired, changes.len()))
            })
        });
        write.await
    }

    /// Whether changes wait to be handled.
    pub async fn changes_wait(&self) -> Result<bool, Error> {
        let first = query("SELECT sequence FROM event LIMIT 1");
        Ok(first.fetch_optional(&self.store.readers).await?.is_some())
    }
}

/// The oldest changes. Damaged ones are taken off the list: they must not hold up the others.
async fn waiting(connection: &mut Connection) -> Result<Vec<(i64, Change)>, Error> {
    let select = match connection.is_shared() {
        true => "SELECT * FROM event ORDER BY sequence LIMIT $1 FOR UPDATE SKIP LOCKED",
        false => "SELECT * FROM event ORDER BY sequence LIMIT $1",
    };
    let rows = query(select).bind(BATCH).fetch_all(&mut *connection).await?;
    let change = |row: &super::connection::Row| {
        let chain = Chain { depth: row.number("depth")?, root: row.optional_word("root_run")? };
        let change = Change {
            chain,
            profile: row.id("profile_id")?,
            resource: row.word("resource")?,
            when: row.word("happened")?,
            id: row.id("resource_id")?,
            tags: Tags::new(row.json("tags")?).map_err(|error| damaged("tags", &error))?,
            at: row.time("at")?,
            principal: row.text("principal")?,
        };
        Ok(change)
    };
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        let sequence = row.integer("sequence")?;
        match change(row) {
            Ok(change) => changes.push((sequence, change)),
            Err(error @ Error::Damaged(_)) => {
                tracing::error!(sequence, %error, "a change cannot be read, so nothing hears of it");
                handled(connection, sequence).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(changes)
}

async fn handled(connection: &mut Connection, sequence: i64) -> Result<(), Error> {
    query("DELETE FROM event WHERE sequence = $1").bind(sequence).execute(connection).await?;
    Ok(())
}

async fn listening(
    connection: &mut Connection,
    change: &Change,
) -> Result<Vec<StoredAction>, Error> {
    let form = format!("{}:{}:", change.resource, change.when);
    let mut forms = vec![(format!("{form}any"), String::new(), String::new())];
    let tags = change.tags.as_slice().iter();
    forms.extend(tags.map(|tag| (format!("{form}tag"), tag.key.clone(), tag.value.clone())));
    actions::listening(connection, &change.profile.to_string(), "resource", &forms).await
}
