//! The decision: may this analysis do this to that resource, and which rule says so.
//!
//! Default deny; a deny that matches beats every allow, across all policies. The answer, and the
//! rule it names, do not depend on the order in which policies are stored or read.

use std::collections::{BTreeMap, HashMap};

use super::network::HostRule;
use super::spoken::Spoken;
use super::{Action, Object, Policy, ResourceType, Selector, Subject};
use crate::id::Id;
use crate::tag::Tag;

/// One permission of one policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RuleRef {
    /// The policy.
    pub policy: Id,
    /// Which of its permissions, counted from 0.
    pub permission: u32,
}

/// The answer for one resource and one action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Whether it may be done.
    pub granted: bool,
    /// The rule that made the decision: an allow where granted, a deny where refused, none where
    /// no rule matches. Of several it is the one of the smallest policy id and permission.
    pub rule: Option<RuleRef>,
}

/// What to look up to find every resource that an allow matches. Denies are not taken off: each
/// resource found is still to be decided.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Candidates {
    /// Every resource of the type matches; `ids` and `tags` are then empty.
    pub any: bool,
    /// Resources with these ids match; sorted.
    pub ids: Vec<Id>,
    /// Resources with one of these tags match; sorted.
    pub tags: Vec<Tag>,
}

/// The permissions that hold for one analysis, ready for look-ups.
///
/// They stay right as long as neither the policies nor the analysis's tags change. A decision
/// costs one look-up for the id and one for each tag of the resource, however many rules there are;
/// one about a host looks at each rule about hosts.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(super) tables: BTreeMap<(ResourceType, Action), Table>,
}

/// The rules about one action on one resource type, by what they pick.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) any: Spoken,
    ids: HashMap<Id, Spoken>,
    tags: HashMap<Tag, Spoken>,
    pub(super) hosts: Vec<HostRule>,
}

impl Rules {
    /// Keeps what the `policies` that apply to `subject` permit and forbid. A permission's
    /// `tag_match` becomes the subject's own tag, or nothing where the subject lacks the key.
    pub fn compile<'p>(
        subject: Subject<'_>,
        policies: impl IntoIterator<Item = &'p Policy>,
    ) -> Self {
        let mut rules = Self::default();
        for policy in policies.into_iter().filter(|policy| policy.applies_to(subject)) {
            for (index, permission) in (0..).zip(&policy.permissions) {
                let rule = RuleRef { policy: policy.id, permission: index };
                for action in &permission.actions {
                    let table = rules.tables.entry((permission.resource, *action)).or_default();
                    if let Selector::Host(pattern) = &permission.selector {
                        table.hosts.push((pattern.clone(), permission.effect, rule));
                    } else if let Some(spoken) = table.picked_by(&permission.selector, subject) {
                        spoken.add(permission.effect, rule);
                    }
                }
            }
        }
        rules
    }

    /// Decides about one resource.
    pub fn decide(&self, resource: ResourceType, action: Action, object: &Object<'_>) -> Decision {
        let Some(table) = self.tables.get(&(resource, action)) else {
            return Decision { granted: false, rule: None };
        };
        let mut spoken = table.any;
        if let Some(by_id) = object.id.and_then(|id| table.ids.get(&id)) {
            spoken.merge(by_id);
        }
        for tag in object.tags.as_slice() {
            if let Some(by_tag) = table.tags.get(tag) {
                spoken.merge(by_tag);
            }
        }
        spoken.decision()
    }

    /// What to look up to find all that [`decide`](Self::decide) may grant. Those of several actions
    /// can be [joined](Candidates::or).
    pub fn candidates(&self, resource: ResourceType, action: Action) -> Candidates {
        let Some(table) = self.tables.get(&(resource, action)) else {
            return Candidates::default();
        };
        if table.any.allow.is_some() {
            return Candidates { any: true, ..Candidates::default() };
        }
        Candidates { any: false, ids: allowed(&table.ids), tags: allowed(&table.tags) }
    }
}

