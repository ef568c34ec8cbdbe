//! The two ends of a run's life in the store: its acknowledgement and its outcome.
//!
//! Both come in groups from the writer and are written as multi-row statements, because each
//! statement crosses a thread in the driver.

use std::collections::HashMap;

use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Host, audit};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::fault::FaultCode;
use crate::id::Id;
use crate::run::{LeakReport, RunRequest, SecretUse, State, TriggerEntries};

/// A request to be made durable.
pub struct NewRun {
    /// Whose run it is.
    pub profile: Id,
    /// What was asked.
    pub request: RunRequest,
    /// The scope, sealed; none stands for `[]`.
    pub scope: Option<Vec<u8>>,
    /// How many runs of the analysis may wait, this one included.
    pub queued_runs: u64,
}

/// The answer to a request, once it is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// The run.
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
    /// The final state; or queued, where the run is tried again.
    pub state: State,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
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
    /// The secrets it used without reading them.
    pub uses: Vec<SecretUse>,
    /// What was masked in what came out, if anything was.
    pub leaks: Option<LeakReport>,
    /// What the audit tells of the attempt. Written once, with the outcome.
    pub entries: Vec<Entry>,
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

/// Inserts requests and answers for each whether it waits now.
pub(super) async fn insert(
    connection: &mut Connection,
    runs: &[NewRun],
) -> Result<Vec<Result<Acknowledged, Error>>, Error> {
    let mut room = Room::default();
    let (mut answers, mut accepted) = (Vec::with_capacity(runs.len()), Vec::new());
    for run in runs {
        let taken = room.take(connection, run).await?;
        if taken.is_ok() {
            accepted.push(run);
        }
        answers.push(taken.map(|()| Acknowledged { run: run.request.id }));
    }
    insert_accepted(connection, &accepted).await?;
    Ok(answers)
}

