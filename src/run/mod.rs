//! A run: one request to execute an analysis, from queued to its one final outcome.
//!
//! Owns the words for runs, attempts and console lines, and the rules of their states and leases.
//! It executes nothing and stores nothing.

mod attempt;
pub mod console;
mod request;
mod state;

pub use attempt::{Attempt, EntryOrigin, EnvironmentEntry};
pub use console::Line;
pub use request::RunRequest;
pub use state::State;

use std::time::Duration;

use crate::analysis::Digest;
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::id::Id;

/// How many attempts a run gets when hosts keep going down under it.
pub const MAX_ATTEMPTS: u32 = 5;

/// How long past its wall time a worker may take to write the outcome before its lease ends.
pub const LEASE_GRACE: Duration = Duration::from_secs(60);

/// One run as the store keeps it; scope, outcome and console stand beside it.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Unique in the whole store.
    pub id: Id,
    /// What is run.
    pub analysis: Id,
    /// The module that runs.
    pub module: Digest,
    /// The analysis's version of it; none where the module came with the request.
    pub version: Option<u32>,
    /// Where the run stands.
    pub state: State,
    /// What set it off.
    pub cause: Cause,
    /// How many attempts were started.
    pub attempts: u32,
    /// When it was acknowledged.
    pub created_at: Timestamp,
    /// When its latest attempt started.
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
}