impl Candidates {
    /// What these or `others` find.
    pub fn or(mut self, others: Self) -> Self {
        if self.any || others.any {
            return Self { any: true, ..Self::default() };
        }
        self.ids.extend(others.ids);
        self.ids.sort_unstable();
        self.ids.dedup();
        self.tags.extend(others.tags);
        self.tags.sort_unstable();
        self.tags.dedup();
        self
    }
}

/// The keys that an allow picks, sorted.
fn allowed<K: Clone + Ord>(picked: &HashMap<K, Spoken>) -> Vec<K> {
    let allowed = picked.iter().filter(|(_, spoken)| spoken.allow.is_some());
    let mut keys: Vec<K> = allowed.map(|(key, _)| key.clone()).collect();
    keys.sort_unstable();
    keys
}

impl Table {
    /// Where the rules of `selector` are kept; none where it can pick nothing for `subject`.
    fn picked_by(&mut self, selector: &Selector, subject: Subject<'_>) -> Option<&mut Spoken> {
        Some(match selector {
            Selector::Any => &mut self.any,
            Selector::Id(id) => self.ids.entry(*id).or_default(),
            Selector::Tag(tag) => self.tags.entry(tag.clone()).or_default(),
            Selector::TagMatch(key) => {
                let value = subject.tags.get(key)?.into();
                self.tags.entry(Tag { key: key.clone(), value }).or_default()
            }
            // Patterns are compared one by one.
            Selector::Host(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Effect, arbitrary, parse_permissions, parse_targets};
    use crate::tag::Tags;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ANALYSIS: Id = Id::from_bytes([0xa; 12]);

    fn id(byte: u8) -> Id {
        Id::from_bytes([byte; 12])
    }

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        let tag = |(key, value): &(&str, &str)| Tag { key: (*key).into(), value: (*value).into() };
        Tags::new(pairs.iter().map(tag).collect()).unwrap()
    }

    fn policy(number: u8, permissions: Value) -> Policy {
        Policy {
            id: id(number),
            name: format!("policy {number}"),
            active: true,
            tags: Tags::default(),
            targets: parse_targets(&json!([["analysis", "id", ANALYSIS]])).unwrap(),
            permissions: parse_permissions(&permissions).unwrap(),
            created_at: Default::default(),
            updated_at: Default::default(),
        }
    }

    fn rule(effect: &str, rest: &[&str]) -> Value {
        let resource: Vec<&str> = std::iter::once(&"secrets").chain(rest).copied().collect();
        json!({"effect": effect, "action": ["access"], "resource": resource})
    }

    /// Decides access to a secret with id 9 and the tag `env=prod`, for an analysis with the tags
    /// `env=prod` and `tier=1`.
    fn decide(policies: &[Policy]) -> Decision {
        let own = tags(&[("env", "prod"), ("tier", "1")]);
        let rules = Rules::compile(Subject { id: ANALYSIS, tags: &own }, policies);
        let object = Object { id: Some(id(9)), tags: &tags(&[("env", "prod")]) };
        rules.decide(ResourceType::Secrets, Action::Access, &object)
    }

    fn granted(policy: u8, permission: u32) -> Decision {
        Decision { granted: true, rule: Some(RuleRef { policy: id(policy), permission }) }
    }

    fn denied(policy: u8, permission: u32) -> Decision {
        Decision { granted: false, rule: Some(RuleRef { policy: id(policy), permission }) }
    }

    const SILENT: Decision = Decision { granted: false, rule: None };
    const PROD: [&str; 4] = ["tag.key", "env", "tag.value", "prod"];

    #[test]
    fn without_a_matching_rule_everything_is_refused() {
        assert_eq!(decide(&[]), SILENT);
        let others = json!([
            rule("allow", &["tag.key", "env", "tag.value", "dev"]),
            rule("allow", &["id", &id(8).to_string()]),
            {"effect": "allow", "action": ["edit"], "resource": ["secrets"]},
            {"effect": "allow", "action": ["access"], "resource": ["analysis"]},
        ]);
        assert_eq!(decide(&[policy(1, others)]), SILENT);
    }

    #[test]
    fn each_form_of_allow_grants() {
        for rest in [&[][..], &["id", &id(9).to_string()], &PROD, &["tag_match", "env"]] {
            assert_eq!(decide(&[policy(1, json!([rule("allow", rest)]))]), granted(1, 0));
        }
    }

    #[test]
    fn a_tag_match_needs_the_key_on_both_sides() {
        for key in ["tier", "team"] {
            let match_key = policy(1, json!([rule("allow", &["tag_match", key])]));
            assert_eq!(decide(&[match_key]), SILENT, "{key}");
        }
    }

    #[test]
    fn an_inactive_policy_is_silent_whatever_it_says() {
        let mut deny = policy(1, json!([rule("deny", &[])]));
        let mut allow = policy(2, json!([rule("allow", &[])]));
        deny.active = false;
        assert_eq!(decide(&[deny, allow.clone()]), granted(2, 0));
        allow.active = false;
        assert_eq!(decide(&[allow]), SILENT);
    }

    #[test]
    fn a_policy_for_another_analysis_is_silent() {
        let mut other = policy(1, json!([rule("allow", &[])]));
        other.targets = parse_targets(&json!([["analysis", "id", id(1)]])).unwrap();
        assert_eq!(decide(&[other.clone()]), SILENT);
        other.targets.extend(parse_targets(&json!([["analysis", "tag_match", "tier"]])).unwrap());
        assert_eq!(decide(&[other]), granted(1, 0));
    }

    #[test]
    fn a_deny_anywhere_beats_every_allow() {
        let deny = policy(2, json!([rule("deny", &PROD)]));
        let allow = |number| policy(number, json!([rule("allow", &[]), rule("allow", &PROD)]));
        assert_eq!(decide(&[allow(1), deny.clone(), allow(3)]), denied(2, 0));
        assert_eq!(decide(&[allow(3), allow(1), deny]), denied(2, 0));
        let both = policy(1, json!([rule("deny", &[]), rule("allow", &PROD)]));
        assert_eq!(decide(&[both]), denied(1, 0));
    }

    #[test]
    fn the_smallest_of_several_matching_rules_is_named() {
        let two = |number| policy(number, json!([rule("allow", &PROD), rule("allow", &[])]));
        assert_eq!(decide(&[two(5), two(3), two(4)]), granted(3, 0));
        let denies = policy(4, json!([rule("allow", &[]), rule("deny", &PROD), rule("deny", &[])]));
        assert_eq!(decide(&[two(3), denies]), denied(4, 1));
    }

    #[test]
    fn what_is_about_to_be_created_is_judged_by_its_tags() {
        let create = json!([{"effect": "allow", "action": ["create"], "resource": ["secrets", "tag_match", "env"]}]);
        let own = tags(&[("env", "prod")]);
        let rules = Rules::compile(Subject { id: ANALYSIS, tags: &own }, &[policy(1, create)]);
        let may = |tags: &Tags| {
            let object = Object { id: None, tags };
            rules.decide(ResourceType::Secrets, Action::Create, &object).granted
        };
        assert!(may(&own));
        assert!(!may(&tags(&[("env", "dev")])) && !may(&Tags::default()));
    }

    #[test]
    fn candidates_are_sorted_and_hold_allows_only() {
        let permissions = json!([
            rule("allow", &["tag.key", "z", "tag.value", "1"]),
            rule("allow", &["id", &id(7).to_string()]),
            rule("deny", &["tag.key", "b", "tag.value", "1"]),
            rule("deny", &["tag.key", "z", "tag.value", "1"]),
            rule("allow", &["tag_match", "env"]),
            rule("allow", &["tag_match", "absent"]),
            rule("allow", &["id", &id(3).to_string()]),
        ]);
        let own = tags(&[("env", "prod")]);
        let subject = Subject { id: ANALYSIS, tags: &own };
        let mut policies = vec![policy(1, permissions)];
        let candidates =
            Rules::compile(subject, &policies).candidates(ResourceType::Secrets, Action::Access);
        assert!(!candidates.any);
        assert_eq!(candidates.ids, [id(3), id(7)]);
        assert_eq!(candidates.tags, tags(&[("env", "prod"), ("z", "1")]).as_slice());
        policies.push(policy(2, json!([rule("allow", &[])])));
        let rules = Rules::compile(subject, &policies);
        let all = rules.candidates(ResourceType::Secrets, Action::Access);
        assert_eq!(all, Candidates { any: true, ids: vec![], tags: vec![] });
        let none = rules.candidates(ResourceType::Secrets, Action::Edit);
        assert_eq!(none, Candidates::default());
        assert_eq!(candidates.clone().or(none), candidates);
        let more = Candidates { any: false, ids: vec![id(1), id(7)], tags: vec![] };
        assert_eq!(more.or(candidates.clone()).ids, [id(1), id(3), id(7)]);
        assert_eq!(candidates.or(all.clone()), all);
    }

    /// Policies, and the analysis's tags, the resource's id and its tags.
    fn case() -> impl Strategy<Value = (Vec<Policy>, Tags, Id, Tags)> {
        (arbitrary::policies(), arbitrary::tags(), arbitrary::id(), arbitrary::tags())
    }

    fn compile(policies: &[Policy], own: &Tags) -> Rules {
        Rules::compile(Subject { id: id(1), tags: own }, policies)
    }

    proptest! {
        #[test]
        fn the_order_of_policies_and_targets_changes_nothing(
            ((policies, own, id, its), seed) in (case(), any::<prop::sample::Index>()),
        ) {
            let mut shuffled: Vec<_> = policies.iter().rev().cloned().collect();
            shuffled.rotate_left(seed.index(policies.len() + 1));
            shuffled.iter_mut().for_each(|policy| policy.targets.reverse());
            let (one, other) = (compile(&policies, &own), compile(&shuffled, &own));
            for (kind, action) in every() {
                for id in [None, Some(id)] {
                    let object = Object { id, tags: &its };
                    let decision = one.decide(kind, action, &object);
                    prop_assert_eq!(decision, other.decide(kind, action, &object));
                }
                prop_assert_eq!(one.candidates(kind, action), other.candidates(kind, action));
            }
        }

        #[test]
        fn the_order_of_permissions_changes_only_their_numbers((policies, own, id, its) in case()) {
            let mut reversed = policies.clone();
            reversed.iter_mut().for_each(|policy| policy.permissions.reverse());
            let (one, other) = (compile(&policies, &own), compile(&reversed, &own));
            let object = Object { id: Some(id), tags: &its };
            for (kind, action) in every() {
                let decision = one.decide(kind, action, &object);
                let again = other.decide(kind, action, &object);
                prop_assert_eq!(decision.granted, again.granted);
                prop_assert_eq!(decision.rule.map(|r| r.policy), again.rule.map(|r| r.policy));
            }
        }

        #[test]
        fn the_rule_named_exists_applies_and_has_the_effect((policies, own, id, its) in case()) {
            let rules = compile(&policies, &own);
            let object = Object { id: Some(id), tags: &its };
            for (kind, action) in every() {
                let decision = rules.decide(kind, action, &object);
                let Some(rule) = decision.rule else {
                    prop_assert!(!decision.granted);
                    continue;
                };
                let policy = policies.iter().find(|policy| policy.id == rule.policy).unwrap();
                prop_assert!(policy.active);
                let permission = &policy.permissions[rule.permission as usize];
                prop_assert_eq!(permission.effect == Effect::Allow, decision.granted);
                prop_assert!(permission.resource == kind && permission.actions.contains(&action));
            }
        }

        #[test]
        fn candidates_cover_all_that_is_granted((policies, own, id, its) in case()) {
            let rules = compile(&policies, &own);
            let object = Object { id: Some(id), tags: &its };
            for (kind, action) in every().filter(|(k, a)| rules.decide(*k, *a, &object).granted) {
                let found = rules.candidates(kind, action);
                let by_tag = found.tags.iter().any(|tag| its.has(&tag.key, &tag.value));
                prop_assert!(found.any || by_tag || found.ids.contains(&id));
            }
        }
    }

    fn every() -> impl Iterator<Item = (ResourceType, Action)> {
        ResourceType::ALL
            .iter()
            .flat_map(|resource| Action::ALL.iter().map(|action| (*resource, *action)))
    }
}
