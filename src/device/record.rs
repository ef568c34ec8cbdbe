//! Records: what a device measured, checked and completed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Location, MAX_NAME_LENGTH};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::tag::is_label;

/// The most records of one post.
pub const MAX_RECORDS: usize = 1_000;

/// The most variables of one device whose last record is kept.
pub const MAX_VARIABLES: u64 = 1_000;

/// The longest record, in bytes of JSON.
const MAX_RECORD_BYTES: usize = 64 << 10;

/// One measured value with all that was said about it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: Id,
    /// The device that it is of.
    pub device: Id,
    /// What was measured.
    pub variable: String,
    /// A string, a number or a boolean; a record may tell a place or metadata alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The value's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What was measured together has the same group.
    pub group: String,
    /// When it was measured.
    pub time: Timestamp,
    /// When it came in.
    pub created_at: Timestamp,
    /// Where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// A record as it was sent: nothing of it is checked.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// What was measured.
    pub variable: String,
    /// A string, a number or a boolean.
    pub value: Option<Value>,
    /// The value's unit.
    pub unit: Option<String>,
    /// Its group; the one of the post unless told.
    pub group: Option<String>,
    /// ISO 8601; the present unless told.
    pub time: Option<String>,
    /// See [`Location`].
    pub location: Option<Value>,
    /// Anything else.
    pub metadata: Option<Map<String, Value>>,
}

/// Why records are refused. The message repeats no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    /// There is none.
    #[error("no record was sent; send an object with a variable, or a list of them")]
    None,
    /// More than [`MAX_RECORDS`].
    #[error("{0} records were sent; at most {MAX_RECORDS} are taken at once")]
    TooMany(usize),
    /// One of them breaks a rule.
    #[error("record {at}: {problem}")]
    One {
        /// Its place in the post, counted from 0.
        at: usize,
        /// The rule.
        problem: Problem,
    },
}

