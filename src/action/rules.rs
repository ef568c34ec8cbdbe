//! What an action says about its starts beside the trigger: late ones, overlapping ones, how many.

use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::refusal::InvalidAction;
use crate::words::words;

words! {
    /// What becomes of instants that passed while nothing could start.
    Misfire:
    Skip "skip" => "They are missed.";
    Once "once" => "The latest is made up for, the others are missed.";
    All "all" => "The latest ones are made up for, up to the catch-up limit.";
}

words! {
    /// What becomes of a start while an earlier run of the same action and analysis is not over.
    Overlap:
    Skip "skip" => "It is skipped, and recorded as skipped.";
    Queue "queue" => "It waits for the earlier run.";
    CancelPrevious "cancel_previous" => "The earlier run is cancelled.";
    Allow "allow" => "Both run.";
}

/// The longest spread, in seconds.
const MAX_SPREAD: u32 = 3600;

/// The most starts that are made up for at once.
const MAX_CATCH_UP: u32 = 10_000;

/// The most runs of one action at a time.
const MAX_CONCURRENCY: u32 = 10_000;

/// How an action's starts are handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct StartRules {
    /// What becomes of late instants of a schedule or interval.
    pub misfire: Misfire,
    /// How many late instants [`Misfire::All`] makes up for, 1 to 10,000.
    pub catch_up_limit: u32,
    /// What becomes of a start while the run before it is not over.
    pub overlap: Overlap,
    /// Over how many seconds the starts of one instant are spread, 0 to 3,600.
    pub spread_seconds: u32,
    /// How many runs of the action go on at once; none for as many as there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl Default for StartRules {
    fn default() -> Self {
        Self {
            misfire: Misfire::Once,
            catch_up_limit: 100,
            overlap: Overlap::Skip,
            spread_seconds: 0,
            concurrency: None,
        }
    }
}

impl StartRules {
    /// The names of the fields in the body of an action.
    pub const FIELDS: [&str; 5] =
        ["misfire", "catch_up_limit", "overlap", "spread_seconds", "concurrency"];

    /// These rules with what `body` says; other fields of the body are not looked at. A
    /// `concurrency` of `null` lifts the limit.
    ///
    /// # Errors
    ///
    /// A word that is none of the known ones, a number out of its range.
    pub fn with(self, body: &Map<String, Value>) -> Result<Self, InvalidAction> {
        let fields = Fields::among(body);
        let concurrency = match body.get("concurrency") {
            Some(Value::Null) => None,
            _ => fields.number("concurrency", 1..=MAX_CONCURRENCY)?.or(self.concurrency),
        };
        let misfire = fields.optional_word("misfire", Misfire::ALL)?;
        let overlap = fields.optional_word("overlap", Overlap::ALL)?;
        let catch_up_limit = fields.number("catch_up_limit", 1..=MAX_CATCH_UP)?;
        let spread_seconds = fields.number("spread_seconds", 0..=MAX_SPREAD)?;
        Ok(Self {
            misfire: misfire.unwrap_or(self.misfire),
            catch_up_limit: catch_up_limit.unwrap_or(self.catch_up_limit),
            overlap: overlap.unwrap_or(self.overlap),
            spread_seconds: spread_seconds.unwrap_or(self.spread_seconds),
            concurrency,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(body: Value) -> Result<StartRules, InvalidAction> {
        StartRules::default().with(body.as_object().unwrap())
    }

    #[test]
    fn what_is_not_said_stays_as_it_was() {
        assert_eq!(with(json!({"name": "x"})), Ok(StartRules::default()));
        let rules = with(json!({"misfire": "all", "overlap": "cancel_previous", "concurrency": 2}));
        let expected = StartRules {
            misfire: Misfire::All,
            overlap: Overlap::CancelPrevious,
            concurrency: Some(2),
            ..StartRules::default()
        };
        assert_eq!(rules, Ok(expected));
        let lifted = expected.with(json!({"concurrency": null}).as_object().unwrap()).unwrap();
        assert_eq!(lifted, StartRules { concurrency: None, ..expected });
    }

    #[test]
    fn unknown_words_and_numbers_out_of_range_are_refused() {
        assert_eq!(
            with(json!({"misfire": "twice"})).unwrap_err().to_string(),
            "misfire: there is no such word here; found \"twice\"; write one of \"skip\", \
             \"once\", \"all\""
        );
        assert_eq!(
            with(json!({"catch_up_limit": 0})).unwrap_err().to_string(),
            "catch_up_limit: this is a whole number; found 0; write one from 1 to 10000"
        );
        for body in [
            json!({"overlap": 1}),
            json!({"catch_up_limit": 10_001}),
            json!({"spread_seconds": -1}),
            json!({"spread_seconds": 3601}),
            json!({"concurrency": 1.5}),
            json!({"concurrency": "2"}),
        ] {
            assert!(with(body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn every_word_survives_its_text_form() {
        for word in Misfire::ALL {
            assert_eq!(word.as_str().parse(), Ok(*word));
        }
        for word in Overlap::ALL {
            assert_eq!(word.as_str().parse(), Ok(*word));
        }
    }
}
