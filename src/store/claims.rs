//! Claiming queued runs.
//!
//! A claim is one transaction for a batch of runs: attempt, lease, fence, the policy decision,
//! the grants and their audit entries commit together.

use std::sync::Arc;
use std::time::Duration;

use super::connection::Row;
use super::lanes::{self, Share};
use super::queue::{self, NewRun, statements};
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Host, audit};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::run::{LEASE, Run, State};

const DUE: &str = "SELECT run.id, run.profile_id, profile.generation, analysis_id, module_digest, \
     module_version, state, cause_kind, cause_by, run.action_id, root_run, depth, \
     trigger_entries, rerun_of, attempts, losses, fence, run.due_at, run.created_at, started_at, \
     finished_at, sealed, action.concurrency FROM run JOIN profile ON profile.id = run.profile_id \
     LEFT JOIN run_scope ON run_scope.run_id = run.id LEFT JOIN action ON action.id = run.action_id";

/// A run that waits to be claimed.
pub struct Due {
    /// Whose run it is.
    pub profile: Id,
    /// The profile's generation in the claim's transaction.
    pub generation: u64,
    /// The run, still queued.
    pub run: Run,
    /// From when on it was to be claimed.
    pub due_at: Timestamp,
}

/// What a claim writes down about one run.
pub struct Grant {
    /// JSON of the environment's keys and origins.
    pub environment: Arc<str>,
    /// The audit entry that names the granted keys, if there are any.
    pub entry: Option<Entry>,
    /// Whether nothing that policies grant is given, because the module is not approved.
    pub withheld: bool,
}

