//! Starting what is due: schedules, intervals, and actions that listen to changes of resources.
//!
//! One node at a time does this, by a lease. Two that believe to hold it do no harm: a due action
//! is locked and its slots are unique.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Runner;
use super::held::Stop;
use crate::action::{Plan, SlotOutcome, Trigger, plan, spread};
use crate::cause::{Cause, CauseKind, Chain};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::run::TriggerEntries;
use crate::store::{Change, Error, Fired, Firing, NotStarted, Start, Started, Store, StoredAction};
use crate::vault::Part;

/// The name of the scheduler's lease.
const LEASE_NAME: &str = "scheduler";

/// For how long a node is the scheduler before it has to say so again.
const LEASE: Duration = Duration::from_secs(10);

/// How long before its end the lease is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(6);

/// How often is looked when nobody says that something changed.
const POLL: Duration = Duration::from_secs(1);

/// The shortest time between two looks at changes, so that a storm of them is handled in batches.
const PAUSE: Duration = Duration::from_millis(5);

/// Wakes the scheduler: something may be due that was not.
#[derive(Clone)]
pub(super) struct Changes(Arc<Notify>);

impl Changes {
    /// Woken by what is written to the store in this process.
    pub(super) fn of(store: &Store) -> Self {
        Self(store.changed())
    }

    pub(super) fn now(&self) {
        self.0.notify_one();
    }
}

/// What a trigger says about the runs that it starts.
pub(super) struct Occasion<'a> {
    /// The action that fires.
    pub(super) action: &'a StoredAction,
    /// The kind of trigger.
    pub(super) kind: CauseKind,
    /// JSON text.
    pub(super) scope: &'a str,
    /// System entries beside those that every action adds.
    pub(super) entries: TriggerEntries,
    /// Whether the action is locked afterwards.
    pub(super) locked: bool,
    /// The runs that caused one another before.
    pub(super) chain: Chain,
}

impl Runner {
    /// One start for each analysis of the action.
    pub(super) fn starts(&self, occasion: &Occasion<'_>, due_at: Timestamp) -> Vec<Start> {
        let StoredAction { action, profile, .. } = occasion.action;
        let start = |analysis: &Id| {
            let run = Id::generate(Timestamp::now());
            let seal =
                |text: &str| self.vault.seal(*profile, &Part::Scope { run }, text.as_bytes());
            let scope = Some(occasion.scope).filter(|scope| *scope != "[]").map(seal).transpose();
            let scope = scope.map_err(|error| NotStarted {
                code: ErrorCode::StoreUnreadable,
                message: format!("the scope could not be sealed: {error}"),
            });
            let mut trigger_entries = occasion.entries.clone();
            let state = if occasion.locked { "locked" } else { "unlocked" };
            for (key, value) in [
                ("_action_id", action.id.to_string()),
                ("_action_type", action.trigger.kind().as_str().to_owned()),
                ("_action_state", state.to_owned()),
            ] {
                trigger_entries.insert(key.to_owned(), value);
            }
            Start {
                profile: *profile,
                run,
                analysis: *analysis,
                cause: Cause {
                    action: Some(action.id),
                    ..Cause::new(occasion.kind, format!("action:{}", action.id))
                }
                .after(occasion.chain),
                trigger_entries,
                scope,
                due_at: due_at.plus(spread(action.id, *analysis, action.rules.spread_seconds)),
                overlap: action.rules.overlap,
            }
        };
        action.analyses.iter().map(start).collect()
    }

    /// What an action does that a clock has made due.
    fn plan(&self, stored: &StoredAction, now: Timestamp) -> Firing {
        let action = &stored.action;
        let kind = match action.trigger {
            Trigger::Schedule(_) => CauseKind::Schedule,
            _ => CauseKind::Interval,
        };
        let next = |after| action.trigger.next_after(action.created_at, after);
        let due = stored.next_at.unwrap_or(now);
        let Plan { starts, missed, next } = plan(due, next, now, action.rules);
        let occasion = Occasion {
            action: stored,
            kind,
            scope: "[]",
            entries: TriggerEntries::new(),
            locked: action.lock,
            chain: Chain::default(),
        };
        let slots = |(instant, outcome): (Timestamp, SlotOutcome)| {
            let starts = self.starts(&occasion, instant).into_iter();
            starts.map(move |start| (start, Some((instant, outcome)))).collect::<Vec<_>>()
        };
        Firing {
            action: action.id,
            profile: stored.profile,
            starts: starts.into_iter().flat_map(slots).collect(),
            missed: missed.map(|range| (range, action.analyses.clone())),
            revision: stored.revision,
            next_at: Some(next),
            locked: None,
        }
    }

