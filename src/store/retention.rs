//! Removing what is older than anybody wants it, in batches.
//!
//! Each batch is one write among others, so that nobody waits long for it. What is pruned leaves
//! no tombstone and no audit entry. Ages count by the clock that all users of the database share.

use std::time::Duration;

use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Host, profiles};
use crate::auth::IDLE;
use crate::clock::Timestamp;
use crate::id::Id;

/// The most rows that one batch removes.
const BATCH: i64 = 500;

/// How long bytes of a module are kept that no version names: a version may be on its way.
const MODULES: Duration = Duration::from_secs(3_600);

/// How long is kept when the runs of an analysis had their turn.
const LANES: Duration = Duration::from_secs(86_400);

/// How long a lease is kept after its end.
const LEASES: Duration = Duration::from_secs(86_400);

/// What a batch is taken from.
#[derive(Clone, Copy, Debug)]
pub enum Past {
    /// Runs of a profile that ended longer ago than `keep`.
    OldRuns {
        /// The profile.
        profile: Id,
        /// How long runs are kept.
        keep: Duration,
    },
    /// Runs of a profile that ended before then, but for dead ones: those wait for somebody.
    SurplusRuns {
        /// The profile.
        profile: Id,
        /// Answered by [`Host::surplus_before`].
        before: Timestamp,
    },
    /// Slots of a profile's actions that were recorded longer ago than `keep`.
    Slots {
        /// The profile.
        profile: Id,
        /// How long slots are kept.
        keep: Duration,
    },
    /// Audit entries that are older than `keep`.
    Audit {
        /// How long entries are kept.
        keep: Duration,
    },
    /// What profiles left that were deleted, but for the audit.
    Deleted,
    /// Idempotency keys and leases that ended, and modules in the store that no version names.
    Expired,
}

impl Host {
    /// Removes one batch. Answers how many rows went, not counting what belonged to them; there is
    /// no more when it is none.
    pub async fn prune(&self, past: Past) -> Result<u64, Error> {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?;
                match past {
                    Past::OldRuns { profile, keep } => {
                        runs(connection, profile, minus(now, keep), true).await
                    }
                    Past::SurplusRuns { profile, before } => {
                        runs(connection, profile, before.as_millis(), false).await
                    }
                    Past::Slots { profile, keep } => {
                        slots(connection, profile, minus(now, keep)).await
                    }
                    Past::Audit { keep } => audit(connection, minus(now, keep)).await,
                    Past::Deleted => profiles::prune(connection, BATCH).await,
                    Past::Expired => expired(connection, now).await,
                }
            })
        });
        write.await
    }

    /// When the oldest of the `newest` ended runs of a profile that are to be kept has ended,
    /// without dead ones. Nothing where there are no more than that.
    pub async fn surplus_before(
        &self,
        profile: Id,
        newest: u64,
    ) -> Result<Option<Timestamp>, Error> {
        let offset = newest.saturating_sub(1);
        let row = query(
            "SELECT finished_at FROM run WHERE profile_id = $1 AND finished_at IS NOT NULL \
             AND state <> 'dead' ORDER BY finished_at DESC LIMIT 1 OFFSET $2",
        )
        .bind(profile.to_string())
        .bind(i64::try_from(offset).unwrap_or(i64::MAX))
        .fetch_optional(&self.store.readers)
        .await?;
        row.map(|row| row.time("finished_at")).transpose()
    }
}

fn minus(now: Timestamp, keep: Duration) -> i64 {
    now.as_millis().saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX))
}

async fn runs(
    connection: &mut Connection,
    profile: Id,
    before: i64,
    dead: bool,
) -> Result<u64, Error> {
    let mut select = QueryBuilder::new("SELECT id FROM run WHERE profile_id = ");
    select.push_bind(profile.to_string()).push(" AND finished_at < ").push_bind(before);
    if !dead {
        select.push(" AND state <> 'dead'");
    }
    select.push(" ORDER BY finished_at LIMIT ").push_bind(BATCH);
    remove(connection, select).await
}

/// Removes a batch of the runs of a profile, but for those that still run.
pub(super) async fn runs_of(connection: &mut Connection, profile: &str) -> Result<u64, Error> {
    let mut select = QueryBuilder::new("SELECT id FROM run WHERE state <> 'running'");
    select.push(" AND profile_id = ").push_bind(profile);
    select.push(" LIMIT ").push_bind(BATCH);
    remove(connection, select).await
}

/// Removes the selected runs with all that belongs to them.
async fn remove(connection: &mut Connection, select: QueryBuilder) -> Result<u64, Error> {
    let rows = select.build().fetch_all(&mut *connection).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.text("id")).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    for table in [
        "DELETE FROM run_scope WHERE run_id IN (",
        "DELETE FROM console_chunk WHERE run_id IN (",
        "DELETE FROM attempt WHERE run_id IN (",
        "DELETE FROM run WHERE id IN (",
    ] {
        let mut delete = QueryBuilder::new(table);
        delete.push_list(&ids);
        delete.push(")");
        delete.build().execute(&mut *connection).await?;
    }
    Ok(ids.len() as u64)
}

