//! Resource triggers: something of the profile was created, updated or deleted.
//!
//! Owns which resources can be watched and what an entry matches. It does not know who changed
//! what: that is told to it.

use serde_json::{Value, json};

use super::fields::{Fields, quoted};
use super::refusal::InvalidAction;
use crate::tag::Tags;
use crate::words::words;

words! {
    /// What can be watched.
    Resource:
    Secrets "secrets" => "Secrets; `secret` is read too.";
    Analysis "analysis" => "Analyses.";
    Action "action" => "Actions.";
    Policy "am" => "Policies; `access_management` is read too.";
    Device "device" => "Devices.";
}

words! {
    /// What happened to it.
    When:
    Create "create" => "It is new.";
    Update "update" => "It was edited.";
    Delete "delete" => "It is gone.";
}

/// One entry of a resource trigger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceEntry {
    /// What is watched.
    pub resource: Resource,
    /// What must happen.
    pub when: When,
    /// The tag that it must carry, key and value; none for any.
    pub tag: Option<(String, String)>,
}

const EXAMPLE: &str =
    r#"{"resource": "secrets", "when": "update", "tag_key": "env", "tag_value": "prod"}"#;

impl ResourceEntry {
    pub(super) fn parse(value: &Value) -> Result<Self, InvalidAction> {
        let known = ["resource", "when", "tag_key", "tag_value"];
        let fields = Fields::new(value, &known, EXAMPLE)?;
        let found = fields.get("resource");
        let resource = match found.and_then(Value::as_str) {
            Some("secret") => Resource::Secrets,
            Some("access_management") => Resource::Policy,
            Some(
                other @ ("bucket" | "file" | "user" | "financial" | "profile" | "mqtt_connect"
                | "mqtt_disconnect"),
            ) => {
                let problem = format!("the runner has no resource {other:?}");
                let advice = format!("what can be watched is {}", quoted(Resource::ALL));
                return Err(InvalidAction::new("resource", problem, advice));
            }
            _ => fields.word("resource", Resource::ALL)?,
        };
        let when = fields.word("when", When::ALL)?;
        Ok(Self { resource, when, tag: fields.tag()? })
    }

    /// Whether `when` having happened to a `resource` with these tags fires.
    pub fn matches(&self, resource: Resource, when: When, tags: &Tags) -> bool {
        let tag = self.tag.as_ref().is_none_or(|(key, value)| tags.has(key, value));
        self.resource == resource && self.when == when && tag
    }

    /// The entry as the API shows it.
    pub fn to_json(&self) -> Value {
        let mut entry = json!({"resource": self.resource, "when": self.when});
        if let Some((key, value)) = &self.tag {
            entry["tag_key"] = json!(key);
            entry["tag_value"] = json!(value);
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::Tag;

    fn parse(value: Value) -> Result<ResourceEntry, InvalidAction> {
        ResourceEntry::parse(&value)
    }

    #[test]
    fn an_entry_matches_resource_event_and_tag() {
        let tagged = json!({
            "resource": "secrets", "when": "update", "tag_key": "env", "tag_value": "prod",
        });
        let entry = parse(tagged.clone()).unwrap();
        assert_eq!(entry.to_json(), tagged);
        let tag = |value: &str| Tags::new(vec![Tag { key: "env".into(), value: value.into() }]);
        let (prod, dev) = (tag("prod").unwrap(), tag("dev").unwrap());
        assert!(entry.matches(Resource::Secrets, When::Update, &prod));
        assert!(!entry.matches(Resource::Secrets, When::Update, &dev));
        assert!(!entry.matches(Resource::Secrets, When::Create, &prod));
        assert!(!entry.matches(Resource::Device, When::Update, &prod));
    }

    #[test]
    fn other_spellings_are_read_and_empty_tags_mean_any() {
        for (word, resource) in [
            ("secret", Resource::Secrets),
            ("am", Resource::Policy),
            ("access_management", Resource::Policy),
        ] {
            let value = json!({"resource": word, "when": "delete", "tag_key": "", "tag_value": ""});
            let entry = parse(value).unwrap();
            assert_eq!((entry.resource, &entry.tag), (resource, &None));
            assert!(entry.matches(resource, When::Delete, &Tags::default()));
            assert_eq!(entry.to_json(), json!({"resource": resource, "when": "delete"}));
        }
    }

    #[test]
    fn resources_of_the_original_are_refused_by_name() {
        let refusal = parse(json!({"resource": "bucket", "when": "create"})).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "resource: the runner has no resource \"bucket\"; what can be watched is \"secrets\", \
             \"analysis\", \"action\", \"am\", \"device\""
        );
        for value in [
            json!({"resource": "secrets"}),
            json!({"resource": "secrets", "when": "updated"}),
            json!({"resource": 1, "when": "update"}),
            json!({"resource": "secrets", "when": "update", "tag_key": "env"}),
        ] {
            assert!(parse(value.clone()).is_err(), "{value}");
        }
    }
}
