//! One permission: an effect, some actions, and the resources they are about.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::refusal::{InvalidPolicy, Problem};
use super::{Action, ResourceType, Selector, tuple};

/// Whether a permission gives or takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Grants, unless a deny matches too.
    Allow,
    /// Refuses, whatever else matches.
    Deny,
}

/// One rule of a policy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Permission {
    /// Whether it gives or takes.
    pub effect: Effect,
    /// What it is about; at least one, none twice, all of them actions of the type.
    pub actions: Vec<Action>,
    /// The type of the resources.
    pub resource: ResourceType,
    /// Which of them; a form that every one of the actions accepts.
    pub selector: Selector,
}

/// A permission that is right, for messages.
pub(super) fn example() -> Value {
    let resource = ["secrets", "tag.key", "<key>", "tag.value", "<value>"];
    json!({"effect": "allow", "action": ["access"], "resource": resource})
}

/// Reads the permission that stands at `at`.
pub(super) fn parse(value: &Value, at: &str) -> Result<Permission, InvalidPolicy> {
    let Some(fields) = value.as_object() else {
        let advice = format!("write for example {}", example());
        return Err(InvalidPolicy::new(at, Problem::NotAnObject, Some(value), advice));
    };
    let known = ["effect", "action", "resource"];
    if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        let found = Value::from(name.as_str());
        let advice = r#"the fields are "effect", "action" and "resource""#;
        return Err(InvalidPolicy::new(at, Problem::UnknownField, Some(&found), advice));
    }
    let effect = parse_effect(fields, at)?;
    let at_resource = format!("{at}.resource");
    let (resource, selector) = tuple::parse_resource(fields.get("resource"), &at_resource)?;
    let actions = parse_actions(fields, at, resource)?;
    let form = selector.form();
    if let Some(action) = actions.iter().find(|action| !resource.forms(**action).contains(&form)) {
        let forms = resource.forms(*action).iter().map(|form| form.template(resource.word()));
        let advice = format!(
            "give {:?} a permission of its own with one of {}",
            action.word(),
            forms.collect::<Vec<_>>().join(", ")
        );
        let problem = Problem::FormForAction(action.word());
        return Err(InvalidPolicy::new(at_resource, problem, fields.get("resource"), advice));
    }
    Ok(Permission { effect, actions, resource, selector })
}

fn parse_effect(fields: &Map<String, Value>, at: &str) -> Result<Effect, InvalidPolicy> {
    let found = fields.get("effect");
    let advice = match found.and_then(Value::as_str) {
        Some("allow") => return Ok(Effect::Allow),
        Some("deny") => return Ok(Effect::Deny),
        // An example in the original's documentation has it.
        Some("denied") => r#"write "deny""#,
        _ => r#"write "allow" or "deny""#,
    };
    Err(InvalidPolicy::new(format!("{at}.effect"), Problem::Effect, found, advice))
}

fn parse_actions(
    fields: &Map<String, Value>,
    at: &str,
    resource: ResourceType,
) -> Result<Vec<Action>, InvalidPolicy> {
    let words = resource.actions().map(|action| format!("{:?}", action.word()));
    let words = words.collect::<Vec<_>>().join(", ");
    let at = format!("{at}.action");
    let found = fields.get("action");
    let entries = found.and_then(Value::as_array).filter(|entries| !entries.is_empty());
    let Some(entries) = entries else {
        let advice = format!("write a list of some of {words}, as in [\"access\"]");
        return Err(InvalidPolicy::new(at, Problem::Actions, found, advice));
    };
    let mut actions = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(action) = entry.as_str().and_then(|word| resource.action(word)) else {
            let problem = Problem::UnknownAction(resource.many());
            let advice = format!("the actions are {words}");
            return Err(InvalidPolicy::new(format!("{at}[{index}]"), problem, Some(entry), advice));
        };
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
    Ok(actions)
}

