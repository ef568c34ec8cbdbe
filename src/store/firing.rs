//! Actions that fire: their runs, their slots and their own rows change in one transaction.
//!
//! An instant has one outcome. An edit that was made while its action fired can bring an instant
//! back; what is on record then stays, and starts nothing.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::actions::{self, StoredAction};
use super::queue::statements;
use super::starts::{self, Start, Started};
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Host, Once, Tenant, audit, idempotency};
use crate::action::{MissedRange, SlotOutcome};
use crate::audit::Entry;
use crate::cause::CauseKind;
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;

/// The most actions that fire in one transaction.
const BATCH: i64 = 500;

/// What shall happen to one action.
pub struct Firing {
    /// The action.
    pub action: Id,
    /// Whose it is.
    pub profile: Id,
    /// The runs, each with the instant of its slot and what its slot says when it is queued.
    /// There is no slot where no clock started it.
    pub starts: Vec<(Start, Option<(Timestamp, SlotOutcome)>)>,
    /// Instants that are missed, for each of these analyses.
    pub missed: Option<(MissedRange, Vec<Id>)>,
    /// The action's revision.
    pub revision: u32,
    /// When it is due next; the outer none leaves that as it is.
    pub next_at: Option<Option<Timestamp>>,
    /// Whether it is locked from now on, where that changes.
    pub locked: Option<bool>,
}

impl Firing {
    /// How many instants are missed, each counted for every analysis.
    fn missed(&self) -> u64 {
        let of = |(range, analyses): &(MissedRange, Vec<Id>)| {
            range.instants.saturating_mul(u64::try_from(analyses.len()).unwrap_or(u64::MAX))
        };
        self.missed.as_ref().map_or(0, of)
    }
}

/// What became of one start.
pub struct Fired {
    /// The action.
    pub action: Id,
    /// The run, where it is queued.
    pub run: Id,
    /// What set it off.
    pub cause: CauseKind,
    /// The outcome of its slot, where a clock started it.
    pub slot: Option<SlotOutcome>,
    /// What became of it.
    pub started: Started,
}

impl Fired {
    /// Whether it became a run.
    pub fn is_queued(&self) -> bool {
        matches!(self.started, Started::Queued { .. })
    }
}

/// Why an action could not start a run the last time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionFault {
    /// The stable code.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
}

impl Host {
    /// Fires the schedules and intervals that are due. `plan` is asked inside the transaction and
    /// must not block. Answers what became of the starts, and how many instants were missed.
    pub async fn fire_due<F>(&self, mut plan: F) -> Result<(Vec<Fired>, u64), Error>
    where
        F: FnMut(&StoredAction, Timestamp) -> Firing + Send + 'static,
    {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?;
                let due = actions::due(connection, now, BATCH).await?;
                let firings: Vec<_> = due.iter().map(|action| plan(action, now)).collect();
                let missed = firings.iter().map(Firing::missed).sum();
                Ok((fire(connection, firings, now).await?, missed))
            })
        });
        write.await
    }

    /// When the next schedule or interval is due, if any is.
    pub async fn next_firing(&self) -> Result<Option<Timestamp>, Error> {
        let row = query("SELECT MIN(next_at) AS next_at FROM action WHERE next_at IS NOT NULL");
        row.fetch_one(&self.store.readers).await?.optional_time("next_at")
    }
}

/// What became of a request to fire one action.
pub enum FiredOnce {
    /// It fired now.
    Now(Vec<Fired>),
    /// The same request came before, and became these runs.
    Before(Vec<Id>),
}

