//! Secrets: metadata in the open, values only sealed.

use super::connection::Row;
use super::row::damaged;
use super::statement::{QueryBuilder, query};
use super::tags::{self, IDS_PER_STATEMENT};
use super::{Connection, Error, Filter, Page, Tenant, audit, bump};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::policy::ResourceType;
use crate::tag::Tags;
use crate::vault::{Exposure, Secret, Uses};

const COLUMNS: &str = "SELECT id, key, version, exposure, uses, value_length, sealed, created_at, updated_at FROM secret";

/// A secret with its envelope.
pub struct StoredSecret {
    /// What is known about it in the open.
    pub secret: Secret,
    /// The sealed value.
    pub sealed: Vec<u8>,
}

/// A new version of a secret.
pub struct SecretEdit {
    /// The secret.
    pub id: Id,
    /// The version this edit was made from; another one in the store refuses it.
    pub from_version: u32,
    /// The tags from now on.
    pub tags: Tags,
    /// The exposure, which changes only where a row is restored.
    pub exposure: Exposure,
    /// The uses from now on.
    pub uses: Uses,
    /// The value's length in characters.
    pub value_length: u32,
    /// The value, sealed for version `from_version + 1` and all of these.
    pub sealed: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

impl Tenant {
    /// Stores a new secret. [`Error::Exists`] when its key is taken.
    pub async fn create_secret(&self, new: StoredSecret, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let secret = &new.secret;
                query(
                    "INSERT INTO secret (id, profile_id, key, version, exposure, uses, \
                     value_length, sealed, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                )
                .bind(secret.id.to_string())
                .bind(&*profile)
                .bind(&secret.key)
                .bind(i64::from(secret.version))
                .bind(secret.exposure.as_str())
                .bind(secret.uses.to_stored())
                .bind(i64::from(secret.value_length))
                .bind(&new.sealed)
                .bind(secret.created_at.as_millis())
                .bind(secret.updated_at.as_millis())
                .execute(&mut *connection)
                .await?;
                let (id, resource) = (secret.id, ResourceType::Secrets);
                tags::replace(connection, &profile, resource, id, &secret.tags).await?;
                bump(connection, &profile).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Replaces a secret's envelope, tags and uses. [`Error::NotFound`] when it is gone or was edited
    /// since it was read.
    pub async fn edit_secret(&self, edit: SecretEdit, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let done = query(
                    "UPDATE secret SET version = $1, value_length = $2, sealed = $3, \
                     updated_at = $4, exposure = $5, uses = $6 WHERE id = $7 AND profile_id = $8 \
                     AND version = $9",
                )
                .bind(i64::from(edit.from_version) + 1)
                .bind(i64::from(edit.value_length))
                .bind(&edit.sealed)
                .bind(edit.at.as_millis())
                .bind(edit.exposure.as_str())
                .bind(edit.uses.to_stored())
                .bind(edit.id.to_string())
                .bind(&*profile)
                .bind(i64::from(edit.from_version))
                .execute(&mut *connection)
                .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                let resource = ResourceType::Secrets;
                tags::replace(connection, &profile, resource, edit.id, &edit.tags).await?;
                bump(connection, &profile).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await?;
        // The log holds the ciphertext that is gone from the table.
        self.store.writer.empty_log().await;
        Ok(())
    }

    /// Removes a secret with its ciphertext and leaves a tombstone.
    pub async fn delete_secret(&self, id: Id, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let buried = query(
                    "INSERT INTO tombstone (profile_id, resource, resource_id, name, deleted_at) \
                     SELECT profile_id, $1, id, key, $2 FROM secret \
                     WHERE id = $3 AND profile_id = $4",
                )
                .bind(ResourceType::Secrets.word())
                .bind(entry.at.as_millis())
                .bind(id.to_string())
                .bind(&*profile)
                .execute(&mut *connection)
                .await?;
                if buried == 0 {
                    return Err(Error::NotFound);
                }
                audit::append(connection, &profile, &entry).await?;
                tags::remove(connection, id).await?;
                query("DELETE FROM secret WHERE id = $1")
                    .bind(id.to_string())
                    .execute(&mut *connection)
                    .await?;
                bump(connection, &profile).await
            })
        });
        write.await?;
        // The log holds the ciphertext that is gone from the table.
        self.store.writer.empty_log().await;
        Ok(())
    }

    /// One secret with its envelope.
    pub async fn secret(&self, id: Id) -> Result<StoredSecret, Error> {
        let mut view = self.view().await?;
        view.secrets_by_id(&[id]).await?.pop().ok_or(Error::NotFound)
    }

    /// Secrets in the order of their keys.
    pub async fn secrets(&self, filter: &Filter, page: Page) -> Result<Vec<Secret>, Error> {
        let mut view = self.view().await?;
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        filter.push(&mut query, "key");
        page.push(&mut query, "key");
        let found = read(view.connection(), query).await?;
        Ok(found.into_iter().map(|stored| stored.secret).collect())
    }
}

/// The secrets of `profile` among these ids.
pub(super) async fn by_id(
    connection: &mut Connection,
    profile: &str,
    ids: &[Id],
) -> Result<Vec<StoredSecret>, Error> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE ");
        tags::push_owned_ids(&mut query, profile, ids);
        found.extend(read(connection, query).await?);
    }
    Ok(found)
}

/// Every secret of `profile`.
pub(super) async fn all(
    connection: &mut Connection,
    profile: &str,
) -> Result<Vec<StoredSecret>, Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(" WHERE profile_id = ").push_bind(profile).push(" ORDER BY key");
    read(connection, query).await
}

async fn read(
    connection: &mut Connection,
    query: QueryBuilder,
) -> Result<Vec<StoredSecret>, Error> {
    let rows = query.build().fetch_all(&mut *connection).await?;
    let ids = rows.iter().map(|row| row.id("id")).collect::<Result<Vec<_>, _>>()?;
    let mut tags = tags::of(connection, &ids).await?;
    let stored = rows.iter().zip(ids).map(|(row, id)| {
        let key = row.text("key")?;
        let tags = tags.remove(&id).unwrap_or_default();
        one(row, id, key.clone(), tags).map_err(|error| match error {
            Error::Damaged(detail) => {
                Error::Damaged(format!("the secret {key} cannot be read: {detail}"))
            }
            other => other,
        })
    });
    stored.collect()
}

fn one(row: &Row, id: Id, key: String, tags: Tags) -> Result<StoredSecret, Error> {
    let exposure: String = row.text("exposure")?;
    let exposure: Exposure = exposure.parse().map_err(|()| damaged("exposure", &exposure))?;
    let uses = row.optional_text("uses")?;
    let uses = Uses::from_stored(exposure, uses.as_deref()).map_err(|e| damaged("uses", &e))?;
    Ok(StoredSecret {
        secret: Secret {
            id,
            key,
            tags,
            version: row.number("version")?,
            exposure,
            uses,
            value_length: row.number("value_length")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        },
        sealed: row.bytes("sealed")?,
    })
}