async fn slots(connection: &mut Connection, profile: Id, before: i64) -> Result<u64, Error> {
    query(
        "DELETE FROM slot WHERE (action_id, analysis_id, instant) IN (\
         SELECT action_id, analysis_id, instant FROM slot \
         WHERE profile_id = $1 AND recorded_at < $2 ORDER BY recorded_at LIMIT $3)",
    )
    .bind(profile.to_string())
    .bind(before)
    .bind(BATCH)
    .execute(connection)
    .await
}

/// The audit lets go only of entries below its floor, which is raised for this one deletion.
async fn audit(connection: &mut Connection, before: i64) -> Result<u64, Error> {
    query("UPDATE audit_floor SET before = $1").bind(before).execute(&mut *connection).await?;
    // Entries stand in the order of their time, but for clocks that were set.
    let deleted = query(
        "DELETE FROM audit WHERE at < $1 AND sequence IN (\
         SELECT sequence FROM audit ORDER BY sequence LIMIT $2)",
    );
    let deleted = deleted.bind(before).bind(BATCH).execute(&mut *connection).await?;
    query("UPDATE audit_floor SET before = 0").execute(connection).await?;
    Ok(deleted)
}

async fn expired(connection: &mut Connection, now: Timestamp) -> Result<u64, Error> {
    let mut deleted = query(
        "DELETE FROM idempotency WHERE (profile_id, principal, operation, key) IN (\
         SELECT profile_id, principal, operation, key FROM idempotency \
         WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    )
    .bind(now.as_millis())
    .bind(BATCH)
    .execute(&mut *connection)
    .await?;
    deleted += query("DELETE FROM lease WHERE until < $1")
        .bind(minus(now, LEASES))
        .execute(&mut *connection)
        .await?;
    deleted += query("DELETE FROM session WHERE expires_at <= $1 OR seen_at <= $2")
        .bind(now.as_millis())
        .bind(minus(now, IDLE))
        .execute(&mut *connection)
        .await?;
    // A lane without a row goes first, as one that was served so long ago does.
    deleted += query("DELETE FROM lane WHERE served_at < $1")
        .bind(minus(now, LANES))
        .execute(&mut *connection)
        .await?;
    if connection.is_shared() {
        deleted += query(
            "DELETE FROM module WHERE created_at < $1 AND NOT EXISTS (\
             SELECT 1 FROM module_version WHERE module_version.digest = module.digest)",
        )
        .bind(minus(now, MODULES))
        .execute(connection)
        .await?;
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::store::Store;

    const DAY: Duration = Duration::from_secs(86_400);

    /// A store with one profile, and statements performed on it.
    async fn store(folder: &tempfile::TempDir, statements: &'static [&'static str]) -> (Store, Id) {
        let store = Store::open(&folder.path().join("runner.db"), &Metrics::new()).await.unwrap();
        let profile = Id::generate(Timestamp::now());
        store.host().found(profile, "default", Vec::new(), Timestamp::now()).await.unwrap();
        for statement in statements {
            write(&store, statement).await.unwrap();
        }
        (store, profile)
    }

    async fn write(store: &Store, statement: &'static str) -> Result<u64, Error> {
        let write = store.writer.write(move |connection| {
            Box::pin(async move { query(statement).execute(connection).await })
        });
        write.await
    }

    async fn count(store: &Store, select: &'static str) -> i64 {
        query(select).fetch_one(&store.readers).await.unwrap().integer("n").unwrap()
    }

    /// 1200 runs that ended in the seconds 0 to 1199 of the epoch; each hundredth is dead.
    const RUNS: &[&str] = &[
        "INSERT INTO run (id, profile_id, analysis_id, module_digest, state, cause_kind, cause_by, \
         due_at, fence, attempts, created_at, finished_at) \
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1199) \
         SELECT printf('%024x', i), profile.id, 'a', 'd', \
         CASE WHEN i % 100 = 0 THEN 'dead' ELSE 'succeeded' END, 'api', 'x', 0, 1, 1, 0, i * 1000 \
         FROM n, profile",
        "INSERT INTO attempt (run_id, number, worker, fence, environment, started_at, \
         console_truncated) SELECT id, 1, 'w', 1, '[]', 0, FALSE FROM run",
        "INSERT INTO run_scope (run_id, sealed) SELECT id, x'00' FROM run",
        "INSERT INTO console_chunk (run_id, attempt, sequence, sealed) \
         SELECT id, 1, 0, x'00' FROM run",
        "UPDATE run SET state = 'queued', finished_at = NULL WHERE id = printf('%024x', 7)",
    ];

    #[tokio::test]
    async fn surplus_runs_go_with_all_that_belongs_to_them_but_dead_and_open_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (store, profile) = store(&folder, RUNS).await;
        let host = store.host();
        assert_eq!(host.surplus_before(profile, 5_000).await.unwrap(), None);
        let before = host.surplus_before(profile, 100).await.unwrap().unwrap();
        let mut batches = Vec::new();
        loop {
            match host.prune(Past::SurplusRuns { profile, before }).await.unwrap() {
                0 => break,
                rows => batches.push(rows),
            }
        }
        // 1188 were neither dead nor, as one, queued; 100 of them stay.
        assert_eq!(batches, [500, 500, 87]);
        for table in [
            "SELECT COUNT(*) AS n FROM run",
            "SELECT COUNT(*) AS n FROM attempt",
            "SELECT COUNT(*) AS n FROM run_scope",
            "SELECT COUNT(*) AS n FROM console_chunk",
        ] {
            assert_eq!(count(&store, table).await, 100 + 12 + 1, "{table}");
        }
        let newest = "SELECT COUNT(*) AS n FROM run WHERE finished_at >= 1199000";
        assert_eq!(count(&store, newest).await, 1, "the newest is kept");
        store.close().await;
    }

    #[tokio::test]
    async fn old_runs_go_dead_ones_too_and_young_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (store, profile) = store(&folder, RUNS).await;
        write(&store, "UPDATE run SET finished_at = 9000000000000 WHERE state = 'dead'")
            .await
            .unwrap();
        let past = Past::OldRuns { profile, keep: DAY };
        while store.host().prune(past).await.unwrap() > 0 {}
        assert_eq!(count(&store, "SELECT COUNT(*) AS n FROM run").await, 12 + 1);
        write(&store, "UPDATE run SET finished_at = 1 WHERE state = 'dead'").await.unwrap();
        while store.host().prune(past).await.unwrap() > 0 {}
        assert_eq!(count(&store, "SELECT COUNT(*) AS n FROM run").await, 1, "the queued one");
        store.close().await;
    }

    #[tokio::test]
    async fn only_a_pruning_deletes_from_the_audit_and_only_what_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = store(
            &folder,
            &["INSERT INTO audit (profile_id, at, principal, event, resource_id, detail) \
               WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 699) \
               SELECT profile.id, CASE WHEN i < 600 THEN i ELSE 9000000000000 END, 'x', 'e', 'r', \
               '{}' FROM n, profile"],
        )
        .await;
        let host = store.host();
        let delete = "DELETE FROM audit WHERE at < 100";
        assert!(write(&store, delete).await.is_err());
        assert_eq!(host.prune(Past::Audit { keep: DAY }).await.unwrap(), 500);
        assert!(write(&store, "DELETE FROM audit").await.is_err(), "the floor is back");
        assert_eq!(host.prune(Past::Audit { keep: DAY }).await.unwrap(), 100);
        assert_eq!(host.prune(Past::Audit { keep: DAY }).await.unwrap(), 0);
        assert_eq!(count(&store, "SELECT COUNT(*) AS n FROM audit").await, 100);
        // Without its floor the audit gives nothing away.
        write(&store, "DELETE FROM audit_floor").await.unwrap();
        assert!(write(&store, "DELETE FROM audit").await.is_err());
        store.close().await;
    }

    #[tokio::test]
    async fn slots_keys_and_leases_go_when_their_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (store, profile) = store(
            &folder,
            &[
                "INSERT INTO slot (action_id, analysis_id, instant, profile_id, last, instants, \
                 revision, outcome, recorded_at) SELECT 'a', 'b', 1, id, 1, 1, 1, 'ran', 1 \
                 FROM profile UNION ALL SELECT 'a', 'b', 2, id, 2, 1, 1, 'ran', 9000000000000 \
                 FROM profile",
                "INSERT INTO idempotency (profile_id, principal, operation, key, digest, runs, \
                 expires_at) SELECT id, 'p', 'run', 'old', 'd', '[]', 1 FROM profile UNION ALL \
                 SELECT id, 'p', 'run', 'new', 'd', '[]', 9000000000000 FROM profile",
                "INSERT INTO lease (name, holder, fence, until) VALUES ('old', 'h', 1, 0), \
                 ('new', 'h', 1, 9000000000000)",
            ],
        )
        .await;
        let host = store.host();
        assert_eq!(host.prune(Past::Slots { profile, keep: DAY }).await.unwrap(), 1);
        assert_eq!(host.prune(Past::Expired).await.unwrap(), 2);
        assert_eq!(host.prune(Past::Expired).await.unwrap(), 0);
        let left = "SELECT (SELECT COUNT(*) FROM slot WHERE instant = 2) + (SELECT COUNT(*) FROM \
             idempotency WHERE key = 'new') + (SELECT COUNT(*) FROM lease WHERE name = 'new') AS n";
        assert_eq!(count(&store, left).await, 3);
        store.close().await;
    }
}
