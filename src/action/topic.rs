//! MQTT topic triggers: a message on a topic that a filter matches.
//!
//! Owns the rules of topic filters, which are MQTT 5's, and where a message carries the key by
//! which its publisher tells repetitions. It holds no connection.

use serde_json::{Value, json};

use super::fields::Fields;
use super::refusal::InvalidAction;

/// The longest filter that MQTT can carry, in bytes, and the longest key name here, in characters.
const MAX_FILTER: usize = 65_535;
const MAX_NAME: usize = 200;

const EXAMPLE: &str = r#"{"topic": "plant/+/alarm", "dedupe": {"user_property": "message-id"}}"#;

/// Where a message carries the key that repetitions share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dedupe {
    /// In the MQTT 5 user property of this name.
    UserProperty(String),
    /// In the JSON payload, at this JSON pointer.
    Pointer(String),
}

impl Dedupe {
    /// The key of a message: a user property, or a text, number or boolean of its payload. None
    /// where the publisher gave none.
    pub fn key(&self, properties: &[(String, String)], payload: &Value) -> Option<String> {
        match self {
            Self::UserProperty(wanted) => {
                let property = properties.iter().find(|(name, _)| name == wanted);
                property.map(|(_, value)| value.clone())
            }
            Self::Pointer(pointer) => match payload.pointer(pointer)? {
                Value::String(text) => Some(text.clone()),
                value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
                _ => None,
            },
        }
    }
}

/// One entry of an MQTT topic trigger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicEntry {
    /// The filter, with `+` for one level and `#` for the rest.
    pub topic: String,
    /// How repeated messages are told; without it each message counts.
    pub dedupe: Option<Dedupe>,
}

impl TopicEntry {
    pub(super) fn parse(value: &Value) -> Result<Self, InvalidAction> {
        let fields = Fields::new(value, &["topic", "dedupe"], EXAMPLE)?;
        let topic = fields.text("topic", MAX_FILTER, "plant/+/alarm")?;
        check(topic)?;
        let dedupe = fields.get("dedupe").map(parse_dedupe).transpose();
        let dedupe = dedupe.map_err(|refusal| refusal.inside("dedupe"))?;
        Ok(Self { topic: topic.to_owned(), dedupe })
    }

    /// Whether a message on `topic` fires.
    pub fn matches(&self, topic: &str) -> bool {
        matches(&self.topic, topic)
    }

    /// The entry as the API shows it.
    pub fn to_json(&self) -> Value {
        let mut entry = json!({"topic": self.topic});
        match &self.dedupe {
            Some(Dedupe::UserProperty(name)) => entry["dedupe"] = json!({"user_property": name}),
            Some(Dedupe::Pointer(pointer)) => entry["dedupe"] = json!({"pointer": pointer}),
            None => {}
        }
        entry
    }
}

fn parse_dedupe(value: &Value) -> Result<Dedupe, InvalidAction> {
    let example = r#"{"user_property": "message-id"} or {"pointer": "/id"}"#;
    let fields = Fields::new(value, &["user_property", "pointer"], example)?;
    let property = fields.optional_text("user_property", MAX_NAME, "message-id")?;
    match (property, fields.optional_text("pointer", MAX_NAME, "/id")?) {
        (Some(name), None) => Ok(Dedupe::UserProperty(name.into())),
        (None, Some(pointer)) => {
            let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            if !pointer.starts_with('/') || !escapes {
                let problem = format!("{pointer:?} is no JSON pointer");
                let advice = r#"begin with "/", and write "~0" for "~" and "~1" for "/""#;
                return Err(InvalidAction::new("pointer", problem, advice));
            }
            Ok(Dedupe::Pointer(pointer.into()))
        }
        _ => {
            let problem = "a key is either a user property or at a pointer";
            Err(InvalidAction::new("", problem, format!("write {example}")))
        }
    }
}

/// Refuses what MQTT 5 does not accept as a filter, and shared subscriptions.
fn check(filter: &str) -> Result<(), InvalidAction> {
    let refused = |problem: &str, advice: &str| {
        let problem = format!("{problem}: {}", crate::policy::shown(&Value::from(filter)));
        Err(InvalidAction::new("topic", problem, advice))
    };
    if filter.len() > MAX_FILTER {
        return refused("a topic filter has at most 65535 bytes", "shorten it");
    }
    if filter.starts_with("$share/") {
        let advice = "write the filter alone; one node subscribes for all of them";
        return refused("shared subscriptions are not supported", advice);
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('+') && level != "+" {
            return refused("\"+\" stands for a whole level", "write it alone between slashes");
        }
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return refused("\"#\" stands for all levels that follow", "write it alone at the end");
        }
    }
    Ok(())
}

