//! Claiming queued runs, and taking back those whose host went down.
//!
//! A claim is one transaction for a batch of runs: attempt, lease, fence, the policy decision,
//! the grants and their audit entries commit together.

use std::sync::Arc;
use std::time::Duration;

use sqlx::QueryBuilder;
use sqlx::sqlite::SqliteRow;

use super::queue::{self, NewRun, statements};
use super::row::Columns;
use super::{Connection, Dialect, Error, Host, audit};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::run::{MAX_ATTEMPTS, Run, State};

const DUE: &str = "SELECT run.id, run.profile_id, profile.generation, analysis_id, module_digest, \
     module_version, state, cause_kind, cause_by, attempts, fence, run.created_at, started_at, \
     finished_at, sealed FROM run JOIN profile ON profile.id = run.profile_id \
     LEFT JOIN run_scope ON run_scope.run_id = run.id";

/// A run that waits to be claimed.
pub struct Due {
    /// Whose run it is.
    pub profile: Id,
    /// The profile's generation in the claim's transaction.
    pub generation: u64,
    /// The run, still queued.
    pub run: Run,
}

/// What a claim writes down about one run.
pub struct Grant {
    /// JSON of the environment's keys and origins.
    pub environment: Arc<str>,
    /// The audit entry that names the granted keys, if there are any.
    pub entry: Option<Entry>,
    /// How long the worker may hold the run.
    pub lease: Duration,
}

/// A run that this worker holds.
pub struct Claimed<D> {
    /// Whose run it is.
    pub profile: Id,
    /// The run, running.
    pub run: Run,
    /// The number of this attempt, counted from 1.
    pub attempt: u32,
    /// Writing the outcome needs it.
    pub fence: i64,
    /// The sealed scope; none stands for `[]`.
    pub scope: Option<Vec<u8>>,
    /// What the decision carries to the worker.
    pub decision: D,
}

/// A batch of claimed runs, and the queued runs that could not be decided.
pub struct Batch<D> {
    /// Runs that this worker holds now.
    pub claimed: Vec<Claimed<D>>,
    /// Due runs for which there was no decision of their profile's present generation.
    pub undecided: Vec<Due>,
}

impl Host {
    /// Claims up to `limit` due runs for `worker`.
    ///
    /// `decide` is asked inside the transaction and must not block; where it has no answer for
    /// the run's generation, the run stays queued and is answered as undecided.
    pub async fn claim<D, F>(
        &self,
        worker: &str,
        limit: usize,
        now: Timestamp,
        mut decide: F,
    ) -> Result<Batch<D>, Error>
    where
        D: Send + Sync + 'static,
        F: FnMut(&Due) -> Option<(D, Grant)> + Send + 'static,
    {
        let worker = worker.to_owned();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let mut query = QueryBuilder::<Dialect>::new(DUE);
                query.push(" WHERE state = 'queued' AND due_at <= ").push_bind(now.as_millis());
                query.push(" ORDER BY due_at, run.id LIMIT ");
                query.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
                let due = read(connection, query, now).await?;
                take(connection, &worker, now, due, &mut decide).await
            })
        });
        write.await
    }

    /// Makes a request durable and claims it in the same transaction, for a caller that runs it
    /// at once. An undecided request leaves nothing behind.
    pub async fn claim_request<D, F>(
        &self,
        worker: &str,
        run: NewRun,
        now: Timestamp,
        mut decide: F,
    ) -> Result<Option<Claimed<D>>, Error>
    where
        D: Send + Sync + 'static,
        F: FnMut(&Due) -> Option<(D, Grant)> + Send + 'static,
    {
        let worker = worker.to_owned();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let id = run.request.id;
                queue::insert(connection, &[run]).await?;
                let mut query = QueryBuilder::<Dialect>::new(DUE);
                query.push(" WHERE run.id = ").push_bind(id.to_string());
                let due = read(connection, query, now).await?;
                let mut batch = take(connection, &worker, now, due, &mut decide).await?;
                // The savepoint is rolled back on an error, and the request with it.
                batch.claimed.pop().map(Some).ok_or(Error::NotFound)
            })
        });
        match write.await {
            Err(Error::NotFound) => Ok(None),
            other => other,
        }
    }

    /// Takes back runs whose lease ended under another worker than `me`, or all that are running
    /// where there is no `me`: at start, nothing can be running. A run goes back to the queue unless its attempts are used up or it
    /// belonged to an `exec` that is gone; then it fails as lost. Answers how many there were.
    pub async fn recover(&self, now: Timestamp, me: Option<&str>) -> Result<u64, Error> {
        let before = if me.is_some() { now.as_millis() } else { i64::MAX };
        let me = me.unwrap_or_default().to_owned();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE attempt SET finished_at = $1, fault_code = 'lost' \
                     WHERE finished_at IS NULL AND run_id IN \
                     (SELECT id FROM run WHERE state = 'running' AND lease_until < $2 \
                     AND worker <> $3)",
                )
                .bind(now.as_millis())
                .bind(before)
                .bind(&me)
                .execute(&mut *connection)
                .await?;
                let failed = sqlx::query(
                    "UPDATE run SET state = 'failed', finished_at = $1, lease_until = NULL \
                     WHERE state = 'running' AND lease_until < $2 \
                     AND (attempts >= $3 OR cause_kind = 'exec') AND worker <> $4",
                )
                .bind(now.as_millis())
                .bind(before)
                .bind(i64::from(MAX_ATTEMPTS))
                .bind(&me)
                .execute(&mut *connection)
                .await?;
                let queued = sqlx::query(
                    "UPDATE run SET state = 'queued', lease_until = NULL, worker = NULL \
                     WHERE state = 'running' AND lease_until < $1 AND worker <> $2",
                )
                .bind(before)
                .bind(&me)
                .execute(&mut *connection)
                .await?;
                Ok(failed.rows_affected() + queued.rows_affected())
            })
        });
        write.await
    }

    /// When the next queued run is due, if any waits.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let row = sqlx::query("SELECT MIN(due_at) AS due_at FROM run WHERE state = 'queued'")
            .fetch_one(&self.store.readers)
            .await?;
        row.optional_time("due_at")
    }
}

