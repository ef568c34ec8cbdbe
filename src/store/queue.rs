//! The two ends of a run's life in the store: its acknowledgement and its outcome.
//!
//! Both come in groups from the writer and are written as multi-row statements, because each
//! statement crosses a thread in the driver.

use std::collections::HashMap;

use sqlx::QueryBuilder;

use super::row::Columns;
use super::{Connection, Dialect, Error, Host};
use crate::clock::Timestamp;
use crate::fault::FaultCode;
use crate::id::Id;
use crate::run::{RunRequest, State};

/// A request to be made durable.
pub struct NewRun {
    /// Whose run it is.
    pub profile: Id,
    /// What was asked.
    pub request: RunRequest,
    /// The scope, sealed; none stands for `[]`.
    pub scope: Option<Vec<u8>>,
}

/// The answer to a request, once it is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// The run: the request's own, or the earlier one with the same dedupe key.
    pub run: Id,
}

/// An outcome to be made durable.
#[derive(Clone)]
pub struct Finished {
    /// The run.
    pub run: Id,
    /// The fence under which it was claimed; an outcome with an older one changes nothing.
    pub fence: i64,
    /// The attempt.
    pub attempt: u32,
    /// The final state.
    pub state: State,
    /// Why it failed, if it did.
    pub fault: Option<FaultCode>,
    /// The result or the fault's message, sealed.
    pub outcome: Option<Vec<u8>>,
    /// Console chunks, each sealed, with the number of its first line.
    pub console: Vec<(u32, Vec<u8>)>,
    /// Whether console text was cut.
    pub console_truncated: bool,
    /// How long the guest ran, in microseconds.
    pub duration_us: u64,
    /// The most linear memory it held, in bytes.
    pub peak_memory_bytes: u64,
    /// When it ended.
    pub at: Timestamp,
}

impl Host {
    /// Makes a request durable. It returns after the commit.
    pub async fn enqueue(&self, run: NewRun) -> Result<Acknowledged, Error> {
        self.store.writer.enqueue(run).await
    }

    /// Makes an outcome durable. It returns after the commit.
    pub async fn finish(&self, outcome: Finished) -> Result<(), Error> {
        self.store.writer.finish(outcome).await
    }
}

/// Cuts rows into statements of few different lengths, so that prepared statements are reused.
pub(super) fn statements<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    const LENGTHS: [usize; 4] = [64, 16, 4, 1];
    let mut rest = rows;
    std::iter::from_fn(move || {
        let length = LENGTHS.into_iter().find(|length| *length <= rest.len())?;
        let (statement, others) = rest.split_at(length);
        rest = others;
        Some(statement)
    })
}

/// Inserts requests and answers which run each became.
pub(super) async fn insert(
    connection: &mut Connection,
    runs: &[NewRun],
) -> Result<Vec<Acknowledged>, Error> {
    for runs in statements(runs) {
        let mut insert = QueryBuilder::<Dialect>::new(
            "INSERT INTO run (id, profile_id, analysis_id, module_digest, module_version, state, \
             cause_kind, cause_by, dedupe_key, due_at, fence, attempts, created_at) ",
        );
        insert.push_values(runs, |mut row, run| {
            let request = &run.request;
            row.push_bind(request.id.to_string()).push_bind(run.profile.to_string());
            row.push_bind(request.analysis.to_string()).push_bind(request.module.to_string());
            row.push_bind(request.version.map(i64::from)).push_bind(State::Queued.as_str());
            row.push_bind(request.cause.kind.as_str()).push_bind(&request.cause.by);
            row.push_bind(&request.dedupe_key).push_bind(request.due_at.as_millis());
            row.push_bind(0_i64).push_bind(0_i64).push_bind(request.created_at.as_millis());
        });
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(&mut *connection).await?;
    }
    let earlier = deduplicated(connection, runs).await?;
    let fresh = |run: &&NewRun| run.scope.is_some() && !earlier.contains_key(&run.request.id);
    let scopes: Vec<_> = runs.iter().filter(fresh).collect();
    for scopes in statements(&scopes) {
        let mut insert = QueryBuilder::<Dialect>::new("INSERT INTO run_scope (run_id, sealed) ");
        insert.push_values(scopes, |mut row, run| {
            row.push_bind(run.request.id.to_string()).push_bind(&run.scope);
        });
        insert.build().execute(&mut *connection).await?;
    }
    let run = |run: &NewRun| earlier.get(&run.request.id).copied().unwrap_or(run.request.id);
    Ok(runs.iter().map(|new| Acknowledged { run: run(new) }).collect())
}

