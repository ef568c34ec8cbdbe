//! Executing queued runs with a bounded number of guests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::broker::{BrokerError, Link};
use super::held::Stop;
use super::request::overridden;
use super::retention::keep_pruning;
use super::snapshot::{Snapshot, Snapshots};
use super::{Job, Module, Runner, mqtt, scheduler};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::environment::Origin;
use crate::run::{LEASE, RENEW_EVERY};
use crate::store::{Claimed, Due, Error, Finished, Grant};

/// The most runs claimed in one transaction.
const BATCH: usize = 256;

/// How long the worker sleeps when nobody wakes it.
const POLL: Duration = Duration::from_secs(1);

/// How long the worker sleeps at least when runs are due that it could not claim.
const PAUSE: Duration = Duration::from_millis(10);

/// How often runs whose lease has ended are taken back.
const RECOVER_EVERY: Duration = Duration::from_secs(10);

/// How long stopped guests get to have their outcomes written.
const LAST_WRITES: Duration = Duration::from_secs(5);

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
    runner: Arc<Runner>,
    work: JoinHandle<()>,
    /// Aborted when this is dropped.
    others: JoinSet<()>,
    stop: watch::Sender<bool>,
    /// Ends with the last [`UnderWay`].
    under_way: mpsc::Receiver<Infallible>,
}

/// Held for each claimed run until its outcome is durable.
type UnderWay = mpsc::Sender<Infallible>;

impl Worker {
    /// Begins to receive what the MQTT broker of the settings has for the actions that listen to
    /// topics; does nothing where no broker is set.
    pub fn subscribe(&mut self) -> Result<(), BrokerError> {
        let runner = &self.runner;
        let Some(broker) = &runner.settings.broker else { return Ok(()) };
        let options = broker.options(runner.profile)?;
        runner.set_link(Link::Standby);
        let receive = mqtt::receive(Arc::clone(runner), options, self.stop.subscribe());
        self.others.spawn(receive);
        Ok(())
    }

    /// Stops claiming and waits, at most `drain`, until the runs that were claimed have durable
    /// outcomes. What still runs then is stopped and goes back to the queue.
    pub async fn stop(mut self, drain: Duration) {
        // Not in the middle of a claim: what is claimed must also be started.
        self.stop.send_replace(true);
        let _ = (&mut self.work).await;
        if tokio::time::timeout(drain, self.under_way.recv()).await.is_err() {
            self.runner.held.stop_all(Stop::HostStops);
            if tokio::time::timeout(LAST_WRITES, self.under_way.recv()).await.is_err() {
                tracing::warn!(
                    "some runs could not be given back; they start again when their \
                     leases end"
                );
            }
        }
        self.others.shutdown().await;
        // Another node, or the next process, need not wait for its end.
        scheduler::give_up(&self.runner).await;
    }
}

impl Runner {
    /// Starts to execute queued runs, until the [`Worker`] is dropped or stopped.
    pub fn start_worker(self: &Arc<Self>) -> Worker {
        let (stop, stopped) = watch::channel(false);
        let (held, under_way) = mpsc::channel(1);
        let work = tokio::spawn(work(Arc::clone(self), stopped, held));
        let mut others = JoinSet::new();
        others.spawn(keep(Arc::clone(self)));
        others.spawn(stop_overdue(Arc::clone(self)));
        others.spawn(listen(Arc::clone(self)));
        others.spawn(scheduler::schedule(Arc::clone(self)));
        others.spawn(keep_pruning(Arc::clone(self)));
        Worker { runner: Arc::clone(self), work, others, stop, under_way }
    }
}