/// The rule that a record breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A name is no label.
    #[error("{0} has 1 to {MAX_NAME_LENGTH} characters, no control characters")]
    Label(&'static str),
    /// The value is a list or an object.
    #[error("value must be a string, a number or a boolean; put anything else into metadata")]
    Value,
    /// The time cannot be read.
    #[error("time: {0}")]
    Time(#[from] crate::clock::InvalidTimestamp),
    /// The location cannot be read.
    #[error("location: {0}")]
    Location(#[from] super::location::InvalidLocation),
    /// Longer than the limit.
    #[error("it is longer than {MAX_RECORD_BYTES} bytes of JSON")]
    TooLong,
}

/// Checks what was sent at `now` for a device, and completes it. What has no group of its own has
/// that of the post.
pub fn records(
    drafts: Vec<Draft>,
    device: Id,
    now: Timestamp,
) -> Result<Vec<Record>, InvalidRecord> {
    match drafts.len() {
        0 => return Err(InvalidRecord::None),
        1..=MAX_RECORDS => {}
        more => return Err(InvalidRecord::TooMany(more)),
    }
    let group = Id::generate(now).to_string();
    let record = |(at, draft)| {
        Record::new(draft, device, &group, now)
            .map_err(|problem| InvalidRecord::One { at, problem })
    };
    drafts.into_iter().enumerate().map(record).collect()
}

/// Of each variable the record that is the latest by its time; of several with the same time the
/// one that was sent last. In the order of the variables.
pub fn newest(records: &[Record]) -> Vec<&Record> {
    let mut newest: BTreeMap<&str, &Record> = BTreeMap::new();
    for record in records {
        let known = newest.entry(&record.variable).or_insert(record);
        if record.time >= known.time {
            *known = record;
        }
    }
    newest.into_values().collect()
}

impl Record {
    fn new(draft: Draft, device: Id, group: &str, now: Timestamp) -> Result<Self, Problem> {
        let Draft { variable, value, unit, group: own_group, time, location, metadata } = draft;
        let group = own_group.unwrap_or_else(|| group.to_owned());
        let labels =
            [("variable", Some(&variable)), ("unit", unit.as_ref()), ("group", Some(&group))];
        for (name, text) in labels {
            if text.is_some_and(|text| !is_label(text, MAX_NAME_LENGTH)) {
                return Err(Problem::Label(name));
            }
        }
        if value.as_ref().is_some_and(|v| v.is_null() || v.is_array() || v.is_object()) {
            return Err(Problem::Value);
        }
        let record = Self {
            id: Id::generate(now),
            device,
            variable,
            value,
            unit,
            group,
            time: time.map_or(Ok(now), |text| text.parse())?,
            created_at: now,
            location: location.map(Location::try_from).transpose()?,
            metadata,
        };
        if record.to_json().len() > MAX_RECORD_BYTES { Err(Problem::TooLong) } else { Ok(record) }
    }

    /// The record as it is sealed and answered.
    pub fn to_json(&self) -> String {
        // Texts, finite numbers and maps with texts as keys cannot fail to be written as JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const DEVICE: Id = Id::from_bytes([7; 12]);
    const NOW: Timestamp = Timestamp::from_millis(1_769_846_400_007);

    fn draft(variable: &str) -> Draft {
        Draft { variable: variable.into(), ..Draft::default() }
    }

    fn one(draft: Draft) -> Result<Record, Problem> {
        match records(vec![draft], DEVICE, NOW) {
            Ok(mut records) => Ok(records.remove(0)),
            Err(InvalidRecord::One { at: 0, problem }) => Err(problem),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_left_out_is_filled_in_and_a_post_is_one_group() {
        let own = Draft { group: Some("mine".into()), ..draft("b") };
        let taken = records(vec![draft("a"), own, draft("c")], DEVICE, NOW).unwrap();
        assert_eq!((taken[0].time, taken[0].created_at, taken[0].device), (NOW, NOW, DEVICE));
        assert_eq!(taken[0].group, taken[2].group);
        assert_eq!(taken[1].group, "mine");
        assert_ne!(taken[0].id, taken[2].id);
    }

    #[test]
    fn a_record_is_answered_with_the_fields_that_it_has() {
        let whole = Draft {
            value: Some(json!(21.5)),
            unit: Some("°C".into()),
            group: Some("g".into()),
            time: Some("2026-01-01T01:00:00+01:00".into()),
            location: Some(json!({"lat": 1, "lng": 2})),
            metadata: json!({"a": [null]}).as_object().cloned(),
            ..draft("temperature")
        };
        let record = one(whole).unwrap();
        let expected = json!({
            "id": record.id, "device": DEVICE, "variable": "temperature", "value": 21.5,
            "unit": "°C", "group": "g", "time": "2026-01-01T00:00:00.000Z",
            "created_at": NOW, "location": {"type": "Point", "coordinates": [2.0, 1.0]},
            "metadata": {"a": [null]},
        });
        assert_eq!(serde_json::from_str::<Value>(&record.to_json()).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Record>(&record.to_json()).unwrap(), record);
    }

    #[test]
    fn each_rule_has_its_refusal() {
        let value = |value| one(Draft { value: Some(value), ..draft("v") });
        for wrong in [json!(null), json!([]), json!({"a": 1})] {
            assert_eq!(value(wrong), Err(Problem::Value));
        }
        for right in [json!(true), json!(0), json!(-1.5), json!(""), json!("a\u{0}b")] {
            assert!(value(right).is_ok());
        }
        assert_eq!(one(draft("")), Err(Problem::Label("variable")));
        assert_eq!(one(draft(&"v".repeat(101))), Err(Problem::Label("variable")));
        let unit = Draft { unit: Some("\n".into()), ..draft("v") };
        assert_eq!(one(unit), Err(Problem::Label("unit")));
        let group = Draft { group: Some(String::new()), ..draft("v") };
        assert_eq!(one(group), Err(Problem::Label("group")));
        let time = Draft { time: Some("noon".into()), ..draft("v") };
        assert!(matches!(one(time), Err(Problem::Time(_))));
        let location = Draft { location: Some(json!("here")), ..draft("v") };
        assert!(matches!(one(location), Err(Problem::Location(_))));
        assert_eq!(value(json!("x".repeat(MAX_RECORD_BYTES))), Err(Problem::TooLong));
    }

    #[test]
    fn a_post_has_from_one_to_a_thousand_records_and_names_the_wrong_one() {
        assert_eq!(records(Vec::new(), DEVICE, NOW), Err(InvalidRecord::None));
        let many = |count| records(vec![draft("v"); count], DEVICE, NOW);
        assert_eq!(many(MAX_RECORDS).unwrap().len(), MAX_RECORDS);
        assert_eq!(many(MAX_RECORDS + 1), Err(InvalidRecord::TooMany(1_001)));
        let refused = records(vec![draft("a"), draft("")], DEVICE, NOW).unwrap_err();
        assert!(refused.to_string().starts_with("record 1: variable has"), "{refused}");
    }

    proptest! {
        #[test]
        fn the_newest_of_a_variable_is_the_latest_sent_of_the_latest_time(
            posted in proptest::collection::vec((0..4_u8, 0..4_i64), 1..40)
        ) {
            let drafts = posted.iter().map(|(variable, _)| draft(&variable.to_string())).collect();
            let mut sent = records(drafts, DEVICE, NOW).unwrap();
            for (record, (_, at)) in sent.iter_mut().zip(&posted) {
                record.time = Timestamp::from_millis(*at);
            }
            let newest = newest(&sent);
            for variable in (0..4_u8).map(|variable| variable.to_string()) {
                // The last of several maxima.
                let of_it = sent.iter().filter(|record| record.variable == variable);
                let expected = of_it.max_by_key(|record| record.time);
                prop_assert_eq!(newest.iter().find(|r| r.variable == variable), expected.as_ref());
            }
        }

        #[test]
        fn a_taken_record_survives_its_json(variable in "(?s).{0,8}", time in "[0-9TZ:+-]{0,25}") {
            let taken = one(Draft { time: Some(time), ..draft(&variable) });
            if let Ok(record) = taken {
                let read: Record = serde_json::from_str(&record.to_json()).unwrap();
                prop_assert_eq!(read, record);
            }
        }
    }
}
