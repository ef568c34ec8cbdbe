//! The oracle's own tests: cases small enough to judge by eye.

use serde_json::json;

use super::*;

const ANALYSIS: &str = "0123456789abcdef01234567";
const SECRET: &str = "aaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbb";

fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// The verdict on `access`, for an analysis and a secret with these tags.
fn ask(policies: &[Value], analysis: &[(&str, &str)], secret: &[(&str, &str)]) -> Verdict {
    let policies: Vec<_> =
        policies.iter().enumerate().map(|(i, body)| (format!("p{i}"), body.clone())).collect();
    let analysis = Analysis { id: ANALYSIS.into(), tags: pairs(analysis) };
    let secret = Secret { id: SECRET.into(), key: "API_KEY".into(), tags: pairs(secret) };
    assert!(policies.iter().all(|(_, policy)| is_well_formed(policy)), "{policies:?}");
    decide(&policies, &analysis, &secret, "access")
}

fn policy(target: Value, permissions: Value) -> Value {
    json!({"name": "p", "active": true, "tags": [], "targets": [target], "permissions": permissions})
}

fn permission(effect: &str, resource: Value) -> Value {
    json!({"effect": effect, "action": ["access"], "resource": resource})
}

fn one(effect: &str, resource: Value) -> Value {
    policy(json!(["analysis"]), json!([permission(effect, resource)]))
}

fn spoke(policy: &str, index: usize, effect: Effect) -> (String, usize, Effect) {
    (policy.into(), index, effect)
}

fn nobody() -> Verdict {
    Verdict { granted: false, speakers: Vec::new() }
}

#[test]
fn with_no_policy_nothing_is_granted() {
    assert_eq!(ask(&[], &[], &[]), nobody());
}

#[test]
fn an_allow_on_any_secret_grants() {
    let verdict = ask(&[one("allow", json!(["secrets"]))], &[], &[]);
    assert_eq!(verdict, Verdict { granted: true, speakers: vec![spoke("p0", 0, Effect::Allow)] });
}

#[test]
fn the_singular_alias_grants_too() {
    assert!(ask(&[one("allow", json!(["secret"]))], &[], &[]).granted);
    assert!(ask(&[one("allow", json!(["secret", "id", SECRET]))], &[], &[]).granted);
}

#[test]
fn deny_beats_allow_in_another_policy_whatever_the_order() {
    let allow = one("allow", json!(["secrets"]));
    let deny = one("deny", json!(["secrets", "id", SECRET]));
    let first = ask(&[deny.clone(), allow.clone()], &[], &[]);
    let last = ask(&[allow, deny], &[], &[]);
    assert_eq!(first, Verdict { granted: false, speakers: vec![spoke("p0", 0, Effect::Deny)] });
    assert_eq!(last, Verdict { granted: false, speakers: vec![spoke("p1", 0, Effect::Deny)] });
}

#[test]
fn deny_beats_allow_inside_one_policy_whatever_the_order() {
    let (allow, deny) =
        (permission("allow", json!(["secrets"])), permission("deny", json!(["secrets"])));
    for (permissions, index) in [(json!([allow, deny]), 1), (json!([deny, allow]), 0)] {
        let verdict = ask(&[policy(json!(["analysis"]), permissions)], &[], &[]);
        assert!(!verdict.granted);
        assert_eq!(verdict.speakers, [spoke("p0", index, Effect::Deny)]);
    }
}

#[test]
fn every_permission_of_the_winning_effect_is_named() {
    let mine = permission("allow", json!(["secrets", "id", SECRET]));
    let other = permission("allow", json!(["secrets", "id", OTHER]));
    let any = permission("allow", json!(["secrets"]));
    let policies =
        [policy(json!(["analysis"]), json!([other, mine])), one("allow", json!(["secret"]))];
    let verdict = ask(&policies, &[], &[]);
    assert_eq!(verdict.speakers, [spoke("p0", 1, Effect::Allow), spoke("p1", 0, Effect::Allow)]);
    let policies = [policy(json!(["analysis"]), json!([any, mine]))];
    assert_eq!(ask(&policies, &[], &[]).speakers.len(), 2);
}