async fn work(runner: Arc<Runner>, mut stopped: watch::Receiver<bool>, under_way: UnderWay) {
    loop {
        let first = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            permit = Arc::clone(&runner.slots).acquire_owned() => permit,
        };
        // Closed only with the process.
        let Ok(first) = first else { return };
        let mut permits = vec![first];
        while permits.len() < BATCH
            && let Ok(permit) = Arc::clone(&runner.slots).try_acquire_owned()
        {
            permits.push(permit);
        }
        let asked = Instant::now();
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
                    runner.start(claimed, asked, permit, under_way.clone());
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

/// Renews leases, hears of cancelled runs, and takes back the runs of nodes that are gone.
async fn keep(runner: Arc<Runner>) {
    // Nobody else can take a run of a store that is not shared. But one may be called off between
    // its claim and its start, when there is no guest yet to be told.
    let shared = runner.store.is_shared();
    let (mut renewed, mut recovered) = (Instant::now(), Instant::now());
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if shared && renewed.elapsed() >= RENEW_EVERY {
            renewed = Instant::now();
            runner.renew().await;
        }
        match runner.host().asked_to_cancel(&runner.worker).await {
            Ok(runs) => runs.into_iter().for_each(|run| runner.held.stop(run, Stop::Cancelled)),
            Err(error) => tracing::warn!(%error, "cancelled runs could not be looked up"),
        }
        if shared && recovered.elapsed() >= RECOVER_EVERY {
            recovered = Instant::now();
            match runner.host().recover(false).await {
                Ok(0) => {}
                Ok(runs) => {
                    runner.metrics.leases_lost(runs);
                    tracing::warn!(runs, "took back runs whose lease had ended");
                    runner.wake.now();
                }
                Err(error) => tracing::error!(%error, "runs of lost workers stay where they are"),
            }
        }
    }
}

/// Stops guests whose lease could not be renewed. It asks the database nothing: what does may be
/// waiting for an answer just then.
async fn stop_overdue(runner: Arc<Runner>) {
    // A lease on a store that is not shared never ends.
    if !runner.store.is_shared() {
        return;
    }
    let mut tick = tokio::time::interval(POLL);
    loop {
        tick.tick().await;
        let stopped = runner.held.stop_overdue(Instant::now());
        if stopped > 0 {
            tracing::warn!(runs = stopped, "leases could not be renewed: their guests are stopped");
        }
    }
}

