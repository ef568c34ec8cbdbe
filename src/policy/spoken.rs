//! What several rules about one thing come to.

use super::Effect;
use super::decide::{Decision, RuleRef};

/// The first rule of either effect.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spoken {
    pub(super) allow: Option<RuleRef>,
    deny: Option<RuleRef>,
}

impl Spoken {
    pub(super) fn add(&mut self, effect: Effect, rule: RuleRef) {
        match effect {
            Effect::Allow => self.allow = first(self.allow, Some(rule)),
            Effect::Deny => self.deny = first(self.deny, Some(rule)),
        }
    }

    pub(super) fn decision(self) -> Decision {
        Decision {
            granted: self.deny.is_none() && self.allow.is_some(),
            rule: self.deny.or(self.allow),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.allow = first(self.allow, other.allow);
        self.deny = first(self.deny, other.deny);
    }
}

/// The smaller rule; none is no rule.
fn first(a: Option<RuleRef>, b: Option<RuleRef>) -> Option<RuleRef> {
    a.into_iter().chain(b).min()
}
