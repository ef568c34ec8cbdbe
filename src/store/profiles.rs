//! Profiles: the tenants, each of which owns everything else.

use super::connection::{Row, Target};
use super::statement::{QueryBuilder, query};
use super::tables::TABLES;
use super::{Connection, Error, Filter, Host, Page, Tenant, View, audit, bump, retention};
use crate::analysis::Digest;
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::vault::WrappedKey;

/// A profile as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredProfile {
    /// Its id.
    pub id: Id,
    /// Its name, unique among those that are there.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether its setting `approve_uploads` is on. That it is off counts only with the signature.
    pub approve_uploads: bool,
    /// The signature under [`StoredProfile::statement`], while the setting is off.
    pub bound: Option<Vec<u8>>,
}

/// What changes of a profile; what is absent stays.
#[derive(Default)]
pub struct ProfileEdit {
    /// Another name.
    pub name: Option<String>,
    /// The setting `approve_uploads`: on, or off with the signature that bears it out.
    pub approve_uploads: Option<Option<Vec<u8>>>,
}

/// What a profile that is not empty holds, and the tables that count.
const HELD: [(&str, &str); 5] = [
    ("analyses", "SELECT COUNT(*) AS held FROM analysis WHERE profile_id = $1"),
    ("secrets", "SELECT COUNT(*) AS held FROM secret WHERE profile_id = $1"),
    ("policies", "SELECT COUNT(*) AS held FROM policy WHERE profile_id = $1"),
    ("actions", "SELECT COUNT(*) AS held FROM action WHERE profile_id = $1"),
    ("devices", "SELECT COUNT(*) AS held FROM device WHERE profile_id = $1"),
];

const COLUMNS: &str =
    "SELECT id, name, created_at, approve_uploads, bound FROM profile WHERE deleted_at IS NULL";

impl StoredProfile {
    /// What is signed when the setting is switched off, so that nobody does it by writing a row.
    pub fn statement(id: Id) -> String {
        format!("uploads-need-no-approval {id}")
    }

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id("id")?,
            name: row.text("name")?,
            created_at: row.time("created_at")?,
            approve_uploads: row.flag("approve_uploads")?,
            bound: row.optional_bytes("bound")?,
        })
    }
}

impl Tenant {
    /// The profile itself.
    pub async fn itself(&self) -> Result<StoredProfile, Error> {
        one(&self.store.readers, self.profile).await
    }

    /// Changes what the edit names. [`Error::Exists`] where another profile has the name.
    pub async fn edit_profile(&self, edit: ProfileEdit, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let mut update = QueryBuilder::new("UPDATE profile SET id = id");
                if let Some(name) = edit.name {
                    update.push(", name = ").push_bind(name);
                }
                if let Some(bound) = edit.approve_uploads {
                    update.push(", approve_uploads = ").push_bind(bound.is_none());
                    update.push(", bound = ").push_bind(bound);
                }
                update.push(" WHERE deleted_at IS NULL AND id = ").push_bind(&*profile);
                if update.build().execute(&mut *connection).await? == 0 {
                    return Err(Error::NotFound);
                }
                bump(connection, &profile).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }
}

impl View {
    /// The profile itself.
    pub async fn itself(&mut self) -> Result<StoredProfile, Error> {
        let profile = self.profile();
        one(self.connection(), profile).await
    }
}

