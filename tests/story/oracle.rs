//! The policy evaluator against a second, naive one that was written by somebody else from the
//! same text.

#[path = "../oracle/mod.rs"]
mod naive;

use naive::generate;
use runner::clock::Timestamp;
use runner::id::Id;
use runner::policy::{
    Action, Candidates, Effect, Object, Policy, ResourceType, Rules, Subject, parse_permissions,
    parse_targets,
};
use runner::tag::{Tag, Tags};
use serde_json::{Value, json};

/// The random cases to compare: each is one secret, asked for by one analysis under some policies.
const CASES: u64 = 100_000;

/// The settings they come in, each with one to four secrets.
const SETTINGS: u64 = 50_000;

/// Candidates for the grammar, of targets and of permissions each.
const CANDIDATES: u64 = 50_000;

/// What may be done to a secret. `access` is asked always, the others now and then.
const ACTIONS: [Action; 4] = [Action::Access, Action::Create, Action::Edit, Action::Delete];

fn id(text: &str) -> Id {
    text.parse().expect("the generator makes ids")
}

fn tags(pairs: &[(String, String)]) -> Tags {
    let tag = |(key, value): &(String, String)| Tag { key: key.clone(), value: value.clone() };
    Tags::new(pairs.iter().map(tag).collect()).expect("the generator makes good tags")
}

/// The policy as the product reads it. An empty list, which the product refuses and the oracle
/// takes for one that matches nothing, makes no policy.
fn policy(id_text: &str, body: &Value) -> Option<Policy> {
    let empty = |name: &str| body[name].as_array().is_some_and(Vec::is_empty);
    if empty("targets") || empty("permissions") {
        let refused = parse_targets(&body["targets"]).is_err()
            || parse_permissions(&body["permissions"]).is_err();
        assert!(refused, "an empty list was read: {body}");
        return None;
    }
    Some(Policy {
        id: id(id_text),
        name: "a policy".into(),
        active: body.get("active").is_none_or(|active| active == true),
        tags: Tags::default(),
        targets: parse_targets(&body["targets"]).expect("the generator makes good targets"),
        permissions: parse_permissions(&body["permissions"]).expect("and good permissions"),
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    })
}

/// Whether the tag index would find this secret.
fn found(candidates: &Candidates, object: &Object<'_>) -> bool {
    candidates.any
        || object.id.is_some_and(|id| candidates.ids.contains(&id))
        || object.tags.as_slice().iter().any(|tag| candidates.tags.contains(tag))
}

/// What a range of cases came to: granted, denied, silent.
fn compare(seeds: std::ops::Range<u64>) -> [u64; 3] {
    let mut tally = [0; 3];
    for seed in seeds {
        let case = generate::case(seed);
        let own = tags(&case.analysis.tags);
        let subject = Subject { id: id(&case.analysis.id), tags: &own };
        let policies = case.policies.iter().filter_map(|(id, body)| policy(id, body));
        let mut policies: Vec<_> = policies.collect();
        // The order in which policies are read must not matter: give them in another one.
        if !policies.is_empty() {
            let middle = seed as usize % policies.len();
            policies.rotate_left(middle);
        }
        let rules = Rules::compile(subject, &policies);
        for secret in &case.secrets {
            let carried = tags(&secret.tags);
            let object = Object { id: Some(id(&secret.id)), tags: &carried };
            let asked = if seed % 8 == 0 { ACTIONS.len() } else { 1 };
            for action in ACTIONS.into_iter().take(asked) {
                let decision = rules.decide(ResourceType::Secrets, action, &object);
                let verdict = naive::decide(&case.policies, &case.analysis, secret, action.word());
                let context = || format!("seed {seed}, {action}, {secret:?}: {case:#?}");
                assert_eq!(decision.granted, verdict.granted, "{}", context());
                // Of those that speak, the first by policy id and place.
                let first = verdict.speakers.iter().map(|(p, n, e)| (id(p), *n, *e)).min();
                let spoke = decision.rule.map(|rule| (rule.policy, rule.permission as usize));
                assert_eq!(spoke, first.map(|(p, n, _)| (p, n)), "{}", context());
                if let Some((rule, (_, _, effect))) = decision.rule.zip(first) {
                    let policy = policies.iter().find(|policy| policy.id == rule.policy);
                    let policy = policy.expect("a rule comes from a policy");
                    let ours = policy.permissions[rule.permission as usize].effect;
                    assert_eq!(ours == Effect::Allow, effect == naive::Effect::Allow);
                }
                if decision.granted {
                    let candidates = rules.candidates(ResourceType::Secrets, action);
                    assert!(found(&candidates, &object), "the index misses it: {}", context());
                }
                if action == Action::Access {
                    let place = match (verdict.granted, first) {
                        (true, _) => 0,
                        (false, Some(_)) => 1,
                        (false, None) => 2,
                    };
                    tally[place] += 1;
                }
            }
        }
    }
    tally
}

#[test]
fn a_hundred_thousand_random_cases_are_decided_as_the_oracle_decides() {
    let middle = SETTINGS / 2;
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| compare(0..middle));
        let other = compare(middle..SETTINGS);
        (one.join().expect("the first half agrees"), other)
    });
    let tally: Vec<u64> = one.iter().zip(other).map(|(one, other)| one + other).collect();
    // A comparison of cases that are all alike would prove nothing.
    let all: u64 = tally.iter().sum();
    assert!(all >= CASES && tally.iter().all(|part| *part > all / 10), "{tally:?}");
}

#[test]
fn the_grammar_takes_what_the_oracle_takes_and_nothing_else() {
    let mut taken = [0; 2];
    for seed in 0..CANDIDATES {
        let target = generate::target(seed);
        let ours = parse_targets(&json!([target])).is_ok();
        assert_eq!(ours, naive::valid_target(&target), "seed {seed}: {target}");
        taken[0] += u64::from(ours);
        let permission = generate::permission(seed);
        let ours = parse_permissions(&json!([permission])).is_ok();
        assert_eq!(ours, naive::valid_permission(&permission), "seed {seed}: {permission}");
        taken[1] += u64::from(ours);
    }
    let fair = CANDIDATES / 4..CANDIDATES * 3 / 4;
    assert!(taken.iter().all(|taken| fair.contains(taken)), "{taken:?}");
}
