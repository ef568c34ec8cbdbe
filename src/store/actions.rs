//! Actions, what they listen to, and the slots of those that a clock starts.

use super::action_rows::{COLUMNS, document, read, read_whole};
use super::connection::Row;
use super::firing::ActionFault;
use super::statement::{QueryBuilder, query};
use super::tags::{self, IDS_PER_STATEMENT};
use super::{Connection, Error, Filter, Host, Page, Tenant, audit};
use crate::action::{Action, ConditionEntry, Overlap, SlotOutcome, Source, Trigger};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::policy::ResourceType;

/// An action with what the runner keeps about it.
pub struct StoredAction {
    /// What it is.
    pub action: Action,
    /// Whose it is.
    pub profile: Id,
    /// Raised when its trigger changes.
    pub revision: u32,
    /// When a clock starts it next.
    pub next_at: Option<Timestamp>,
    /// When it last started a run.
    pub last_triggered: Option<Timestamp>,
    /// Why it could not start a run the last time.
    pub fault: Option<ActionFault>,
}

/// What became of one instant, or of consecutive missed ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotRecord {
    /// The analysis.
    pub analysis: Id,
    /// The instant; of missed ones, the first.
    pub instant: Timestamp,
    /// The last instant.
    pub last: Timestamp,
    /// How many there are.
    pub instants: u64,
    /// The action's revision.
    pub revision: u32,
    /// What became of it.
    pub outcome: SlotOutcome,
    /// The run.
    pub run: Option<Id>,
    /// Why it was skipped or failed to start.
    pub reason: Option<String>,
}

/// What an action listens to: kind, form, key and value, as they stand in the index.
struct Listening {
    kind: &'static str,
    form: String,
    key: String,
    value: String,
}

impl Tenant {
    /// Stores a new action, due at `next_at` if a clock starts it.
    pub async fn create_action(
        &self,
        action: Action,
        next_at: Option<Timestamp>,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                query(
                    "INSERT INTO action (id, profile_id, name, description, active, type, \
                     document, locked, revision, next_at, concurrency, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $11, $11)",
                )
                .bind(action.id.to_string())
                .bind(&*profile)
                .bind(&action.name)
                .bind(&action.description)
                .bind(action.active)
                .bind(action.trigger.kind().as_str())
                .bind(document(&action))
                .bind(action.lock)
                .bind(next_at.map(Timestamp::as_millis))
                .bind(concurrency(&action))
                .bind(action.created_at.as_millis())
                .execute(&mut *connection)
                .await?;
                index(connection, &profile, &action).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Replaces an action as a whole. A new trigger begins a new revision, due at `next_at`.
    /// [`Error::NotFound`] when it is gone or was edited since it was read: then it had been
    /// updated at `read_at`.
    pub async fn edit_action(
        &self,
        action: Action,
        read_at: Timestamp,
        next_at: Option<Option<Timestamp>>,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let mut update = QueryBuilder::new("UPDATE action SET name = ");
                update.push_bind(&action.name).push(", description = ");
                update.push_bind(&action.description).push(", active = ").push_bind(action.active);
                update.push(", type = ").push_bind(action.trigger.kind().as_str());
                update.push(", document = ").push_bind(document(&action));
                update.push(", locked = ").push_bind(action.lock).push(", concurrency = ");
                update.push_bind(concurrency(&action));
                if let Some(next_at) = next_at {
                    update.push(", revision = revision + 1, fault = NULL, next_at = ");
                    update.push_bind(next_at.map(Timestamp::as_millis));
                }
                update.push(", updated_at = ").push_bind(action.updated_at.as_millis());
                update.push(" WHERE id = ").push_bind(action.id.to_string());
                update.push(" AND profile_id = ").push_bind(&*profile);
                update.push(" AND updated_at = ").push_bind(read_at.as_millis());
                if update.build().execute(&mut *connection).await? == 0 {
                    return Err(Error::NotFound);
                }
                index(connection, &profile, &action).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Removes an action with its slots; its runs stay on record.
    pub async fn delete_action(&self, id: Id, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                audit::append(connection, &profile, &entry).await?;
                tags::remove(connection, id).await?;
                for statement in [
                    "DELETE FROM action_trigger WHERE action_id = $1",
                    "DELETE FROM slot WHERE action_id = $1",
                ] {
                    query(statement).bind(id.to_string()).execute(&mut *connection).await?;
                }
                let done = query("DELETE FROM action WHERE id = $1 AND profile_id = $2");
                let done = done.bind(id.to_string()).bind(&*profile).execute(connection).await?;
                if done == 0 { Err(Error::NotFound) } else { Ok(()) }
            })
        });
        write.await
    }

    /// One action.
    pub async fn action(&self, id: Id) -> Result<StoredAction, Error> {
        let filter = Filter { id: Some(id), ..Filter::default() };
        self.actions(&filter, Page::ALL).await?.pop().ok_or(Error::NotFound)
    }

    /// Actions in the order of their names.
    pub async fn actions(&self, filter: &Filter, page: Page) -> Result<Vec<StoredAction>, Error> {
        let mut view = self.view().await?;
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        filter.push(&mut query, "name");
        page.push(&mut query, "name, id");
        read(view.connection(), query).await
    }

    /// The slots of an action, the latest first.
    pub async fn slots(&self, action: Id, page: Page) -> Result<Vec<SlotRecord>, Error> {
        let mut query = QueryBuilder::new(
            "SELECT analysis_id, instant, last, instants, revision, outcome, run_id, reason \
             FROM slot WHERE profile_id = ",
        );
        query.push_bind(self.profile.to_string());
        query.push(" AND action_id = ").push_bind(action.to_string());
        page.push(&mut query, "instant DESC, analysis_id");
        let rows = query.build().fetch_all(&self.store.readers).await?;
        let slot = |row: &Row| {
            Ok(SlotRecord {
                analysis: row.id("analysis_id")?,
                instant: row.time("instant")?,
                last: row.time("last")?,
                instants: row.number("instants")?,
                revision: row.number("revision")?,
                outcome: row.word("outcome")?,
                run: row.optional_word("run_id")?,
                reason: row.optional_text("reason")?,
            })
        };
        rows.iter().map(slot).collect()
    }
}

