//! Executing queued runs with a bounded number of guests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinHandle;

use super::snapshot::{Snapshot, Snapshots};
use super::{Job, Module, Runner};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::run::LEASE_GRACE;
use crate::store::{Claimed, Due, Finished, Grant};

/// The most runs claimed in one transaction.
const BATCH: usize = 256;

/// How long the worker sleeps when nobody wakes it.
const POLL: Duration = Duration::from_secs(1);

/// How often runs whose lease has ended are taken back.
const RECOVER_EVERY: Duration = Duration::from_secs(10);

/// How often writing an outcome is tried again before the run's lease is left to end.
const FINISH_ATTEMPTS: u32 = 30;

/// Wakes the worker: a run was queued.
#[derive(Clone, Default)]
pub(super) struct Wake(Arc<Notify>);

impl Wake {
    pub(super) fn now(&self) {
        self.0.notify_one();
    }
}

/// A running worker. Dropping it stops claiming; guests that run go on.
pub struct Worker {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// Ends with the last [`UnderWay`].
    under_way: mpsc::Receiver<Infallible>,
}

/// Held for each claimed run until its outcome is durable.
type UnderWay = mpsc::Sender<Infallible>;

impl Worker {
    /// Stops claiming and waits, at most `drain`, until the runs that were claimed have durable
    /// outcomes. What still runs then is taken back at the next start.
    pub async fn stop(mut self, drain: Duration) {
        // Not in the middle of a claim: what is claimed must also be started.
        self.stop.send_replace(true);
        let _ = (&mut self.task).await;
        if tokio::time::timeout(drain, self.under_way.recv()).await.is_err() {
            tracing::warn!("some runs did not end in time; they start again with the next server");
        }
    }
}

impl Runner {
    /// Starts to execute queued runs, until the [`Worker`] is dropped or stopped.
    pub fn start_worker(self: &Arc<Self>) -> Worker {
        let (stop, stopped) = watch::channel(false);
        let (held, under_way) = mpsc::channel(1);
        let task = tokio::spawn(work(Arc::clone(self), stopped, held));
        Worker { task, stop, under_way }
    }
}

async fn work(runner: Arc<Runner>, mut stopped: watch::Receiver<bool>, under_way: UnderWay) {
    let mut recovered = Instant::now();
    loop {
        let first = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            permit = Arc::clone(&runner.slots).acquire_owned() => permit,
        };
        // Closed only with the process.
        let Ok(first) = first else { return };
        if recovered.elapsed() >= RECOVER_EVERY {
            recovered = Instant::now();
            if let Err(error) = runner.host().recover(Timestamp::now(), Some(&runner.worker)).await
            {
                tracing::error!(%error, "runs of lost workers could not be taken back");
            }
        }
        let mut permits = vec![first];
        while permits.len() < BATCH
            && let Ok(permit) = Arc::clone(&runner.slots).try_acquire_owned()
        {
            permits.push(permit);
        }
        match runner.claim(permits.len()).await {
            Ok(claimed) if claimed.is_empty() => {
                drop(permits);
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => return,
                    () = runner.idle() => {}
                }
            }
            Ok(claimed) => {
                for (claimed, permit) in claimed.into_iter().zip(permits) {
                    runner.start(claimed, permit, under_way.clone());
                }
            }
            Err(error) => {
                drop(permits);
                tracing::error!(%error, "no runs could be claimed; trying again");
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

impl Runner {
    /// Claims up to `limit` due runs. Where a snapshot is stale it is loaded, and the claim is
    /// made again: the decision that counts is made inside the claim's transaction.
    async fn claim(
        &self,
        limit: usize,
    ) -> Result<Vec<Claimed<Arc<Snapshot>>>, crate::store::Error> {
        let host = self.host();
        let mut failed = None;
        loop {
            let snapshots = Arc::clone(&self.snapshots);
            let caps = self.settings.sandbox.caps;
            let decide = move |due: &Due| decide(&snapshots, &caps, due);
            let batch = host.claim(&self.worker, limit, Timestamp::now(), decide).await?;
            if !batch.claimed.is_empty() || batch.undecided.is_empty() {
                return Ok(batch.claimed);
            }
            if let Some(error) = failed.take() {
                return Err(error);
            }
            for due in batch.undecided {
                let tenant = self.tenant(due.profile);
                let loaded = self.snapshots.load(&tenant, &self.vault, due.run.analysis).await;
                // One that does not load must not hold up the others.
                failed = failed.or(loaded.err());
            }
        }
    }

    /// What a claim decides about a due run: nothing where the decision in memory is not of the
    /// run's generation.
    pub fn decide(&self, due: &Due) -> Option<(Arc<Snapshot>, Grant)> {
        decide(&self.snapshots, &self.settings.sandbox.caps, due)
    }

    /// Waits until a run is queued or due, or for a while.
    async fn idle(&self) {
        let until_due = match self.host().next_due().await {
            Ok(Some(due)) => {
                let millis = due.as_millis().saturating_sub(Timestamp::now().as_millis());
                Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(POLL)
            }
            _ => POLL,
        };
        let _ = tokio::time::timeout(until_due, self.wake.0.notified()).await;
    }

    fn start(
        self: &Arc<Self>,
        claimed: Claimed<Arc<Snapshot>>,
        permit: OwnedSemaphorePermit,
        under_way: UnderWay,
    ) {
        let runner = Arc::clone(self);
        self.guests.spawn(async move {
            let (fence, job, scope) = runner.job(claimed);
            let finished = runner.perform(job, fence, scope).await;
            // The outcome is committed with others, without holding the slot.
            drop(permit);
            runner.conclude(finished).await;
            drop(under_way);
        });
    }

    fn job(&self, claimed: Claimed<Arc<Snapshot>>) -> (i64, Job, Option<Vec<u8>>) {
        let Claimed { profile, run, attempt, fence, scope, decision: snapshot } = claimed;
        let limits = snapshot.analysis.limits.within(&self.settings.sandbox.caps);
        let job = Job {
            profile,
            run: run.id,
            attempt,
            snapshot,
            variables: Vec::new(),
            limits,
            module: Module::Stored(run.module),
            live: None,
        };
        (fence, job, scope)
    }

    /// Makes an outcome durable and tells who waits. A full disk delays it and loses nothing.
    pub(super) async fn conclude(&self, finished: Finished) {
        let run = finished.run;
        for _ in 0..FINISH_ATTEMPTS {
            match self.host().finish(finished.clone()).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(%run, %error, "an outcome could not be written; trying again");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
        self.watch.ended(run);
    }
}

/// The decision inside the claim: only a snapshot of the transaction's own generation counts.
pub(super) fn decide(
    snapshots: &Snapshots,
    caps: &crate::analysis::Limits,
    due: &Due,
) -> Option<(Arc<Snapshot>, Grant)> {
    let snapshot = snapshots.get(due.profile, due.run.analysis, due.generation)?;
    let attempt = due.run.attempts + 1;
    let entry = snapshot.grants.as_ref().map(|keys| Entry {
        at: Timestamp::now(),
        principal: due.run.cause.by.clone(),
        event: Event::RunGrant,
        resource: due.run.id,
        // Joined and not formatted: it is long, and made for every run.
        detail: [r#"{"attempt":"#, &attempt.to_string(), r#","keys":"#, keys, "}"].concat(),
    });
    let lease = snapshot.analysis.limits.within(caps).wall_time() + LEASE_GRACE;
    let environment = Arc::clone(&snapshot.environment);
    Some((snapshot, Grant { environment, entry, lease }))
}
