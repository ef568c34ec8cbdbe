//! Which hosts of the network an analysis may send requests to.
//!
//! Owns the decision about a destination and its explanation. Names are not resolved and
//! addresses are not judged here: that a policy allows a host does not open a private network.

use serde::{Deserialize, Serialize};

use super::explain::{NamedPolicy, Verdict};
use super::reasons::Reasons;
use super::{Action, Decision, Effect, Policy, ResourceType, RuleRef, Rules, Selector, Subject};
use crate::host::{Destination, HostPattern, Scheme};

/// One permission about hosts.
pub(super) type HostRule = (HostPattern, Effect, RuleRef);

impl Rules {
    /// Decides about requests to one destination. An allow of all hosts means TLS, on any port; a
    /// deny of all hosts means everything.
    pub fn decide_host(&self, destination: &Destination) -> Decision {
        let table = self.tables.get(&(ResourceType::Network, Action::Access));
        let Some(table) = table else { return Decision { granted: false, rule: None } };
        let mut spoken = table.any;
        if destination.scheme == Scheme::Http {
            spoken.allow = None;
        }
        for (pattern, effect, rule) in &table.hosts {
            let meant = match effect {
                Effect::Allow => pattern.allows(destination),
                Effect::Deny => pattern.denies(destination),
            };
            if meant {
                spoken.add(*effect, *rule);
            }
        }
        spoken.decision()
    }
}

/// What becomes of requests to a host, or to the hosts of a permission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostExplanation {
    /// The destination, or the pattern of the permission; `*` for all hosts.
    pub host: String,
    /// Granted or refused.
    pub decision: Verdict,
    /// The policy that spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<NamedPolicy>,
    /// Which of its permissions did, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<u32>,
    /// What that permission does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// All of it in one sentence.
    pub reason: String,
}