struct DueRow {
    due: Due,
    fence: i64,
    scope: Option<Vec<u8>>,
}

async fn take<D: Send + Sync>(
    connection: &mut Connection,
    worker: &str,
    now: Timestamp,
    rows: Vec<DueRow>,
    decide: &mut (impl FnMut(&Due) -> Option<(D, Grant)> + Send),
) -> Result<Batch<D>, Error> {
    let mut batch = Batch { claimed: Vec::with_capacity(rows.len()), undecided: Vec::new() };
    let (mut grants, mut entries) = (Vec::new(), Vec::new());
    for row in rows {
        let Some((decision, grant)) = decide(&row.due) else {
            batch.undecided.push(row.due);
            continue;
        };
        let Due { profile, mut run, .. } = row.due;
        run.state = State::Running;
        run.attempts += 1;
        run.started_at = Some(now);
        if let Some(entry) = grant.entry {
            entries.push((profile.to_string(), entry));
        }
        grants.push((grant.environment, now.plus(grant.lease)));
        let (attempt, fence) = (run.attempts, row.fence + 1);
        batch.claimed.push(Claimed { profile, run, attempt, fence, scope: row.scope, decision });
    }
    let rows: Vec<_> = batch.claimed.iter().zip(&grants).collect();
    for rows in statements(&rows) {
        let mut update = QueryBuilder::<Dialect>::new(
            "UPDATE run SET state = 'running', fence = v.column2, attempts = v.column3, \
             lease_until = v.column4, started_at = v.column5, worker = v.column6 FROM (",
        );
        update.push_values(rows, |mut row, (claimed, (_, lease))| {
            row.push_bind(claimed.run.id.to_string()).push_bind(claimed.fence);
            row.push_bind(i64::from(claimed.attempt)).push_bind(lease.as_millis());
            row.push_bind(now.as_millis()).push_bind(worker);
        });
        update.push(") AS v WHERE run.id = v.column1");
        update.build().execute(&mut *connection).await?;

        let mut insert = QueryBuilder::<Dialect>::new(
            "INSERT INTO attempt (run_id, number, worker, fence, environment, started_at, \
             console_truncated) ",
        );
        insert.push_values(rows, |mut row, (claimed, (environment, _))| {
            row.push_bind(claimed.run.id.to_string()).push_bind(i64::from(claimed.attempt));
            row.push_bind(worker).push_bind(claimed.fence).push_bind(&**environment);
            row.push_bind(now.as_millis()).push_bind(false);
        });
        insert.build().execute(&mut *connection).await?;
    }
    audit::append_all(connection, &entries).await?;
    Ok(batch)
}

/// Reads due runs. A damaged row fails for good: it must not hold up the others.
async fn read(
    connection: &mut Connection,
    mut query: QueryBuilder<Dialect>,
    now: Timestamp,
) -> Result<Vec<DueRow>, Error> {
    let rows = query.build().fetch_all(&mut *connection).await?;
    let due = |row: &SqliteRow| {
        Ok(DueRow {
            due: Due {
                profile: row.id("profile_id")?,
                generation: row.number("generation")?,
                run: super::runs::run(row)?,
            },
            fence: row.integer("fence")?,
            scope: row.optional_bytes("sealed")?,
        })
    };
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        match due(row) {
            Ok(due) => found.push(due),
            Err(error @ Error::Damaged(_)) => {
                let id = row.text("id")?;
                tracing::error!(run = id, %error, "a queued run cannot be read, so it fails");
                sqlx::query("UPDATE run SET state = 'failed', finished_at = $1 WHERE id = $2")
                    .bind(now.as_millis())
                    .bind(id)
                    .execute(&mut *connection)
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
