//! Reading runs back, and removing finished ones.

use super::connection::Row;
use super::row::damaged;
use super::statement::{QueryBuilder, query};
use super::{Error, Filter, Page, Tenant, audit};
use crate::analysis::Digest;
use crate::audit::Entry;
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::run::{Attempt, EnvironmentEntry, Run, State};

const COLUMNS: &str = "SELECT id, analysis_id, module_digest, module_version, state, cause_kind, \
     cause_by, action_id, root_run, depth, trigger_entries, rerun_of, attempts, losses, \
     run.created_at, run.started_at, run.finished_at, run_scope.sealed, \
     number, environment, attempt.started_at AS attempt_started_at, \
     attempt.finished_at AS attempt_finished_at, duration_us, peak_memory_bytes, \
     console_truncated, fault_code, outcome, leaks, uses, withheld FROM run \
     LEFT JOIN run_scope ON run_scope.run_id = run.id \
     LEFT JOIN attempt ON attempt.run_id = run.id AND attempt.number = run.attempts";

/// A run with its latest attempt and what is sealed beside it.
pub struct RunRecord {
    /// The run.
    pub run: Run,
    /// The sealed scope; none stands for `[]`.
    pub scope: Option<Vec<u8>>,
    /// The latest attempt, once there is one.
    pub attempt: Option<Attempt>,
    /// Its sealed result or fault message.
    pub outcome: Option<Vec<u8>>,
}

/// A run that was granted a secret.
pub struct SecretRun {
    /// The run.
    pub id: Id,
    /// Its analysis.
    pub analysis: Id,
    /// Where it stands.
    pub state: State,
    /// When its latest attempt began.
    pub started_at: Timestamp,
    /// The version of the secret that it was granted.
    pub version: u32,
}

/// How many runs are looked at for the grants of a secret, and how many of them are told.
const LOOKED_AT: i64 = 10_000;
const TOLD: i64 = 20;

/// Some console lines of one attempt, sealed.
pub struct ConsoleChunk {
    /// The attempt.
    pub attempt: u32,
    /// Where it stands among the chunks of the attempt.
    pub sequence: u32,
    /// When it was added to the console of a delivered run; none for what an outcome brought.
    pub added_at: Option<Timestamp>,
    /// The sealed lines.
    pub sealed: Vec<u8>,
}

pub(super) fn chunk(row: &Row) -> Result<ConsoleChunk, Error> {
    Ok(ConsoleChunk {
        attempt: row.number("attempt")?,
        sequence: row.number("sequence")?,
        added_at: row.optional_time("added_at")?,
        sealed: row.bytes("sealed")?,
    })
}

/// The module of a run; the empty text stands for none.
fn module(row: &Row) -> Result<Option<Digest>, Error> {
    match row.text("module_digest")?.is_empty() {
        true => Ok(None),
        false => row.word("module_digest").map(Some),
    }
}

