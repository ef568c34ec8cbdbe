//! Policies: which analyses may do what to which resources.
//!
//! Owns TagoIO's Access Management shapes, how they are read and refused, the decision and its
//! explanation. All of it is pure: names, ids and tags go in, decisions come out. It never sees
//! a secret's value, loads nothing and stores nothing.

#[cfg(test)]
pub(crate) mod arbitrary;
pub mod catalogue;
pub mod decide;
pub mod explain;
mod network;
mod permission;
mod preview;
mod reasons;
mod refusal;
mod spoken;
mod tuple;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::host::HostPattern;
use crate::id::Id;
use crate::tag::{Tag, Tags, is_label};

pub use catalogue::{Action, Form, ResourceType};
pub use decide::{Candidates, Decision, RuleRef, Rules};
pub use explain::{Explanation, NamedPolicy, SecretFacts, Source, Verdict, explain};
pub use network::{HostExplanation, explain_hosts};
pub use permission::{Effect, Permission};
pub use preview::{Shift, Turn, preview};
pub(crate) use refusal::shown;
pub use refusal::{InvalidPolicy, Problem};

/// The longest name of a policy, in Unicode characters.
pub const MAX_NAME_LENGTH: usize = 100;

/// The most targets, and the most permissions, of one policy.
pub const MAX_RULES: usize = 100;

/// One policy: its permissions hold for every analysis that one of its targets picks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Policy {
    /// Unique in the whole store.
    pub id: Id,
    /// 1 to [`MAX_NAME_LENGTH`] characters; need not be unique.
    pub name: String,
    /// Whether it counts at all.
    pub active: bool,
    /// What other policies select it by.
    pub tags: Tags,
    /// 1 to [`MAX_RULES`]; one that matches is enough.
    pub targets: Vec<Target>,
    /// 1 to [`MAX_RULES`]; explanations count them from 0 in this order.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

/// How resources of one type are picked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Selector {
    /// Every one.
    Any,
    /// The one with this id.
    Id(Id),
    /// Those that carry this tag.
    Tag(Tag),
    /// In a target: analyses that carry this tag key, whatever the value. In a permission:
    /// resources whose value of this tag key equals the analysis's own; nothing where either
    /// lacks the key.
    TagMatch(String),
    /// The hosts that this pattern means. Never in a target.
    Host(HostPattern),
}

/// Which analyses a policy is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Target(pub Selector);

/// The analysis that wants something.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its id.
    pub id: Id,
    /// Its tags.
    pub tags: &'a Tags,
}

/// The resource that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Its id; none where it is about to be created.
    pub id: Option<Id>,
    /// Its tags, or those it is about to be created with.
    pub tags: &'a Tags,
}

/// Checks a policy's name.
pub fn check_name(name: &str) -> Result<(), InvalidPolicy> {
    if is_label(name, MAX_NAME_LENGTH) {
        return Ok(());
    }
    let found = Value::from(name);
    Err(InvalidPolicy::new("name", Problem::Name, Some(&found), "write a name for people"))
}

/// Reads the `targets` of a policy as they come from a client or from the store.
pub fn parse_targets(value: &Value) -> Result<Vec<Target>, InvalidPolicy> {
    let example = json!([["analysis", "tag.key", "<key>", "tag.value", "<value>"]]);
    let entries = list(value, "targets", &example)?;
    let read = |(index, entry)| tuple::parse_target(entry, &format!("targets[{index}]"));
    entries.iter().enumerate().map(read).collect()
}

/// Reads the `permissions` of a policy as they come from a client or from the store.
pub fn parse_permissions(value: &Value) -> Result<Vec<Permission>, InvalidPolicy> {
    let entries = list(value, "permissions", &json!([permission::example()]))?;
    let read = |(index, entry)| permission::parse(entry, &format!("permissions[{index}]"));
    entries.iter().enumerate().map(read).collect()
}

/// The entries of a list that has 1 to [`MAX_RULES`].
fn list<'v>(value: &'v Value, at: &str, example: &Value) -> Result<&'v [Value], InvalidPolicy> {
    let refuse = |problem, advice| InvalidPolicy::new(at, problem, Some(value), advice);
    let write = || format!("write for example {example}");
    let entries = value.as_array().ok_or_else(|| refuse(Problem::NotAList, write()))?;
    match entries.len() {
        0 => Err(refuse(Problem::Empty, write())),
        1..=MAX_RULES => Ok(entries),
        count => {
            let advice = format!("these are {count}: spread them over several policies");
            Err(refuse(Problem::TooMany, advice))
        }
    }
}

