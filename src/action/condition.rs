//! Condition triggers: data that a device posted passes a test.
//!
//! Owns the entries, their comparisons, and the lock. Records and tags are handed in; it keeps
//! nothing.
//!
//! Values compare within the entry's value type. Numbers are 64-bit floats; a text that reads as
//! a number counts as one. A record that is not of the type matches nothing, `!` included.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::fields::Fields;
use super::refusal::InvalidAction;
use crate::id::Id;
use crate::tag::{Tags, is_label};
use crate::words::words;

/// The longest name of a variable and the longest value to compare with, in characters.
const MAX_LENGTH: usize = 200;

words! {
    /// How a record's value is compared.
    Comparison:
    Less "<" => "Below the value.";
    Greater ">" => "Above the value.";
    Equal "=" => "The same as the value.";
    Different "!" => "Another than the value, of the same type.";
    Between "><" => "Above the value and below the second one.";
    Any "*" => "Whatever it is.";
}

words! {
    /// As what values are compared.
    ValueType:
    Text "string" => "Texts, in the order of their characters.";
    Number "number" => "Numbers.";
    Flag "boolean" => "True and false.";
    Any "*" => "As numbers where the entry's value is one, else as texts.";
}

/// Whose data an entry looks at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// One device.
    Device(Id),
    /// Every device that carries this tag, key and value.
    Tag(String, String),
}

/// A value to compare with.
#[derive(Clone, PartialEq, Debug)]
enum Operand {
    Text(String),
    Number(f64),
    Flag(bool),
}

/// One entry of a condition trigger.
#[derive(Clone, PartialEq, Debug)]
pub struct ConditionEntry {
    /// Whose data it looks at.
    pub source: Source,
    /// The variable that a record must have.
    pub variable: String,
    /// Whether a match unlocks the action instead of firing it.
    pub unlock: bool,
    is: Comparison,
    value_type: ValueType,
    written: Vec<Value>,
    operands: Vec<Operand>,
}

/// What a condition looks at in one record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RecordView<'a> {
    /// The record's variable.
    pub variable: &'a str,
    /// Its value; null where it has none.
    pub value: &'a Value,
}

/// What a batch of records does to an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whether the action fires, once for the whole batch.
    pub fires: bool,
    /// Whether it is locked afterwards.
    pub locked: bool,
}

const EXAMPLE: &str = r#"{"device": "<id>", "variable": "temperature", "is": ">", "value": "30", "value_type": "number"}"#;

const KNOWN: [&str; 9] = [
    "device",
    "tag_key",
    "tag_value",
    "variable",
    "is",
    "value",
    "second_value",
    "value_type",
    "unlock",
];

