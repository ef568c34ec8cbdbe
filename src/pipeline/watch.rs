//! Telling who waits that a run has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::id::Id;

/// Who waits for which run, in this process.
#[derive(Clone, Default)]
pub struct Watch {
    /// Whether runs may end in other processes, which do not tell.
    looks: bool,
    waiting: Arc<Mutex<HashMap<Id, Arc<Notify>>>>,
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
}

impl Waiting {
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
    use std::sync::atomic::{AtomicBool, Ordering};

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
}
