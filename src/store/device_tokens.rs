//! Tokens of devices, as digests.

use super::connection::Row;
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Page, Tenant, audit};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::device::Permission;
use crate::id::Id;

/// What is known about a device's token once it was shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceToken {
    /// The device that it speaks for.
    pub device: Id,
    /// A name for people, unique for its device.
    pub name: String,
    /// What it permits.
    pub permission: Permission,
    /// Prefix and last four characters.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; none for never.
    pub expires_at: Option<Timestamp>,
}

/// A token with the digest it is recognised by.
pub struct NewDeviceToken {
    /// What is known about it.
    pub token: DeviceToken,
    /// HMAC-SHA-256 under a key of the keyring.
    pub digest: [u8; 32],
    /// The signature under [`TokenOwner::statement`](super::TokenOwner::statement).
    pub bound: [u8; 32],
}

const COLUMNS: &str =
    "SELECT device_id, name, permission, hint, created_at, expires_at FROM device_token";

impl Tenant {
    /// Stores another token of a device. [`Error::Exists`] when the device has one of that name,
    /// [`Error::NotFound`] when the device is gone.
    pub async fn create_device_token(
        &self,
        new: NewDeviceToken,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                query("SELECT id FROM device WHERE id = $1 AND profile_id = $2")
                    .bind(new.token.device.to_string())
                    .bind(&*profile)
                    .fetch_one(&mut *connection)
                    .await?;
                insert(connection, &profile, &new).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Removes a token of a device; from then on it opens nothing.
    pub async fn delete_device_token(
        &self,
        device: Id,
        name: String,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let done = query(
                    "DELETE FROM device_token \
                     WHERE device_id = $1 AND name = $2 AND profile_id = $3",
                )
                .bind(device.to_string())
                .bind(name)
                .bind(&*profile)
                .execute(&mut *connection)
                .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// The tokens of a device, the newest first.
    pub async fn device_tokens(&self, device: Id, page: Page) -> Result<Vec<DeviceToken>, Error> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        query.push(" AND device_id = ").push_bind(device.to_string());
        page.push(&mut query, "created_at DESC, name");
        let rows = query.build().fetch_all(&self.store.readers).await?;
        rows.iter().map(read).collect()
    }

    /// The token of a device with this digest.
    pub async fn device_token_by_digest(&self, digest: &[u8; 32]) -> Result<DeviceToken, Error> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        query.push(" AND digest = ").push_bind(&digest[..]);
        read(&query.build().fetch_one(&self.store.readers).await?)
    }
}

/// Inserts a token, in the caller's transaction.
pub(super) async fn insert(
    connection: &mut Connection,
    profile: &str,
    new: &NewDeviceToken,
) -> Result<(), Error> {
    let token = &new.token;
    query(
        "INSERT INTO device_token (device_id, profile_id, name, permission, digest, bound, hint, \
         created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(token.device.to_string())
    .bind(profile)
    .bind(&token.name)
    .bind(token.permission.as_str())
    .bind(&new.digest[..])
    .bind(&new.bound[..])
    .bind(&token.hint)
    .bind(token.created_at.as_millis())
    .bind(token.expires_at.map(Timestamp::as_millis))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &Row) -> Result<DeviceToken, Error> {
    Ok(DeviceToken {
        device: row.id("device_id")?,
        name: row.text("name")?,
        permission: row.word("permission")?,
        hint: row.text("hint")?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
    })
}