impl ConditionEntry {
    pub(super) fn parse(value: &Value) -> Result<Self, InvalidAction> {
        let fields = Fields::new(value, &KNOWN, EXAMPLE)?;
        let source = match (fields.optional_id("device")?, fields.tag()?) {
            (Some(device), None) => Source::Device(device),
            (None, Some((key, value))) => Source::Tag(key, value),
            (device, _) => {
                let there = if device.is_some() { "both a device and" } else { "no device and no" };
                let problem = format!("the entry names {there} a tag");
                let advice = "give either device, or tag_key and tag_value";
                return Err(InvalidAction::new("device", problem, advice));
            }
        };
        let unlock = fields.flag("unlock")?;
        if unlock && matches!(source, Source::Tag(..)) {
            let problem = "an entry for several devices cannot unlock";
            let advice = "give the entry a device, or leave unlock out";
            return Err(InvalidAction::new("unlock", problem, advice));
        }
        let variable = fields.text("variable", MAX_LENGTH, "temperature")?.to_owned();
        let is = fields.word("is", Comparison::ALL)?;
        let value_type = fields.optional_word("value_type", ValueType::ALL)?;
        let value_type = value_type.unwrap_or(ValueType::Any);
        let wanted = match is {
            Comparison::Any => 0,
            Comparison::Between => 2,
            _ => 1,
        };
        if value_type == ValueType::Flag
            && !matches!(is, Comparison::Equal | Comparison::Different)
            && wanted > 0
        {
            let problem = format!("booleans have no order, so \"{is}\" compares none");
            return Err(InvalidAction::new("is", problem, r#"write "=" or "!""#));
        }
        let names = ["value", "second_value"];
        let operands = names[..wanted].iter().map(|name| operand(&fields, name, value_type));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        if let [low, high] = &operands[..]
            && order(low, high) != Some(Ordering::Less)
        {
            let problem = "no value lies between these two";
            let advice = "make second_value the larger one, of the same type";
            return Err(InvalidAction::new("second_value", problem, advice));
        }
        let written = names[..wanted].iter().filter_map(|name| fields.get(name).cloned()).collect();
        Ok(Self { source, variable, unlock, is, value_type, written, operands })
    }

    /// Whether the entry is about a device with this id and these tags.
    pub fn concerns(&self, device: Id, tags: &Tags) -> bool {
        match &self.source {
            Source::Device(id) => *id == device,
            Source::Tag(key, value) => tags.has(key, value),
        }
    }

    /// Whether a record of a device that the entry concerns passes its test.
    pub fn matches(&self, record: RecordView<'_>) -> bool {
        if record.variable != self.variable {
            return false;
        }
        let against = |operand: &Operand| {
            let value = read(record.value, operand)?;
            order(&value, operand)
        };
        match (self.is, &self.operands[..]) {
            (Comparison::Any, _) => true,
            (Comparison::Less, [value]) => against(value) == Some(Ordering::Less),
            (Comparison::Greater, [value]) => against(value) == Some(Ordering::Greater),
            (Comparison::Equal, [value]) => against(value) == Some(Ordering::Equal),
            (Comparison::Different, [value]) => against(value).is_some_and(Ordering::is_ne),
            (Comparison::Between, [low, high]) => {
                against(low) == Some(Ordering::Greater) && against(high) == Some(Ordering::Less)
            }
            _ => false,
        }
    }

    /// The entry as the API shows it: its values as they were written.
    pub fn to_json(&self) -> Value {
        let mut entry = json!({
            "variable": self.variable,
            "is": self.is,
            "value_type": self.value_type,
            "unlock": self.unlock,
        });
        match &self.source {
            Source::Device(device) => entry["device"] = json!(device),
            Source::Tag(key, value) => {
                entry["tag_key"] = json!(key);
                entry["tag_value"] = json!(value);
            }
        }
        for (name, value) in ["value", "second_value"].iter().zip(&self.written) {
            entry[*name] = value.clone();
        }
        entry
    }
}

/// What a batch of one device's records does to an action with these entries.
///
/// The records are taken in order, and the action fires at most once. A locked action ignores
/// what does not unlock it. If an entry unlocks, firing locks; unlocking fires if
/// `trigger_when_unlock` says so.
pub fn evaluate(
    entries: &[ConditionEntry],
    device: Id,
    tags: &Tags,
    records: &[RecordView<'_>],
    locked: bool,
    trigger_when_unlock: bool,
) -> Verdict {
    let locks = entries.iter().any(|entry| entry.unlock);
    let concerned = entries.iter().filter(|entry| entry.concerns(device, tags)).collect::<Vec<_>>();
    let mut verdict = Verdict { fires: false, locked };
    for record in records {
        let unlocks = verdict.locked;
        if !concerned.iter().any(|entry| entry.unlock == unlocks && entry.matches(*record)) {
            continue;
        }
        verdict.locked = locks && !unlocks;
        verdict.fires |= !unlocks || trigger_when_unlock;
    }
    verdict
}

/// The value that an entry compares with, in the type that it says.
fn operand(fields: &Fields<'_>, name: &str, as_type: ValueType) -> Result<Operand, InvalidAction> {
    let found = fields.get(name);
    let read = found.and_then(|value| match as_type {
        ValueType::Text => text(value).map(Operand::Text),
        ValueType::Number => number(value).map(Operand::Number),
        ValueType::Flag => flag(value).map(Operand::Flag),
        ValueType::Any => {
            number(value).map(Operand::Number).or_else(|| text(value).map(Operand::Text))
        }
    });
    read.ok_or_else(|| {
        let rule = format!("this must be a value of the type \"{as_type}\"");
        let advice = r#"write for example "30" with the value_type "number""#;
        InvalidAction::found(name, found, &rule, advice)
    })
}

/// A record's value in the type of an operand; none where it is of another.
fn read(value: &Value, like: &Operand) -> Option<Operand> {
    match like {
        Operand::Text(_) => value.as_str().map(|text| Operand::Text(text.to_owned())),
        Operand::Number(_) => number(value).map(Operand::Number),
        Operand::Flag(_) => flag(value).map(Operand::Flag),
    }
}

/// A text of bounded length, or what a number or a boolean is written as.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    is_label(&text, MAX_LENGTH).then_some(text)
}

/// A finite number, or a text that reads as one.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A boolean, or its word.
fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

fn order(a: &Operand, b: &Operand) -> Option<Ordering> {
    match (a, b) {
        (Operand::Text(a), Operand::Text(b)) => Some(a.cmp(b)),
        (Operand::Number(a), Operand::Number(b)) => a.partial_cmp(b),
        (Operand::Flag(a), Operand::Flag(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::Tag;
    use proptest::prelude::*;

    const DEVICE: &str = "0123456789abcdef01234567";

    fn entry(is: &str, value: Value, value_type: &str) -> Result<ConditionEntry, InvalidAction> {
        ConditionEntry::parse(&json!({
            "device": DEVICE, "variable": "t", "is": is, "value": value, "value_type": value_type,
        }))
    }

    fn matches(entry: &ConditionEntry, value: Value) -> bool {
        entry.matches(RecordView { variable: "t", value: &value })
    }

    fn unlocking(is: &str, value: &str, unlock: bool) -> ConditionEntry {
        ConditionEntry { unlock, ..entry(is, json!(value), "number").unwrap() }
    }

    fn batch(entries: &[ConditionEntry], values: &[i64], locked: bool, twu: bool) -> (bool, bool) {
        let values = values.iter().map(|value| json!(value)).collect::<Vec<_>>();
        let records = values.iter().map(|value| RecordView { variable: "t", value });
        let records = records.collect::<Vec<_>>();
        let device = DEVICE.parse().unwrap();
        let verdict = evaluate(entries, device, &Tags::default(), &records, locked, twu);
        (verdict.fires, verdict.locked)
    }

    #[test]
    fn numbers_compare_as_numbers_however_they_are_written() {
        for (is, below, same, above) in [
            ("<", true, false, false),
            (">", false, false, true),
            ("=", false, true, false),
            ("!", true, false, true),
            ("*", true, true, true),
        ] {
            for value in [json!("9"), json!(9)] {
                let entry = entry(is, value, "number").unwrap();
                assert_eq!(matches(&entry, json!(8.5)), below, "{is}");
                assert_eq!(matches(&entry, json!("9.0")), same, "{is}");
                assert_eq!(matches(&entry, json!(10)), above, "{is}");
            }
        }
    }

    #[test]
    fn between_excludes_both_ends() {
        let value = json!({
            "device": DEVICE, "variable": "t", "is": "><", "value": "1", "second_value": "3",
            "value_type": "number", "unlock": false,
        });
        let entry = ConditionEntry::parse(&value).unwrap();
        let found = [1, 2, 3].map(|number| matches(&entry, json!(number)));
        assert_eq!(found, [false, true, false]);
        assert_eq!(entry.to_json(), value);
        let mut turned = value;
        turned["second_value"] = json!(0);
        assert!(ConditionEntry::parse(&turned).unwrap_err().problem.contains("between"));
    }

    #[test]
    fn a_record_of_another_type_matches_nothing() {
        for value in [json!("warm"), json!(null), json!([1]), json!(true), json!("NaN")] {
            assert!(!matches(&entry("!", json!(1), "number").unwrap(), value));
        }
        assert!(!matches(&entry("!", json!("1"), "string").unwrap(), json!(2)));
        assert!(!matches(&entry("=", json!(true), "boolean").unwrap(), json!("yes")));
        assert!(matches(&entry("=", json!("true"), "boolean").unwrap(), json!(true)));
        assert!(matches(&entry("=", json!("open"), "*").unwrap(), json!("open")));
        assert!(matches(&entry("=", json!("1"), "*").unwrap(), json!(1.0)));
        assert!(matches(&entry("*", json!(null), "*").unwrap(), json!({"any": "thing"})));
    }

    #[test]
    fn wrong_entries_are_refused() {
        assert!(entry("<", json!("warm"), "number").unwrap_err().at == "value");
        assert!(entry("<", json!(true), "boolean").unwrap_err().problem.contains("no order"));
        assert!(entry("~", json!(1), "number").unwrap_err().advice.contains(r#""><""#));
        let refused = |value: Value| ConditionEntry::parse(&value).unwrap_err().to_string();
        assert!(refused(json!({"variable": "t", "is": "*"})).contains("no device and no"));
        assert_eq!(
            refused(json!({
                "tag_key": "k", "tag_value": "v", "variable": "t", "is": "*", "unlock": true,
            })),
            "unlock: an entry for several devices cannot unlock; give the entry a device, or leave \
             unlock out"
        );
    }

    #[test]
    fn devices_are_picked_by_id_or_by_tag() {
        let value = json!({"tag_key": "env", "tag_value": "prod", "variable": "t", "is": "*"});
        let by_tag = ConditionEntry::parse(&value).unwrap();
        let tags = Tags::new(vec![Tag { key: "env".into(), value: "prod".into() }]).unwrap();
        let device = DEVICE.parse().unwrap();
        assert!(by_tag.concerns(device, &tags) && !by_tag.concerns(device, &Tags::default()));
        let by_id = entry("*", json!(null), "*").unwrap();
        assert!(by_id.concerns(device, &tags));
        assert!(!by_id.concerns(Id::from_bytes([0; 12]), &tags));
    }

    #[test]
    fn a_batch_fires_once_and_without_unlock_entries_never_locks() {
        let entries = [unlocking(">", "30", false), unlocking("<", "0", false)];
        assert_eq!(batch(&entries, &[31, 32, -1], false, false), (true, false));
        assert_eq!(batch(&entries, &[15], false, false), (false, false));
        assert_eq!(batch(&entries, &[31], true, true), (false, true));
    }

    #[test]
    fn firing_locks_until_an_entry_unlocks() {
        let entries = [unlocking(">", "30", false), unlocking("<", "20", true)];
        assert_eq!(batch(&entries, &[31], false, false), (true, true));
        assert_eq!(batch(&entries, &[32], true, false), (false, true));
        assert_eq!(batch(&entries, &[10], true, false), (false, false));
        assert_eq!(batch(&entries, &[10], true, true), (true, false));
        assert_eq!(batch(&entries, &[10], false, true), (false, false));
        assert_eq!(batch(&entries, &[31, 10], false, false), (true, false));
        assert_eq!(batch(&entries, &[10, 31], true, false), (true, true));
    }

    proptest! {
        #[test]
        fn a_number_is_below_the_same_or_above(a in -1e9_f64..1e9, b in -1e9_f64..1e9) {
            let is = |is| matches(&entry(is, json!(b), "number").unwrap(), json!(a.to_string()));
            let found = [is("<"), is("="), is(">")];
            prop_assert_eq!(found.iter().filter(|found| **found).count(), 1);
            prop_assert_eq!(is("!"), !is("="));
        }
    }
}
