//! Following the console of an analysis: the lines of all its runs, from now on or from where a
//! reader stopped.
//!
//! Owns what was read already. Lines of runs in this process are read as they come, those of other
//! nodes when an attempt has ended, those of listeners outside when they were added. Each line is
//! sent once to a connection; over a reconnection none is left out of what the store has, and where
//! more than [`MOST_RUNS`] runs were at work at the same time, some may come again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::caller::Caller;
use super::console::{damaged, of_guests, opened, so_far};
use super::events::{Ended, Outlet};
use super::position::{MOST_RUNS, Position, Read};
use super::reply::Refusal;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::run::{Live, State};
use crate::store::AddedChunk;

/// How long after its making a run may come into the store at the latest, clocks of nodes
/// included.
const LATE: Duration = Duration::from_secs(10);

/// How much later than others what was added may be committed.
const OVERLAP: Duration = Duration::from_secs(2);

/// How many runs, or chunks that were added, are read at once.
const PAGE: u32 = 512;

/// How many lines are taken at once from a console that grows.
const LINES: usize = 64;

/// What was read of a run that is not over.
#[derive(Default)]
struct Open {
    lines: usize,
    /// How it stood when the store was last asked for its lines.
    known: Option<(State, u32)>,
    /// An attempt in this process, and how many lines came before it.
    before: Option<(u32, usize)>,
}

/// A reader of one analysis's console.
pub(super) struct Tail {
    analysis: Id,
    /// Runs made before then are read, or are among those that are open.
    window: Timestamp,
    open: BTreeMap<Id, Open>,
    /// Runs of the window that are read to their end.
    over: BTreeSet<Id>,
    /// What was added up to then is read, but for what was committed late.
    added: Timestamp,
    /// Nothing that was added up to then is read again.
    settled: Timestamp,
    /// What was read of what was added since a moment before `added`.
    told: BTreeMap<(Id, u32, u32), Timestamp>,
}

impl Tail {
    /// Reads on behind a position; without one, what is printed from now on.
    pub(super) async fn begin(
        caller: &Caller,
        analysis: Id,
        position: Option<&Position>,
    ) -> Result<Self, Refusal> {
        let added = match position {
            Some(position) => position.added,
            None => caller.runner.host().now().await?,
        };
        let window = match position {
            Some(position) => position.window,
            None => Timestamp::now().minus(LATE),
        };
        let mut tail = Self {
            analysis,
            window,
            open: BTreeMap::new(),
            over: BTreeSet::new(),
            added,
            settled: added,
            told: BTreeMap::new(),
        };
        for (run, read) in position.iter().flat_map(|position| &position.runs) {
            match read {
                Read::Lines(lines) => {
                    tail.open.insert(*run, Open { lines: *lines, ..Open::default() });
                }
                Read::All => drop(tail.over.insert(*run)),
            }
        }
        if position.is_none() {
            // What there is already was printed before.
            for (run, ..) in tail.since_window(caller).await? {
                tail.over.insert(run);
            }
        }
        for (run, ..) in caller.tenant.open_runs(analysis).await? {
            let lines = match position {
                Some(_) => 0,
                None => so_far(caller, run).await?.len(),
            };
            tail.over.remove(&run);
            tail.open.entry(run).or_insert(Open { lines, ..Open::default() });
        }
        Ok(tail)
    }

    /// Up to where it has read.
    pub(super) fn position(&self) -> Position {
        let open = self.open.iter().map(|(run, open)| (*run, Read::Lines(open.lines)));
        let over = self.over.iter().rev().map(|run| (*run, Read::All));
        let runs = open.chain(over).take(MOST_RUNS).collect();
        Position { analysis: self.analysis, window: self.window, added: self.added, runs }
    }

    /// Sends what was printed since the last time; `look` says to look into the store too.
    pub(super) async fn print(
        &mut self,
        caller: &Caller,
        look: bool,
        outlet: &Outlet<'_>,
    ) -> Result<(), Ended> {
        for (run, attempt, live) in caller.runner.watch().live_of(self.analysis) {
            if !self.over.contains(&run) {
                self.print_live(caller, run, (attempt, &live), outlet).await?;
            }
        }
        if !look {
            return Ok(());
        }
        let now = Timestamp::now().minus(LATE);
        let mut runs = self.since_window(caller).await?;
        let earlier: Vec<Id> = self.open.keys().copied().collect();
        let stands = caller.tenant.standing_of(&earlier).await.map_err(Refusal::from)?;
        self.open.retain(|run, _| stands.iter().any(|(stands, ..)| stands == run));
        runs.extend(stands);
        runs.sort_unstable_by_key(|(run, ..)| *run);
        runs.dedup_by_key(|(run, ..)| *run);
        for (run, state, attempts) in runs {
            if !self.over.contains(&run) {
                self.print_stored(caller, run, (state, attempts), outlet).await?;
            }
        }
        self.window = self.window.max(now);
        let first = Id::from_time(self.window);
        self.over.retain(|run| *run >= first);
        self.print_added(caller, outlet).await
    }

