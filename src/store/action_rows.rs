//! Rows of actions as they are read: the columns, the document, and what becomes of damaged ones.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::actions::StoredAction;
use super::connection::Row;
use super::row::damaged;
use super::statement::QueryBuilder;
use super::{Connection, Error, tags};
use crate::action::{Action, InvalidAction, StartRules, Trigger};
use crate::id::Id;

/// What a statement begins with whose rows are read here.
pub(super) const COLUMNS: &str = "SELECT id, profile_id, name, description, active, type, \
     document, locked, revision, next_at, last_triggered, fault, created_at, updated_at \
     FROM action";

/// What has no column of its own.
#[derive(Serialize, Deserialize)]
struct Document {
    trigger: Value,
    script: Vec<Id>,
    rules: Map<String, Value>,
    trigger_when_unlock: bool,
}

/// The document of an action.
pub(super) fn document(action: &Action) -> String {
    json!({
        "trigger": action.trigger.to_json(),
        "script": action.analyses,
        "rules": action.rules,
        "trigger_when_unlock": action.trigger_when_unlock,
    })
    .to_string()
}

/// Reads actions; a damaged one is an error.
pub(super) async fn read(
    connection: &mut Connection,
    select: QueryBuilder,
) -> Result<Vec<StoredAction>, Error> {
    read_each(connection, select).await?.into_iter().map(|(_, action)| action).collect()
}

/// Reads the actions that can be read, for who acts on many at once; answers the damaged ones
/// beside them.
pub(super) async fn read_whole(
    connection: &mut Connection,
    select: QueryBuilder,
) -> Result<(Vec<StoredAction>, Vec<Id>), Error> {
    let (mut whole, mut damaged) = (Vec::new(), Vec::new());
    for (action, read) in read_each(connection, select).await? {
        match read {
            Ok(stored) => whole.push(stored),
            Err(error @ Error::Damaged(_)) => {
                tracing::error!(%action, %error, "an action cannot be read, so it does not fire");
                damaged.push(action);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((whole, damaged))
}

async fn read_each(
    connection: &mut Connection,
    select: QueryBuilder,
) -> Result<Vec<(Id, Result<StoredAction, Error>)>, Error> {
    let rows = select.build().fetch_all(&mut *connection).await?;
    let ids = rows.iter().map(|row| row.id("id")).collect::<Result<Vec<_>, _>>()?;
    let mut tags = tags::of(connection, &ids).await?;
    let mut action = |row: &Row, id: Id| {
        let document: Document = row.json("document")?;
        let refused = |refusal: InvalidAction| damaged("document", &refusal);
        let kind = row.text("type")?;
        Ok(StoredAction {
            action: Action {
                id,
                name: row.text("name")?,
                description: row.optional_text("description")?,
                active: row.flag("active")?,
                tags: tags.remove(&id).unwrap_or_default(),
                trigger: Trigger::parse(&kind, &document.trigger).map_err(refused)?,
                analyses: document.script,
                rules: StartRules::default().with(&document.rules).map_err(refused)?,
                lock: row.flag("locked")?,
                trigger_when_unlock: document.trigger_when_unlock,
                created_at: row.time("created_at")?,
                updated_at: row.time("updated_at")?,
            },
            profile: row.id("profile_id")?,
            revision: row.number("revision")?,
            next_at: row.optional_time("next_at")?,
            last_triggered: row.optional_time("last_triggered")?,
            fault: row.optional_json("fault")?,
        })
    };
    Ok(rows.iter().zip(ids).map(|(row, id)| (id, action(row, id))).collect())
}