/// Whether a valid `filter` matches `topic`. Topics that begin with `$` are the broker's own: no
/// wildcard at the beginning matches them.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(value: Value) -> Result<TopicEntry, InvalidAction> {
        TopicEntry::parse(&value)
    }

    #[test]
    fn filters_match_by_levels() {
        for (filter, topic, expected) in [
            ("sport/tennis", "sport/tennis", true),
            ("sport/tennis", "sport/tennis/", false),
            ("sport/+", "sport/", true),
            ("sport/+", "sport", false),
            ("sport/+/score", "sport/tennis/score", true),
            ("sport/#", "sport", true),
            ("sport/#", "sport/a/b", true),
            ("sport/#", "sports", false),
            ("+/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "a/b", true),
            ("#", "$SYS/load", false),
            ("+/load", "$SYS/load", false),
            ("$SYS/#", "$SYS/load", true),
            ("$SYS/+", "$SYS/load", true),
            ("/", "/", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn wrong_filters_are_refused_with_their_rule() {
        for (filter, rule) in [
            ("a+/b", "whole level"),
            ("a/#/b", "at the end"),
            ("a#", "at the end"),
            ("", "text of 1 to"),
            ("a\u{0}", "control characters"),
            ("$share/group/a", "shared subscriptions"),
        ] {
            let refusal = parse(json!({"topic": filter})).unwrap_err().to_string();
            assert!(refusal.starts_with("topic: ") && refusal.contains(rule), "{refusal}");
        }
        assert!(parse(json!({"topic": "ü".repeat(40_000)})).is_err());
    }

    #[test]
    fn the_key_is_the_publishers() {
        let entry = parse(json!({"topic": "a", "dedupe": {"user_property": "id"}})).unwrap();
        let properties = [("x".into(), "1".into()), ("id".into(), "2".into())];
        let key =
            |properties: &[_], payload| entry.dedupe.as_ref().unwrap().key(properties, &payload);
        assert_eq!(key(&properties, json!(null)), Some("2".into()));
        assert_eq!(key(&[], json!(null)), None);
        let at = parse(json!({"topic": "a", "dedupe": {"pointer": "/m/id"}})).unwrap();
        let key = |payload| at.dedupe.as_ref().unwrap().key(&[], &payload);
        assert_eq!(key(json!({"m": {"id": 7}})), Some("7".into()));
        assert_eq!(key(json!({"m": {"id": "x"}})), Some("x".into()));
        assert_eq!(key(json!({"m": {"id": {}}})), None);
        assert_eq!(at.to_json(), json!({"topic": "a", "dedupe": {"pointer": "/m/id"}}));
    }

    #[test]
    fn wrong_keys_are_refused() {
        for dedupe in [
            json!({}),
            json!({"pointer": "id"}),
            json!({"pointer": "/a~2"}),
            json!({"pointer": "/a~"}),
            json!({"pointer": "/a", "user_property": "b"}),
            json!({"property": "b"}),
            json!("id"),
        ] {
            let refusal = parse(json!({"topic": "a", "dedupe": dedupe})).unwrap_err();
            assert!(refusal.at.starts_with("dedupe"), "{refusal}");
        }
    }

    proptest! {
        #[test]
        fn a_filter_without_wildcards_matches_itself_alone(
            topic in "[a-c/]{1,6}",
            other in "[a-c/]{1,6}",
        ) {
            prop_assert!(check(&topic).is_ok() && matches(&topic, &topic));
            prop_assert_eq!(matches(&topic, &other), topic == other);
            let below = topic.clone() + "/#";
            prop_assert!(matches(&below, &topic));
        }

        #[test]
        fn any_filter_is_read_or_refused(
            filter in "([ab$+#/]{0,8}|\\PC{0,8})",
            topic in "\\PC{0,8}",
        ) {
            if parse(json!({"topic": filter.clone()})).is_ok() {
                matches(&filter, &topic);
            }
        }
    }
}