    /// What an action does that listens to this change.
    fn react(&self, change: &Change, stored: &StoredAction) -> Option<Firing> {
        let Trigger::Resource(entries) = &stored.action.trigger else { return None };
        let hears = entries.iter().any(|e| e.matches(change.resource, change.when, &change.tags));
        if !hears {
            return None;
        }
        let scope = serde_json::json!([{
            "resource": change.resource,
            "when": change.when,
            "id": change.id,
            "tags": change.tags,
            "time": change.at,
            "by": change.principal,
        }]);
        let mut entries = TriggerEntries::new();
        entries.insert("_action_when".into(), change.when.as_str().to_owned());
        let occasion = Occasion {
            action: stored,
            kind: CauseKind::Resource,
            scope: &scope.to_string(),
            entries,
            locked: stored.action.lock,
            chain: change.chain,
        };
        Some(occasion.firing(self, change.at))
    }

    /// Stops what an action cancelled, and wakes the worker for what it started.
    pub(super) fn fired(&self, fired: &[Fired]) {
        for Fired { action, run, cause, slot, started } in fired {
            if let Some(outcome) = slot {
                self.metrics.slots(outcome.as_str(), 1);
            }
            match started {
                Started::Queued { cancelled } => {
                    self.metrics.acknowledged(*cause);
                    cancelled.iter().for_each(|run| self.held.stop(*run, Stop::Cancelled));
                    tracing::debug!(%action, %run, "an action started a run");
                }
                Started::Skipped => tracing::debug!(%action, "an earlier run is not over"),
                Started::Failed(why) => {
                    tracing::warn!(%action, code = %why.code, why = %why.message, "an action failed");
                }
            }
        }
        if !fired.is_empty() {
            self.wake.now();
        }
    }
}

impl Runner {
    /// Whether this node alone does what `name` stands for, for this long from before the call. A
    /// store that is not shared has no other node, and nothing is written.
    pub(super) async fn leads(&self, name: &str, lease: Duration) -> Result<bool, Error> {
        if !self.store.is_shared() {
            return Ok(true);
        }
        Ok(self.host().hold(name, &self.worker, lease).await?.is_some())
    }

    /// Leaves what `name` stands for to other nodes at once.
    pub(super) async fn follows(&self, name: &str) -> Result<(), Error> {
        if !self.store.is_shared() {
            return Ok(());
        }
        self.host().let_go(name, &self.worker).await
    }
}

impl Occasion<'_> {
    /// Starts every analysis of the action, without slots.
    pub(super) fn firing(&self, runner: &Runner, due_at: Timestamp) -> Firing {
        let starts = runner.starts(self, due_at);
        Firing {
            action: self.action.action.id,
            profile: self.action.profile,
            starts: starts.into_iter().map(|start| (start, None)).collect(),
            missed: None,
            revision: self.action.revision,
            next_at: None,
            locked: None,
        }
    }
}

/// Starts what is due for as long as this node is the scheduler.
pub(super) async fn schedule(runner: Arc<Runner>) {
    let mut until = Instant::now();
    loop {
        if until.saturating_duration_since(Instant::now()) < RENEW_BEFORE {
            let asked = Instant::now();
            match runner.leads(LEASE_NAME, LEASE).await {
                Ok(true) => until = asked + LEASE,
                Ok(false) => {
                    tokio::time::sleep(POLL).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "schedules stand still");
                    tokio::time::sleep(POLL).await;
                    continue;
                }
            }
        }
        if let Err(error) = round(&runner).await {
            tracing::warn!(%error, "what is due could not be started; trying again");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Leaves the schedules to others at once.
pub(super) async fn give_up(runner: &Runner) {
    match runner.follows(LEASE_NAME).await {
        Ok(()) | Err(Error::Closed) => {}
        Err(error) => tracing::warn!(%error, "schedules stand still until the lease ends"),
    }
}

/// Starts what is due now, then waits until something is.
async fn round(runner: &Arc<Runner>) -> Result<(), Error> {
    if let Err(error) = runner.learn_new().await {
        tracing::error!(%error, "the keys of a new profile cannot be had");
    }
    let host = runner.host();
    let changed = runner.changes.0.notified();
    tokio::pin!(changed);
    // From here on a change is noticed, even while this looks.
    changed.as_mut().enable();
    while host.changes_wait().await? {
        let reacting = Arc::clone(runner);
        let react = move |change: &Change, action: &StoredAction, _| reacting.react(change, action);
        let (fired, _) = host.handle_changes(react).await?;
        runner.fired(&fired);
    }
    let until_due = match host.next_firing().await? {
        Some(due) => {
            let wait = due.as_millis().saturating_sub(host.now().await?.as_millis());
            Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(POLL)
        }
        None => POLL,
    };
    if until_due.is_zero() {
        let planning = Arc::clone(runner);
        let plan = move |action: &StoredAction, now| planning.plan(action, now);
        let (fired, missed) = host.fire_due(plan).await?;
        runner.metrics.slots(SlotOutcome::Missed.as_str(), missed);
        runner.fired(&fired);
        return Ok(());
    }
    if tokio::time::timeout(until_due, changed).await.is_ok() {
        tokio::time::sleep(PAUSE.min(until_due)).await;
    }
    Ok(())
}