    async fn since_window(&self, caller: &Caller) -> Result<Vec<(Id, State, u32)>, Refusal> {
        let (mut all, mut from) = (Vec::new(), Id::from_time(self.window));
        loop {
            let page = caller.tenant.runs_from(self.analysis, from, PAGE).await?;
            let full = page.len() >= PAGE as usize;
            all.extend(page.into_iter().filter(|(run, ..)| !self.over.contains(run)));
            match all.last() {
                Some((last, ..)) if full && *last > from => from = *last,
                _ => return Ok(all),
            }
        }
    }

    /// Sends the lines of an attempt in this process, and those of attempts before it.
    async fn print_live(
        &mut self,
        caller: &Caller,
        run: Id,
        (attempt, live): (u32, &Live),
        outlet: &Outlet<'_>,
    ) -> Result<(), Ended> {
        let known = self.open.entry(run).or_default().before;
        let before = match known {
            Some((of, before)) if of == attempt => before,
            _ => {
                let lines = match attempt {
                    1 => Vec::new(),
                    _ => of_guests(caller, run, attempt).await?,
                };
                self.print_lines(run, &lines, outlet).await?;
                lines.len()
            }
        };
        self.open.entry(run).or_default().before = Some((attempt, before));
        loop {
            let read = self.open.entry(run).or_default().lines;
            let lines = live.read(read.saturating_sub(before), LINES).unwrap_or_default();
            if lines.is_empty() {
                return Ok(());
            }
            for line in lines {
                let line = to_raw_value(&line).map_err(|error| Refusal::internal(&error))?;
                self.print_line(run, &line, outlet).await?;
            }
        }
    }

    /// Sends the lines that the store has of a run and that were not sent.
    async fn print_stored(
        &mut self,
        caller: &Caller,
        run: Id,
        stands: (State, u32),
        outlet: &Outlet<'_>,
    ) -> Result<(), Ended> {
        let (state, attempts) = stands;
        let open = self.open.entry(run).or_default();
        if open.known == Some(stands) || caller.runner.watch().live(run).is_some() {
            return Ok(());
        }
        if attempts > 0 {
            let lines = of_guests(caller, run, u32::MAX).await?;
            self.print_lines(run, &lines, outlet).await?;
        }
        match state.is_final() {
            true => {
                self.open.remove(&run);
                self.over.insert(run);
            }
            false => self.open.entry(run).or_default().known = Some(stands),
        }
        Ok(())
    }

    /// Sends what listeners added to the consoles of delivered runs.
    async fn print_added(&mut self, caller: &Caller, outlet: &Outlet<'_>) -> Result<(), Ended> {
        loop {
            let from = self.added.minus(OVERLAP).max(self.settled);
            let chunks = caller.tenant.added_since(self.analysis, from, PAGE).await;
            let chunks = chunks.map_err(Refusal::from)?;
            let full = chunks.len() >= PAGE as usize;
            let mut last = from;
            for AddedChunk { run, chunk } in chunks {
                let key = (run, chunk.attempt, chunk.sequence);
                let Some(at) = chunk.added_at.filter(|at| *at > self.settled) else { continue };
                last = at;
                if self.told.contains_key(&key) {
                    continue;
                }
                let lines = opened(caller, run, &chunk)?;
                self.told.insert(key, at);
                self.added = self.added.max(at);
                for line in &lines {
                    outlet.send(message(run, line)?, &self.position()).await?;
                }
            }
            if !full || last <= self.settled {
                break;
            }
            // More than one page within the overlap: what comes late there is given up.
            self.settled = last.minus(Duration::from_millis(1)).max(self.settled);
        }
        let from = self.added.minus(OVERLAP);
        self.told.retain(|_, at| *at >= from);
        Ok(())
    }

    async fn print_lines(
        &mut self,
        run: Id,
        lines: &[Box<RawValue>],
        outlet: &Outlet<'_>,
    ) -> Result<(), Ended> {
        let read = self.open.entry(run).or_default().lines;
        for line in lines.iter().skip(read) {
            self.print_line(run, line, outlet).await?;
        }
        Ok(())
    }

    async fn print_line(
        &mut self,
        run: Id,
        line: &RawValue,
        outlet: &Outlet<'_>,
    ) -> Result<(), Ended> {
        self.open.entry(run).or_default().lines += 1;
        outlet.send(message(run, line)?, &self.position()).await
    }
}

/// A line as the original's clients read it, and the run that printed it.
fn message(run: Id, line: &RawValue) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Line {
        time: String,
        level: String,
        text: String,
    }
    let Line { time, level, text } = serde_json::from_str(line.get()).map_err(damaged)?;
    let payload = json!({"timestamp": time, "message": text, "level": level, "run_id": run});
    Ok(json!({"payload": payload}).to_string())
}
