//! What a cause asks for.

use super::TriggerEntries;
use crate::analysis::Digest;
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::id::Id;

/// A request to run an analysis, made by a cause and kept durably before it is acknowledged.
#[derive(Clone, PartialEq, Debug)]
pub struct RunRequest {
    /// The run's id, chosen by whoever asks.
    pub id: Id,
    /// What to run.
    pub analysis: Id,
    /// The module to run; none where a listener outside has the program.
    pub module: Option<Digest>,
    /// The analysis's version of it; none where the module came with the request.
    pub version: Option<u32>,
    /// What set it off.
    pub cause: Cause,
    /// System entries that the trigger adds to the environment.
    pub trigger_entries: TriggerEntries,
    /// The run that this one repeats.
    pub rerun_of: Option<Id>,
    /// The earliest start.
    pub due_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}
