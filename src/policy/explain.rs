//! Why each key of an analysis's environment is there or is not.
//!
//! Owns what an explanation holds. The decisions come from [`Rules`], so that an explanation cannot differ
//! from what a run gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reasons::Reasons;
use super::{Action, Effect, HostExplanation, Object, Policy, ResourceType, Rules, Subject};
use crate::id::Id;
use crate::tag::Tags;

/// What an explanation needs to know of a secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretFacts<'a> {
    /// Its id.
    pub id: Id,
    /// Its key.
    pub key: &'a str,
    /// Its tags.
    pub tags: &'a Tags,
    /// The version that a run would get.
    pub version: u32,
    /// The word for its exposure.
    pub exposure: &'a str,
    /// The hosts that its value may be sent to; empty where an analysis reads it.
    pub hosts: &'a str,
    /// How it may sign; empty where it may not.
    pub algorithms: &'a str,
}

/// What becomes of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The secret is in the environment: its value, or a placeholder where only the host reads it.
    Granted,
    /// The key is not in the environment.
    Refused,
    /// The secret is granted, but a variable of the same key takes its place.
    Overridden,
    /// A variable, and no granted secret of the same key.
    Variable,
    /// A policy grants it, but the module that runs is not approved.
    Withheld,
}

/// What is said of something that a policy grants to a module that is not approved.
const WITHHELD: &str = "withheld, because the module that runs is not approved";

/// Where the value under a key comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A secret.
    Secret,
    /// A variable of the analysis.
    Variable,
}

/// A policy, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamedPolicy {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
}

/// One key, what becomes of it, and why. What does not apply is left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The key.
    pub key: String,
    /// What becomes of it.
    pub decision: Verdict,
    /// Where the value comes from that the run sees; none where it sees none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Source>,
    /// The secret that was decided about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Id>,
    /// The secret's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The word for the secret's exposure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<String>,
    /// The policy that spoke about the secret.
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

impl Explanation {
    /// What becomes of it where the module that runs is not approved.
    pub fn withhold(&mut self) {
        if self.decision == Verdict::Granted {
            self.decision = Verdict::Withheld;
            self.origin = None;
            self.reason = format!("{WITHHELD}; {}", self.reason);
        }
    }
}

impl HostExplanation {
    /// What becomes of it where the module that runs is not approved.
    pub fn withhold(&mut self) {
        if self.decision == Verdict::Granted {
            self.decision = Verdict::Withheld;
            self.reason = format!("{WITHHELD}; {}", self.reason);
        }
    }
}

/// Explains every key that the `secrets` or the `variables` have, sorted by key.
///
/// `policies` are those of the profile: whether one applies to `subject` is decided here.
pub fn explain<'a>(
    subject: Subject<'_>,
    policies: impl IntoIterator<Item = &'a Policy>,
    secrets: impl IntoIterator<Item = SecretFacts<'a>>,
    variables: impl IntoIterator<Item = &'a str>,
) -> Vec<Explanation> {
    let policies = policies.into_iter().filter(|policy| policy.applies_to(subject));
    let policies: Vec<&Policy> = policies.collect();
    let rules = Rules::compile(subject, policies.iter().copied());
    let reasons = Reasons::new(subject, &policies);
    let secrets = secrets.into_iter().map(|secret| {
        let object = Object { id: Some(secret.id), tags: secret.tags };
        let decision = rules.decide(ResourceType::Secrets, Action::Access, &object);
        let signing = rules.decide(ResourceType::Secrets, Action::Sign, &object);
        (secret.key, reasons.about_secret(secret, decision, signing))
    });
    let mut explanations: BTreeMap<&str, Explanation> = secrets.collect();
    for key in variables {
        let under = explanations.remove(key);
        explanations.insert(key, laid_over(key, under));
    }
    explanations.into_values().collect()
}