impl Tenant {
    /// One run.
    pub async fn run(&self, id: Id) -> Result<RunRecord, Error> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        query.push(" AND run.id = ").push_bind(id.to_string());
        self.read_runs(query).await?.pop().ok_or(Error::NotFound)
    }

    /// The ids of the first two runs that begin with `prefix`, for telling whether it is unique.
    pub async fn runs_with_prefix(&self, prefix: &str) -> Result<Vec<Id>, Error> {
        let rows = query(
            "SELECT id FROM run WHERE profile_id = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT 2",
        )
        .bind(self.profile.to_string())
        .bind(prefix)
        .bind(format!("{prefix}g"))
        .fetch_all(&self.store.readers)
        .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// Runs, the newest first.
    pub async fn runs(&self, filter: &Filter, page: Page) -> Result<Vec<RunRecord>, Error> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        if let Some(analysis) = filter.analysis {
            query.push(" AND analysis_id = ").push_bind(analysis.to_string());
        }
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
        page.push(&mut query, "id DESC");
        self.read_runs(query).await
    }

    /// The last runs whose latest attempt was granted a secret, the newest first: at most 20, of the
    /// last 10,000 runs.
    pub async fn runs_with_secret(&self, secret: Id) -> Result<Vec<SecretRun>, Error> {
        let rows = query(
            "SELECT id, analysis_id, state, started_at, environment FROM (\
             SELECT id, analysis_id, state, attempt.started_at, environment FROM run \
             JOIN attempt ON attempt.run_id = run.id AND attempt.number = run.attempts \
             WHERE profile_id = $1 ORDER BY id DESC LIMIT $2) AS recent \
             WHERE environment LIKE $3 ORDER BY id DESC LIMIT $4",
        )
        .bind(self.profile.to_string())
        .bind(LOOKED_AT)
        .bind(format!("%\"secret\":\"{secret}\"%"))
        .bind(TOLD)
        .fetch_all(&self.store.readers)
        .await?;
        let run = |row: &Row| {
            let environment: Vec<EnvironmentEntry> = row.json("environment")?;
            let mut granted = environment.iter().filter(|entry| entry.secret == Some(secret));
            Ok(SecretRun {
                id: row.id("id")?,
                analysis: row.id("analysis_id")?,
                state: row.word("state")?,
                started_at: row.time("started_at")?,
                version: granted.find_map(|entry| entry.version).unwrap_or_default(),
            })
        };
        rows.iter().map(run).collect()
    }

    /// The console of a run: all attempts, in order.
    pub async fn console(&self, run: Id) -> Result<Vec<ConsoleChunk>, Error> {
        let rows = query(
            "SELECT attempt, sequence, added_at, console_chunk.sealed FROM console_chunk \
             JOIN run ON run.id = run_id \
             WHERE run_id = $1 AND profile_id = $2 ORDER BY attempt, sequence",
        )
        .bind(run.to_string())
        .bind(self.profile.to_string())
        .fetch_all(&self.store.readers)
        .await?;
        rows.iter().map(chunk).collect()
    }

    /// Removes a finished run with all that belongs to it.
    pub async fn delete_run(&self, id: Id, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let id = id.to_string();
                let done = query(
                    "DELETE FROM run WHERE id = $1 AND profile_id = $2 \
                     AND state NOT IN ('queued', 'running')",
                )
                .bind(&id)
                .bind(&*profile)
                .execute(&mut *connection)
                .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                for statement in [
                    "DELETE FROM run_scope WHERE run_id = $1",
                    "DELETE FROM attempt WHERE run_id = $1",
                    "DELETE FROM console_chunk WHERE run_id = $1",
                ] {
                    query(statement).bind(&id).execute(&mut *connection).await?;
                }
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    async fn read_runs(&self, query: QueryBuilder) -> Result<Vec<RunRecord>, Error> {
        let rows = query.build().fetch_all(&self.store.readers).await?;
        rows.iter().map(record).collect()
    }
}

/// The run of a row that has all columns of the table `run`.
pub(super) fn run(row: &Row) -> Result<Run, Error> {
    let kind = row.text("cause_kind")?;
    let cause = Cause {
        kind: kind.parse().map_err(|()| damaged("cause_kind", &kind))?,
        by: row.text("cause_by")?,
        action: row.optional_word("action_id")?,
        root: row.optional_word("root_run")?,
        depth: row.number("depth")?,
    };
    Ok(Run {
        id: row.id("id")?,
        analysis: row.id("analysis_id")?,
        module: module(row)?,
        version: row.optional_number("module_version")?,
        state: row.word("state")?,
        cause,
        trigger_entries: row.optional_json("trigger_entries")?.unwrap_or_default(),
        rerun_of: row.optional_word("rerun_of")?,
        attempts: row.number("attempts")?,
        losses: row.number("losses")?,
        created_at: row.time("created_at")?,
        started_at: row.optional_time("started_at")?,
        finished_at: row.optional_time("finished_at")?,
    })
}

fn record(row: &Row) -> Result<RunRecord, Error> {
    let attempt = match row.optional_number("number")? {
        None => None,
        Some(number) => {
            let environment = row.text("environment")?;
            Some(Attempt {
                number,
                environment: serde_json::from_str(&environment)
                    .map_err(|error| damaged("environment", &error))?,
                started_at: row.time("attempt_started_at")?,
                finished_at: row.optional_time("attempt_finished_at")?,
                duration_us: row.optional_number("duration_us")?,
                peak_memory_bytes: row.optional_number("peak_memory_bytes")?,
                console_truncated: row.flag("console_truncated")?,
                fault: row.optional_word("fault_code")?,
                leaks: row.optional_json("leaks")?,
                uses: row.optional_json("uses")?.unwrap_or_default(),
                withheld: row.flag("withheld")?,
            })
        }
    };
    Ok(RunRecord {
        run: run(row)?,
        scope: row.optional_bytes("sealed")?,
        attempt,
        outcome: row.optional_bytes("outcome")?,
    })
}
