//! What a change of policies would give and take, before it is made.
//!
//! The decisions are those of [`Rules`] and the sentences those of explanations, so that a preview
//! cannot differ from what runs get afterwards.

use serde::{Deserialize, Serialize};

use super::reasons::Reasons;
use super::{Action, Object, Policy, ResourceType, Rules, SecretFacts, Subject};
use crate::id::Id;

/// Whether something is given or taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// It was refused and would be granted.
    Gains,
    /// It was granted and would be refused.
    Loses,
}

/// What an analysis would gain or lose.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shift {
    /// Which of the two.
    pub turn: Turn,
    /// The key of the secret.
    pub key: String,
    /// The secret.
    pub secret: Id,
    /// `access` to the value, or `sign` with it.
    pub action: String,
    /// Why, by the policies as they would be.
    pub reason: String,
}

/// What `subject` would gain and lose of the `secrets`, in their order, if the policies were
/// `after` instead of `before`.
pub fn preview<'a>(
    subject: Subject<'_>,
    before: &[&Policy],
    after: &[&Policy],
    secrets: impl IntoIterator<Item = SecretFacts<'a>>,
) -> Vec<Shift> {
    let applying = |policies: &[&'_ Policy]| -> bool {
        policies.iter().any(|policy| policy.applies_to(subject))
    };
    if !applying(before) && !applying(after) {
        return Vec::new();
    }
    let was = Rules::compile(subject, before.iter().copied());
    let becomes = Rules::compile(subject, after.iter().copied());
    let spoken: Vec<&Policy> =
        after.iter().copied().filter(|policy| policy.applies_to(subject)).collect();
    let reasons = Reasons::new(subject, &spoken);
    let mut shifts = Vec::new();
    for secret in secrets {
        let object = Object { id: Some(secret.id), tags: secret.tags };
        for action in [Action::Access, Action::Sign] {
            let granted = was.decide(ResourceType::Secrets, action, &object).granted;
            let decision = becomes.decide(ResourceType::Secrets, action, &object);
            if granted == decision.granted {
                continue;
            }
            shifts.push(Shift {
                turn: if decision.granted { Turn::Gains } else { Turn::Loses },
                key: secret.key.to_owned(),
                secret: secret.id,
                action: action.word().to_owned(),
                reason: reasons.about(action, decision).1,
            });
        }
    }
    shifts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{arbitrary, parse_permissions, parse_targets};
    use crate::tag::{Tag, Tags};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ANALYSIS: Id = Id::from_bytes([0xa; 12]);
    const SECRET: Id = Id::from_bytes([9; 12]);

    fn tags(key: &str, value: &str) -> Tags {
        Tags::new(vec![Tag { key: key.into(), value: value.into() }]).unwrap()
    }

    fn facts(tags: &Tags) -> SecretFacts<'_> {
        SecretFacts {
            id: SECRET,
            key: "API_KEY",
            tags,
            version: 1,
            exposure: "environment",
            hosts: "",
            algorithms: "",
        }
    }

    fn policy(number: u8, effect: &str, actions: Value) -> Policy {
        let permission = json!({"effect": effect, "action": actions, "resource": ["secrets"]});
        Policy {
            id: Id::from_bytes([number; 12]),
            name: format!("policy {number}"),
            active: true,
            tags: Tags::default(),
            targets: parse_targets(&json!([["analysis"]])).unwrap(),
            permissions: parse_permissions(&json!([permission])).unwrap(),
            created_at: Default::default(),
            updated_at: Default::default(),
        }
    }

    #[test]
    fn gains_and_losses_say_which_rule_decides_then() {
        let own = tags("team", "billing");
        let subject = Subject { id: ANALYSIS, tags: &own };
        let allow = policy(1, "allow", json!(["access", "sign"]));
        let deny = policy(2, "deny", json!(["access"]));
        let gains = preview(subject, &[], &[&allow], [facts(&own)]);
        assert_eq!(
            serde_json::to_value(gains).unwrap(),
            json!([
                {"turn": "gains", "key": "API_KEY", "secret": SECRET, "action": "access",
                    "reason": "policy \"policy 1\", permission 0 allows access to all secrets"},
                {"turn": "gains", "key": "API_KEY", "secret": SECRET, "action": "sign",
                    "reason": "policy \"policy 1\", permission 0 allows signing with all secrets"},
            ])
        );
        let loses = preview(subject, &[&allow], &[&allow, &deny], [facts(&own)]);
        assert_eq!(loses.len(), 1, "signing stays: {loses:?}");
        assert_eq!((loses[0].turn, loses[0].action.as_str()), (Turn::Loses, "access"));
        assert!(loses[0].reason.starts_with("denied by policy \"policy 2\""), "{loses:?}");
        let gone = preview(subject, &[&allow], &[], [facts(&own)]);
        assert!(gone.iter().all(|shift| shift.turn == Turn::Loses) && gone.len() == 2, "{gone:?}");
        assert_eq!(preview(subject, &[&allow], &[&allow], [facts(&own)]), []);
    }

    proptest! {
        #[test]
        fn a_preview_is_the_difference_of_what_is_decided(
            before in proptest::collection::vec(arbitrary::policy(), 0..4),
            after in proptest::collection::vec(arbitrary::policy(), 0..4),
            own in arbitrary::tags(),
            its in arbitrary::tags(),
        ) {
            let subject = Subject { id: ANALYSIS, tags: &own };
            let object = Object { id: Some(SECRET), tags: &its };
            let (before, after): (Vec<_>, Vec<_>) = (before.iter().collect(), after.iter().collect());
            let shifts = preview(subject, &before, &after, [facts(&its)]);
            for action in [Action::Access, Action::Sign] {
                let granted = |policies: &[&Policy]| {
                    let rules = Rules::compile(subject, policies.iter().copied());
                    rules.decide(ResourceType::Secrets, action, &object).granted
                };
                let found = shifts.iter().find(|shift| shift.action == action.word());
                let expected = match (granted(&before), granted(&after)) {
                    (false, true) => Some(Turn::Gains),
                    (true, false) => Some(Turn::Loses),
                    _ => None,
                };
                prop_assert_eq!(found.map(|shift| shift.turn), expected);
            }
        }
    }
}
