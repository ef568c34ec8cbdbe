//! Actions: what starts analyses by itself, and when.
//!
//! Owns the kinds of triggers, how they are read and refused, and the pure rules of each: the
//! next instant of a schedule, whether a batch of data fires a condition, whether a request is
//! signed. The present, the data and the keys are handed in; it reads no clock, stores nothing
//! and starts nothing.

mod comparison;
mod condition;
mod cron;
mod fields;
mod interval;
mod preview;
mod refusal;
mod resource;
mod rules;
mod schedule;
#[cfg(test)]
mod schedule_tests;
mod script;
mod slot;
mod topic;
mod trigger;
mod webhook;
#[cfg(test)]
mod webhook_tests;
mod zone;

use crate::clock::Timestamp;
use crate::id::Id;
use crate::tag::Tags;

pub use condition::{ConditionEntry, RecordView, Source, Verdict, evaluate};
pub use interval::Interval;
pub use preview::Preview;
pub use refusal::InvalidAction;
pub use resource::{Resource, ResourceEntry, When};
pub use rules::{Misfire, Overlap, StartRules};
pub use schedule::Schedule;
pub use script::{MAX_ANALYSES, script, script_to_json};
pub use slot::{GRACE, MissedRange, Plan, SlotOutcome, plan, spread};
pub use topic::{Dedupe, TopicEntry};
pub use trigger::{ActionType, MAX_ENTRIES, Trigger};
pub use webhook::{Refused, Signature, Verified, Webhook};

/// The longest name, in Unicode characters.
pub const MAX_NAME_LENGTH: usize = 100;

/// One action: a trigger, and the analyses that it starts.
#[derive(Clone, PartialEq, Debug)]
pub struct Action {
    /// Unique in the whole store.
    pub id: Id,
    /// 1 to [`MAX_NAME_LENGTH`] characters; need not be unique.
    pub name: String,
    /// Free text for people.
    pub description: Option<String>,
    /// Whether it starts anything.
    pub active: bool,
    /// What resource triggers and policies select it by.
    pub tags: Tags,
    /// What starts it.
    pub trigger: Trigger,
    /// What it starts: 1 to [`MAX_ANALYSES`], none twice.
    pub analyses: Vec<Id>,
    /// How its starts are handled.
    pub rules: StartRules,
    /// Whether it ignores data that does not unlock it; see [`evaluate`].
    pub lock: bool,
    /// Whether unlocking starts it too.
    pub trigger_when_unlock: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}