/// Wakes the worker when another node has queued a run.
async fn listen(runner: Arc<Runner>) {
    loop {
        match runner.store.notices().await {
            Ok(Some(mut notices)) => loop {
                notices.next().await;
                runner.wake.now();
                runner.changes.now();
            },
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "notices of other nodes are not heard");
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

impl Runner {
    async fn renew(&self) {
        let (asked, claims) = (Instant::now(), self.held.claims());
        if claims.is_empty() {
            return;
        }
        let runs = claims.iter().map(|(run, _)| *run).collect();
        match self.host().renew(&self.worker, runs, LEASE).await {
            // A run that has just ended is not held any more either; stopping it does nothing.
            Ok(held) => self.held.renewed(&claims, &held, asked),
            Err(error) => tracing::warn!(%error, "leases could not be renewed"),
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
            let decide = move |due: &Due| decide(&snapshots, due, false);
            let heard = self.listeners.analyses();
            let batch = host.claim(&self.worker, limit, heard, decide).await?;
            if !batch.claimed.is_empty() || batch.undecided.is_empty() {
                return Ok(batch.claimed);
            }
            if let Some(error) = failed.take() {
                return Err(error);
            }
            for due in batch.undecided {
                if let Err(error) = self.learn_new().await {
                    tracing::error!(%error, "the keys of a new profile cannot be had");
                }
                let tenant = self.tenant(due.profile);
                let (analysis, module) = (due.run.analysis, &due.run.module);
                let loaded =
                    self.snapshots.load_for(&tenant, &self.vault, analysis, module.as_ref()).await;
                // One that does not load must not hold up the others.
                failed = failed.or(loaded.err());
            }
        }
    }

    /// What a claim decides about a due run: nothing where the decision in memory is not of the
    /// run's generation.
    pub fn decide(&self, due: &Due) -> Option<(Arc<Snapshot>, Grant)> {
        decide(&self.snapshots, due, false)
    }

    /// Waits until a run is queued or due, or for a while.
    async fn idle(&self) {
        let wait = self.until_due().await.unwrap_or(POLL);
        let _ = tokio::time::timeout(wait, self.wake.0.notified()).await;
    }

    async fn until_due(&self) -> Result<Duration, Error> {
        let host = self.host();
        let Some(due) = host.next_due(&self.listeners.analyses()).await? else { return Ok(POLL) };
        let millis = due.as_millis().saturating_sub(host.now().await?.as_millis());
        Ok(match u64::try_from(millis) {
            Ok(millis @ 1..) => Duration::from_millis(millis).min(POLL),
            // At a limit, or locked by somebody: asking without a pause would keep all others from
            // writing.
            _ => PAUSE,
        })
    }

    fn start(
        self: &Arc<Self>,
        claimed: Claimed<Arc<Snapshot>>,
        asked: Instant,
        permit: OwnedSemaphorePermit,
        under_way: UnderWay,
    ) {
        let runner = Arc::clone(self);
        self.metrics.claimed(claimed.waited);
        let hold = self.held.hold(claimed.run.id, claimed.fence, asked);
        self.guests.spawn(async move {
            let waited = claimed.waited;
            let (fence, job, scope) = runner.job(claimed);
            let finished = match job.snapshot.analysis.runs_outside() {
                true => Some(runner.deliver(&job, fence, scope, waited).await),
                false => runner.perform(job, fence, scope, &hold).await,
            };
            // The outcome is committed with others, without holding the slot.
            drop(permit);
            if let Some(finished) = finished {
                runner.conclude(finished).await;
            }
            drop((hold, under_way));
        });
    }

    fn job(&self, claimed: Claimed<Arc<Snapshot>>) -> (i64, Job, Option<Vec<u8>>) {
        let Claimed { profile, run, attempt, fence, scope, decision: snapshot, .. } = claimed;
        let limits = snapshot.analysis.limits.within(&self.settings.sandbox.caps);
        let job = Job {
            profile,
            run: run.id,
            attempt,
            tried: attempt.saturating_sub(run.losses + 1),
            retries: true,
            chain: run.cause.chain(run.id),
            snapshot,
            variables: Vec::new(),
            trigger_entries: run.trigger_entries,
            limits,
            module: run.module.map_or(Module::Missing, Module::Stored),
            live: None,
            stop: None,
            uses: Arc::default(),
        };
        (fence, job, scope)
    }

    /// Makes an outcome durable and tells who waits. A full disk or a database out of reach delays
    /// it and loses nothing: the fence keeps an outcome out that comes too late.
    pub(super) async fn conclude(&self, finished: Finished) {
        let run = finished.run;
        loop {
            match self.host().finish(finished.clone()).await {
                Ok(()) => break,
                Err(Error::Closed) => return,
                Err(error) => {
                    tracing::error!(%run, %error, "an outcome could not be written; trying again");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
        if finished.state.is_final() {
            let took = Duration::from_micros(finished.duration_us);
            self.metrics.finished(finished.state.as_str(), took);
        }
        if finished.retry_at.is_some() {
            self.wake.now();
        }
        self.watch.ended(run);
    }
}

/// The decision inside the claim: only a snapshot of the transaction's own generation counts. With
/// `vouched` the module counts as approved: an administrator has just given it.
pub(super) fn decide(
    snapshots: &Snapshots,
    due: &Due,
    vouched: bool,
) -> Option<(Arc<Snapshot>, Grant)> {
    let snapshot = snapshots.get_for(due, vouched)?;
    let attempt = due.run.attempts + 1;
    let entry = snapshot.grants.as_ref().map(|keys| Entry {
        at: Timestamp::now(),
        principal: due.run.cause.by.clone(),
        event: Event::RunGrant,
        resource: due.run.id,
        // Joined and not formatted: it is long, and made for every run.
        detail: [r#"{"attempt":"#, &attempt.to_string(), r#","keys":"#, keys, "}"].concat(),
    });
    let added = &due.run.trigger_entries;
    let environment = match added.is_empty() {
        true => Arc::clone(&snapshot.environment),
        false => overridden(&snapshot, added.keys(), &Origin::System),
    };
    let withheld = snapshot.withheld;
    Some((snapshot, Grant { environment, entry, withheld }))
}
