//! The runs that this process holds: until when, and who wants them stopped.
//!
//! A guest is stopped before its run's lease ends, by this process's own monotonic clock: another
//! node may take the run from then on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::id::Id;
use crate::run::{LEASE, LEASE_MARGIN};

/// Why a guest is stopped from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// Somebody called the run off.
    Cancelled,
    /// The run may belong to another node by now.
    LeaseLost,
    /// This process ends.
    HostStops,
}

struct Holding {
    stop: Arc<Notify>,
    reason: Option<Stop>,
    until: Instant,
}

/// All runs that this process holds.
#[derive(Clone, Default)]
pub(super) struct Held {
    runs: Arc<Mutex<HashMap<Id, Holding>>>,
}

/// One run that this process holds until this is dropped.
pub(super) struct Hold {
    held: Held,
    run: Id,
    /// Told once when the guest shall stop.
    pub(super) stop: Arc<Notify>,
}

impl Held {
    /// Holds a run that was claimed at, or after, `asked`.
    pub(super) fn hold(&self, run: Id, asked: Instant) -> Hold {
        let stop = Arc::new(Notify::new());
        let holding = Holding { stop: Arc::clone(&stop), reason: None, until: asked + LEASE };
        self.lock().insert(run, holding);
        Hold { held: self.clone(), run, stop }
    }

    /// The runs that are held.
    pub(super) fn runs(&self) -> Vec<Id> {
        self.lock().keys().copied().collect()
    }

    /// Stops the guest of one run.
    pub(super) fn stop(&self, run: Id, why: Stop) {
        if let Some(holding) = self.lock().get_mut(&run) {
            holding.stop(why);
        }
    }

    /// Stops all guests.
    pub(super) fn stop_all(&self, why: Stop) {
        self.lock().values_mut().for_each(|holding| holding.stop(why));
    }

    /// Takes note of a renewal that was asked for at `asked`: the `held` runs go on, and others
    /// that were meant are stopped.
    pub(super) fn renewed(&self, meant: &[Id], held: &[Id], asked: Instant) {
        let mut runs = self.lock();
        for run in meant {
            let Some(holding) = runs.get_mut(run) else { continue };
            match held.contains(run) {
                true => holding.until = asked + LEASE,
                false => holding.stop(Stop::LeaseLost),
            }
        }
    }

    /// Stops the guests of runs whose lease is about to end. Answers how many there are.
    pub(super) fn stop_overdue(&self, now: Instant) -> usize {
        let mut runs = self.lock();
        let overdue = runs
            .values_mut()
            .filter(|holding| holding.reason.is_none() && now + LEASE_MARGIN >= holding.until);
        overdue.map(|holding| holding.stop(Stop::LeaseLost)).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Holding>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holding {
    /// The first reason counts.
    fn stop(&mut self, why: Stop) {
        if self.reason.is_none() {
            self.reason = Some(why);
            self.stop.notify_one();
        }
    }
}

impl Hold {
    /// Why the guest was stopped, if it was.
    pub(super) fn reason(&self) -> Option<Stop> {
        self.held.lock().get(&self.run).and_then(|holding| holding.reason)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().remove(&self.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_renewed_is_stopped_before_its_lease_ends() {
        let (held, now) = (Held::default(), Instant::now());
        let [kept, lost, late] = [1, 2, 3].map(|number| Id::from_bytes([number; 12]));
        let holds = [kept, lost, late].map(|run| held.hold(run, now));
        let later = now + LEASE;
        held.renewed(&[kept, lost], &[kept], later);
        assert_eq!(held.stop_overdue(later - LEASE_MARGIN), 1);
        let reasons = holds.each_ref().map(Hold::reason);
        assert_eq!(reasons, [None, Some(Stop::LeaseLost), Some(Stop::LeaseLost)]);
        held.stop(lost, Stop::Cancelled);
        assert_eq!(holds[1].reason(), Some(Stop::LeaseLost), "the first reason counts");
        drop(holds);
        assert!(held.runs().is_empty());
    }
}
