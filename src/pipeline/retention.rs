//! Pruning: what is older than its settings want it goes, now and then, by one node.

use std::sync::Arc;
use std::time::Duration;

use super::Runner;
use crate::store::{Error, Past};

/// How long after its start a node looks for the first time.
const FIRST: Duration = Duration::from_secs(10);

/// How long it waits between two looks.
const EVERY: Duration = Duration::from_secs(600);

/// The lease of who prunes.
const LEASE: &str = "retention";

/// How long the lease lasts. It is renewed with each batch.
const TERM: Duration = Duration::from_secs(60);

/// How long what has ended is kept; `None` keeps it for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// Ended runs with their scopes, consoles and results, from their end.
    pub runs: Option<Duration>,
    /// How many of the newest ended runs of a profile are kept. Dead ones neither count nor go.
    pub newest_runs: Option<u64>,
    /// Slots of actions.
    pub slots: Option<Duration>,
    /// Audit entries.
    pub audit: Option<Duration>,
}

/// How much a look has removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// Runs.
    pub runs: u64,
    /// Slots.
    pub slots: u64,
    /// Audit entries.
    pub audit: u64,
    /// Idempotency keys, leases and modules that nothing needs any more.
    pub expired: u64,
}

/// Prunes until the task is aborted.
pub(super) async fn keep_pruning(runner: Arc<Runner>) {
    tokio::time::sleep(FIRST).await;
    loop {
        match runner.prune().await {
            Ok(pruned) if pruned == Pruned::default() => {}
            Ok(Pruned { runs, slots, audit, expired }) => {
                tracing::info!(runs, slots, audit, expired, "removed what was kept long enough");
            }
            Err(error) => {
                tracing::warn!(%error, "not all that was kept long enough could be removed");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

impl Runner {
    /// Removes all that was kept long enough, unless another node is doing so.
    pub async fn prune(&self) -> Result<Pruned, Error> {
        let mut pruned = Pruned::default();
        let keep = self.settings.retention;
        for profile in self.host().profiles().await? {
            if let Some(keep) = keep.runs {
                pruned.runs += self.prune_all(Past::OldRuns { profile, keep }).await?;
            }
            if let Some(newest) = keep.newest_runs
                && let Some(before) = self.host().surplus_before(profile, newest).await?
            {
                pruned.runs += self.prune_all(Past::SurplusRuns { profile, before }).await?;
            }
            if let Some(keep) = keep.slots {
                pruned.slots += self.prune_all(Past::Slots { profile, keep }).await?;
            }
        }
        if let Some(keep) = keep.audit {
            pruned.audit = self.prune_all(Past::Audit { keep }).await?;
        }
        pruned.expired = self.prune_all(Past::Deleted).await?;
        pruned.expired += self.prune_all(Past::Expired).await?;
        self.follows(LEASE).await?;
        Ok(pruned)
    }

    /// Removes batch after batch, as long as this node holds the lease.
    async fn prune_all(&self, past: Past) -> Result<u64, Error> {
        let mut removed = 0;
        while self.leads(LEASE, TERM).await? {
            match self.host().prune(past).await? {
                0 => break,
                rows => removed += rows,
            }
        }
        Ok(removed)
    }
}