#[test]
fn an_inactive_policy_is_ignored_and_active_is_the_default() {
    let mut deny = one("deny", json!(["secrets"]));
    deny["active"] = json!(false);
    assert!(ask(&[deny, one("allow", json!(["secrets"]))], &[], &[]).granted);
    let mut allow = one("allow", json!(["secrets"]));
    allow["active"] = json!(false);
    assert_eq!(ask(&[allow.clone()], &[], &[]), nobody());
    allow.as_object_mut().unwrap().remove("active");
    assert!(ask(&[allow], &[], &[]).granted);
}

#[test]
fn a_target_by_id_is_that_analysis_alone() {
    let permissions = json!([permission("allow", json!(["secrets"]))]);
    let to = |id: &str| policy(json!(["analysis", "id", id]), permissions.clone());
    assert!(ask(&[to(ANALYSIS)], &[], &[]).granted);
    assert!(ask(&[to(&ANALYSIS.to_uppercase())], &[], &[]).granted);
    assert_eq!(ask(&[to(OTHER)], &[], &[]), nobody());
}

#[test]
fn a_target_by_tag_pair_needs_key_and_value() {
    let target = json!(["analysis", "tag.key", "env", "tag.value", "prod"]);
    let policies = [policy(target, json!([permission("allow", json!(["secrets"]))]))];
    assert!(ask(&policies, &[("team", "a"), ("env", "prod")], &[]).granted);
    assert_eq!(ask(&policies, &[("env", "dev")], &[("env", "prod")]), nobody());
    assert_eq!(ask(&policies, &[("prod", "env")], &[]), nobody());
}

#[test]
fn tag_match_on_a_target_asks_for_the_key_alone() {
    let target = json!(["analysis", "tag_match", "env"]);
    let policies = [policy(target, json!([permission("allow", json!(["secrets"]))]))];
    assert!(ask(&policies, &[("env", "dev")], &[("env", "prod")]).granted);
    assert!(ask(&policies, &[("env", "dev")], &[]).granted);
    assert_eq!(ask(&policies, &[("team", "env")], &[("env", "prod")]), nobody());
}

#[test]
fn tag_match_on_a_permission_asks_for_the_same_value_on_both_sides() {
    let policies = [one("allow", json!(["secrets", "tag_match", "env"]))];
    assert!(ask(&policies, &[("env", "prod")], &[("env", "prod")]).granted);
    assert_eq!(ask(&policies, &[("env", "prod")], &[("env", "dev")]), nobody());
    assert_eq!(ask(&policies, &[("env", "prod")], &[]), nobody(), "the secret lacks the key");
    assert_eq!(ask(&policies, &[], &[("env", "prod")]), nobody(), "the analysis lacks the key");
    assert_eq!(ask(&policies, &[], &[]), nobody(), "both lack the key");
}

#[test]
fn a_permission_by_tag_pair_looks_at_the_secret() {
    let policies = [one("allow", json!(["secrets", "tag.key", "env", "tag.value", "prod"]))];
    assert!(ask(&policies, &[], &[("env", "prod")]).granted);
    assert_eq!(ask(&policies, &[("env", "prod")], &[]), nobody());
    assert_eq!(ask(&policies, &[], &[("env", "Prod")]), nobody());
}

#[test]
fn several_targets_are_alternatives_and_none_is_nobody() {
    let mut policies = [one("allow", json!(["secrets"]))];
    policies[0]["targets"] = json!([["analysis", "id", OTHER], ["analysis", "tag_match", "env"]]);
    assert!(ask(&policies, &[("env", "dev")], &[]).granted);
    assert_eq!(ask(&policies, &[], &[]), nobody());
    policies[0]["targets"] = json!([]);
    assert_eq!(ask(&policies, &[("env", "dev")], &[]), nobody());
}

