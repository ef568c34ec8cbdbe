//! Starting runs that somebody's action asks for: which of them start, and why the others do not.
//!
//! Everything happens in the caller's transaction, so that a trigger and its runs are one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::queue::{NewRun, Room, insert_accepted};
use super::statement::{QueryBuilder, query};
use super::tags::IDS_PER_STATEMENT;
use super::{Connection, Error};
use crate::action::Overlap;
use crate::analysis::{Digest, EXTERNAL, Limits};
use crate::cause::{Cause, MAX_DEPTH};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::run::{RunRequest, State, TriggerEntries};

/// A run that an action asks for.
pub struct Start {
    /// Whose run it is.
    pub profile: Id,
    /// The run's id.
    pub run: Id,
    /// What to run; its active version.
    pub analysis: Id,
    /// What set it off; it names the action.
    pub cause: Cause,
    /// System entries that the trigger adds to the environment.
    pub trigger_entries: TriggerEntries,
    /// The scope, sealed for the run, where none stands for `[]`; or why it could not be sealed.
    pub scope: Result<Option<Vec<u8>>, NotStarted>,
    /// The earliest start.
    pub due_at: Timestamp,
    /// What becomes of it while an earlier run of the same action and analysis is not over.
    pub overlap: Overlap,
}

/// What became of a start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Started {
    /// It is queued.
    Queued {
        /// Earlier runs that run still and whose worker has to be told to stop them.
        cancelled: Vec<Id>,
    },
    /// An earlier run is not over.
    Skipped,
    /// It cannot start.
    Failed(NotStarted),
}

/// Why a run that was asked for cannot start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotStarted {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong and what to do.
    pub message: String,
}

struct Active {
    /// The module with its version; none where a listener outside has the program.
    module: Option<(Digest, u32)>,
    limits: Limits,
}

type Open = HashMap<(Id, Id), Vec<(Id, State)>>;

/// Starts what can start; answers for each what became of it, in order.
pub(super) async fn start(
    connection: &mut Connection,
    starts: Vec<Start>,
    now: Timestamp,
) -> Result<Vec<Started>, Error> {
    let mut analyses: HashMap<(Id, Id), Result<Active, NotStarted>> = HashMap::new();
    let mut open = open_runs(connection, &starts).await?;
    let mut room = Room::default();
    let (mut answers, mut accepted) = (Vec::with_capacity(starts.len()), Vec::new());
    for start in starts {
        let key = (start.profile, start.analysis);
        let active = match analyses.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(active(connection, start.profile, start.analysis).await?)
            }
        };
        let active = match active {
            Ok(active) => active,
            Err(why) => {
                answers.push(Started::Failed(why.clone()));
                continue;
            }
        };
        if start.cause.depth > MAX_DEPTH {
            answers.push(Started::Failed(too_deep(start.cause.depth)));
            continue;
        }
        let pair = start.cause.action.map(|action| (action, start.analysis));
        let earlier = pair.and_then(|pair| open.get(&pair)).filter(|runs| !runs.is_empty());
        if earlier.is_some() && start.overlap == Overlap::Skip {
            answers.push(Started::Skipped);
            continue;
        }
        let new = match start.into_run(active, now) {
            Ok(new) => new,
            Err(why) => {
                answers.push(Started::Failed(why));
                continue;
            }
        };
        match room.take(connection, &new.run).await? {
            Ok(()) => {}
            Err(full) => {
                let why = NotStarted { code: ErrorCode::QueueFull, message: full.to_string() };
                answers.push(Started::Failed(why));
                continue;
            }
        }
        let mut cancelled = Vec::new();
        if new.overlap == Overlap::CancelPrevious
            && let Some(earlier) = pair.and_then(|pair| open.remove(&pair))
        {
            // The earlier one may be one of these.
            insert(connection, &mut accepted).await?;
            cancelled = cancel(connection, &earlier, &new.run.request.cause.by, now).await?;
        }
        if let Some(pair) = pair {
            open.entry(pair).or_default().push((new.run.request.id, State::Queued));
        }
        answers.push(Started::Queued { cancelled });
        accepted.push(new.run);
    }
    insert(connection, &mut accepted).await?;
    Ok(answers)
}

async fn insert(connection: &mut Connection, accepted: &mut Vec<NewRun>) -> Result<(), Error> {
    let runs: Vec<_> = accepted.iter().collect();
    insert_accepted(connection, &runs).await?;
    accepted.clear();
    Ok(())
}