impl Policy {
    /// Whether this policy's permissions hold for `subject`.
    pub fn applies_to(&self, subject: Subject<'_>) -> bool {
        self.active && self.targets.iter().any(|target| target.matches(subject))
    }
}

impl Target {
    /// Whether this target picks `subject`.
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        match &self.0 {
            Selector::Any => true,
            Selector::Id(id) => *id == subject.id,
            Selector::Tag(tag) => subject.tags.has(&tag.key, &tag.value),
            Selector::TagMatch(key) => subject.tags.get(key).is_some(),
            Selector::Host(_) => false,
        }
    }

    /// The tuple, in its one canonical spelling.
    pub fn to_json(&self) -> Value {
        self.0.to_tuple(ResourceType::Analysis.word())
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_have_one_to_a_hundred_entries() {
        let targets = |count| parse_targets(&Value::Array(vec![json!(["analysis"]); count]));
        assert_eq!(targets(0).unwrap_err().problem, Problem::Empty);
        assert_eq!(targets(MAX_RULES).unwrap().len(), MAX_RULES);
        let many = targets(MAX_RULES + 1).unwrap_err();
        assert_eq!((many.at.as_str(), &many.problem), ("targets", &Problem::TooMany));
        assert!(many.to_string().contains("these are 101: spread them"), "{many}");
        let permissions =
            |count| parse_permissions(&Value::Array(vec![permission::example(); count]));
        assert_eq!(permissions(0).unwrap_err().problem, Problem::Empty);
        assert_eq!(permissions(MAX_RULES).unwrap().len(), MAX_RULES);
        assert_eq!(permissions(MAX_RULES + 1).unwrap_err().problem, Problem::TooMany);
        for value in [json!(null), json!({}), json!("analysis")] {
            assert_eq!(parse_targets(&value).unwrap_err().problem, Problem::NotAList);
            assert_eq!(parse_permissions(&value).unwrap_err().problem, Problem::NotAList);
        }
        let at_second = parse_targets(&json!([["analysis"], ["run_user"]])).unwrap_err();
        assert_eq!((at_second.at.as_str(), at_second.problem), ("targets[1]", Problem::RunUser));
    }

    #[test]
    fn every_example_in_a_message_has_a_shape_that_is_accepted() {
        assert!(parse_permissions(&json!([permission::example()])).is_ok());
        for form in Form::STORED {
            let template =
                form.template("analysis").replace("<24 hexadecimal characters>", &"a".repeat(24));
            let target = serde_json::from_str(&template).unwrap();
            assert_eq!(tuple::parse_target(&target, "t").unwrap().0.form(), *form);
        }
    }

    #[test]
    fn names_have_one_to_a_hundred_characters() {
        assert_eq!(check_name("billing"), Ok(()));
        assert_eq!(check_name(&"ü".repeat(MAX_NAME_LENGTH)), Ok(()));
        for name in ["", "a\0", "a\nb", &"n".repeat(MAX_NAME_LENGTH + 1)] {
            assert_eq!(check_name(name).unwrap_err().problem, Problem::Name);
        }
    }

    #[test]
    fn targets_pick_by_any_id_tag_and_key() {
        let id = Id::from_bytes([1; 12]);
        let tags = Tags::new(vec![Tag { key: "env".into(), value: "prod".into() }]).unwrap();
        let subject = Subject { id, tags: &tags };
        let tag =
            |key: &str, value: &str| Selector::Tag(Tag { key: key.into(), value: value.into() });
        for (selector, matches) in [
            (Selector::Any, true),
            (Selector::Id(id), true),
            (Selector::Id(Id::from_bytes([2; 12])), false),
            (tag("env", "prod"), true),
            (tag("env", "dev"), false),
            (tag("ENV", "prod"), false),
            (Selector::TagMatch("env".into()), true),
            (Selector::TagMatch("prod".into()), false),
        ] {
            assert_eq!(Target(selector.clone()).matches(subject), matches, "{selector:?}");
        }
    }

    proptest! {
        #[test]
        fn lists_written_read_back_the_same(policy in arbitrary::policy()) {
            let json = serde_json::to_value(&policy).unwrap();
            prop_assert_eq!(parse_targets(&json["targets"]).unwrap(), policy.targets);
            prop_assert_eq!(parse_permissions(&json["permissions"]).unwrap(), policy.permissions);
        }
    }
}
