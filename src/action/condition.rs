//! Condition triggers: data that a device posted passes a test.
//!
//! Owns the entries and the lock. Records and tags are handed in; it keeps nothing.

use serde_json::{Value, json};

use super::comparison::Test;
use super::fields::Fields;
use super::refusal::InvalidAction;
use crate::id::Id;
use crate::tag::Tags;

/// The longest name of a variable, in characters.
const MAX_LENGTH: usize = 200;

/// Whose data an entry looks at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// One device.
    Device(Id),
    /// Every device that carries this tag, key and value.
    Tag(String, String),
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
    test: Test,
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

const EXAMPLE: &str = r#"{"device": "<id>", "variable": "temperature", "is": ">", "value": "30"}"#;

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
        Ok(Self { source, variable, unlock, test: Test::parse(&fields)? })
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
        record.variable == self.variable && self.test.passes(record.value)
    }

    /// The entry as the API shows it: its values as they were written.
    pub fn to_json(&self) -> Value {
        let mut entry = json!({"variable": self.variable, "unlock": self.unlock});
        self.test.show_in(&mut entry);
        match &self.source {
            Source::Device(device) => entry["device"] = json!(device),
            Source::Tag(key, value) => {
                entry["tag_key"] = json!(key);
                entry["tag_value"] = json!(value);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::Tag;

    const DEVICE: &str = "0123456789abcdef01234567";

    fn entry(is: &str, value: Value, value_type: &str) -> Result<ConditionEntry, InvalidAction> {
        ConditionEntry::parse(&json!({
            "device": DEVICE, "variable": "t", "is": is, "value": value, "value_type": value_type,
        }))
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
    fn wrong_entries_are_refused() {
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
}