impl Tenant {
    /// Fires one active action, once for its idempotency key. `plan` is asked inside the
    /// transaction and must not block. A key is remembered only if something came of it.
    /// [`Error::NotFound`] when there is no such action or it is
    /// switched off; [`Error::QueueFull`] when nothing could be queued, and then nothing is kept.
    pub async fn fire_action<F>(
        &self,
        action: Id,
        once: Option<Once>,
        entry: Option<Entry>,
        plan: F,
    ) -> Result<FiredOnce, Error>
    where
        F: FnOnce(&StoredAction, Timestamp) -> Firing + Send + 'static,
    {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?;
                let action = actions::active(connection, &profile, action).await?;
                let firing = plan(&action, now);
                if let Some(once) = &once {
                    let runs: Vec<Id> = firing.starts.iter().map(|(start, _)| start.run).collect();
                    let before = idempotency::first(connection, &profile, once, &runs, now).await?;
                    if let Some(runs) = before {
                        return Ok(FiredOnce::Before(runs));
                    }
                }
                if let Some(entry) = entry {
                    audit::append(connection, &profile, &entry).await?;
                }
                let fired = fire(connection, vec![firing], now).await?;
                let full = fired.iter().find(|fired| match &fired.started {
                    Started::Failed(why) => why.code == ErrorCode::QueueFull,
                    _ => false,
                });
                match full {
                    // Rolled back: the sender shall come again.
                    Some(_) if !fired.iter().any(Fired::is_queued) => return Err(Error::QueueFull),
                    _ => {}
                }
                if let Some(once) = &once
                    && !fired.iter().all(Fired::is_queued)
                {
                    let queued = fired.iter().filter(|fired| fired.is_queued());
                    let runs: Vec<Id> = queued.map(|fired| fired.run).collect();
                    let failed = |fired: &Fired| matches!(fired.started, Started::Failed(_));
                    let became = Some(&runs[..]).filter(|_| !fired.iter().all(failed));
                    idempotency::correct(connection, &profile, once, became).await?;
                }
                Ok(FiredOnce::Now(fired))
            })
        });
        write.await
    }
}

/// What changes of an action's own row.
struct Change {
    action: Id,
    next_at: Option<Option<Timestamp>>,
    locked: Option<bool>,
}

impl Tenant {
    /// Writes down why an action cannot start a run, until it starts one or is edited.
    pub async fn fault_action(&self, action: Id, fault: ActionFault) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                query("UPDATE action SET fault = $1 WHERE id = $2 AND profile_id = $3")
                    .bind(fault.text())
                    .bind(action.to_string())
                    .bind(&*profile)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        });
        write.await
    }
}

