//! Reading the objects that an action is made of.
//!
//! Owns what holds for the fields of all of them: unknown ones are refused by name, texts are
//! free of control characters, and where a field may be absent, `null` and `""` count as absent,
//! because clients of the original send both.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::refusal::InvalidAction;
use crate::id::Id;
use crate::tag::{MAX_TAG_LENGTH, is_label};

/// The fields of one object, none of them unknown.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The fields of `value`, all of which must be `known`; `example` is a right one.
    pub fn new(value: &'a Value, known: &[&str], example: &str) -> Result<Self, InvalidAction> {
        let Some(fields) = value.as_object() else {
            let advice = format!("write for example {example}");
            return Err(InvalidAction::found("", Some(value), "this must be an object", advice));
        };
        if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            let found = Value::from(name.as_str());
            let advice = format!("the fields are {}, as in {example}", quoted(known));
            return Err(InvalidAction::found("", Some(&found), "there is no such field", advice));
        }
        Ok(Self(fields))
    }

    /// The fields of a larger object, of which others may be there too.
    pub const fn among(object: &'a Map<String, Value>) -> Self {
        Self(object)
    }

    /// What stands in a field; none where it is absent.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// A text of 1 to `max` characters that must be there.
    pub fn text(&self, name: &str, max: usize, example: &str) -> Result<&'a str, InvalidAction> {
        let text = self.get(name).and_then(Value::as_str).filter(|text| is_label(text, max));
        text.ok_or_else(|| {
            let rule = format!("a text of 1 to {max} characters without control characters");
            let advice = format!("write for example {example:?}");
            InvalidAction::found(name, self.0.get(name), &rule, advice)
        })
    }

    /// Such a text, or none.
    pub fn optional_text(
        &self,
        name: &str,
        max: usize,
        example: &str,
    ) -> Result<Option<&'a str>, InvalidAction> {
        self.get(name).map(|_| self.text(name, max, example)).transpose()
    }

    /// An id, or none.
    pub fn optional_id(&self, name: &str) -> Result<Option<Id>, InvalidAction> {
        self.get(name).map(|value| id(value, name)).transpose()
    }

    /// One of the `known` words, which must be there.
    pub fn word<T: Copy + Display>(&self, name: &str, known: &[T]) -> Result<T, InvalidAction> {
        let text = self.get(name).and_then(Value::as_str);
        let word = known.iter().find(|word| text == Some(word.to_string().as_str()));
        word.copied().ok_or_else(|| {
            let advice = format!("write one of {}", quoted(known));
            InvalidAction::found(name, self.0.get(name), "there is no such word here", advice)
        })
    }

    /// Such a word, or none.
    pub fn optional_word<T: Copy + Display>(
        &self,
        name: &str,
        known: &[T],
    ) -> Result<Option<T>, InvalidAction> {
        self.get(name).map(|_| self.word(name, known)).transpose()
    }

    /// True or false; false where it is absent.
    pub fn flag(&self, name: &str) -> Result<bool, InvalidAction> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| {
            let rule = "this is true or false";
            InvalidAction::found(name, Some(value), rule, "write it without quotes")
        })
    }

    /// A whole number within `range`, or none.
    pub fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, InvalidAction> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let fits = number.filter(|number| range.contains(number));
        fits.map(Some).ok_or_else(|| {
            let advice = format!("write one from {} to {}", range.start(), range.end());
            InvalidAction::found(name, Some(value), "this is a whole number", advice)
        })
    }

    /// The pair of `tag_key` and `tag_value`, or none; one of them alone is refused.
    pub fn tag(&self) -> Result<Option<(String, String)>, InvalidAction> {
        let part = |name| self.optional_text(name, MAX_TAG_LENGTH, "prod");
        match (part("tag_key")?, part("tag_value")?) {
            (Some(key), Some(value)) => Ok(Some((key.into(), value.into()))),
            (None, None) => Ok(None),
            (key, _) => {
                let (there, missing) =
                    if key.is_some() { ("tag_key", "tag_value") } else { ("tag_value", "tag_key") };
                let problem = format!("{there} stands without {missing}");
                Err(InvalidAction::new(missing, problem, "give both, or neither"))
            }
        }
    }
}

/// The id that `value` is, standing at `at`.
pub(super) fn id(value: &Value, at: &str) -> Result<Id, InvalidAction> {
    let id = value.as_str().and_then(|text| text.parse().ok());
    id.ok_or_else(|| {
        let rule = "an id has 24 hexadecimal characters";
        InvalidAction::found(at, Some(value), rule, "take it from the list of the resource")
    })
}

/// The words in quotes, separated by commas.
pub(super) fn quoted<T: Display>(words: &[T]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_are_named_with_the_known_ones() {
        let refusal = Fields::new(&json!({"crom": 1}), &["cron", "timezone"], "{}").err().unwrap();
        assert_eq!(
            refusal.inside("trigger[0]").to_string(),
            "trigger[0]: there is no such field; found \"crom\"; the fields are \"cron\", \
             \"timezone\", as in {}"
        );
        assert!(Fields::new(&json!([]), &[], "{}").err().unwrap().problem.contains("found []"));
    }

    #[test]
    fn null_and_empty_texts_are_absent_and_control_characters_refused() {
        let value = json!({"a": null, "b": "", "c": "x\u{0}"});
        let fields = Fields::new(&value, &["a", "b", "c"], "{}").unwrap();
        assert_eq!(fields.optional_text("a", 9, "x"), Ok(None));
        assert_eq!(fields.optional_text("b", 9, "x"), Ok(None));
        assert!(fields.optional_text("c", 9, "x").is_err());
        assert!(fields.text("b", 9, "x").unwrap_err().problem.ends_with(r#"found """#));
    }

    #[test]
    fn half_a_tag_is_refused() {
        let value = json!({"tag_key": "env", "tag_value": ""});
        let fields = Fields::new(&value, &["tag_key", "tag_value"], "{}").unwrap();
        assert_eq!(
            fields.tag().unwrap_err().to_string(),
            "tag_value: tag_key stands without tag_value; give both, or neither"
        );
    }
}