/// A run that this worker holds.
pub struct Claimed<D> {
    /// Whose run it is.
    pub profile: Id,
    /// The run, running.
    pub run: Run,
    /// How long it was due before it was claimed.
    pub waited: Duration,
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
    /// Which ones is settled by `lanes`; `heard` are the analyses that somebody listens for on this
    /// node. `decide` is asked inside the transaction and must not block; where it has no answer
    /// for the run's generation, the run stays queued and is answered as undecided.
    pub async fn claim<D, F>(
        &self,
        worker: &str,
        limit: usize,
        heard: Vec<Id>,
        mut decide: F,
    ) -> Result<Batch<D>, Error>
    where
        D: Send + Sync + 'static,
        F: FnMut(&Due) -> Option<(D, Grant)> + Send + 'static,
    {
        let worker = worker.to_owned();
        let write = self.store.writer.claim(move |connection| {
            Box::pin(async move {
                // One node at a time, so that limits hold over all nodes together.
                if connection.is_shared() {
                    query("SELECT pg_advisory_xact_lock(7202)").execute(&mut *connection).await?;
                }
                let now = connection.now().await?;
                let shares = lanes::shares(connection, limit, now, &heard).await?;
                let mut due = Vec::new();
                for share in &shares {
                    due.extend(read(connection, waiting(connection, share), now).await?);
                }
                if due.iter().any(|row| row.concurrency.is_some()) {
                    let mut actions = lanes::Actions::running(connection).await?;
                    due.retain(|row| row.may_run(&mut actions));
                }
                let batch = take(connection, &worker, now, due, &mut decide).await?;
                let mut served: Vec<Id> = batch.claimed.iter().map(|c| c.run.analysis).collect();
                served.sort_unstable();
                served.dedup();
                lanes::served(connection, &served, now).await?;
                Ok(batch)
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
        mut decide: F,
    ) -> Result<Option<Claimed<D>>, Error>
    where
        D: Send + Sync + 'static,
        F: FnMut(&Due) -> Option<(D, Grant)> + Send + 'static,
    {
        let worker = worker.to_owned();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let (id, now) = (run.request.id, connection.now().await?);
                queue::insert_accepted(connection, &[&run]).await?;
                let mut due = QueryBuilder::new(DUE);
                due.push(" WHERE run.id = ").push_bind(id.to_string());
                settle(connection, &mut due);
                let due = read(connection, due, now).await?;
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

    /// When the next queued run is due for a node on which somebody listens for the analyses
    /// `heard`, if any waits.
    pub async fn next_due(&self, heard: &[Id]) -> Result<Option<Timestamp>, Error> {
        lanes::next_due(&self.store.readers, heard).await
    }
}

struct DueRow {
    due: Due,
    fence: i64,
    scope: Option<Vec<u8>>,
    /// How many runs of the run's action may run at once.
    concurrency: Option<u64>,
}

impl DueRow {
    fn may_run(&self, actions: &mut lanes::Actions) -> bool {
        let run = &self.due.run;
        match (run.cause.action, self.concurrency) {
            (Some(action), Some(limit)) => actions.take(action, run.analysis, limit),
            _ => true,
        }
    }
}

/// The due runs of one lane, the oldest first. Runs of actions that are at their limit are left
/// out, so that they are in nobody's way.
fn waiting(connection: &Connection, share: &Share) -> QueryBuilder {
    let mut due = QueryBuilder::new(DUE);
    due.push(" WHERE run.state = 'queued' AND run.analysis_id = ");
    due.push_bind(share.analysis.to_string());
    due.push(" AND run.due_at <= ").push_bind(share.due_by.as_millis());
    due.push(
        " AND (action.concurrency IS NULL OR action.concurrency > (SELECT COUNT(*) FROM run AS \
         other WHERE other.state = 'running' AND other.analysis_id = run.analysis_id \
         AND other.action_id = run.action_id))",
    );
    due.push(" ORDER BY run.due_at, run.id LIMIT ");
    due.push_bind(i64::try_from(share.runs).unwrap_or(i64::MAX));
    if connection.is_shared() {
        due.push(" FOR UPDATE OF run SKIP LOCKED");
    }
    settle(connection, &mut due);
    due
}

/// Leaves out runs of profiles whose generation somebody is about to raise, and has others wait
/// with raising it: a decision must be the present one when the claim commits.
fn settle(connection: &Connection, due: &mut QueryBuilder) {
    if connection.is_shared() {
        due.push(" FOR SHARE OF profile SKIP LOCKED");
    }
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
        let Due { profile, mut run, due_at, .. } = row.due;
        run.state = State::Running;
        run.attempts += 1;
        run.started_at = Some(now);
        if let Some(entry) = grant.entry {
            entries.push((profile.to_string(), entry));
        }
        grants.push((grant.environment, grant.withheld));
        let (attempt, fence, scope) = (run.attempts, row.fence + 1, row.scope);
        let waited = now.since(due_at);
        batch.claimed.push(Claimed { profile, run, waited, attempt, fence, scope, decision });
    }
    let rows: Vec<_> = batch.claimed.iter().zip(&grants).collect();
    for rows in statements(&rows) {
        let mut update = QueryBuilder::new(
            "UPDATE run SET state = 'running', fence = v.column2, attempts = v.column3, \
             lease_until = v.column4, started_at = v.column5, worker = v.column6 FROM (",
        );
        update.push_values(rows, |mut row, (claimed, _)| {
            row.push_bind(claimed.run.id.to_string()).push_bind(claimed.fence);
            row.push_bind(i64::from(claimed.attempt)).push_bind(now.plus(LEASE).as_millis());
            row.push_bind(now.as_millis()).push_bind(worker);
        });
        update.push(") AS v WHERE run.id = v.column1");
        update.build().execute(&mut *connection).await?;

        let mut insert = QueryBuilder::new(
            "INSERT INTO attempt (run_id, number, worker, fence, environment, started_at, \
             console_truncated, withheld) ",
        );
        insert.push_values(rows, |mut row, (claimed, (environment, withheld))| {
            row.push_bind(claimed.run.id.to_string()).push_bind(i64::from(claimed.attempt));
            row.push_bind(worker).push_bind(claimed.fence).push_bind(environment);
            row.push_bind(now.as_millis()).push_bind(false).push_bind(*withheld);
        });
        insert.build().execute(&mut *connection).await?;
    }
    audit::append_all(connection, &entries).await?;
    Ok(batch)
}

/// Reads due runs. A damaged row fails for good: it must not hold up the others.
async fn read(
    connection: &mut Connection,
    due: QueryBuilder,
    now: Timestamp,
) -> Result<Vec<DueRow>, Error> {
    let rows = due.build().fetch_all(&mut *connection).await?;
    let due = |row: &Row| {
        Ok(DueRow {
            due: Due {
                profile: row.id("profile_id")?,
                generation: row.number("generation")?,
                run: super::runs::run(row)?,
                due_at: row.time("due_at")?,
            },
            fence: row.integer("fence")?,
            scope: row.optional_bytes("sealed")?,
            concurrency: row.optional_number("concurrency")?,
        })
    };
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        match due(row) {
            Ok(due) => found.push(due),
            Err(error @ Error::Damaged(_)) => {
                let id = row.text("id")?;
                tracing::error!(run = id, %error, "a queued run cannot be read, so it fails");
                query("UPDATE run SET state = 'failed', finished_at = $1 WHERE id = $2")
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