/// Of the requests with a dedupe key, those that became an earlier run, with that run.
async fn deduplicated(
    connection: &mut Connection,
    runs: &[NewRun],
) -> Result<HashMap<Id, Id>, Error> {
    let mut earlier = HashMap::new();
    for run in runs.iter().filter(|run| run.request.dedupe_key.is_some()) {
        let row = sqlx::query("SELECT id FROM run WHERE profile_id = $1 AND dedupe_key = $2")
            .bind(run.profile.to_string())
            .bind(&run.request.dedupe_key)
            .fetch_one(&mut *connection)
            .await?;
        let id = row.id("id")?;
        if id != run.request.id {
            earlier.insert(run.request.id, id);
        }
    }
    Ok(earlier)
}

/// Writes outcomes. The run's row changes only under the fence of its claim; console and outcome
/// stand under their own attempt, so a late worker can spoil nothing.
pub(super) async fn finish(
    connection: &mut Connection,
    outcomes: &[Finished],
) -> Result<(), Error> {
    for outcomes in statements(outcomes) {
        let mut update = QueryBuilder::<Dialect>::new(
            "UPDATE run SET state = v.column3, finished_at = v.column4, lease_until = NULL FROM (",
        );
        update.push_values(outcomes, |mut row, outcome| {
            row.push_bind(outcome.run.to_string()).push_bind(outcome.fence);
            row.push_bind(outcome.state.as_str()).push_bind(outcome.at.as_millis());
        });
        update.push(
            ") AS v WHERE run.id = v.column1 AND run.fence = v.column2 AND run.state = 'running'",
        );
        update.build().execute(&mut *connection).await?;

        let mut update = QueryBuilder::<Dialect>::new(
            "UPDATE attempt SET finished_at = v.column3, duration_us = v.column4, \
             peak_memory_bytes = v.column5, console_truncated = v.column6, \
             fault_code = v.column7, outcome = v.column8 FROM (",
        );
        update.push_values(outcomes, |mut row, outcome| {
            row.push_bind(outcome.run.to_string()).push_bind(i64::from(outcome.attempt));
            row.push_bind(outcome.at.as_millis()).push_bind(signed(outcome.duration_us));
            row.push_bind(signed(outcome.peak_memory_bytes)).push_bind(outcome.console_truncated);
            row.push_bind(outcome.fault.map(FaultCode::as_str)).push_bind(&outcome.outcome);
        });
        update.push(
            ") AS v WHERE attempt.run_id = v.column1 AND attempt.number = v.column2 \
             AND attempt.finished_at IS NULL",
        );
        update.build().execute(&mut *connection).await?;
    }
    let chunks: Vec<_> = outcomes
        .iter()
        .flat_map(|outcome| outcome.console.iter().map(move |chunk| (outcome, chunk)))
        .collect();
    for chunks in statements(&chunks) {
        let mut insert = QueryBuilder::<Dialect>::new(
            "INSERT INTO console_chunk (run_id, attempt, sequence, sealed) ",
        );
        insert.push_values(chunks, |mut row, (outcome, (sequence, sealed))| {
            row.push_bind(outcome.run.to_string()).push_bind(i64::from(outcome.attempt));
            row.push_bind(i64::from(*sequence)).push_bind(sealed);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_few_lengths_and_none_is_lost() {
        let rows: Vec<u32> = (0..150).collect();
        let lengths: Vec<_> = statements(&rows).map(<[u32]>::len).collect();
        assert_eq!(lengths, [64, 64, 16, 4, 1, 1]);
        assert_eq!(statements(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(statements::<u32>(&[]).count(), 0);
    }
}