/// Inserts requests that there is room for.
pub(super) async fn insert_accepted(
    connection: &mut Connection,
    runs: &[&NewRun],
) -> Result<(), Error> {
    for runs in statements(runs) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO run (id, profile_id, analysis_id, module_digest, module_version, state, \
             cause_kind, cause_by, action_id, root_run, depth, trigger_entries, rerun_of, due_at, \
             fence, attempts, losses, created_at) ",
        );
        insert.push_values(runs, |mut row, run| {
            let request = &run.request;
            let cause = &request.cause;
            row.push_bind(request.id.to_string()).push_bind(run.profile.to_string());
            row.push_bind(request.analysis.to_string());
            // The column takes no NULL.
            row.push_bind(request.module.map(|digest| digest.to_string()).unwrap_or_default());
            row.push_bind(request.version.map(i64::from)).push_bind(State::Queued.as_str());
            row.push_bind(cause.kind.as_str()).push_bind(&cause.by);
            row.push_bind(text(cause.action)).push_bind(text(cause.root));
            row.push_bind(i64::from(cause.depth)).push_bind(entries(&request.trigger_entries));
            row.push_bind(text(request.rerun_of)).push_bind(request.due_at.as_millis());
            row.push_bind(0_i64).push_bind(0_i64).push_bind(0_i64);
            row.push_bind(request.created_at.as_millis());
        });
        insert.build().execute(&mut *connection).await?;
    }
    let scopes: Vec<_> = runs.iter().filter(|run| run.scope.is_some()).collect();
    for scopes in statements(&scopes) {
        let mut insert = QueryBuilder::new("INSERT INTO run_scope (run_id, sealed) ");
        insert.push_values(scopes, |mut row, run| {
            row.push_bind(run.request.id.to_string()).push_bind(&run.scope);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn text(id: Option<Id>) -> Option<String> {
    id.map(|id| id.to_string())
}

fn entries(entries: &TriggerEntries) -> Option<String> {
    // Strings cannot fail to be written as JSON.
    (!entries.is_empty()).then(|| serde_json::to_string(entries).unwrap_or_default())
}

/// How many more runs of each analysis may wait, for the writes of one transaction.
#[derive(Default)]
pub(super) struct Room(HashMap<Id, u64>);

impl Room {
    /// Takes one place, if there is one.
    pub(super) async fn take(
        &mut self,
        connection: &mut Connection,
        run: &NewRun,
    ) -> Result<Result<(), Error>, Error> {
        let (analysis, cap) = (run.request.analysis, run.queued_runs);
        let left = match self.0.get_mut(&analysis) {
            Some(left) => left,
            None => {
                let waiting = query(
                    "SELECT COUNT(*) AS waiting FROM (SELECT 1 FROM run WHERE state = 'queued' \
                     AND analysis_id = $1 LIMIT $2) AS waiting",
                );
                let limit = i64::try_from(cap).unwrap_or(i64::MAX);
                let waiting = waiting.bind(analysis.to_string()).bind(limit);
                let waiting: u64 = waiting.fetch_one(connection).await?.number("waiting")?;
                self.0.entry(analysis).or_insert(cap.saturating_sub(waiting))
            }
        };
        match left.checked_sub(1) {
            Some(fewer) => {
                *left = fewer;
                Ok(Ok(()))
            }
            None => Ok(Err(Error::QueueFull)),
        }
    }
}

/// Writes outcomes. The run's row changes only under the fence of its claim; console and outcome
/// stand under their own attempt, so a late worker can spoil nothing.
pub(super) async fn finish(
    connection: &mut Connection,
    outcomes: &[Finished],
) -> Result<(), Error> {
    audit_attempts(connection, outcomes).await?;
    for outcomes in statements(outcomes) {
        let mut update = QueryBuilder::new(
            "UPDATE run SET lease_until = NULL, due_at = COALESCE(v.column5, due_at), \
             state = CASE WHEN v.column3 = 'queued' AND cancelled_by IS NOT NULL \
             THEN 'cancelled' ELSE v.column3 END, \
             finished_at = CASE WHEN v.column3 = 'queued' AND cancelled_by IS NULL \
             THEN NULL ELSE v.column4 END FROM (",
        );
        update.push_values(outcomes, |mut row, outcome| {
            row.push_bind(outcome.run.to_string()).push_bind(outcome.fence);
            row.push_bind(outcome.state.as_str()).push_bind(outcome.at.as_millis());
            row.push_bind(outcome.retry_at.map(Timestamp::as_millis));
        });
        update.push(
            ") AS v WHERE run.id = v.column1 AND run.fence = v.column2 AND run.state = 'running'",
        );
        update.build().execute(&mut *connection).await?;

        let mut update = QueryBuilder::new(
            "UPDATE attempt SET finished_at = v.column3, duration_us = v.column4, \
             peak_memory_bytes = v.column5, console_truncated = v.column6, \
             fault_code = v.column7, outcome = v.column8, leaks = v.column9, \
             uses = v.column10 FROM (",
        );
        update.push_values(outcomes, |mut row, outcome| {
            row.push_bind(outcome.run.to_string()).push_bind(i64::from(outcome.attempt));
            row.push_bind(outcome.at.as_millis()).push_bind(signed(outcome.duration_us));
            row.push_bind(signed(outcome.peak_memory_bytes)).push_bind(outcome.console_truncated);
            row.push_bind(outcome.fault.map(FaultCode::as_str)).push_bind(&outcome.outcome);
            row.push_bind(outcome.leaks.as_ref().map(report));
            row.push_bind(uses(&outcome.uses));
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
        let mut insert =
            QueryBuilder::new("INSERT INTO console_chunk (run_id, attempt, sequence, sealed) ");
        insert.push_values(chunks, |mut row, (outcome, (sequence, sealed))| {
            row.push_bind(outcome.run.to_string()).push_bind(i64::from(outcome.attempt));
            row.push_bind(i64::from(*sequence)).push_bind(sealed);
        });
        // An answer that got lost on its way is no reason to write twice.
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Appends the entries of outcomes that are not written yet: one that comes again, because its
/// answer got lost, is not told twice.
async fn audit_attempts(connection: &mut Connection, outcomes: &[Finished]) -> Result<(), Error> {
    let mut entries = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.entries.is_empty()) {
        let row = query(
            "SELECT profile_id FROM run JOIN attempt ON attempt.run_id = run.id \
             WHERE run.id = $1 AND attempt.number = $2 AND attempt.finished_at IS NULL",
        );
        let row = row.bind(outcome.run.to_string()).bind(i64::from(outcome.attempt));
        if let Some(row) = row.fetch_optional(&mut *connection).await? {
            let profile = row.text("profile_id")?;
            entries.extend(outcome.entries.iter().map(|entry| (profile.clone(), entry.clone())));
        }
    }
    audit::append_all(connection, &entries).await
}

fn report(report: &LeakReport) -> String {
    // Words, ids and numbers: writing them as JSON cannot fail.
    serde_json::to_string(report).unwrap_or_default()
}

fn uses(uses: &[SecretUse]) -> Option<String> {
    // Texts, ids and numbers: writing them as JSON cannot fail.
    (!uses.is_empty()).then(|| serde_json::to_string(uses).unwrap_or_default())
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
