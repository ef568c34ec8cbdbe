//! Random policies for the property tests, drawn from so few ids and tags that rules collide.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::{Effect, Permission, Policy, ResourceType, Selector, Target};
use crate::clock::Timestamp;
use crate::host::HostPattern;
use crate::id::Id;
use crate::tag::{Tag, Tags};

const KEYS: [&str; 3] = ["env", "team", "tag.value"];
const VALUES: [&str; 3] = ["prod", "dev", "ü ü"];

pub fn id() -> impl Strategy<Value = Id> {
    (0..4_u8).prop_map(|byte| Id::from_bytes([byte; 12]))
}

fn tag() -> impl Strategy<Value = Tag> {
    (select(&KEYS[..]), select(&VALUES[..]))
        .prop_map(|(key, value)| Tag { key: key.into(), value: value.into() })
}

pub fn tags() -> impl Strategy<Value = Tags> {
    vec(tag(), 0..4).prop_map(|mut tags| {
        tags.sort();
        tags.dedup_by(|a, b| a.key == b.key);
        Tags::new(tags).unwrap()
    })
}

fn pattern() -> impl Strategy<Value = HostPattern> {
    let hosts = ["a.example", "b.a.example", "*.a.example", "192.0.2.1", "[2001:db8::1]"];
    let parts = (select(&["", "http://", "https://"][..]), select(Vec::from(hosts)));
    (parts, select(&["", ":8443"][..]))
        .prop_map(|((scheme, host), port)| format!("{scheme}{host}{port}").parse().unwrap())
}

/// How a permission picks resources of the type.
fn picked(resource: ResourceType) -> BoxedStrategy<Selector> {
    match resource {
        ResourceType::Network => {
            prop_oneof![1 => Just(Selector::Any), 4 => pattern().prop_map(Selector::Host)].boxed()
        }
        _ => selector().boxed(),
    }
}

fn selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        1 => Just(Selector::Any),
        2 => id().prop_map(Selector::Id),
        3 => tag().prop_map(Selector::Tag),
        2 => select(&KEYS[..]).prop_map(|key| Selector::TagMatch(key.into())),
    ]
}

pub fn target() -> impl Strategy<Value = Target> {
    selector().prop_map(Target)
}

pub fn permission() -> impl Strategy<Value = Permission> {
    let effect = prop_oneof![2 => Just(Effect::Allow), 1 => Just(Effect::Deny)];
    let resource = select(ResourceType::ALL);
    let picked = resource.prop_flat_map(|resource| (Just(resource), picked(resource)));
    (effect, picked).prop_flat_map(|(effect, (resource, selector))| {
        let form = selector.form();
        let fitting = resource.actions().filter(|action| resource.forms(*action).contains(&form));
        let actions = fitting.collect::<Vec<_>>();
        let count = actions.len();
        subsequence(actions, 1..=count).prop_map(move |actions| Permission {
            effect,
            actions,
            resource,
            selector: selector.clone(),
        })
    })
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let lists = (vec(target(), 1..4), vec(permission(), 1..5));
    (prop::bool::weighted(0.9), tags(), lists).prop_map(|(active, tags, (targets, permissions))| {
        Policy {
            id: Id::from_bytes([0; 12]),
            name: "a policy".into(),
            active,
            tags,
            targets,
            permissions,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    })
}

/// Policies with ids of their own.
pub fn policies() -> impl Strategy<Value = Vec<Policy>> {
    vec(policy(), 0..6).prop_map(|mut policies| {
        for (number, policy) in (1..).zip(&mut policies) {
            policy.id = Id::from_bytes([number; 12]);
        }
        policies
    })
}

/// Any JSON, with the grammar's own words in it.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![
            select(&["effect", "action", "resource"][..]).prop_map(String::from),
            any::<String>(),
        ];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Lists of the grammar's words, most of them wrong and some right.
pub fn near_tuple() -> impl Strategy<Value = Value> {
    let heads = ["analysis", "secret", "secrets", "run_user", "access_management", "network"];
    let head = select(Vec::from(heads));
    (head, vec(word(), 0..6)).prop_map(|(head, rest)| {
        let mut tuple = json!([head]);
        tuple.as_array_mut().unwrap().extend(rest.into_iter().map(Value::from));
        tuple
    })
}

fn word() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "id",
            "tag.key",
            "tag.value",
            "tag_match",
            "host",
            "path",
            "env",
            "",
            "*.A.example",
            "0123456789abcdef01234567",
        ][..],
    )
}
