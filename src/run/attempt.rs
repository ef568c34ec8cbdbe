//! One try at a run: what it was given and how it ended.

use serde::{Deserialize, Serialize};

use super::LeakReport;
use crate::clock::Timestamp;
use crate::environment::{Environment, Origin};
use crate::fault::FaultCode;
use crate::id::Id;
use crate::run::SecretUse;

/// One attempt; its result or fault message stands sealed beside it.
#[derive(Clone, PartialEq, Debug)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// What the guest could see, without any value.
    pub environment: Vec<EnvironmentEntry>,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When its outcome was known.
    pub finished_at: Option<Timestamp>,
    /// Microseconds from the first instruction to the end.
    pub duration_us: Option<u64>,
    /// The most linear memory it held, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Whether console text was cut at the limit.
    pub console_truncated: bool,
    /// Why it failed, if it did.
    pub fault: Option<FaultCode>,
    /// What was masked on its way out, if anything was.
    pub leaks: Option<LeakReport>,
    /// The secrets it used without reading them.
    pub uses: Vec<SecretUse>,
    /// Whether nothing that policies grant was given, because the module was not approved.
    pub withheld: bool,
}

/// Where an entry of a recorded environment came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryOrigin {
    /// A granted secret.
    Secret,
    /// A granted secret that only the host reads; the value is a placeholder.
    Egress,
    /// A variable.
    Variable,
    /// The runner.
    System,
}

/// One entry of an environment as it is recorded: key and origin, never the value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnvironmentEntry {
    /// The key.
    pub key: String,
    /// Where its value came from.
    pub origin: EntryOrigin,
    /// The secret, for the first two origins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<Id>,
    /// The secret's version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<u32>,
    /// The policy that granted it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<Id>,
    /// Which of the policy's permissions, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub permission: Option<u32>,
}

impl EnvironmentEntry {
    /// The record of one entry with this key and origin.
    pub fn new(key: &str, origin: &Origin) -> Self {
        let mut entry = Self {
            key: key.into(),
            origin: EntryOrigin::System,
            secret: None,
            version: None,
            policy: None,
            permission: None,
        };
        match origin {
            Origin::Secret { secret, version, policy, permission }
            | Origin::Placeholder { secret, version, policy, permission } => {
                entry.origin = match origin {
                    Origin::Placeholder { .. } => EntryOrigin::Egress,
                    _ => EntryOrigin::Secret,
                };
                entry.secret = Some(*secret);
                entry.version = Some(*version);
                entry.policy = Some(*policy);
                entry.permission = Some(*permission);
            }
            Origin::Variable => entry.origin = EntryOrigin::Variable,
            Origin::System => {}
        }
        entry
    }

    /// The record of a whole environment.
    pub fn record(environment: &Environment) -> Vec<Self> {
        environment.iter().map(|entry| Self::new(entry.key, entry.origin)).collect()
    }
}