impl ActionFault {
    fn text(&self) -> String {
        // Strings and a number cannot fail to be written as JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One row of the table `slot`.
struct Slot {
    action: Id,
    analysis: Id,
    profile: Id,
    first: Timestamp,
    last: Timestamp,
    instants: u64,
    revision: u32,
    outcome: SlotOutcome,
    run: Option<Id>,
    reason: Option<String>,
}

/// Starts the runs, records the slots and brings the actions' rows up to date.
pub(super) async fn fire(
    connection: &mut Connection,
    firings: Vec<Firing>,
    now: Timestamp,
) -> Result<Vec<Fired>, Error> {
    let past = past(connection, &firings).await?;
    let (mut starts, mut planned, mut slots) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = Vec::with_capacity(firings.len());
    for firing in firings {
        let Firing { action, profile, revision, .. } = firing;
        if let Some((range, analyses)) = firing.missed {
            let reason = range.more.then(|| "there were more than were counted".to_owned());
            slots.extend(analyses.into_iter().map(|analysis| Slot {
                action,
                analysis,
                profile,
                first: range.first,
                last: range.last,
                instants: range.instants,
                revision,
                outcome: SlotOutcome::Missed,
                run: None,
                reason: reason.clone(),
            }));
        }
        rows.push(Change { action, next_at: firing.next_at, locked: firing.locked });
        for (start, slot) in firing.starts {
            if slot.is_some_and(|(instant, _)| past.contains(&(action, start.analysis, instant))) {
                continue;
            }
            let kind = start.cause.kind;
            planned.push((action, profile, revision, start.analysis, start.run, kind, slot));
            starts.push(start);
        }
    }
    let started = starts::start(connection, starts, now).await?;
    let mut fired = Vec::with_capacity(started.len());
    for ((action, profile, revision, analysis, run, cause, slot), started) in
        planned.into_iter().zip(started)
    {
        let mut recorded = None;
        if let Some((instant, outcome)) = slot {
            let (outcome, run, reason) = match &started {
                Started::Queued { .. } => (outcome, Some(run), None),
                Started::Skipped => {
                    (SlotOutcome::Skipped, None, Some("an earlier run is not over".to_owned()))
                }
                Started::Failed(why) => (SlotOutcome::Failed, None, Some(why.message.clone())),
            };
            recorded = Some(outcome);
            slots.push(Slot {
                action,
                analysis,
                profile,
                first: instant,
                last: instant,
                instants: 1,
                revision,
                outcome,
                run,
                reason,
            });
        }
        fired.push(Fired { action, run, cause, slot: recorded, started });
    }
    record(connection, &slots, now).await?;
    update(connection, &rows, &fired, now).await?;
    Ok(fired)
}

/// Which of the slots that shall start something have an outcome: action, analysis and instant.
async fn past(
    connection: &mut Connection,
    firings: &[Firing],
) -> Result<HashSet<(Id, Id, Timestamp)>, Error> {
    let slots = firings.iter().flat_map(|firing| {
        let slot = |(start, slot): &(Start, Option<(Timestamp, SlotOutcome)>)| {
            slot.map(|(instant, _)| (firing.action, start.analysis, instant))
        };
        firing.starts.iter().filter_map(slot)
    });
    let slots: Vec<_> = slots.collect();
    let mut past = HashSet::new();
    for slots in statements(&slots) {
        let mut select = QueryBuilder::new(
            "SELECT action_id, analysis_id, instant FROM slot \
             WHERE (action_id, analysis_id, instant) IN (",
        );
        select.push_values(slots, |mut row, (action, analysis, instant)| {
            row.push_bind(action.to_string()).push_bind(analysis.to_string());
            row.push_bind(instant.as_millis());
        });
        select.push(")");
        for row in select.build().fetch_all(&mut *connection).await? {
            past.insert((row.id("action_id")?, row.id("analysis_id")?, row.time("instant")?));
        }
    }
    Ok(past)
}

async fn record(connection: &mut Connection, slots: &[Slot], now: Timestamp) -> Result<(), Error> {
    for slots in statements(slots) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO slot (action_id, analysis_id, instant, profile_id, last, instants, \
             revision, outcome, run_id, reason, recorded_at) ",
        );
        insert.push_values(slots, |mut row, slot| {
            row.push_bind(slot.action.to_string()).push_bind(slot.analysis.to_string());
            row.push_bind(slot.first.as_millis()).push_bind(slot.profile.to_string());
            row.push_bind(slot.last.as_millis());
            row.push_bind(i64::try_from(slot.instants).unwrap_or(i64::MAX));
            row.push_bind(i64::from(slot.revision)).push_bind(slot.outcome.as_str());
            row.push_bind(slot.run.map(|run| run.to_string())).push_bind(&slot.reason);
            row.push_bind(now.as_millis());
        });
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes when each action fired, when it is due next, and why it could not start something.
async fn update(
    connection: &mut Connection,
    rows: &[Change],
    fired: &[Fired],
    now: Timestamp,
) -> Result<(), Error> {
    let of = |action: Id| fired.iter().filter(move |fired| fired.action == action);
    let mut written = Vec::with_capacity(rows.len());
    for Change { action, next_at, locked } in rows {
        let queued = of(*action).any(Fired::is_queued);
        let fault = of(*action).find_map(|fired| match &fired.started {
            Started::Failed(why) => Some(ActionFault {
                code: why.code.as_str().to_owned(),
                message: why.message.clone(),
                at: now.as_millis(),
            }),
            _ => None,
        });
        let fault = fault.map(|fault| fault.text());
        written.push((*action, *next_at, *locked, queued.then(|| now.as_millis()), fault));
    }
    for rows in statements(&written) {
        let mut update = QueryBuilder::new(
            "UPDATE action SET \
             next_at = CASE WHEN v.column2 THEN v.column3 ELSE next_at END, \
             locked = COALESCE(v.column4, locked), \
             last_triggered = COALESCE(v.column5, last_triggered), \
             fault = CASE WHEN v.column6 IS NOT NULL THEN v.column6 \
             WHEN v.column5 IS NOT NULL THEN NULL ELSE fault END FROM (",
        );
        update.push_values(rows, |mut row, (action, next_at, locked, triggered, fault)| {
            row.push_bind(action.to_string()).push_bind(next_at.is_some());
            row.push_bind(next_at.flatten().map(Timestamp::as_millis)).push_bind(*locked);
            row.push_bind(*triggered).push_bind(fault);
        });
        update.push(") AS v WHERE action.id = v.column1");
        update.build().execute(&mut *connection).await?;
    }
    Ok(())
}
