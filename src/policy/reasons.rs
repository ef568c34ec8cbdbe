//! Decisions in sentences.

use std::borrow::Cow;
use std::collections::HashMap;

use super::explain::{Explanation, NamedPolicy, SecretFacts, Source, Verdict};
use super::{Action, Decision, Effect, Permission, Policy, RuleRef, Selector, Subject};

/// Puts decisions about one analysis into words.
pub(super) struct Reasons<'a> {
    subject: Subject<'a>,
    spoken: HashMap<RuleRef, (&'a Policy, &'a Permission)>,
}

impl<'a> Reasons<'a> {
    /// `policies` are those that the rules behind the decisions were compiled from.
    pub(super) fn new(subject: Subject<'a>, policies: &[&'a Policy]) -> Self {
        let numbered = policies.iter().flat_map(|policy| {
            let permissions = (0..).zip(&policy.permissions);
            permissions.map(move |(number, permission)| {
                (RuleRef { policy: policy.id, permission: number }, (*policy, permission))
            })
        });
        Self { subject, spoken: numbered.collect() }
    }

    /// What spoke, with the number of the permission, and the sentence about it.
    pub(super) fn about(
        &self,
        action: Action,
        decision: Decision,
    ) -> (Option<(&'a Policy, u32, &'a Permission)>, String) {
        let spoke = decision.rule.map(|rule| {
            let known = self.spoken.get(&rule);
            let (policy, permission) = known.expect("rules come from the policies given");
            (*policy, rule.permission, *permission)
        });
        let reason = match spoke {
            Some((policy, number, permission)) => self.sentence(action, policy, number, permission),
            None if self.spoken.is_empty() => {
                "no policy allows this: no active policy targets the analysis".into()
            }
            None => "no policy allows this".into(),
        };
        (spoke, reason)
    }

    /// What becomes of a secret, by what was decided about having it and about signing with it.
    pub(super) fn about_secret(
        &self,
        secret: SecretFacts<'_>,
        decision: Decision,
        signing: Decision,
    ) -> Explanation {
        let (spoke, mut reason) = self.about(Action::Access, decision);
        if decision.granted && !secret.hosts.is_empty() {
            reason = format!(
                "{reason}; used only in requests to {}: the analysis sees a placeholder",
                secret.hosts
            );
        }
        if signing.granted {
            let by = if secret.algorithms.is_empty() { "no algorithm" } else { secret.algorithms };
            reason = format!("{reason}; signs by {by}: {}", self.about(Action::Sign, signing).1);
        }
        Explanation {
            key: secret.key.into(),
            decision: if decision.granted { Verdict::Granted } else { Verdict::Refused },
            origin: decision.granted.then_some(Source::Secret),
            secret: Some(secret.id),
            version: Some(secret.version),
            exposure: Some(secret.exposure.into()),
            policy: spoke
                .map(|(policy, ..)| NamedPolicy { id: policy.id, name: policy.name.clone() }),
            permission: spoke.map(|(_, number, _)| number),
            effect: spoke.map(|(.., permission)| permission.effect),
            reason,
        }
    }

    fn sentence(
        &self,
        action: Action,
        policy: &Policy,
        number: u32,
        permission: &Permission,
    ) -> String {
        let name = &policy.name;
        let what = format!("{} {}", action.phrase(), self.picked(permission));
        match permission.effect {
            Effect::Allow => format!("policy {name:?}, permission {number} allows {what}"),
            Effect::Deny => {
                format!("denied by policy {name:?}, permission {number}, which denies {what}")
            }
        }
    }

    /// The resources of a permission: `secrets tagged team=billing`.
    fn picked(&self, permission: &Permission) -> String {
        let (one, many) = (permission.resource.one(), permission.resource.many());
        match &permission.selector {
            Selector::Any => format!("all {many}"),
            Selector::Id(id) => format!("the {one} {id}"),
            Selector::Tag(tag) => format!("{many} tagged {}={}", bare(&tag.key), bare(&tag.value)),
            Selector::Host(pattern) => pattern.to_string(),
            Selector::TagMatch(key) => {
                let own = self.subject.tags.get(key).unwrap_or_default();
                format!("{many} tagged {}={}, as the analysis is", bare(key), bare(own))
            }
        }
    }
}

/// A tag's text as it is, or quoted where it could be misread or steer a terminal.
fn bare(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-_.:/@+".contains(c);
    if text.chars().all(plain) { text.into() } else { format!("{text:?}").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_cannot_steer_a_terminal() {
        assert_eq!(bare("a b\u{1b}[2J"), r#""a b\u{1b}[2J""#);
        assert_eq!(bare("prod-1.eu/ü"), "prod-1.eu/ü");
    }
}
