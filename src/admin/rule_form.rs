//! The form of a policy: rows of targets, cards of permissions.
//!
//! Owns what was typed and the tuples that it becomes and comes from. Whether a policy will do is
//! for the API to say.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::form::Form;
use crate::policy::{Form as Selected, ResourceType};

/// How a row selects resources, with all that was typed for any of the ways.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// `any`, `id`, `tag`, `tag_match` or `host`.
    pub by: String,
    /// For `id`.
    pub id: String,
    /// For `tag` and `tag_match`.
    pub key: String,
    /// For `tag`.
    pub value: String,
    /// For `host`.
    pub host: String,
}

/// One card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permission {
    /// `allow` or `deny`.
    pub effect: String,
    /// The word of the resource type.
    pub resource: String,
    /// The words of the actions that are ticked.
    pub actions: Vec<String>,
    /// Which resources.
    pub rule: Rule,
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyForm {
    /// The name.
    pub name: String,
    /// Whether it counts.
    pub active: bool,
    /// Which analyses.
    pub targets: Vec<Rule>,
    /// What they may.
    pub permissions: Vec<Permission>,
}

/// A policy as the API answers it and takes it.
#[derive(Serialize, Deserialize)]
pub struct Wire {
    /// The name.
    pub name: String,
    /// Whether it counts.
    pub active: bool,
    /// Tuples.
    pub targets: Vec<Vec<String>>,
    /// Objects of effect, action and resource.
    pub permissions: Vec<WirePermission>,
}

/// A permission as the API answers it and takes it.
#[derive(Serialize, Deserialize)]
pub struct WirePermission {
    effect: String,
    action: Vec<String>,
    resource: Vec<String>,
}

/// A resource type as a card offers it.
pub struct Choice {
    /// The word.
    pub word: &'static str,
    /// For people.
    pub name: String,
    /// The words of its actions.
    pub actions: Vec<&'static str>,
}

/// The resource types that a card offers.
pub fn choices() -> Vec<Choice> {
    let choice = |resource: &ResourceType| {
        let word = resource.word();
        let mut name = word.replace('_', " ");
        name[..1].make_ascii_uppercase();
        Choice { word, name, actions: resource.actions().map(|action| action.word()).collect() }
    };
    ResourceType::ALL.iter().map(choice).collect()
}

impl Rule {
    /// Every one of a type.
    pub fn any() -> Self {
        let empty = String::new;
        Self { by: "any".into(), id: empty(), key: empty(), value: empty(), host: empty() }
    }

    /// The same by a tag, with the tag still to be typed.
    fn by_tag() -> Self {
        Self { by: "tag".into(), ..Self::any() }
    }

    /// What stands behind the type in a tuple.
    fn of(rest: &[String]) -> Self {
        let texts: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (id, tag, tag_match, host) = (
            Selected::Id.word(),
            Selected::Tag.word(),
            Selected::TagMatch.word(),
            Selected::Host.word(),
        );
        let mut rule = Self::any();
        match texts[..] {
            [word, text] if Some(word) == id => (rule.by, rule.id) = ("id".into(), text.into()),
            [word, text] if Some(word) == tag_match => {
                (rule.by, rule.key) = ("tag_match".into(), text.into());
            }
            [word, text] if Some(word) == host => {
                (rule.by, rule.host) = ("host".into(), text.into());
            }
            [word, key, _, value] if Some(word) == tag => {
                (rule.by, rule.key, rule.value) = ("tag".into(), key.into(), value.into());
            }
            _ => {}
        }
        rule
    }

    fn read(form: &Form, prefix: &str) -> Self {
        let text = |name: &str| form.trimmed(&format!("{prefix}-{name}")).to_owned();
        Self {
            by: text("by"),
            id: text("id"),
            key: text("key"),
            value: text("value"),
            host: text("host"),
        }
    }

    /// The tuple for this type.
    fn tuple(&self, word: &str) -> Vec<String> {
        let texts: &[&str] = match self.by.as_str() {
            "id" => &["id", &self.id],
            "tag" => &["tag.key", &self.key, "tag.value", &self.value],
            "tag_match" => &["tag_match", &self.key],
            "host" => &["host", &self.host],
            _ => &[],
        };
        std::iter::once(&word).chain(texts).map(|text| (*text).to_owned()).collect()
    }
}

impl Permission {
    /// What a new card says: access to secrets of a tag.
    pub fn new() -> Self {
        Self {
            effect: "allow".into(),
            resource: ResourceType::Secrets.word().into(),
            actions: vec!["access".into()],
            rule: Rule::by_tag(),
        }
    }

    fn of(wire: &WirePermission) -> Self {
        let (resource, rest) =
            wire.resource.split_first().map_or(("", &[][..]), |(word, rest)| (word.as_str(), rest));
        Self {
            effect: wire.effect.clone(),
            resource: resource.to_owned(),
            actions: wire.action.clone(),
            rule: Rule::of(rest),
        }
    }

    fn read(form: &Form, prefix: &str) -> Self {
        let resource = form.trimmed(&format!("{prefix}-resource")).to_owned();
        // A card has the actions of every type; those of the other types do not count.
        let actions = form.all(&format!("{prefix}-{resource}-action")).map(str::to_owned).collect();
        let effect = form.trimmed(&format!("{prefix}-effect")).to_owned();
        Self { effect, resource, actions, rule: Rule::read(form, prefix) }
    }

