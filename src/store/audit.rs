//! Writing and reading the audit.

use super::statement::QueryBuilder;
use super::{Connection, Error, Tenant, events};
use crate::audit::Entry;

impl Tenant {
    /// Appends one entry that comes with no other change. It is durable when this returns.
    pub async fn record(&self, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move { append(connection, &profile, &entry).await })
        });
        write.await
    }
}

/// Appends one entry in the caller's transaction, and notes the change it tells of for the actions
/// that listen. Of a deletion it must be told before the tags go.
pub(super) async fn append(
    connection: &mut Connection,
    profile: &str,
    entry: &Entry,
) -> Result<(), Error> {
    append_all(connection, &[(profile.to_owned(), entry.clone())]).await?;
    events::note(connection, profile, entry).await
}

/// Appends entries, each to its profile.
pub(super) async fn append_all(
    connection: &mut Connection,
    entries: &[(String, Entry)],
) -> Result<(), Error> {
    for entries in super::queue::statements(entries) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO audit (profile_id, at, principal, event, resource_id, detail) ",
        );
        insert.push_values(entries, |mut row, (profile, entry)| {
            row.push_bind(profile).push_bind(entry.at.as_millis());
            row.push_bind(&entry.principal).push_bind(entry.event.as_str());
            row.push_bind(entry.resource.to_string()).push_bind(&entry.detail);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}
