//! Policies, and the index of their targets.

use serde_json::{Value, json};

use super::connection::Row;
use super::row::damaged;
use super::statement::{QueryBuilder, query};
use super::tags::{self, IDS_PER_STATEMENT};
use super::{Connection, Error, Filter, Page, Tenant, audit, bump};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::policy::{
    InvalidPolicy, Policy, ResourceType, Selector, Subject, parse_permissions, parse_targets,
};

const COLUMNS: &str = "SELECT id, name, active, document, created_at, updated_at FROM policy";

impl Tenant {
    /// Stores a new policy.
    pub async fn create_policy(&self, policy: Policy, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                query(
                    "INSERT INTO policy (id, profile_id, name, active, document, created_at, \
                     updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(policy.id.to_string())
                .bind(&*profile)
                .bind(&policy.name)
                .bind(policy.active)
                .bind(document(&policy))
                .bind(policy.created_at.as_millis())
                .bind(policy.updated_at.as_millis())
                .execute(&mut *connection)
                .await?;
                index(connection, &profile, &policy).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Replaces a policy as a whole. [`Error::NotFound`] when it is gone or was edited since it
    /// was read: then it had been updated at `read_at`.
    pub async fn edit_policy(
        &self,
        policy: Policy,
        read_at: Timestamp,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let done = query(
                    "UPDATE policy SET name = $1, active = $2, document = $3, updated_at = $4 \
                     WHERE id = $5 AND profile_id = $6 AND updated_at = $7",
                )
                .bind(&policy.name)
                .bind(policy.active)
                .bind(document(&policy))
                .bind(policy.updated_at.as_millis())
                .bind(policy.id.to_string())
                .bind(&*profile)
                .bind(read_at.as_millis())
                .execute(&mut *connection)
                .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                index(connection, &profile, &policy).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Removes a policy.
    pub async fn delete_policy(&self, id: Id, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                audit::append(connection, &profile, &entry).await?;
                tags::remove(connection, id).await?;
                unindex(connection, id).await?;
                let done = query("DELETE FROM policy WHERE id = $1 AND profile_id = $2")
                    .bind(id.to_string())
                    .bind(&*profile)
                    .execute(&mut *connection)
                    .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                bump(connection, &profile).await
            })
        });
        write.await
    }

    /// One policy.
    pub async fn policy(&self, id: Id) -> Result<Policy, Error> {
        let filter = Filter { id: Some(id), ..Filter::default() };
        self.policies(&filter, Page::ALL).await?.pop().ok_or(Error::NotFound)
    }

    /// Policies in the order of their names.
    pub async fn policies(&self, filter: &Filter, page: Page) -> Result<Vec<Policy>, Error> {
        let mut view = self.view().await?;
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        filter.push(&mut query, "name");
        page.push(&mut query, "name, id");
        read(view.connection(), query).await
    }
}

/// The active policies with a target that matches the subject.
pub(super) async fn targeting(
    connection: &mut Connection,
    profile: &str,
    subject: &Subject<'_>,
) -> Result<Vec<Policy>, Error> {
    let mut wanted = vec![("any", String::new(), ""), ("id", subject.id.to_string(), "")];
    for tag in subject.tags.as_slice() {
        wanted.push(("tag", tag.key.clone(), &tag.value));
        wanted.push(("tag_match", tag.key.clone(), ""));
    }
    let mut ids = Vec::new();
    for (form, key, value) in wanted {
        let rows = query(
            "SELECT policy_id FROM policy_target \
             WHERE profile_id = $1 AND form = $2 AND key = $3 AND value = $4",
        )
        .bind(profile)
        .bind(form)
        .bind(key)
        .bind(value)
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            ids.push(row.id("policy_id")?);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE active = TRUE AND ");
        tags::push_owned_ids(&mut query, profile, ids);
        found.extend(read(connection, query).await?);
    }
    Ok(found)
}

/// Every policy of `profile`.
pub(super) async fn all(connection: &mut Connection, profile: &str) -> Result<Vec<Policy>, Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(" WHERE profile_id = ").push_bind(profile).push(" ORDER BY name, id");
    read(connection, query).await
}

/// Targets and permissions in TagoIO's form.
fn document(policy: &Policy) -> String {
    let Policy { targets, permissions, .. } = policy;
    json!({"targets": targets, "permissions": permissions}).to_string()
}

/// Brings tags, target index and generation in line with the policy.
async fn index(connection: &mut Connection, profile: &str, policy: &Policy) -> Result<(), Error> {
    let resource = ResourceType::AccessManagement;
    tags::replace(connection, profile, resource, policy.id, &policy.tags).await?;
    unindex(connection, policy.id).await?;
    let id = policy.id.to_string();
    for target in &policy.targets {
        let (form, key, value) = match &target.0 {
            Selector::Any => ("any", String::new(), ""),
            Selector::Id(id) => ("id", id.to_string(), ""),
            Selector::Tag(tag) => ("tag", tag.key.clone(), tag.value.as_str()),
            Selector::TagMatch(key) => ("tag_match", key.clone(), ""),
            // Targets pick analyses, which are no hosts.
            Selector::Host(_) => continue,
        };
        query(
            "INSERT INTO policy_target (profile_id, policy_id, form, key, value) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(profile)
        .bind(&id)
        .bind(form)
        .bind(key)
        .bind(value)
        .execute(&mut *connection)
        .await?;
    }
    bump(connection, profile).await
}

async fn unindex(connection: &mut Connection, id: Id) -> Result<(), Error> {
    query("DELETE FROM policy_target WHERE policy_id = $1")
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

async fn read(connection: &mut Connection, query: QueryBuilder) -> Result<Vec<Policy>, Error> {
    let rows = query.build().fetch_all(&mut *connection).await?;
    let ids = rows.iter().map(|row| row.id("id")).collect::<Result<Vec<_>, _>>()?;
    let mut tags = tags::of(connection, &ids).await?;
    let policy = |(row, id): (&Row, Id)| {
        let text = row.text("document")?;
        let document: Value =
            serde_json::from_str(&text).map_err(|error| damaged("document", &error))?;
        let refused = |refusal: InvalidPolicy| damaged("document", &refusal);
        Ok(Policy {
            id,
            name: row.text("name")?,
            active: row.flag("active")?,
            tags: tags.remove(&id).unwrap_or_default(),
            targets: parse_targets(&document["targets"]).map_err(refused)?,
            permissions: parse_permissions(&document["permissions"]).map_err(refused)?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    };
    rows.iter().zip(ids).map(policy).collect()
}
