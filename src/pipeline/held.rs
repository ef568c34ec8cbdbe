//! The runs that this process holds: until when, and who wants them stopped.
//!
//! A guest is stopped before its run's lease ends, by this process's own monotonic clock: another
//! node may take the run from then on. A run that was lost and claimed again is held anew, by its
//! new fence, while the guest of the claim before may still be on its way out.

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

/// A run and the fence of its claim.
type Claim = (Id, i64);

/// All runs that this process holds.
#[derive(Clone, Default)]
pub(super) struct Held {
    claims: Arc<Mutex<HashMap<Claim, Holding>>>,
}

/// One run that this process holds until this is dropped.
pub(super) struct Hold {
    held: Held,
    claim: Claim,
    /// Told once when the guest shall stop.
    pub(super) stop: Arc<Notify>,
}

impl Held {
    /// Holds a run that was claimed under this fence at, or after, `asked`.
    pub(super) fn hold(&self, run: Id, fence: i64, asked: Instant) -> Hold {
        let claim = (run, fence);
        let stop = Arc::new(Notify::new());
        let holding = Holding { stop: Arc::clone(&stop), reason: None, until: asked + LEASE };
        self.lock().insert(claim, holding);
        Hold { held: self.clone(), claim, stop }
    }

    /// The runs that are held, each with its fence.
    pub(super) fn claims(&self) -> Vec<Claim> {
        self.lock().keys().copied().collect()
    }

    /// Stops the guest of one run.
    pub(super) fn stop(&self, run: Id, why: Stop) {
        let mut claims = self.lock();
        let of_run = claims.iter_mut().filter(|((held, _), _)| *held == run);
        of_run.for_each(|(_, holding)| holding.stop(why));
    }

    /// Stops all guests.
    pub(super) fn stop_all(&self, why: Stop) {
        self.lock().values_mut().for_each(|holding| holding.stop(why));
    }

    /// Takes note of a renewal that was asked for at `asked`: the `held` claims go on, and others
    /// that were meant are stopped.
    pub(super) fn renewed(&self, meant: &[Claim], held: &[Claim], asked: Instant) {
        let mut claims = self.lock();
        for claim in meant {
            let Some(holding) = claims.get_mut(claim) else { continue };
            match held.contains(claim) {
                true => holding.until = asked + LEASE,
                false => holding.stop(Stop::LeaseLost),
            }
        }
    }

    /// Stops the guests of runs whose lease is about to end. Answers how many there are.
    pub(super) fn stop_overdue(&self, now: Instant) -> usize {
        let mut claims = self.lock();
        let overdue = claims
            .values_mut()
            .filter(|holding| holding.reason.is_none() && now + LEASE_MARGIN >= holding.until);
        overdue.map(|holding| holding.stop(Stop::LeaseLost)).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Claim, Holding>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.held.lock().get(&self.claim).and_then(|holding| holding.reason)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().remove(&self.claim);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_renewed_is_stopped_before_its_lease_ends() {
        let (held, now) = (Held::default(), Instant::now());
        let [kept, lost, late] = [1, 2, 3].map(|number| Id::from_bytes([number; 12]));
        let holds = [kept, lost, late].map(|run| held.hold(run, 1, now));
        let later = now + LEASE;
        held.renewed(&[(kept, 1), (lost, 1)], &[(kept, 1)], later);
        assert_eq!(held.stop_overdue(later - LEASE_MARGIN), 1);
        let reasons = holds.each_ref().map(Hold::reason);
        assert_eq!(reasons, [None, Some(Stop::LeaseLost), Some(Stop::LeaseLost)]);
        held.stop(lost, Stop::Cancelled);
        assert_eq!(holds[1].reason(), Some(Stop::LeaseLost), "the first reason counts");
        drop(holds);
        assert!(held.claims().is_empty());
    }

    #[test]
    fn a_run_that_is_claimed_again_is_no_longer_held_by_its_claim_before() {
        let (held, now) = (Held::default(), Instant::now());
        let run = Id::from_bytes([1; 12]);
        let before = held.hold(run, 1, now);
        let after = held.hold(run, 2, now);
        held.renewed(&[(run, 1), (run, 2)], &[(run, 2)], now);
        assert_eq!((before.reason(), after.reason()), (Some(Stop::LeaseLost), None));
        drop(before);
        assert_eq!(held.claims(), [(run, 2)], "it is renewed and stopped as before");
        held.stop(run, Stop::Cancelled);
        assert_eq!(after.reason(), Some(Stop::Cancelled));
    }
}
