//! Requests that come twice and must act once.
//!
//! A key belongs to a principal and an operation. It is kept apart from runs, so that it outlives
//! them, and ends by the clock that all users of the database share.

use std::time::Duration;

use super::queue::{Acknowledged, NewRun, Room, insert_accepted};
use super::statement::query;
use super::{Connection, Error, Tenant};
use crate::clock::Timestamp;
use crate::id::Id;

/// What makes a request the same as an earlier one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Once {
    /// Who asks, in the form the audit uses.
    pub principal: String,
    /// What is asked, such as `run` and the analysis.
    pub operation: String,
    /// The key that the asker chose.
    pub key: String,
    /// SHA-256 of the request: the same key with another request is refused.
    pub digest: String,
    /// For how long the key is remembered.
    pub keep: Duration,
}

/// Remembers a request that became `runs`, or answers what an earlier one became.
pub(super) async fn first(
    connection: &mut Connection,
    profile: &str,
    once: &Once,
    runs: &[Id],
    now: Timestamp,
) -> Result<Option<Vec<Id>>, Error> {
    // An expired row is taken over; one that still holds stays as it is.
    let taken = query(
        "INSERT INTO idempotency (profile_id, principal, operation, key, digest, runs, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (profile_id, principal, operation, key) DO UPDATE SET \
         digest = excluded.digest, runs = excluded.runs, expires_at = excluded.expires_at \
         WHERE idempotency.expires_at <= $8",
    )
    .bind(profile)
    .bind(&once.principal)
    .bind(&once.operation)
    .bind(&once.key)
    .bind(&once.digest)
    .bind(ids(runs))
    .bind(now.plus(once.keep).as_millis())
    .bind(now.as_millis())
    .execute(&mut *connection)
    .await?;
    if taken > 0 {
        return Ok(None);
    }
    let row = query(
        "SELECT digest, runs FROM idempotency \
         WHERE profile_id = $1 AND principal = $2 AND operation = $3 AND key = $4",
    )
    .bind(profile)
    .bind(&once.principal)
    .bind(&once.operation)
    .bind(&once.key)
    .fetch_one(connection)
    .await?;
    if row.text("digest")? != once.digest {
        return Err(Error::OtherRequest);
    }
    row.json("runs").map(Some)
}

/// Corrects what a request became: fewer runs than were planned, or nothing. What came to nothing
/// may come again.
pub(super) async fn correct(
    connection: &mut Connection,
    profile: &str,
    once: &Once,
    became: Option<&[Id]>,
) -> Result<(), Error> {
    let correct = match became {
        Some(runs) => query(
            "UPDATE idempotency SET runs = $1 \
             WHERE profile_id = $2 AND principal = $3 AND operation = $4 AND key = $5",
        )
        .bind(ids(runs)),
        None => query(
            "DELETE FROM idempotency \
             WHERE profile_id = $1 AND principal = $2 AND operation = $3 AND key = $4",
        ),
    };
    let correct = correct.bind(profile).bind(&once.principal).bind(&once.operation);
    correct.bind(&once.key).execute(connection).await?;
    Ok(())
}

fn ids(runs: &[Id]) -> String {
    // Ids are strings, and those cannot fail to be written as JSON.
    serde_json::to_string(runs).unwrap_or_default()
}

impl Tenant {
    /// Makes a request durable once for its key: the second one is answered with the first run.
    pub async fn enqueue_once(&self, run: NewRun, once: Once) -> Result<Acknowledged, Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let (id, now) = (run.request.id, connection.now().await?);
                if let Some(earlier) = first(connection, &profile, &once, &[id], now).await? {
                    let run = earlier.first().copied().ok_or(Error::NotFound)?;
                    return Ok(Acknowledged { run });
                }
                Room::default().take(connection, &run).await??;
                insert_accepted(connection, &[&run]).await?;
                Ok(Acknowledged { run: id })
            })
        });
        write.await
    }
}