/// What a variable makes of the explanation that its key had.
fn laid_over(key: &str, under: Option<Explanation>) -> Explanation {
    let variable = |reason| Explanation {
        key: key.into(),
        decision: Verdict::Variable,
        origin: Some(Source::Variable),
        secret: None,
        version: None,
        exposure: None,
        policy: None,
        permission: None,
        effect: None,
        reason,
    };
    let Some(secret) = under else { return variable("a variable of the analysis".into()) };
    match secret.decision {
        Verdict::Granted => Explanation {
            decision: Verdict::Overridden,
            origin: Some(Source::Variable),
            reason: format!("a variable of the same key hides the secret; {}", secret.reason),
            ..secret
        },
        Verdict::Refused => variable(format!(
            "a variable of the analysis; the secret of the same key stays out: {}",
            secret.reason
        )),
        // The key stands among the variables twice; what is withheld is told only in the end.
        Verdict::Overridden | Verdict::Variable | Verdict::Withheld => secret,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{parse_permissions, parse_targets};
    use crate::tag::Tag;
    use serde_json::{Value, json};

    const ANALYSIS: Id = Id::from_bytes([0xa; 12]);
    const SECRET: Id = Id::from_bytes([9; 12]);

    fn tags(key: &str, value: &str) -> Tags {
        Tags::new(vec![Tag { key: key.into(), value: value.into() }]).unwrap()
    }

    fn policy(name: &str, permissions: Value) -> Policy {
        Policy {
            id: Id::from_bytes([1; 12]),
            name: name.into(),
            active: true,
            tags: Tags::default(),
            targets: parse_targets(&json!([["analysis"]])).unwrap(),
            permissions: parse_permissions(&permissions).unwrap(),
            created_at: Default::default(),
            updated_at: Default::default(),
        }
    }

    fn access(effect: &str, resource: Value) -> Value {
        json!({"effect": effect, "action": ["access"], "resource": resource})
    }

    fn billing(effect: &str) -> Value {
        access(effect, json!(["secrets", "tag.key", "team", "tag.value", "billing"]))
    }

    /// What is said about a secret `API_KEY` tagged `team=billing`, and about the variables.
    fn said(policies: &[Policy], variables: &[&str]) -> Vec<Explanation> {
        let own = tags("team", "billing");
        let secret = SecretFacts {
            id: SECRET,
            key: "API_KEY",
            tags: &own,
            version: 3,
            exposure: "environment",
            hosts: "",
            algorithms: "",
        };
        let subject = Subject { id: ANALYSIS, tags: &own };
        explain(subject, policies, [secret], variables.iter().copied())
    }

    fn reason(policies: &[Policy]) -> String {
        said(policies, &[]).remove(0).reason
    }

    #[test]
    fn a_grant_names_its_policy_and_permission() {
        let policies = [policy("billing secrets", json!([billing("allow")]))];
        assert_eq!(
            serde_json::to_value(said(&policies, &[])).unwrap(),
            json!([{
                "key": "API_KEY",
                "decision": "granted",
                "origin": "secret",
                "secret": SECRET,
                "version": 3,
                "exposure": "environment",
                "policy": {"id": policies[0].id, "name": "billing secrets"},
                "permission": 0,
                "effect": "allow",
                "reason": "policy \"billing secrets\", permission 0 allows access to secrets \
                           tagged team=billing",
            }])
        );
    }

    #[test]
    fn a_refusal_names_the_deny_or_that_nothing_spoke() {
        let denied = policy("no", json!([billing("allow"), access("deny", json!(["secrets"]))]));
        let explanation = said(&[denied], &[]).remove(0);
        assert_eq!((explanation.decision, explanation.origin), (Verdict::Refused, None));
        assert_eq!((explanation.permission, explanation.effect), (Some(1), Some(Effect::Deny)));
        assert_eq!(
            explanation.reason,
            r#"denied by policy "no", permission 1, which denies access to all secrets"#
        );
        let other = json!([access("allow", json!(["secrets", "tag_match", "tier"]))]);
        let mut silent = policy("silent", other);
        let json = serde_json::to_value(said(std::slice::from_ref(&silent), &[])).unwrap();
        assert_eq!(
            json,
            json!([{
                "key": "API_KEY",
                "decision": "refused",
                "secret": SECRET,
                "version": 3,
                "exposure": "environment",
                "reason": "no policy allows this",
            }])
        );
        silent.active = false;
        let nobody = "no policy allows this: no active policy targets the analysis";
        assert_eq!(reason(&[silent]), nobody);
        assert_eq!(reason(&[]), nobody);
    }

    #[test]
    fn every_form_has_its_words() {
        for (resource, words) in [
            (json!(["secrets"]), "all secrets".to_owned()),
            (json!(["secrets", "id", SECRET]), format!("the secret {SECRET}")),
            (
                json!(["secrets", "tag_match", "team"]),
                "secrets tagged team=billing, as the analysis is".to_owned(),
            ),
        ] {
            let reason = reason(&[policy("p", json!([access("allow", resource)]))]);
            assert_eq!(reason, format!("policy \"p\", permission 0 allows access to {words}"));
        }
    }

    #[test]
    fn a_variable_overrides_a_granted_secret_and_says_so() {
        let policies = [policy("p", json!([billing("allow")]))];
        let explanation = said(&policies, &["API_KEY", "API_KEY"]).remove(0);
        assert_eq!(explanation.decision, Verdict::Overridden);
        assert_eq!(explanation.origin, Some(Source::Variable));
        assert_eq!((explanation.secret, explanation.permission), (Some(SECRET), Some(0)));
        assert_eq!(
            explanation.reason,
            "a variable of the same key hides the secret; policy \"p\", permission 0 allows access \
             to secrets tagged team=billing"
        );
    }

    #[test]
    fn a_variable_over_a_refused_or_absent_secret_is_simply_the_variable() {
        let explanations = said(&[policy("p", json!([billing("deny")]))], &["Z", "API_KEY", "A"]);
        let keys: Vec<&str> = explanations.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(keys, ["A", "API_KEY", "Z"]);
        assert_eq!(
            serde_json::to_value(&explanations[1]).unwrap(),
            json!({
                "key": "API_KEY",
                "decision": "variable",
                "origin": "variable",
                "reason": "a variable of the analysis; the secret of the same key stays out: denied \
                           by policy \"p\", permission 0, which denies access to secrets tagged \
                           team=billing",
            })
        );
        assert_eq!(explanations[2].reason, "a variable of the analysis");
    }

    #[test]
    fn what_is_granted_to_a_module_that_is_not_approved_is_withheld() {
        let policies = [policy("p", json!([billing("allow")]))];
        let mut explanation = said(&policies, &[]).remove(0);
        explanation.withhold();
        assert_eq!((explanation.decision, explanation.origin), (Verdict::Withheld, None));
        assert!(explanation.reason.starts_with("withheld, because the module"), "{explanation:?}");
        assert!(explanation.reason.ends_with("tagged team=billing"), "{explanation:?}");
        for (policies, variables) in [(&policies[..], &["API_KEY"][..]), (&[], &[])] {
            let mut explanation = said(policies, variables).remove(0);
            let before = explanation.clone();
            explanation.withhold();
            assert_eq!(explanation, before);
        }
    }

    #[test]
    fn an_explanation_reads_back_from_its_json() {
        for explanation in said(&[policy("p", json!([billing("allow")]))], &["API_KEY", "OTHER"]) {
            let json = serde_json::to_string(&explanation).unwrap();
            assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation);
        }
    }

    #[test]
    fn names_cannot_steer_a_terminal() {
        let reason = reason(&[policy("p\u{1b}[2J", json!([billing("deny")]))]);
        assert!(reason.starts_with(r#"denied by policy "p\u{1b}[2J","#), "{reason}");
    }
}