#[test]
fn other_actions_and_other_resources_say_nothing() {
    let mut edit = one("allow", json!(["secrets"]));
    edit["permissions"][0]["action"] = json!(["edit", "delete"]);
    let policies =
        [edit, one("deny", json!(["analysis"])), one("deny", json!(["access_management"]))];
    assert_eq!(ask(&policies, &[], &[]), nobody());
}

#[test]
fn no_json_makes_it_panic_or_grant() {
    let odd = [
        json!(null),
        json!([]),
        json!("x"),
        json!({"targets": {}, "permissions": 3}),
        json!({"targets": [[]], "permissions": [{}]}),
        json!({"targets": [["analysis"]], "permissions": [null, [], {"resource": []}]}),
        json!({"active": 1, "targets": [["analysis"]], "permissions": []}),
    ];
    let analysis = Analysis { id: String::new(), tags: Vec::new() };
    let secret = Secret { id: String::new(), key: String::new(), tags: Vec::new() };
    for policy in odd {
        assert!(!valid_target(&policy) && !valid_permission(&policy), "{policy}");
        let policies = [("p".to_owned(), policy)];
        assert_eq!(decide(&policies, &analysis, &secret, "access"), nobody());
    }
}

#[test]
fn targets_take_the_four_forms_on_analysis_only() {
    let (widest, wider) = ("ü".repeat(100), "ü".repeat(101));
    for good in [
        json!(["analysis"]),
        json!(["analysis", "id", ANALYSIS]),
        json!(["analysis", "tag.key", "tag.value", "tag.value", "id"]),
        json!(["analysis", "tag_match", widest]),
    ] {
        assert!(valid_target(&good), "{good}");
    }
    for bad in [
        json!([]),
        json!(["run_user"]),
        json!(["secrets"]),
        json!(["Analysis"]),
        json!(["analysis", "id"]),
        json!(["analysis", "id", "0123456789abcdef0123456"]),
        json!(["analysis", "id", "0123456789abcdef0123456g"]),
        json!(["analysis", "id", "0123456789abcdef012345é"]),
        json!(["analysis", "id", ANALYSIS, "more"]),
        json!(["analysis", "path", "reports/"]),
        json!(["analysis", "tag.key", "env"]),
        json!(["analysis", "tag.key", "env", "tag.value", ""]),
        json!(["analysis", "tag.value", "prod", "tag.key", "env"]),
        json!(["analysis", "tag.key", "env", "tag.value", "prod", "more"]),
        json!(["analysis", "tag_match", wider]),
        json!(["analysis", "tag_match", 1]),
    ] {
        assert!(!valid_target(&bad), "{bad}");
    }
}

#[test]
fn permissions_follow_the_catalogue() {
    let of = |action: Value, resource: Value| json!({"effect": "deny", "action": action, "resource": resource});
    for good in [
        of(json!(["access", "create"]), json!(["secret", "tag_match", "env"])),
        of(json!(["run", "run_analysis", "upload_analysis", "download"]), json!(["analysis"])),
        of(json!(["edit"]), json!(["access_management", "id", SECRET])),
    ] {
        assert!(valid_permission(&good), "{good}");
    }
    let mut extra = of(json!(["access"]), json!(["secrets"]));
    extra["note"] = json!("");
    for bad in [
        extra,
        of(json!([]), json!(["secrets"])),
        of(json!("access"), json!(["secrets"])),
        of(json!(["access", null]), json!(["secrets"])),
        of(json!(["run"]), json!(["secrets"])),
        of(json!(["upload"]), json!(["access_management"])),
        of(json!(["access"]), json!(["run_user"])),
        of(json!(["access", "create"]), json!(["secrets", "id", SECRET])),
        json!({"effect": "denied", "action": ["access"], "resource": ["secrets"]}),
        json!({"action": ["access"], "resource": ["secrets"]}),
        json!({"effect": "allow", "resource": ["secrets"]}),
        json!({"effect": "allow", "action": ["access"]}),
    ] {
        assert!(!valid_permission(&bad), "{bad}");
    }
}
