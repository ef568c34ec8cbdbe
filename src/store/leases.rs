//! Holding runs and giving them up: renewal, loss, cancelling.
//!
//! A worker that lost its lease cannot write: the next claim raises the fence. Times are those of
//! the database's clock where several nodes share it.

use std::time::Duration;

use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Host, Tenant, audit};
use crate::audit::Entry;
use crate::id::Id;
use crate::run::{MAX_LOSSES, State};

/// What became of a request to cancel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancelled {
    /// It was queued and will not run.
    AtOnce,
    /// It runs; its worker is told.
    Asked,
    /// It has ended before.
    Ended(State),
}

impl Host {
    /// Renews the leases of these runs, as far as `worker` still holds them, and answers those,
    /// each with the fence of its present claim.
    pub async fn renew(
        &self,
        worker: &str,
        runs: Vec<Id>,
        lease: Duration,
    ) -> Result<Vec<(Id, i64)>, Error> {
        let worker = worker.to_owned();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let until = connection.now().await?.plus(lease);
                let mut held = Vec::with_capacity(runs.len());
                for runs in runs.chunks(super::tags::IDS_PER_STATEMENT) {
                    let mut update = QueryBuilder::new("UPDATE run SET lease_until = ");
                    update.push_bind(until.as_millis());
                    update.push(" WHERE state = 'running' AND worker = ").push_bind(&worker);
                    update.push(" AND id IN (").push_list(runs.iter().map(Id::to_string));
                    update.push(") RETURNING id, fence");
                    for row in update.build().fetch_all(&mut *connection).await? {
                        held.push((row.id("id")?, row.integer("fence")?));
                    }
                }
                Ok(held)
            })
        });
        write.await
    }

    /// Which of the runs that `worker` holds somebody asked to cancel.
    pub async fn asked_to_cancel(&self, worker: &str) -> Result<Vec<Id>, Error> {
        let rows = query(
            "SELECT id FROM run WHERE state = 'running' AND worker = $1 \
             AND cancelled_by IS NOT NULL",
        );
        let rows = rows.bind(worker).fetch_all(&self.store.readers).await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// Takes back runs whose lease has ended; all that are running where `all` is set, because
    /// nobody else can be running any. A run goes back to the queue, unless somebody asked to
    /// cancel it, it was lost too often, or it belonged to an `exec` that is gone. With `all`, what
    /// one node does alone is free at once, too. Answers how many runs there were.
    pub async fn recover(&self, all: bool) -> Result<u64, Error> {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?.as_millis();
                let before = if all { i64::MAX } else { now };
                if all {
                    query("UPDATE lease SET until = 0").execute(&mut *connection).await?;
                }
                let lost = lost(connection, before).await?;
                for ids in lost.chunks(super::tags::IDS_PER_STATEMENT) {
                    let mut update = QueryBuilder::new("UPDATE attempt SET finished_at = ");
                    update.push_bind(now);
                    update.push(", fault_code = 'lost' WHERE finished_at IS NULL AND run_id IN (");
                    update.push_list(ids.iter().map(String::as_str));
                    update.push(")");
                    update.build().execute(&mut *connection).await?;

                    let mut update = QueryBuilder::new(
                        "UPDATE run SET lease_until = NULL, losses = losses + 1, \
                         state = CASE WHEN cancelled_by IS NOT NULL THEN 'cancelled' \
                         WHEN cause_kind = 'exec' THEN 'failed' WHEN losses + 1 >= ",
                    );
                    update.push_bind(i64::from(MAX_LOSSES));
                    update.push(
                        " THEN 'dead' ELSE 'queued' END, finished_at = CASE \
                         WHEN cancelled_by IS NOT NULL OR cause_kind = 'exec' OR losses + 1 >= ",
                    );
                    update.push_bind(i64::from(MAX_LOSSES)).push(" THEN ").push_bind(now);
                    update.push(" END WHERE state = 'running' AND id IN (");
                    update.push_list(ids.iter().map(String::as_str));
                    update.push(")");
                    update.build().execute(&mut *connection).await?;
                }
                Ok(lost.len() as u64)
            })
        });
        write.await
    }
}

/// The running runs whose lease ended before then. Those that another node works on are left.
async fn lost(connection: &mut Connection, before: i64) -> Result<Vec<String>, Error> {
    let mut select = QueryBuilder::new("SELECT id FROM run WHERE state = 'running'");
    select.push(" AND lease_until < ").push_bind(before);
    if connection.is_shared() {
        select.push(" FOR UPDATE SKIP LOCKED");
    }
    let rows = select.build().fetch_all(connection).await?;
    rows.iter().map(|row| row.text("id")).collect()
}

impl Tenant {
    /// Cancels a run that waits, or asks for it when it runs.
    pub async fn cancel_run(&self, id: Id, entry: Entry) -> Result<Cancelled, Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?;
                let by = entry.principal.clone();
                let row = query(
                    "UPDATE run SET cancelled_by = $1, \
                     finished_at = CASE WHEN state = 'queued' THEN $2 END, \
                     state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END \
                     WHERE id = $3 AND profile_id = $4 AND state IN ('queued', 'running') \
                     RETURNING state",
                )
                .bind(by)
                .bind(now.as_millis())
                .bind(id.to_string())
                .bind(&*profile)
                .fetch_optional(&mut *connection)
                .await?;
                let Some(row) = row else {
                    let row = query("SELECT state FROM run WHERE id = $1 AND profile_id = $2");
                    let row = row.bind(id.to_string()).bind(&*profile);
                    return Ok(Cancelled::Ended(row.fetch_one(connection).await?.word("state")?));
                };
                audit::append(connection, &profile, &entry).await?;
                Ok(match row.word("state")? {
                    State::Cancelled => Cancelled::AtOnce,
                    _ => Cancelled::Asked,
                })
            })
        });
        write.await
    }
}