struct Ready {
    run: NewRun,
    overlap: Overlap,
}

impl Start {
    fn into_run(self, active: &Active, now: Timestamp) -> Result<Ready, NotStarted> {
        let request = RunRequest {
            id: self.run,
            analysis: self.analysis,
            module: active.module.map(|(digest, _)| digest),
            version: active.module.map(|(_, version)| version),
            cause: self.cause,
            trigger_entries: self.trigger_entries,
            rerun_of: None,
            due_at: self.due_at,
            created_at: now,
        };
        let queued_runs = active.limits.queued_runs;
        let run = NewRun { profile: self.profile, request, scope: self.scope?, queued_runs };
        Ok(Ready { run, overlap: self.overlap })
    }
}

fn too_deep(depth: u32) -> NotStarted {
    let message = format!(
        "this would be run {depth} of a chain in which each run caused the next; at most \
         {MAX_DEPTH} may follow the first"
    );
    NotStarted { code: ErrorCode::ChainTooDeep, message }
}

async fn active(
    connection: &mut Connection,
    profile: Id,
    analysis: Id,
) -> Result<Result<Active, NotStarted>, Error> {
    let row = query(
        "SELECT active, run_on, limits, analysis.version, digest FROM analysis \
         LEFT JOIN module_version ON module_version.analysis_id = analysis.id \
         AND module_version.version = analysis.version \
         WHERE analysis.id = $1 AND analysis.profile_id = $2",
    )
    .bind(analysis.to_string())
    .bind(profile.to_string())
    .fetch_optional(connection)
    .await?;
    let not = |code, what: &str| {
        Ok(Err(NotStarted { code, message: format!("the analysis {analysis} {what}") }))
    };
    let Some(row) = row else {
        return not(ErrorCode::AnalysisNotFound, "does not exist any more; edit the action");
    };
    if !row.flag("active")? {
        return not(ErrorCode::InactiveAnalysis, "is switched off; switch it on to run it");
    }
    let limits = row.json("limits")?;
    if row.text("run_on")? == EXTERNAL {
        return Ok(Ok(Active { module: None, limits }));
    }
    match (row.optional_word("digest")?, row.optional_number("version")?) {
        (Some(digest), Some(version)) => Ok(Ok(Active { module: Some((digest, version)), limits })),
        _ => not(ErrorCode::NoModule, "has no module; upload one first"),
    }
}

/// The runs that are not over, of each action and analysis.
async fn open_runs(connection: &mut Connection, starts: &[Start]) -> Result<Open, Error> {
    let careful = starts
        .iter()
        .filter(|start| matches!(start.overlap, Overlap::Skip | Overlap::CancelPrevious));
    let mut actions: Vec<Id> = careful.filter_map(|start| start.cause.action).collect();
    actions.sort_unstable();
    actions.dedup();
    let mut open = Open::new();
    for actions in actions.chunks(IDS_PER_STATEMENT) {
        let mut select = QueryBuilder::new(
            "SELECT id, action_id, analysis_id, state FROM run \
             WHERE state IN ('queued', 'running') AND action_id IS NOT NULL AND action_id IN (",
        );
        select.push_list(actions.iter().map(Id::to_string));
        select.push(")");
        for row in select.build().fetch_all(&mut *connection).await? {
            let pair = (row.id("action_id")?, row.id("analysis_id")?);
            open.entry(pair).or_default().push((row.id("id")?, row.word("state")?));
        }
    }
    Ok(open)
}

/// Cancels what waits and asks for it where it runs. Answers those.
async fn cancel(
    connection: &mut Connection,
    earlier: &[(Id, State)],
    by: &str,
    now: Timestamp,
) -> Result<Vec<Id>, Error> {
    for (run, _) in earlier {
        query(
            "UPDATE run SET cancelled_by = $1, \
             finished_at = CASE WHEN state = 'queued' THEN $2 END, \
             state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END \
             WHERE id = $3 AND state IN ('queued', 'running')",
        )
        .bind(by)
        .bind(now.as_millis())
        .bind(run.to_string())
        .execute(&mut *connection)
        .await?;
    }
    let running = earlier.iter().filter(|(_, state)| *state == State::Running);
    Ok(running.map(|(run, _)| *run).collect())
}
