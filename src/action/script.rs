//! What an action does: it starts analyses, and nothing else.

use serde_json::{Value, json};

use super::fields::{self, Fields};
use super::refusal::InvalidAction;
use crate::id::Id;

/// The most analyses that one action starts, as in TagoIO.
pub const MAX_ANALYSES: usize = 10;

const EXAMPLE: &str = r#"{"type": "script", "script": ["<id of an analysis>"]}"#;

/// What the original can do beside starting analyses.
const ELSEWHERE: [&str; 12] = [
    "notification",
    "notification_run",
    "email",
    "sms",
    "mqtt",
    "post",
    "sms-twilio",
    "whatsapp-twilio",
    "email-sendgrid",
    "email-smtp",
    "queue-sqs",
    "tagoio",
];

/// The analyses that the `action` field of an action names, in its order.
///
/// # Errors
///
/// Another type than `script`, no analysis or more than [`MAX_ANALYSES`], one that stands twice,
/// what is no id. The refusal's place begins with `action`.
pub fn script(action: &Value) -> Result<Vec<Id>, InvalidAction> {
    let kind = action.get("type");
    let word = kind.and_then(Value::as_str);
    if let Some(word) = word.filter(|word| ELSEWHERE.contains(word)) {
        let problem = format!("the runner has no action of the type {word:?}");
        let advice = format!("the type is \"script\": let an analysis do it, as in {EXAMPLE}");
        return Err(InvalidAction::new("action.type", problem, advice));
    }
    if action.is_object() && word != Some("script") {
        let rule = "the type of an action is \"script\"";
        let advice = format!("write {EXAMPLE}");
        return Err(InvalidAction::found("action.type", kind, rule, advice));
    }
    let fields = Fields::new(action, &["type", "script"], EXAMPLE);
    let fields = fields.map_err(|refusal| refusal.inside("action"))?;
    let found = fields.get("script");
    let entries = found.and_then(Value::as_array).ok_or_else(|| {
        let rule = "this is a list of ids of analyses";
        InvalidAction::found("action.script", found, rule, format!("write {EXAMPLE}"))
    })?;
    if !(1..=MAX_ANALYSES).contains(&entries.len()) {
        let problem = format!("{} analyses were given", entries.len());
        let advice = format!("name 1 to {MAX_ANALYSES}");
        return Err(InvalidAction::new("action.script", problem, advice));
    }
    let mut analyses = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let at = format!("action.script[{index}]");
        let id = fields::id(entry, &at)?;
        if analyses.contains(&id) {
            let problem = format!("the analysis {id} stands twice");
            return Err(InvalidAction::new(at, problem, "name each analysis once"));
        }
        analyses.push(id);
    }
    Ok(analyses)
}

/// The `action` field that names these analyses.
pub fn script_to_json(analyses: &[Id]) -> Value {
    json!({"type": "script", "script": analyses})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::arbitrary;
    use proptest::prelude::*;

    const ONE: &str = "0123456789abcdef01234567";

    #[test]
    fn a_script_names_its_analyses() {
        let value = json!({"type": "script", "script": [ONE, "0".repeat(24)]});
        let analyses = script(&value).unwrap();
        assert_eq!(analyses.len(), 2);
        assert_eq!(script_to_json(&analyses), value);
    }

    #[test]
    fn other_types_of_the_original_are_refused_with_what_exists() {
        for kind in ELSEWHERE {
            let refusal = script(&json!({"type": kind, "to": "x"})).unwrap_err();
            assert_eq!(refusal.at, "action.type");
            let expected = format!("{kind:?}; the type is \"script\"");
            assert!(refusal.to_string().contains(&expected), "{refusal}");
        }
    }

    #[test]
    fn wrong_scripts_are_refused_with_their_place() {
        for (action, at) in [
            (json!(null), "action: "),
            (json!({}), "action.type: "),
            (json!({"type": "Script", "script": [ONE]}), "action.type: "),
            (json!({"type": "script"}), "action.script: "),
            (json!({"type": "script", "script": ONE}), "action.script: "),
            (json!({"type": "script", "script": []}), "action.script: 0 analyses"),
            (json!({"type": "script", "script": vec![ONE; 11]}), "action.script: 11 analyses"),
            (json!({"type": "script", "script": [ONE, ONE]}), "action.script[1]: the analysis"),
            (json!({"type": "script", "script": [ONE, 7]}), "action.script[1]: an id"),
            (json!({"type": "script", "script": [ONE], "to": 1}), "action: there is no such"),
        ] {
            let refusal = script(&action).unwrap_err().to_string();
            assert!(refusal.starts_with(at), "{refusal}");
        }
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused_with_its_place(value in arbitrary::json()) {
            for document in [value.clone(), json!({"type": "script", "script": value})] {
                if let Err(refusal) = script(&document) {
                    prop_assert!(refusal.to_string().starts_with("action"));
                }
            }
        }
    }
}
