//! The consoles of delivered runs, to which listeners outside add lines.
//!
//! Each addition is a chunk of its own, durable when it is answered, so that any node can take one
//! and any node can show it.

use super::statement::query;
use super::{Connection, Error, Tenant, audit};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;

/// The chunk that an outcome brings has this number; what is added comes behind it.
const FIRST: i64 = 1;

/// Lines for the console of a delivered run.
pub struct Addition {
    /// The run.
    pub run: Id,
    /// The attempt that was delivered.
    pub attempt: u32,
    /// How many bytes all additions may have together, as they are stored.
    pub limit: u64,
    /// What the audit tells of it, if anything.
    pub entry: Option<Entry>,
}

/// What is added, chosen when it is known where it will stand.
pub enum Added {
    /// Sealed lines.
    Lines(Vec<u8>),
    /// Sealed lines, the last of which says that the console is cut.
    Last(Vec<u8>),
    /// Nothing.
    Nothing,
}

impl Tenant {
    /// Adds to the console of a delivered run. `choose` gets the number of the chunk and how many
    /// bytes are left, and must not block; it is not asked once the console is cut.
    pub async fn add_to_console<F>(&self, addition: Addition, choose: F) -> Result<(), Error>
    where
        F: FnOnce(u32, u64) -> Result<Added, Error> + Send + 'static,
    {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let Addition { run, attempt, limit, entry } = addition;
                let Some((next, stored)) = place(connection, &profile, run, attempt).await? else {
                    return Ok(());
                };
                let sequence = u32::try_from(next).unwrap_or(u32::MAX);
                let (sealed, last) = match choose(sequence, limit.saturating_sub(stored))? {
                    Added::Lines(sealed) => (sealed, false),
                    Added::Last(sealed) => (sealed, true),
                    Added::Nothing => return Ok(()),
                };
                let now = connection.now().await?;
                query(
                    "INSERT INTO console_chunk (run_id, attempt, sequence, sealed, added_at) \
                     VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(run.to_string())
                .bind(i64::from(attempt))
                .bind(next)
                .bind(sealed)
                .bind(now.as_millis())
                .execute(&mut *connection)
                .await?;
                if last {
                    query(
                        "UPDATE attempt SET console_truncated = $1 WHERE run_id = $2 \
                         AND number = $3",
                    )
                    .bind(true)
                    .bind(run.to_string())
                    .bind(i64::from(attempt))
                    .execute(&mut *connection)
                    .await?;
                }
                match entry {
                    Some(entry) => audit::append(connection, &profile, &entry).await,
                    None => Ok(()),
                }
            })
        });
        write.await
    }

    /// The run of the analysis that went to a listener last: one whose delivery is just being
    /// written down, or one that was delivered after `since`.
    pub async fn latest_delivered(
        &self,
        analysis: Id,
        since: Timestamp,
    ) -> Result<Option<Id>, Error> {
        let row = query(
            "SELECT id FROM run WHERE analysis_id = $1 AND profile_id = $2 \
             AND state = 'running' AND cause_kind <> 'exec' \
             ORDER BY started_at DESC, id DESC LIMIT 1",
        )
        .bind(analysis.to_string())
        .bind(self.profile.to_string())
        .fetch_optional(&self.store.readers)
        .await?;
        if let Some(row) = row {
            return row.id("id").map(Some);
        }
        let row = query(
            "SELECT id FROM run WHERE analysis_id = $1 AND profile_id = $2 \
             AND state = 'delivered' AND finished_at > $3 \
             ORDER BY finished_at DESC, id DESC LIMIT 1",
        )
        .bind(analysis.to_string())
        .bind(self.profile.to_string())
        .bind(since.as_millis())
        .fetch_optional(&self.store.readers)
        .await?;
        row.map(|row| row.id("id")).transpose()
    }
}

/// The number of the next chunk, and how many bytes were added before; none once the console is
/// cut. On a database that others share, who adds next waits until this is committed.
async fn place(
    connection: &mut Connection,
    profile: &str,
    run: Id,
    attempt: u32,
) -> Result<Option<(i64, u64)>, Error> {
    let locked = query(match connection.is_shared() {
        true => {
            "SELECT console_truncated FROM attempt JOIN run ON run.id = run_id \
             WHERE run_id = $1 AND number = $2 AND profile_id = $3 FOR UPDATE OF attempt"
        }
        false => {
            "SELECT console_truncated FROM attempt JOIN run ON run.id = run_id \
             WHERE run_id = $1 AND number = $2 AND profile_id = $3"
        }
    });
    let locked = locked.bind(run.to_string()).bind(i64::from(attempt)).bind(profile);
    if locked.fetch_one(&mut *connection).await?.flag("console_truncated")? {
        return Ok(None);
    }
    let row = query(
        "SELECT COALESCE(MAX(sequence) + 1, 0) AS next, \
         CAST(COALESCE(SUM(CASE WHEN added_at IS NOT NULL THEN LENGTH(sealed) ELSE 0 END), 0) \
         AS BIGINT) AS stored FROM console_chunk WHERE run_id = $1 AND attempt = $2",
    )
    .bind(run.to_string())
    .bind(i64::from(attempt))
    .fetch_one(connection)
    .await?;
    Ok(Some((row.integer("next")?.max(FIRST), row.number("stored")?)))
}
