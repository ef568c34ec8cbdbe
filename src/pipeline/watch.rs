//! Telling who waits that a run has ended, and showing the console of one that runs.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::id::Id;
use crate::run::Live;

/// Who waits for which run, in this process.
#[derive(Clone, Default)]
pub struct Watch {
    /// Whether runs may end in other processes, which do not tell.
    looks: bool,
    waiting: Arc<Mutex<HashMap<Id, Arc<Notify>>>>,
    on_air: Arc<Mutex<HashMap<Id, Airing>>>,
    closed: Arc<AtomicBool>,
}

/// The analysis, the number of the attempt, and its console.
type Airing = (Id, u32, Live);

/// An attempt that runs in this process, until this is dropped.
pub(super) struct OnAir {
    watch: Watch,
    run: Id,
    attempt: u32,
    /// Its console.
    pub(super) live: Live,
}

/// One wait for one run. It must be made before the run's state is read, so that no end is missed.
pub struct Waiting {
    watch: Watch,
    run: Id,
    notify: Arc<Notify>,
}

/// How often a run is looked at that may end in another process.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Watch {
    /// A watch; `shared` says that runs may end in other processes too.
    pub fn new(shared: bool) -> Self {
        Self { looks: shared, ..Self::default() }
    }

    /// Begins to wait for a run.
    pub fn wait_for(&self, run: Id) -> Waiting {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let notify = Arc::clone(waiting.entry(run).or_default());
        Waiting { watch: self.clone(), run, notify }
    }

    /// Wakes everyone who waits for this run.
    pub(super) fn ended(&self, run: Id) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = waiting.get(&run) {
            notify.notify_waiters();
        }
    }

    /// Puts an attempt on air, and wakes everyone who waits for its run.
    pub(super) fn begin(&self, analysis: Id, run: Id, attempt: u32) -> OnAir {
        let live = Live::default();
        self.on_air().insert(run, (analysis, attempt, live.clone()));
        self.ended(run);
        OnAir { watch: self.clone(), run, attempt, live }
    }

    /// The number of the run's attempt that runs in this process, with its console.
    pub fn live(&self, run: Id) -> Option<(u32, Live)> {
        self.on_air().get(&run).map(|(_, attempt, live)| (*attempt, live.clone()))
    }

    /// The runs of an analysis that run in this process, each with the number of its attempt and
    /// its console, the oldest first.
    pub fn live_of(&self, analysis: Id) -> Vec<(Id, u32, Live)> {
        let on_air = self.on_air();
        let own = on_air.iter().filter(|(_, (of, ..))| *of == analysis);
        let mut live: Vec<_> =
            own.map(|(run, (_, attempt, live))| (*run, *attempt, live.clone())).collect();
        live.sort_unstable_by_key(|(run, ..)| *run);
        live
    }

    /// Lets everyone go who follows a run: the process is about to stop.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.values().for_each(|notify| notify.notify_waiters());
    }

    /// Whether the process is about to stop.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn on_air(&self) -> MutexGuard<'_, HashMap<Id, Airing>> {
        self.on_air.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnAir {
    fn drop(&mut self) {
        let mut on_air = self.watch.on_air();
        // Another attempt may have begun meanwhile.
        if on_air.get(&self.run).is_some_and(|(_, attempt, _)| *attempt == self.attempt) {
            on_air.remove(&self.run);
        }
        drop(on_air);
        // A guest that was stopped from outside did not finish its console.
        self.live.finish();
    }
}

impl Waiting {
    /// Waits for the run to begin or to end from now on, not only from when it is first polled.
    pub fn change(&self) -> Pin<Box<Notified<'_>>> {
        let mut change = Box::pin(self.notify.notified());
        change.as_mut().enable();
        change
    }

    /// Returns when the run has ended since the `check` before, or at once when `check` says so.
    pub async fn until<F: Future<Output = bool>>(&self, mut check: impl FnMut() -> F) {
        loop {
            let ended = self.notify.notified();
            tokio::pin!(ended);
            // From here on an end is noticed, even while `check` reads.
            ended.as_mut().enable();
            if check().await {
                return;
            }
            match self.watch.looks {
                true => drop(tokio::time::timeout(LOOK_EVERY, ended).await),
                false => ended.await,
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.watch.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // This one and the map's are the last two.
        if Arc::strong_count(&self.notify) <= 2 {
            waiting.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_is_woken_and_leaves_nothing_behind() {
        let watch = Watch::default();
        let run = Id::from_bytes([1; 12]);
        let done = Arc::new(AtomicBool::new(false));
        let (seen, waiter) = (Arc::clone(&done), watch.wait_for(run));
        let task = tokio::spawn(async move {
            waiter.until(|| async { seen.load(Ordering::SeqCst) }).await;
        });
        tokio::task::yield_now().await;
        done.store(true, Ordering::SeqCst);
        watch.ended(run);
        task.await.unwrap();
        assert!(watch.waiting.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_runs_is_on_air_until_it_is_dropped() {
        let watch = Watch::default();
        let run = Id::from_bytes([1; 12]);
        let waiting = watch.wait_for(run);
        let change = waiting.change();
        assert!(watch.live(run).is_none());
        let analysis = Id::from_bytes([2; 12]);
        let on_air = watch.begin(analysis, run, 3);
        change.await;
        let of_analysis = watch.live_of(analysis);
        assert_eq!(of_analysis.iter().map(|(run, ..)| *run).collect::<Vec<_>>(), [run]);
        assert!(watch.live_of(run).is_empty());
        let (attempt, live) = watch.live(run).unwrap();
        assert_eq!((attempt, live.read(0, 1)), (3, Some(Vec::new())));
        drop(on_air);
        assert!(watch.live(run).is_none());
        assert_eq!(live.read(0, 1), None, "who reads it is let go");
    }
}