/// Explains one destination, or else each permission about hosts that applies to `subject`,
/// sorted by host.
///
/// A permission for one host is explained by the decision about that host; one for many hosts by
/// what it says itself, which a deny for some of them may still beat.
pub fn explain_hosts<'a>(
    subject: Subject<'_>,
    policies: impl IntoIterator<Item = &'a Policy>,
    asked: Option<&Destination>,
) -> Vec<HostExplanation> {
    let policies = policies.into_iter().filter(|policy| policy.applies_to(subject));
    let policies: Vec<&Policy> = policies.collect();
    let rules = Rules::compile(subject, policies.iter().copied());
    let reasons = Reasons::new(subject, &policies);
    let about = |host: String, decision: Decision| {
        let (spoke, reason) = reasons.about(Action::Access, decision);
        HostExplanation {
            host,
            decision: if decision.granted { Verdict::Granted } else { Verdict::Refused },
            policy: spoke
                .map(|(policy, ..)| NamedPolicy { id: policy.id, name: policy.name.clone() }),
            permission: spoke.map(|(_, number, _)| number),
            effect: spoke.map(|(.., permission)| permission.effect),
            reason,
        }
    };
    if let Some(destination) = asked {
        return vec![about(destination.to_string(), rules.decide_host(destination))];
    }
    let numbered = policies.iter().flat_map(|policy| {
        (0..).zip(&policy.permissions).map(move |(number, permission)| {
            (RuleRef { policy: policy.id, permission: number }, permission)
        })
    });
    let mut explained: Vec<_> = numbered
        .filter(|(_, permission)| permission.resource == ResourceType::Network)
        .map(|(rule, permission)| {
            let own = Decision { granted: permission.effect == Effect::Allow, rule: Some(rule) };
            match &permission.selector {
                Selector::Host(pattern) => {
                    let one = pattern.destination();
                    about(pattern.to_string(), one.map_or(own, |one| rules.decide_host(&one)))
                }
                _ => about("*".into(), own),
            }
        })
        .collect();
    explained.sort_by(|a, b| a.host.cmp(&b.host));
    explained.dedup();
    explained
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::policy::{arbitrary, parse_permissions, parse_targets};
    use crate::tag::Tags;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ANALYSIS: Id = Id::from_bytes([0xa; 12]);

    fn policy(number: u8, rules: &[(&str, &str)]) -> Policy {
        let permission = |(effect, host): &(&str, &str)| {
            let resource =
                if *host == "*" { json!(["network"]) } else { json!(["network", "host", host]) };
            json!({"effect": effect, "action": ["access"], "resource": resource})
        };
        let permissions = Value::Array(rules.iter().map(permission).collect());
        Policy {
            id: Id::from_bytes([number; 12]),
            name: format!("p{number}"),
            active: true,
            tags: Tags::default(),
            targets: parse_targets(&json!([["analysis", "id", ANALYSIS]])).unwrap(),
            permissions: parse_permissions(&permissions).unwrap(),
            created_at: Default::default(),
            updated_at: Default::default(),
        }
    }

    fn subject(tags: &Tags) -> Subject<'_> {
        Subject { id: ANALYSIS, tags }
    }

    fn to(url: &str) -> Destination {
        let (scheme, authority) = url.split_once("://").unwrap();
        Destination::parse(scheme, authority).unwrap()
    }

    fn granted(policies: &[Policy], url: &str) -> bool {
        Rules::compile(subject(&Tags::default()), policies).decide_host(&to(url)).granted
    }

    #[test]
    fn nothing_is_reached_until_a_policy_allows_it() {
        assert!(!granted(&[], "https://a.example"));
        let policies = [policy(1, &[("allow", "a.example")])];
        assert!(granted(&policies, "https://A.example."));
        assert!(!granted(&policies, "https://b.example"));
        assert!(!granted(&policies, "http://a.example"));
    }

    #[test]
    fn a_deny_anywhere_beats_every_allow_whatever_the_order() {
        let allow = policy(1, &[("allow", "*.a.example"), ("allow", "*")]);
        let deny = policy(2, &[("deny", "b.a.example")]);
        for policies in [[allow.clone(), deny.clone()], [deny, allow]] {
            assert!(granted(&policies, "https://c.a.example"));
            assert!(!granted(&policies, "https://b.a.example"));
            assert!(!granted(&policies, "https://b.a.example:8443"));
        }
        let both = [policy(1, &[("allow", "a.example"), ("deny", "*")])];
        assert!(!granted(&both, "https://a.example"));
    }

    #[test]
    fn all_hosts_means_tls() {
        let all = [policy(1, &[("allow", "*")])];
        assert!(granted(&all, "https://a.example:8443"));
        assert!(granted(&all, "https://192.0.2.1"));
        assert!(!granted(&all, "http://a.example"));
    }

    #[test]
    fn an_explanation_names_the_rule_that_decides() {
        let policies = [
            policy(1, &[("allow", "a.example"), ("allow", "*.b.example"), ("allow", "c.example")]),
            policy(2, &[("deny", "c.example")]),
        ];
        let tags = Tags::default();
        let lines: Vec<_> = explain_hosts(subject(&tags), &policies, None)
            .into_iter()
            .map(|line| (line.host, line.decision, line.reason))
            .collect();
        let allowed =
            |number, host| format!("policy \"p1\", permission {number} allows access to {host}");
        let denied = r#"denied by policy "p2", permission 0, which denies access to c.example"#;
        assert_eq!(
            lines,
            [
                ("*.b.example".into(), Verdict::Granted, allowed(1, "*.b.example")),
                ("a.example".into(), Verdict::Granted, allowed(0, "a.example")),
                ("c.example".into(), Verdict::Refused, denied.into()),
            ]
        );
        let asked = explain_hosts(subject(&tags), &policies, Some(&to("https://d.example")));
        assert_eq!(
            serde_json::to_value(asked).unwrap(),
            json!([{"host": "https://d.example", "decision": "refused",
                    "reason": "no policy allows this"}])
        );
    }

    proptest! {
        #[test]
        fn whatever_is_granted_an_allow_means_and_no_deny(
            policies in arbitrary::policies(),
            tags in arbitrary::tags(),
            url in prop::sample::select(&[
                "https://a.example", "http://b.a.example:8443", "https://192.0.2.1",
                "http://c.b.a.example", "https://[2001:db8::1]:8443",
            ][..]),
        ) {
            let subject = Subject { id: Id::from_bytes([1; 12]), tags: &tags };
            let to = to(url);
            let decision = Rules::compile(subject, &policies).decide_host(&to);
            let about_hosts = policies
                .iter()
                .filter(|policy| policy.applies_to(subject))
                .flat_map(|policy| &policy.permissions)
                .filter(|permission| permission.resource == ResourceType::Network);
            let (mut allowed, mut denied) = (false, false);
            for permission in about_hosts {
                match (&permission.selector, permission.effect) {
                    (Selector::Host(pattern), Effect::Allow) => allowed |= pattern.allows(&to),
                    (Selector::Host(pattern), Effect::Deny) => denied |= pattern.denies(&to),
                    (_, Effect::Allow) => allowed |= to.scheme == Scheme::Https,
                    (_, Effect::Deny) => denied = true,
                }
            }
            prop_assert_eq!(decision.granted, allowed && !denied);
        }
    }
}