    fn wire(&self) -> WirePermission {
        WirePermission {
            effect: self.effect.clone(),
            action: self.actions.clone(),
            resource: self.rule.tuple(&self.resource),
        }
    }

    /// Whether an action of a type is ticked.
    pub fn has(&self, resource: &str, action: &str) -> bool {
        self.resource == resource && self.actions.iter().any(|ticked| ticked == action)
    }
}

impl PolicyForm {
    /// What a new policy begins with.
    pub fn new() -> Self {
        Self {
            name: String::new(),
            active: true,
            targets: vec![Rule::any()],
            permissions: vec![Permission::new()],
        }
    }

    /// The form of a policy that is kept.
    pub fn of(wire: &Wire) -> Self {
        let target = |tuple: &Vec<String>| Rule::of(tuple.get(1..).unwrap_or_default());
        Self {
            name: wire.name.clone(),
            active: wire.active,
            targets: wire.targets.iter().map(target).collect(),
            permissions: wire.permissions.iter().map(Permission::of).collect(),
        }
    }

    /// What was typed.
    pub fn read(form: &Form) -> Self {
        let target = |row: &str| Rule::read(form, &format!("target-{row}"));
        let permission = |card: &str| Permission::read(form, &format!("permission-{card}"));
        Self {
            name: form.trimmed("name").to_owned(),
            active: form.has("active"),
            targets: form.all("target").map(target).collect(),
            permissions: form.all("permission").map(permission).collect(),
        }
    }

    /// What the API takes.
    pub fn wire(&self) -> Wire {
        let target = |rule: &Rule| rule.tuple(ResourceType::Analysis.word());
        Wire {
            name: self.name.clone(),
            active: self.active,
            targets: self.targets.iter().map(target).collect(),
            permissions: self.permissions.iter().map(Permission::wire).collect(),
        }
    }

    /// What the API previews: this form in the place of the policy with the id.
    pub fn proposal(&self, id: Option<&str>) -> Value {
        let Wire { name, active, targets, permissions } = self.wire();
        let mut proposal =
            json!({"active": active, "targets": targets, "permissions": permissions});
        if !name.is_empty() {
            proposal["name"] = name.into();
        }
        if let Some(id) = id {
            proposal["id"] = id.into();
        }
        proposal
    }

    /// Adds or removes a row or a card, as the pressed button says; false for other buttons.
    pub fn press(&mut self, button: &str) -> bool {
        let (what, number) = button.split_once(':').unwrap_or((button, ""));
        let at = number.parse().unwrap_or(usize::MAX);
        match what {
            "add-target" => self.targets.push(Rule::by_tag()),
            "add-permission" => self.permissions.push(Permission::new()),
            "remove-target" if at < self.targets.len() => drop(self.targets.remove(at)),
            "remove-permission" if at < self.permissions.len() => drop(self.permissions.remove(at)),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;
    use crate::policy::{arbitrary, parse_permissions, parse_targets};
    use proptest::prelude::*;

    #[test]
    fn what_is_typed_becomes_tuples() {
        let text = "name=+n+&active=on&target=0&target=1&target-0-by=any&target-0-id=left\
            &target-1-by=tag&target-1-key=team&target-1-value=billing\
            &permission=0&permission-0-effect=deny&permission-0-resource=network\
            &permission-0-network-action=access&permission-0-secrets-action=sign\
            &permission-0-by=host&permission-0-host=api.example.com";
        let form = PolicyForm::read(&Form::read(Bytes::from_static(text.as_bytes())));
        assert_eq!(
            serde_json::to_value(form.wire()).unwrap(),
            json!({
                "name": "n",
                "active": true,
                "targets": [["analysis"], ["analysis", "tag.key", "team", "tag.value", "billing"]],
                "permissions": [{"effect": "deny", "action": ["access"],
                    "resource": ["network", "host", "api.example.com"]}],
            })
        );
        assert_eq!(form.proposal(Some("x"))["id"], "x");
    }

    #[test]
    fn buttons_add_and_remove() {
        let mut form = PolicyForm::new();
        for (button, pressed, targets, permissions) in [
            ("add-target", true, 2, 1),
            ("add-permission", true, 2, 2),
            ("remove-target:0", true, 1, 2),
            ("remove-target:1", false, 1, 2),
            ("remove-permission:1", true, 1, 1),
            ("remove-permission", false, 1, 1),
            ("save", false, 1, 1),
            ("", false, 1, 1),
        ] {
            assert_eq!(form.press(button), pressed, "{button}");
            assert_eq!((form.targets.len(), form.permissions.len()), (targets, permissions));
        }
        assert_eq!(form.targets[0].by, "tag", "the other one went");
    }

    proptest! {
        #[test]
        fn a_policy_survives_its_form(policy in arbitrary::policy()) {
            let json = serde_json::to_value(&policy).unwrap();
            let wire: Wire = serde_json::from_value(json).unwrap();
            let again = serde_json::to_value(PolicyForm::of(&wire).wire()).unwrap();
            prop_assert_eq!(parse_targets(&again["targets"]).unwrap(), policy.targets);
            prop_assert_eq!(parse_permissions(&again["permissions"]).unwrap(), policy.permissions);
        }
    }
}
