//! Whose turn it is: which due runs a claim takes.
//!
//! Each analysis is a lane. Lanes that were served the longest ago go first and the free slots are
//! dealt out to them evenly, so that a storm of runs of one analysis delays no other one.

use std::collections::HashMap;

use super::connection::Target;
use super::statement::{QueryBuilder, query};
use super::{Connection, Error};
use crate::analysis::Limits;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::run::LISTENER_WAIT;

/// Lanes with due runs, found by skipping through the index from one analysis to the next.
const LANES: &str = "WITH RECURSIVE waiting (id) AS ( \
     SELECT MIN(analysis_id) FROM run WHERE state = 'queued' \
     UNION ALL \
     SELECT (SELECT MIN(run.analysis_id) FROM run WHERE run.state = 'queued' \
         AND run.analysis_id > waiting.id) \
     FROM waiting WHERE waiting.id IS NOT NULL) \
     SELECT waiting.id, analysis.limits, \
     (SELECT COUNT(*) FROM run WHERE run.state = 'running' \
         AND run.analysis_id = waiting.id) AS running, \
     COALESCE(analysis.external AND analysis.run_on = 'external', FALSE) AS outside, \
     (SELECT MIN(run.due_at) FROM run WHERE run.state = 'queued' \
         AND run.analysis_id = waiting.id) AS oldest \
     FROM waiting LEFT JOIN analysis ON analysis.id = waiting.id \
     LEFT JOIN lane ON lane.analysis_id = waiting.id \
     WHERE waiting.id IS NOT NULL AND EXISTS (SELECT 1 FROM run WHERE run.state = 'queued' \
         AND run.analysis_id = waiting.id AND run.due_at <= $1) \
     ORDER BY COALESCE(lane.served_at, 0), waiting.id";

/// An analysis, and how many of its runs may be taken now.
pub(super) struct Share {
    pub(super) analysis: Id,
    pub(super) runs: u64,
    /// Only those that were due then.
    pub(super) due_by: Timestamp,
}

/// A lane with runs that may be taken.
struct Lane {
    analysis: Id,
    room: u64,
    due_by: Timestamp,
}

/// Deals out `slots` to the lanes. The runs of an analysis outside are for a node on which somebody
/// listens for it, until they have waited too long: then anybody ends them.
pub(super) async fn shares(
    connection: &mut Connection,
    slots: usize,
    now: Timestamp,
    heard: &[Id],
) -> Result<Vec<Share>, Error> {
    let rows = query(LANES).bind(now.as_millis()).fetch_all(connection).await?;
    let mut lanes = Vec::with_capacity(rows.len());
    for row in &rows {
        // The runs of an analysis that is gone are taken too: they fail and say so.
        let limits: Limits = row.optional_json("limits")?.unwrap_or_default();
        let room = limits.concurrency.saturating_sub(row.number("running")?);
        let (analysis, waits) = (row.id("id")?, row.flag("outside")?);
        let due_by = match waits && !heard.contains(&analysis) {
            true => now.minus(LISTENER_WAIT),
            false => now,
        };
        if room > 0 && row.optional_time("oldest")?.is_some_and(|oldest| oldest <= due_by) {
            lanes.push(Lane { analysis, room, due_by });
        }
    }
    Ok(deal(lanes, u64::try_from(slots).unwrap_or(u64::MAX)))
}

/// Gives each lane, in order, its even part of the slots, and what others cannot use.
fn deal(lanes: Vec<Lane>, mut slots: u64) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    let mut left = lanes.len() as u64;
    for Lane { analysis, room, due_by } in lanes {
        if slots == 0 {
            break;
        }
        let runs = slots.div_ceil(left).min(room);
        slots -= runs;
        left -= 1;
        shares.push(Share { analysis, runs, due_by });
    }
    shares
}

/// When the next queued run is due, if any waits. One for a listener outside, whom nobody hears
/// here, is due when it has waited too long.
pub(super) async fn next_due(
    target: impl Into<Target<'_>>,
    heard: &[Id],
) -> Result<Option<Timestamp>, Error> {
    // All lanes, whenever their runs are due.
    let rows = query(LANES).bind(i64::MAX).fetch_all(target).await?;
    let mut next = None;
    for row in &rows {
        let Some(oldest) = row.optional_time("oldest")? else { continue };
        let due = match row.flag("outside")? && !heard.contains(&row.id("id")?) {
            true => oldest.plus(LISTENER_WAIT),
            false => oldest,
        };
        next = Some(next.map_or(due, |next: Timestamp| next.min(due)));
    }
    Ok(next)
}

/// Remembers that these lanes were served.
pub(super) async fn served(
    connection: &mut Connection,
    analyses: &[Id],
    now: Timestamp,
) -> Result<(), Error> {
    if analyses.is_empty() {
        return Ok(());
    }
    let mut upsert = QueryBuilder::new("INSERT INTO lane (analysis_id, served_at) ");
    upsert.push_values(analyses, |mut row, analysis| {
        row.push_bind(analysis.to_string()).push_bind(now.as_millis());
    });
    upsert.push(" ON CONFLICT (analysis_id) DO UPDATE SET served_at = excluded.served_at");
    upsert.build().execute(connection).await?;
    Ok(())
}

/// How many runs of each action with a limit are running, for each of its analyses.
pub(super) struct Actions(HashMap<(Id, Id), u64>);

impl Actions {
    pub(super) async fn running(connection: &mut Connection) -> Result<Self, Error> {
        let rows = query(
            "SELECT run.action_id, run.analysis_id, COUNT(*) AS running FROM run \
             JOIN action ON action.id = run.action_id \
             WHERE run.state = 'running' AND action.concurrency IS NOT NULL \
             GROUP BY run.action_id, run.analysis_id",
        );
        let rows = rows.fetch_all(connection).await?;
        let running = rows.iter().map(|row| {
            Ok(((row.id("action_id")?, row.id("analysis_id")?), row.number("running")?))
        });
        running.collect::<Result<_, _>>().map(Self)
    }

    /// Counts one more run of the action, unless its limit is reached.
    pub(super) fn take(&mut self, action: Id, analysis: Id, limit: u64) -> bool {
        let running = self.0.entry((action, analysis)).or_default();
        let free = *running < limit;
        *running += u64::from(free);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(rooms: &[u64], slots: u64) -> Vec<u64> {
        let lane = |(number, room): (usize, &u64)| Lane {
            analysis: Id::from_bytes([number as u8; 12]),
            room: *room,
            due_by: Timestamp::default(),
        };
        deal(rooms.iter().enumerate().map(lane).collect(), slots).iter().map(|s| s.runs).collect()
    }

    #[test]
    fn slots_are_dealt_evenly_and_none_is_kept_back() {
        assert_eq!(dealt(&[100], 8), [8]);
        assert_eq!(dealt(&[100, 100], 8), [4, 4]);
        assert_eq!(dealt(&[1, 100], 8), [1, 7]);
        assert_eq!(dealt(&[100, 100, 100], 8), [3, 3, 2]);
        assert_eq!(dealt(&[100, 100, 100], 2), [1, 1]);
        assert_eq!(dealt(&[], 8), [0; 0]);
    }
}
