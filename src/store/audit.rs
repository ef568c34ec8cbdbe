//! Writing and reading the audit.

use super::connection::Row;
use super::statement::QueryBuilder;
use super::{Connection, Error, Page, Tenant, events};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;

/// An entry as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditEntry {
    /// Grows with each entry.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub principal: String,
    /// What, as `resource.verb`.
    pub event: String,
    /// To which resource.
    pub resource: Id,
    /// The text of a JSON object.
    pub detail: String,
}

/// Conditions, all of which an entry must meet; what is absent is not asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AuditFilter {
    /// The event, or the resource's word alone for all events about it.
    pub event: Option<String>,
    /// The principal; what its runs did counts as well.
    pub principal: Option<String>,
    /// The resource.
    pub resource: Option<Id>,
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Not at or after this.
    pub to: Option<Timestamp>,
}

impl Tenant {
    /// Entries, the newest first.
    pub async fn audit(&self, filter: &AuditFilter, page: Page) -> Result<Vec<AuditEntry>, Error> {
        let mut query = QueryBuilder::new(
            "SELECT sequence, at, principal, event, resource_id, detail FROM audit \
             WHERE profile_id = ",
        );
        query.push_bind(self.profile.to_string());
        if let Some(event) = &filter.event {
            // What follows a dot ends before the character after it.
            query.push(" AND (event = ").push_bind(event);
            query.push(" OR (event >= ").push_bind(format!("{event}."));
            query.push(" AND event < ").push_bind(format!("{event}/")).push("))");
        }
        if let Some(principal) = &filter.principal {
            query.push(" AND (principal = ").push_bind(principal);
            query.push(" OR (principal >= ").push_bind(format!("{principal}/"));
            query.push(" AND principal < ").push_bind(format!("{principal}0")).push("))");
        }
        if let Some(resource) = filter.resource {
            query.push(" AND resource_id = ").push_bind(resource.to_string());
        }
        if let Some(from) = filter.from {
            query.push(" AND at >= ").push_bind(from.as_millis());
        }
        if let Some(to) = filter.to {
            query.push(" AND at < ").push_bind(to.as_millis());
        }
        page.push(&mut query, "sequence DESC");
        let rows = query.build().fetch_all(&self.store.readers).await?;
        let entry = |row: &Row| {
            Ok(AuditEntry {
                sequence: row.number("sequence")?,
                at: row.time("at")?,
                principal: row.text("principal")?,
                event: row.text("event")?,
                resource: row.id("resource_id")?,
                detail: row.text("detail")?,
            })
        };
        rows.iter().map(entry).collect()
    }

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