impl Host {
    /// The active actions that listen to MQTT topics, each with when it was last edited. Cheap
    /// enough to be asked again and again.
    pub async fn topic_editions(&self) -> Result<Vec<(Id, Timestamp)>, Error> {
        let rows = query(
            "SELECT id, updated_at FROM action WHERE type = 'mqtt_topic' AND active = TRUE \
             ORDER BY id",
        );
        let rows = rows.fetch_all(&self.store.readers).await?;
        rows.iter().map(|row| Ok((row.id("id")?, row.time("updated_at")?))).collect()
    }

    /// The active actions that listen to MQTT topics, of every profile. Damaged ones are left out.
    pub async fn topic_actions(&self) -> Result<Vec<StoredAction>, Error> {
        let mut connection = self.store.readers.view().await?;
        let mut select = QueryBuilder::new(COLUMNS);
        select.push(" WHERE type = 'mqtt_topic' AND active = TRUE ORDER BY id");
        Ok(read_whole(&mut connection, select).await?.0)
    }
}

/// The active actions that a clock has made due. Those that another node works on are left out. A
/// damaged one is due no more: it must not hold up the others.
pub(super) async fn due(
    connection: &mut Connection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<StoredAction>, Error> {
    let mut due = QueryBuilder::new(COLUMNS);
    due.push(" WHERE next_at <= ").push_bind(now.as_millis());
    due.push(" ORDER BY next_at LIMIT ").push_bind(limit);
    if connection.is_shared() {
        due.push(" FOR UPDATE SKIP LOCKED");
    }
    let (found, damaged) = read_whole(connection, due).await?;
    for id in damaged {
        let update = query("UPDATE action SET next_at = NULL WHERE id = $1").bind(id.to_string());
        update.execute(&mut *connection).await?;
    }
    Ok(found)
}

/// One action that is active. Its row stays as it is until the end of the transaction.
pub(super) async fn active(
    connection: &mut Connection,
    profile: &str,
    id: Id,
) -> Result<StoredAction, Error> {
    let mut select = QueryBuilder::new(COLUMNS);
    select.push(" WHERE active = TRUE AND profile_id = ").push_bind(profile);
    select.push(" AND id = ").push_bind(id.to_string());
    if connection.is_shared() {
        select.push(" FOR UPDATE");
    }
    read(connection, select).await?.pop().ok_or(Error::NotFound)
}

/// The active actions of this kind that listen to one of `forms`: form, key and value. The rows
/// stay as they are until the end of the transaction. Damaged ones are left out.
pub(super) async fn listening(
    connection: &mut Connection,
    profile: &str,
    kind: &'static str,
    forms: &[(String, String, String)],
) -> Result<Vec<StoredAction>, Error> {
    let mut ids: Vec<Id> = Vec::new();
    for (form, key, value) in forms {
        let rows = query(
            "SELECT action_id FROM action_trigger WHERE profile_id = $1 AND kind = $2 \
             AND form = $3 AND key = $4 AND value = $5",
        )
        .bind(profile)
        .bind(kind)
        .bind(form)
        .bind(key)
        .bind(value)
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            ids.push(row.id("action_id")?);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let mut select = QueryBuilder::new(COLUMNS);
        select.push(" WHERE active = TRUE AND ");
        tags::push_owned_ids(&mut select, profile, ids);
        select.push(" ORDER BY id");
        if connection.is_shared() {
            select.push(" FOR UPDATE");
        }
        found.extend(read_whole(connection, select).await?.0);
    }
    Ok(found)
}

/// The most runs of the action that run at once, for each of its analyses.
fn concurrency(action: &Action) -> Option<i64> {
    match action.rules.overlap {
        // One after the other.
        Overlap::Queue => Some(1),
        _ => action.rules.concurrency.map(i64::from),
    }
}

/// Brings tags and the index of triggers in line with the action.
async fn index(connection: &mut Connection, profile: &str, action: &Action) -> Result<(), Error> {
    tags::replace(connection, profile, ResourceType::Action, action.id, &action.tags).await?;
    let id = action.id.to_string();
    query("DELETE FROM action_trigger WHERE action_id = $1")
        .bind(&id)
        .execute(&mut *connection)
        .await?;
    for Listening { kind, form, key, value } in listens(&action.trigger) {
        query(
            "INSERT INTO action_trigger (profile_id, action_id, kind, form, key, value) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(profile)
        .bind(&id)
        .bind(kind)
        .bind(form)
        .bind(key)
        .bind(value)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn listens(trigger: &Trigger) -> Vec<Listening> {
    let kind = trigger.kind().as_str();
    let tag = |form: &str, tag: &Option<(String, String)>| match tag {
        Some((key, value)) => (format!("{form}tag"), key.clone(), value.clone()),
        None => (format!("{form}any"), String::new(), String::new()),
    };
    let forms: Vec<_> = match trigger {
        Trigger::Condition(entries) => {
            let of = |entry: &ConditionEntry| match &entry.source {
                Source::Device(id) => ("id".to_owned(), id.to_string(), String::new()),
                Source::Tag(key, value) => ("tag".to_owned(), key.clone(), value.clone()),
            };
            entries.iter().map(of).collect()
        }
        Trigger::Resource(entries) => entries
            .iter()
            .map(|entry| tag(&format!("{}:{}:", entry.resource, entry.when), &entry.tag))
            .collect(),
        // A clock, a subscription or a request starts the others: nobody looks for them here.
        Trigger::Schedule(_)
        | Trigger::Interval(_)
        | Trigger::MqttTopic(_)
        | Trigger::Webhook(_) => Vec::new(),
    };
    let listening = |(form, key, value)| Listening { kind, form, key, value };
    forms.into_iter().map(listening).collect()
}