impl Permission {
    /// The object with `effect`, `action` and `resource`, in its one canonical spelling.
    pub fn to_json(&self) -> Value {
        let resource = self.selector.to_tuple(self.resource.word());
        json!({"effect": self.effect, "action": self.actions, "resource": resource})
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{arbitrary, parse_permissions, parse_targets};
    use proptest::prelude::*;

    fn refused(permission: Value) -> InvalidPolicy {
        let good = example();
        parse_permissions(&json!([good, permission])).unwrap_err()
    }

    fn with(field: &str, value: Value) -> Value {
        let mut permission = example();
        permission[field] = value;
        permission
    }

    #[test]
    fn a_permission_is_read_and_written() {
        let permissions = parse_permissions(&json!([{
            "effect": "deny",
            "action": ["run_analysis", "access", "run"],
            "resource": ["analysis", "tag_match", "tenant"],
        }]))
        .unwrap();
        let expected = Permission {
            effect: Effect::Deny,
            actions: vec![Action::Run, Action::Access],
            resource: ResourceType::Analysis,
            selector: Selector::TagMatch("tenant".into()),
        };
        assert_eq!(permissions, [expected]);
        assert_eq!(
            serde_json::to_value(&permissions).unwrap(),
            json!([{
                "effect": "deny",
                "action": ["run", "access"],
                "resource": ["analysis", "tag_match", "tenant"],
            }])
        );
    }

    #[test]
    fn the_documented_mistake_denied_gets_its_hint() {
        let refusal = refused(with("effect", json!("denied")));
        assert_eq!(
            refusal.to_string(),
            r#"permissions[1].effect: an effect is "allow" or "deny"; found "denied"; write "deny""#
        );
        for effect in [json!("Allow"), json!(null), json!(true), json!("")] {
            assert_eq!(refused(with("effect", effect)).problem, Problem::Effect);
        }
    }

    #[test]
    fn actions_are_a_list_of_words_of_the_type() {
        for actions in [json!([]), json!("access"), json!(null), json!({})] {
            let refusal = refused(with("action", actions));
            assert_eq!(
                (refusal.at.as_str(), refusal.problem),
                ("permissions[1].action", Problem::Actions)
            );
        }
        let refusal = refused(with("action", json!(["access", "run"])));
        assert_eq!(
            refusal.to_string(),
            "permissions[1].action[1]: there is no such action on secrets; found \"run\"; the \
             actions are \"access\", \"sign\", \"create\", \"edit\", \"delete\""
        );
        for action in [json!(1), json!("Access"), json!(["access"])] {
            let refusal = refused(with("action", json!([action])));
            assert_eq!(refusal.problem, Problem::UnknownAction("secrets"));
        }
    }

    #[test]
    fn create_by_id_is_refused_as_impossible() {
        let id = "0123456789abcdef01234567";
        let mut permission = with("resource", json!(["secrets", "id", id]));
        permission["action"] = json!(["edit", "create"]);
        let refusal = refused(permission);
        assert_eq!(refusal.problem, Problem::FormForAction("create"));
        let text = refusal.to_string();
        assert!(
            text.starts_with("permissions[1].resource: the action \"create\" cannot"),
            "{text}"
        );
        assert!(text.contains("permission of its own with one of [\"secrets\"], "), "{text}");
        assert!(!text.contains("<24"), "{text}");
    }

    #[test]
    fn unknown_and_missing_fields_are_refused() {
        let refusal = refused(with("efect", json!("allow")));
        assert_eq!(refusal.problem, Problem::UnknownField);
        assert!(refusal.to_string().contains(r#"found "efect"; the fields are "effect""#));
        for (field, problem) in [
            ("effect", Problem::Effect),
            ("action", Problem::Actions),
            ("resource", Problem::NotATuple),
        ] {
            let mut permission = example();
            permission.as_object_mut().unwrap().remove(field);
            let refusal = refused(permission);
            assert_eq!(refusal.at, format!("permissions[1].{field}"));
            assert_eq!((refusal.problem, refusal.found.as_str()), (problem, "nothing"));
        }
        for value in [json!(null), json!(["allow"]), json!("allow")] {
            assert_eq!(refused(value).problem, Problem::NotAnObject);
        }
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused_with_its_place(value in arbitrary::json()) {
            let inside = json!([with("resource", value.clone())]);
            for document in [value.clone(), json!([value]), inside] {
                if let Err(refusal) = parse_targets(&document) {
                    prop_assert!(refusal.to_string().starts_with("targets"));
                }
                if let Err(refusal) = parse_permissions(&document) {
                    prop_assert!(refusal.to_string().starts_with("permissions"));
                }
            }
        }
    }
}