impl Host {
    /// Stores a new profile with its first key. [`Error::Exists`] where the name is taken.
    pub async fn create_profile(
        &self,
        profile: Id,
        name: String,
        key: WrappedKey,
        entry: Entry,
    ) -> Result<(), Error> {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                insert(connection, profile, &name, entry.at).await?;
                super::host::keep_key(connection, key).await?;
                audit::append(connection, &profile.to_string(), &entry).await
            })
        });
        write.await
    }

    /// Profiles in the order of their names; with `only`, none but that one.
    pub async fn list_profiles(
        &self,
        only: Option<Id>,
        filter: &Filter,
        page: Page,
    ) -> Result<Vec<StoredProfile>, Error> {
        let mut select = QueryBuilder::new(COLUMNS);
        if let Some(id) = only {
            select.push(" AND id = ").push_bind(id.to_string());
        }
        filter.push(&mut select, "name");
        page.push(&mut select, "name, id");
        let rows = select.build().fetch_all(&self.store.readers).await?;
        rows.iter().map(StoredProfile::read).collect()
    }

    /// The profile with this name.
    pub async fn profile_named(&self, name: &str) -> Result<Id, Error> {
        let filter = Filter { name: Some(name.to_owned()), ..Filter::default() };
        let found = self.list_profiles(None, &filter, Page::ALL).await?.pop();
        found.map(|profile| profile.id).ok_or(Error::NotFound)
    }

    /// Takes out of the log what was deleted or replaced.
    pub async fn empty_log(&self) {
        self.store.writer.empty_log().await;
    }

    /// The modules that analyses of this profile have and those of no other.
    pub async fn modules_of(&self, profile: Id) -> Result<Vec<Digest>, Error> {
        let rows = query(
            "SELECT DISTINCT digest FROM module_version WHERE profile_id = $1 AND digest NOT IN \
             (SELECT digest FROM module_version WHERE profile_id <> $1)",
        );
        let rows = rows.bind(profile.to_string()).fetch_all(&self.store.readers).await?;
        rows.iter().map(|row| row.word("digest")).collect()
    }

    /// Closes a profile for good: its tokens, users and keys go, nothing of it starts any more, and
    /// its rows are of the past. Answers what it holds; where that is something, it is closed only
    /// with `force`.
    pub async fn close_profile(
        &self,
        profile: Id,
        force: bool,
        entry: Entry,
    ) -> Result<Vec<(&'static str, u64)>, Error> {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let id = profile.to_string();
                let mut held = Vec::new();
                for (what, count) in HELD {
                    let row = query(count).bind(&id).fetch_one(&mut *connection).await?;
                    held.push((what, row.number::<u64>("held")?));
                }
                held.retain(|(_, count)| *count > 0);
                if !held.is_empty() && !force {
                    return Ok(held);
                }
                let done = query(
                    "UPDATE profile SET deleted_at = $1, generation = generation + 1 \
                     WHERE id = $2 AND deleted_at IS NULL",
                );
                let done = done.bind(entry.at.as_millis()).bind(&id).execute(&mut *connection);
                if done.await? == 0 {
                    return Err(Error::NotFound);
                }
                query(
                    "INSERT INTO tombstone (profile_id, resource, resource_id, name, deleted_at) \
                     SELECT id, 'profile', id, name, $1 FROM profile WHERE id = $2",
                )
                .bind(entry.at.as_millis())
                .bind(&id)
                .execute(&mut *connection)
                .await?;
                for statement in [
                    "DELETE FROM session WHERE profile_id = $1",
                    "DELETE FROM named_user WHERE profile_id = $1",
                    "DELETE FROM token WHERE profile_id = $1",
                    "DELETE FROM device_token WHERE profile_id = $1",
                    "DELETE FROM wrapped_key WHERE profile_id = $1",
                    "UPDATE action SET active = FALSE, next_at = NULL WHERE profile_id = $1",
                    "UPDATE analysis SET active = FALSE WHERE profile_id = $1",
                    "UPDATE run SET state = 'cancelled' WHERE profile_id = $1 \
                     AND state = 'queued'",
                ] {
                    query(statement).bind(&id).execute(&mut *connection).await?;
                }
                query(
                    "UPDATE run SET cancelled_by = $1 WHERE profile_id = $2 AND state = 'running'",
                )
                .bind(&entry.principal)
                .bind(&id)
                .execute(&mut *connection)
                .await?;
                audit::append(connection, &id, &entry).await?;
                Ok(held)
            })
        });
        write.await
    }
}

/// Inserts a profile.
pub(super) async fn insert(
    connection: &mut Connection,
    profile: Id,
    name: &str,
    at: Timestamp,
) -> Result<(), Error> {
    query("INSERT INTO profile (id, name, generation, created_at) VALUES ($1, $2, 1, $3)")
        .bind(profile.to_string())
        .bind(name)
        .bind(at.as_millis())
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes one batch of the rows that deleted profiles left; none where there is no more. The audit
/// stays, and what still runs stays until it has ended.
pub(super) async fn prune(connection: &mut Connection, batch: i64) -> Result<u64, Error> {
    // The tombstone of a profile stands for what it left.
    let select = "SELECT profile.id FROM profile JOIN tombstone ON resource_id = profile.id \
                  WHERE profile.deleted_at IS NOT NULL";
    for row in query(select).fetch_all(&mut *connection).await? {
        let id = row.text("id")?;
        let removed = match retention::runs_of(connection, &id).await? {
            0 => rows_of(connection, &id, batch).await?,
            runs => runs,
        };
        if removed > 0 {
            return Ok(removed);
        }
        let emptied = query(
            "DELETE FROM tombstone WHERE profile_id = $1 \
             AND NOT EXISTS (SELECT 1 FROM run WHERE run.profile_id = $1)",
        );
        let emptied = emptied.bind(&id).execute(&mut *connection).await?;
        if emptied > 0 {
            return Ok(emptied);
        }
    }
    Ok(0)
}

/// Removes a batch of the rows of a profile, without runs, tombstones and the audit.
async fn rows_of(connection: &mut Connection, id: &str, batch: i64) -> Result<u64, Error> {
    // What refers to others goes before them.
    let tables = TABLES.iter().rev().filter(|table| {
        table.texts.contains(&"profile_id") && !["run", "audit", "tombstone"].contains(&table.name)
    });
    for table in tables {
        let mut delete = QueryBuilder::new("DELETE FROM ");
        delete.push(table.name).push(" WHERE (");
        table.push_key(&mut delete);
        delete.push(") IN (SELECT ");
        table.push_key(&mut delete);
        delete.push(" FROM ").push(table.name).push(" WHERE profile_id = ").push_bind(id);
        delete.push(" LIMIT ").push_bind(batch).push(")");
        let done = delete.build().execute(&mut *connection).await?;
        if done > 0 {
            return Ok(done);
        }
    }
    Ok(0)
}

async fn one(from: impl Into<Target<'_>>, id: Id) -> Result<StoredProfile, Error> {
    let mut select = QueryBuilder::new(COLUMNS);
    select.push(" AND id = ").push_bind(id.to_string());
    StoredProfile::read(&select.build().fetch_one(from).await?)
}
