//! An event from outside, a request or a message, that fires one action.
//!
//! Owns how such an event becomes runs, once for its key. Who may send it is decided before.

use std::sync::Arc;

use super::Runner;
use super::scheduler::Occasion;
use crate::audit::Entry;
use crate::cause::{CauseKind, Chain};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::run::TriggerEntries;
use crate::store::{Error, FiredOnce, Once, StoredAction, Tenant};

/// What came.
#[derive(Clone)]
pub(super) struct Event {
    /// The kind of trigger.
    pub(super) kind: CauseKind,
    /// JSON text.
    pub(super) scope: String,
    /// System entries that tell of it.
    pub(super) entries: TriggerEntries,
    /// What makes it the same as an earlier one.
    pub(super) once: Option<Once>,
    /// The runs that led to it.
    pub(super) chain: Chain,
    /// What the audit says, if it starts something.
    pub(super) entry: Option<Entry>,
}

impl Runner {
    /// Starts every analysis of an active action; the runs are durable when this returns.
    /// [`Error::NotFound`] when there is no such action or it is switched off;
    /// [`Error::QueueFull`] when nothing could be queued for want of room.
    pub(super) async fn fire(
        self: &Arc<Self>,
        tenant: &Tenant,
        action: Id,
        event: Event,
    ) -> Result<FiredOnce, Error> {
        let Event { kind, scope, entries, once, chain, entry } = event;
        let runner = Arc::clone(self);
        let plan = move |action: &StoredAction, now: Timestamp| {
            let locked = action.action.lock;
            let occasion = Occasion { action, kind, scope: &scope, entries, locked, chain };
            occasion.firing(&runner, now)
        };
        let fired = tenant.fire_action(action, once, entry, plan).await?;
        if let FiredOnce::Now(fired) = &fired {
            self.fired(fired);
        }
        Ok(fired)
    }
}
