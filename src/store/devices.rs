//! Devices.

use super::connection::Row;
use super::device_tokens::{self, NewDeviceToken};
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Filter, Page, Tenant, audit, tags};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::device::{Details, Device};
use crate::id::Id;
use crate::policy::ResourceType;

const COLUMNS: &str =
    "SELECT id, name, active, document, last_input, created_at, updated_at FROM device";

impl Tenant {
    /// Stores a new device with its first token.
    pub async fn create_device(
        &self,
        device: Device,
        token: NewDeviceToken,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                query(
                    "INSERT INTO device (id, profile_id, name, active, document, created_at, \
                     updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(device.id.to_string())
                .bind(&*profile)
                .bind(&device.name)
                .bind(device.active)
                .bind(document(&device.details))
                .bind(device.created_at.as_millis())
                .bind(device.updated_at.as_millis())
                .execute(&mut *connection)
                .await?;
                let resource = ResourceType::Device;
                tags::replace(connection, &profile, resource, device.id, &device.tags).await?;
                device_tokens::insert(connection, &profile, &token).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Replaces what can be edited of a device. [`Error::NotFound`] when it is gone or was edited
    /// since it was read: then it had been updated at `read_at`.
    pub async fn edit_device(
        &self,
        device: Device,
        read_at: Timestamp,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let done = query(
                    "UPDATE device SET name = $1, active = $2, document = $3, updated_at = $4 \
                     WHERE id = $5 AND profile_id = $6 AND updated_at = $7",
                )
                .bind(&device.name)
                .bind(device.active)
                .bind(document(&device.details))
                .bind(device.updated_at.as_millis())
                .bind(device.id.to_string())
                .bind(&*profile)
                .bind(read_at.as_millis())
                .execute(&mut *connection)
                .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                let resource = ResourceType::Device;
                tags::replace(connection, &profile, resource, device.id, &device.tags).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Removes a device with its tokens and its data, and leaves a tombstone.
    pub async fn delete_device(&self, id: Id, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                audit::append(connection, &profile, &entry).await?;
                let id_text = id.to_string();
                let buried = query(
                    "INSERT INTO tombstone (profile_id, resource, resource_id, name, deleted_at) \
                     SELECT profile_id, $1, id, name, $2 FROM device \
                     WHERE id = $3 AND profile_id = $4",
                )
                .bind(ResourceType::Device.word())
                .bind(entry.at.as_millis())
                .bind(&id_text)
                .bind(&*profile)
                .execute(&mut *connection)
                .await?;
                if buried == 0 {
                    return Err(Error::NotFound);
                }
                for delete in [
                    "DELETE FROM device_token WHERE device_id = $1",
                    "DELETE FROM device_record WHERE device_id = $1",
                    "DELETE FROM device WHERE id = $1",
                ] {
                    query(delete).bind(&id_text).execute(&mut *connection).await?;
                }
                tags::remove(connection, id).await
            })
        });
        write.await
    }

    /// One device.
    pub async fn device(&self, id: Id) -> Result<Device, Error> {
        let filter = Filter { id: Some(id), ..Filter::default() };
        self.devices(&filter, Page::ALL).await?.pop().ok_or(Error::NotFound)
    }

    /// Devices in the order of their names.
    pub async fn devices(&self, filter: &Filter, page: Page) -> Result<Vec<Device>, Error> {
        let mut view = self.view().await?;
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        filter.push(&mut query, "name");
        page.push(&mut query, "name, id");
        read(view.connection(), query).await
    }
}

fn document(details: &Details) -> String {
    // Texts, words, flags and numbers cannot fail to be written as JSON.
    serde_json::to_string(details).unwrap_or_default()
}

async fn read(connection: &mut Connection, query: QueryBuilder) -> Result<Vec<Device>, Error> {
    let rows = query.build().fetch_all(&mut *connection).await?;
    let ids = rows.iter().map(|row| row.id("id")).collect::<Result<Vec<_>, _>>()?;
    let mut tags = tags::of(connection, &ids).await?;
    let device = |(row, id): (&Row, Id)| {
        Ok(Device {
            id,
            name: row.text("name")?,
            active: row.flag("active")?,
            tags: tags.remove(&id).unwrap_or_default(),
            details: row.json("document")?,
            last_input: row.optional_time("last_input")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    };
    rows.iter().zip(ids).map(device).collect()
}
