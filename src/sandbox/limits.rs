//! How much memory a guest may hold, and all guests together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

use super::engine;

/// The most table elements of one run, all its tables together.
const TABLE_ELEMENTS: usize = 2 * engine::TABLE_ELEMENTS;

/// Linear memory that all guests of this host may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: u64,
    held: AtomicU64,
}

impl Budget {
    pub(super) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { bytes, held: AtomicU64::new(0) })
    }

    fn take(&self, more: u64) -> bool {
        let take = |held: u64| held.checked_add(more).filter(|held| *held <= self.bytes);
        self.held.try_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// Why a guest did not get the memory or table space it asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The run's own limit, in bytes.
    Memory(u64),
    /// The host has none left, though the run's own limit would allow it.
    Host,
    /// The most table elements of a run.
    Table(usize),
}

/// Counts what one run holds, and gives it back when dropped.
pub(super) struct Limiter {
    limit: u64,
    held: u64,
    table_elements: usize,
    refused: Option<Refusal>,
    budget: Arc<Budget>,
}

impl Limiter {
    pub(super) fn new(limit: u64, budget: Arc<Budget>) -> Self {
        Self { limit, held: 0, table_elements: 0, refused: None, budget }
    }

    /// The most bytes of linear memory held at one time. Memories never shrink.
    pub(super) fn peak(&self) -> u64 {
        self.held
    }

    /// The latest request that was refused.
    pub(super) fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    fn refuse(&mut self, why: Refusal) -> wasmtime::Result<bool> {
        self.refused = Some(why);
        // The guest sees a growth that failed, and may go on with less.
        Ok(false)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        if self.held.saturating_add(more) > self.limit {
            return self.refuse(Refusal::Memory(self.limit));
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The growth fails whatever is said here, so nothing may be counted.
            return Ok(false);
        }
        if !self.budget.take(more) {
            return self.refuse(Refusal::Host);
        }
        self.held += more;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS || desired > engine::TABLE_ELEMENTS {
            return self.refuse(Refusal::Table(engine::TABLE_ELEMENTS));
        }
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.table_elements = total;
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        engine::CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        engine::TABLES as usize
    }

    fn memories(&self) -> usize {
        engine::MEMORIES as usize
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stays_within_its_own_limit() {
        let budget = Budget::new(1000);
        let mut limiter = Limiter::new(100, budget.clone());
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap(), "a second memory counts too");
        assert_eq!(limiter.refused(), Some(Refusal::Memory(100)));
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert_eq!((limiter.peak(), budget.held()), (100, 100));
        drop(limiter);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn all_runs_stay_within_the_hosts_budget() {
        let budget = Budget::new(150);
        let mut first = Limiter::new(100, budget.clone());
        let mut second = Limiter::new(100, budget.clone());
        assert!(first.memory_growing(0, 100, None).unwrap());
        assert!(!second.memory_growing(0, 100, None).unwrap());
        assert_eq!(second.refused(), Some(Refusal::Host));
        drop(first);
        assert!(second.memory_growing(0, 100, None).unwrap());
    }

    #[test]
    fn growth_past_the_modules_own_maximum_counts_nothing() {
        let budget = Budget::new(1000);
        let mut limiter = Limiter::new(1000, budget.clone());
        assert!(!limiter.memory_growing(0, 200, Some(100)).unwrap());
        assert_eq!((limiter.refused(), budget.held()), (None, 0));
    }

    #[test]
    fn tables_have_a_limit() {
        let mut limiter = Limiter::new(0, Budget::new(0));
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(10, engine::TABLE_ELEMENTS + 1, None).unwrap());
        assert_eq!(limiter.refused(), Some(Refusal::Table(engine::TABLE_ELEMENTS)));
    }
}
