//! Tags in their own table: the index that policies are decided by.

use std::collections::HashMap;

use super::connection::Row;
use super::row::damaged;
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Tenant};
use crate::id::Id;
use crate::policy::ResourceType;
use crate::tag::{Tag, Tags};

/// How many ids stand in one `IN` list.
pub(super) const IDS_PER_STATEMENT: usize = 500;

/// The most pairs that are listed.
const MAX_PAIRS: i64 = 10_000;

impl Tenant {
    /// Every pair that a resource of these types carries, once, sorted; at most 10,000.
    pub async fn tags(
        &self,
        resources: impl IntoIterator<Item = ResourceType>,
    ) -> Result<Vec<Tag>, Error> {
        let mut select =
            QueryBuilder::new("SELECT DISTINCT key, value FROM tag WHERE profile_id = ");
        select.push_bind(self.profile.to_string()).push(" AND resource IN (''");
        for resource in resources {
            select.push(", ").push_bind(resource.word());
        }
        select.push(") ORDER BY key, value LIMIT ").push_bind(MAX_PAIRS);
        let rows = select.build().fetch_all(&self.store.readers).await?;
        rows.iter()
            .map(|row| Ok(Tag { key: row.text("key")?, value: row.text("value")? }))
            .collect()
    }

    /// The keys of all tags on resources of this type, each once.
    pub async fn tag_keys(&self, resource: ResourceType) -> Result<Vec<String>, Error> {
        let rows = query(
            "SELECT DISTINCT key FROM tag WHERE profile_id = $1 AND resource = $2 ORDER BY key",
        )
        .bind(self.profile.to_string())
        .bind(resource.word())
        .fetch_all(&self.store.readers)
        .await?;
        rows.iter().map(|row| row.text("key")).collect()
    }

    /// The tags of every resource of this type that has any.
    pub async fn tagged(&self, resource: ResourceType) -> Result<HashMap<Id, Tags>, Error> {
        let rows = query(
            "SELECT resource_id, key, value FROM tag WHERE profile_id = $1 AND resource = $2",
        )
        .bind(self.profile.to_string())
        .bind(resource.word())
        .fetch_all(&self.store.readers)
        .await?;
        collect(&rows)
    }
}

/// Replaces the tags of one resource.
pub(super) async fn replace(
    connection: &mut Connection,
    profile: &str,
    resource: ResourceType,
    id: Id,
    tags: &Tags,
) -> Result<(), Error> {
    remove(connection, id).await?;
    if tags.as_slice().is_empty() {
        return Ok(());
    }
    let id = id.to_string();
    let mut insert =
        QueryBuilder::new("INSERT INTO tag (profile_id, resource, resource_id, key, value) ");
    insert.push_values(tags.as_slice(), |mut row, tag| {
        row.push_bind(profile).push_bind(resource.word()).push_bind(&id);
        row.push_bind(&tag.key).push_bind(&tag.value);
    });
    insert.build().execute(connection).await?;
    Ok(())
}

/// Removes the tags of one resource.
pub(super) async fn remove(connection: &mut Connection, id: Id) -> Result<(), Error> {
    let delete = query("DELETE FROM tag WHERE resource_id = $1").bind(id.to_string());
    delete.execute(connection).await?;
    Ok(())
}

/// The tags of each of these resources; one without tags is absent.
pub(super) async fn of(
    connection: &mut Connection,
    ids: &[Id],
) -> Result<HashMap<Id, Tags>, Error> {
    let mut rows = Vec::new();
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let mut query =
            QueryBuilder::new("SELECT resource_id, key, value FROM tag WHERE resource_id IN (");
        push_ids(&mut query, ids);
        rows.extend(query.build().fetch_all(&mut *connection).await?);
    }
    collect(&rows)
}

/// The tags of the resources in these rows.
fn collect(rows: &[Row]) -> Result<HashMap<Id, Tags>, Error> {
    let mut found: HashMap<Id, Vec<Tag>> = HashMap::new();
    for row in rows {
        let tag = Tag { key: row.text("key")?, value: row.text("value")? };
        found.entry(row.id("resource_id")?).or_default().push(tag);
    }
    let checked = |(id, tags)| Ok((id, Tags::new(tags).map_err(|error| damaged("tag", &error))?));
    found.into_iter().map(checked).collect()
}

/// Adds the condition that a row belongs to `profile` and has one of these ids.
///
/// The profile is compared as an expression, because SQLite has no statistics and would rather
/// read all rows of the profile through its index than look up a handful of ids.
pub(super) fn push_owned_ids(query: &mut QueryBuilder, profile: &str, ids: &[Id]) {
    query.push("profile_id || '' = ").push_bind(profile.to_owned()).push(" AND id IN (");
    push_ids(query, ids);
}

/// Adds `id, id, …)` to a statement that ends in `IN (`.
fn push_ids(query: &mut QueryBuilder, ids: &[Id]) {
    query.push_list(ids.iter().map(Id::to_string));
    query.push(")");
}
