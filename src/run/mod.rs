//! A run: one request to execute an analysis, from queued to its one final outcome.
//!
//! Owns the words for runs, attempts and console lines, and the rules of their states and leases.
//! It executes nothing and stores nothing.

mod attempt;
pub mod console;
mod leak;
mod live;
mod request;
mod secret_use;
mod state;

pub use attempt::{Attempt, EntryOrigin, EnvironmentEntry};
pub use console::Line;
pub use leak::{Leak, LeakReport, Sink};
pub use live::Live;
pub use request::RunRequest;
pub use secret_use::{SecretUse, SecretUses, Way};
pub use state::State;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::analysis::Digest;
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::id::Id;

/// How often a run may be lost with its worker before it is dead.
pub const MAX_LOSSES: u32 = 5;

/// How long a worker holds a run before it has to renew the lease.
pub const LEASE: Duration = Duration::from_secs(30);

/// How often leases are renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// How long before the end of a lease that could not be renewed its guest is stopped.
pub const LEASE_MARGIN: Duration = Duration::from_secs(3);

/// How long a run waits for a listener outside before it ends without one.
pub const LISTENER_WAIT: Duration = Duration::from_secs(20);

/// How long after its delivery a run's frame token counts, and its console takes lines.
pub const FRAME_LIFE: Duration = Duration::from_secs(3_600);

/// System entries of the environment that a trigger adds, such as `_action_id`.
pub type TriggerEntries = BTreeMap<String, String>;

/// One run as the store keeps it; scope, outcome and console stand beside it.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Unique in the whole store.
    pub id: Id,
    /// What is run.
    pub analysis: Id,
    /// The module that runs; none for one that is for a listener outside.
    pub module: Option<Digest>,
    /// The analysis's version of it; none where the module came with the request.
    pub version: Option<u32>,
    /// Where the run stands.
    pub state: State,
    /// What set it off.
    pub cause: Cause,
    /// System entries that the trigger added to the environment.
    pub trigger_entries: TriggerEntries,
    /// The run that this one repeats.
    pub rerun_of: Option<Id>,
    /// How many attempts were started.
    pub attempts: u32,
    /// How many of them were lost with their workers.
    pub losses: u32,
    /// When it was acknowledged.
    pub created_at: Timestamp,
    /// When its latest attempt started.
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
}
