//! What set a run off.
//!
//! Owns the words for it. It starts nothing.

use serde::{Deserialize, Serialize};

use crate::id::Id;

macro_rules! kinds {
    ($($variant:ident $text:literal => $about:literal;)*) => {
        /// The kind of thing that starts runs.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum CauseKind { $(#[doc = $about] $variant,)* }

        impl CauseKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word used in the API and in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

kinds! {
    Api "api" => "A request to the HTTP API, or a command that makes one.";
    Exec "exec" => "`runner exec`.";
    Upload "upload" => "The upload of a script that did not build.";
    Schedule "schedule" => "An instant of a cron.";
    Interval "interval" => "The end of an interval.";
    Condition "condition" => "Records of a device that meet a condition.";
    Resource "resource" => "A change of a resource.";
    Mqtt "mqtt" => "A message to an MQTT topic.";
    Webhook "webhook" => "A request to a webhook.";
}

impl std::str::FromStr for CauseKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// How many runs may cause one another in a chain.
pub const MAX_DEPTH: u32 = 16;

/// What set one run off, and who did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cause {
    /// The kind of starter.
    pub kind: CauseKind,
    /// The principal behind it, in the form the audit uses, such as `token:66f0…`.
    pub by: String,
    /// The action that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Id>,
    /// The first run of the chain of runs that led to it; none where no run did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Id>,
    /// How many runs of the chain came before.
    #[serde(skip_serializing_if = "is_first")]
    pub depth: u32,
}

fn is_first(depth: &u32) -> bool {
    *depth == 0
}

/// The runs that caused one another before something happened; none by default.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Chain {
    /// How many they are.
    pub depth: u32,
    /// The first of them.
    pub root: Option<Id>,
}

impl Cause {
    /// A cause that no action and no run stands behind.
    pub fn new(kind: CauseKind, by: impl Into<String>) -> Self {
        Self { kind, by: by.into(), action: None, root: None, depth: 0 }
    }

    /// The same cause, at the end of a chain.
    pub fn after(self, Chain { depth, root }: Chain) -> Self {
        Self { root, depth, ..self }
    }

    /// The chain of what `run` causes, which this set off.
    pub fn chain(&self, run: Id) -> Chain {
        Chain { depth: self.depth + 1, root: self.root.or(Some(run)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_counts_its_runs_and_keeps_the_first() {
        let [first, second] = [1, 2].map(|number| Id::from_bytes([number; 12]));
        let cause = Cause::new(CauseKind::Api, "token");
        let chain = cause.chain(first);
        assert_eq!(chain, Chain { depth: 1, root: Some(first) });
        let next = Cause::new(CauseKind::Condition, "action").after(chain);
        assert_eq!(next.chain(second), Chain { depth: 2, root: Some(first) });
        assert_eq!(cause.after(Chain::default()).depth, 0);
    }
}
