//! The last record of each variable of a device, sealed.

use super::actions::{self, StoredAction};
use super::firing::{Fired, Firing, fire};
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Tenant, queue, tags};
use crate::clock::Timestamp;
use crate::device::MAX_VARIABLES;
use crate::id::Id;
use crate::tag::{Tag, Tags};

/// A record as it is kept.
pub struct SealedRecord {
    /// What was measured: the key that it is found by.
    pub variable: String,
    /// When it was measured.
    pub at: Timestamp,
    /// The whole record in one envelope.
    pub sealed: Vec<u8>,
}

impl Tenant {
    /// Keeps records that came at `at` for an active device, each variable once; a record with an
    /// older time than the kept one is dropped. [`Error::NotFound`] where there is no active
    /// device, [`Error::TooManyVariables`] where it would have too many.
    ///
    /// Actions that look at the device fire in the same transaction: `decide` is told each of them
    /// and the device's tags, and must not block. Answers what became of the starts.
    pub async fn post_data<F>(
        &self,
        device: Id,
        records: Vec<SealedRecord>,
        at: Timestamp,
        mut decide: F,
    ) -> Result<Vec<Fired>, Error>
    where
        F: FnMut(&StoredAction, &Tags) -> Option<Firing> + Send + 'static,
    {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                keep(connection, &profile, device, &records, at).await?;
                let mut tags = tags::of(connection, &[device]).await?;
                let tags = tags.remove(&device).unwrap_or_default();
                let mut forms = vec![("id".to_owned(), device.to_string(), String::new())];
                let of_tag = |tag: &Tag| ("tag".to_owned(), tag.key.clone(), tag.value.clone());
                forms.extend(tags.as_slice().iter().map(of_tag));
                let looking = actions::listening(connection, &profile, "condition", &forms).await?;
                let firings = looking.iter().filter_map(|action| decide(action, &tags)).collect();
                fire(connection, firings, at).await
            })
        });
        write.await
    }

    /// The kept records of a device: of these variables, or of all where none is named; the
    /// latest first.
    pub async fn last_records(
        &self,
        device: Id,
        variables: &[String],
    ) -> Result<Vec<SealedRecord>, Error> {
        let mut query = QueryBuilder::new("SELECT variable, at, sealed FROM device_record");
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        query.push(" AND device_id = ").push_bind(device.to_string());
        if !variables.is_empty() {
            query.push(" AND variable IN (").push_list(variables);
            query.push(")");
        }
        query.push(" ORDER BY at DESC, variable");
        let rows = query.build().fetch_all(&self.store.readers).await?;
        let record = |row: &super::connection::Row| {
            Ok(SealedRecord {
                variable: row.text("variable")?,
                at: row.time("at")?,
                sealed: row.bytes("sealed")?,
            })
        };
        rows.iter().map(record).collect()
    }
}

/// Keeps records of one device, in the caller's transaction.
async fn keep(
    connection: &mut Connection,
    profile: &str,
    device: Id,
    records: &[SealedRecord],
    at: Timestamp,
) -> Result<(), Error> {
    let device = device.to_string();
    let done = query(
        "UPDATE device SET last_input = $1 WHERE id = $2 AND profile_id = $3 AND active = TRUE",
    )
    .bind(at.as_millis())
    .bind(&device)
    .bind(profile)
    .execute(&mut *connection)
    .await?;
    if done == 0 {
        return Err(Error::NotFound);
    }
    for records in queue::statements(records) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO device_record (device_id, variable, profile_id, at, sealed) ",
        );
        insert.push_values(records, |mut row, record| {
            row.push_bind(&device).push_bind(&record.variable).push_bind(profile);
            row.push_bind(record.at.as_millis()).push_bind(&record.sealed);
        });
        insert.push(
            " ON CONFLICT (device_id, variable) DO UPDATE SET at = excluded.at, \
             sealed = excluded.sealed WHERE excluded.at >= device_record.at",
        );
        insert.build().execute(&mut *connection).await?;
    }
    let row = query("SELECT COUNT(*) AS variables FROM device_record WHERE device_id = $1")
        .bind(&device)
        .fetch_one(connection)
        .await?;
    match row.number::<u64>("variables")? {
        0..=MAX_VARIABLES => Ok(()),
        _ => Err(Error::TooManyVariables),
    }
}
