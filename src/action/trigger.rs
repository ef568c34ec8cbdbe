//! Triggers: the kinds, and the list of entries that each kind has.
//!
//! Owns how the `type` and `trigger` fields of an action are read and given back. What one entry
//! means stands in the file of its kind.

use serde_json::{Value, json};

use super::condition::ConditionEntry;
use super::fields::{Fields, quoted};
use super::interval::Interval;
use super::preview::{self, Preview};
use super::refusal::InvalidAction;
use super::resource::ResourceEntry;
use super::schedule::Schedule;
use super::topic::TopicEntry;
use super::webhook::Webhook;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::words::words;

/// The most entries of one trigger.
pub const MAX_ENTRIES: usize = 100;

/// The longest text of a schedule or an interval, in characters.
const MAX_TEXT: usize = 200;

words! {
    /// What starts an action; its `type`.
    ActionType:
    Schedule "schedule" => "Instants of crons.";
    Interval "interval" => "A fixed distance.";
    Condition "condition" => "Data of devices.";
    Resource "resource" => "A change of a resource.";
    MqttTopic "mqtt_topic" => "A message on a topic.";
    Webhook "webhook" => "A request from outside.";
}

/// What starts an action. Each entry can; several that do so at once start it once.
#[derive(Clone, PartialEq, Debug)]
pub enum Trigger {
    /// Crons in time zones.
    Schedule(Vec<Schedule>),
    /// Distances from the action's anchor.
    Interval(Vec<Interval>),
    /// Tests of posted data.
    Condition(Vec<ConditionEntry>),
    /// Changes of resources.
    Resource(Vec<ResourceEntry>),
    /// Topic filters.
    MqttTopic(Vec<TopicEntry>),
    /// Who may call; exactly one.
    Webhook(Webhook),
}

impl Trigger {
    /// Reads the fields `type` and `trigger` of an action.
    ///
    /// # Errors
    ///
    /// A type that the runner does not have, a trigger that is no list of 1 to [`MAX_ENTRIES`]
    /// entries, an entry that its kind refuses. The refusal's place begins with `type` or
    /// `trigger`.
    pub fn parse(kind: &str, trigger: &Value) -> Result<Self, InvalidAction> {
        let kind = kind.parse::<ActionType>().map_err(|()| {
            let problem = format!("the runner has no trigger of the type {}", json!(kind));
            InvalidAction::new("type", problem, format!("write one of {}", quoted(ActionType::ALL)))
        })?;
        let entries = trigger.as_array().filter(|entries| !entries.is_empty());
        let entries = entries.ok_or_else(|| {
            let rule = "this must be a list of at least one entry";
            InvalidAction::found("trigger", Some(trigger), rule, "put each entry into [ ]")
        })?;
        let max = if kind == ActionType::Webhook { 1 } else { MAX_ENTRIES };
        if entries.len() > max {
            let problem = format!("{} entries were given", entries.len());
            let advice = format!("a trigger of the type \"{kind}\" has at most {max}");
            return Err(InvalidAction::new("trigger", problem, advice));
        }
        match kind {
            ActionType::Schedule => each(entries, schedule).map(Self::Schedule),
            ActionType::Interval => each(entries, interval).map(Self::Interval),
            ActionType::Condition => each(entries, ConditionEntry::parse).map(Self::Condition),
            ActionType::Resource => each(entries, ResourceEntry::parse).map(Self::Resource),
            ActionType::MqttTopic => each(entries, TopicEntry::parse).map(Self::MqttTopic),
            ActionType::Webhook => {
                let webhook = Webhook::parse(&entries[0]).map(Self::Webhook);
                webhook.map_err(|refusal| refusal.inside("trigger[0]"))
            }
        }
    }

    /// The trigger's kind.
    pub const fn kind(&self) -> ActionType {
        match self {
            Self::Schedule(_) => ActionType::Schedule,
            Self::Interval(_) => ActionType::Interval,
            Self::Condition(_) => ActionType::Condition,
            Self::Resource(_) => ActionType::Resource,
            Self::MqttTopic(_) => ActionType::MqttTopic,
            Self::Webhook(_) => ActionType::Webhook,
        }
    }

    /// The secret that it names, if it names one.
    pub const fn secret(&self) -> Option<Id> {
        match self {
            Self::Webhook(Webhook::Signed(signature)) => Some(signature.secret),
            _ => None,
        }
    }

    /// The list of entries, each as it was written or with what holds where nothing was.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Schedule(entries) => entries.iter().map(Schedule::to_json).collect(),
            Self::Interval(entries) => entries.iter().map(Interval::to_json).collect(),
            Self::Condition(entries) => entries.iter().map(ConditionEntry::to_json).collect(),
            Self::Resource(entries) => entries.iter().map(ResourceEntry::to_json).collect(),
            Self::MqttTopic(entries) => entries.iter().map(TopicEntry::to_json).collect(),
            Self::Webhook(webhook) => json!([webhook.to_json()]),
        }
    }

    /// The first instant strictly after `after` at which a schedule or an interval fires; an
    /// instant that several entries share is one. Intervals count from `anchor`. None for kinds
    /// that do not fire by time.
    pub fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Schedule(entries) => entries.iter().filter_map(|at| at.next_after(after)).min(),
            Self::Interval(entries) => {
                entries.iter().filter_map(|every| every.next_after(anchor, after)).min()
            }
            _ => None,
        }
    }

    /// What is ahead of a schedule or an interval; none for kinds that do not fire by time.
    pub fn preview(&self, anchor: Timestamp, now: Timestamp) -> Option<Preview> {
        let changes = match self {
            Self::Schedule(entries) => {
                let mut changes = entries
                    .iter()
                    .flat_map(|entry| preview::changes(entry, now))
                    .collect::<Vec<_>>();
                // Each begins with its date.
                changes.sort();
                changes.dedup();
                changes
            }
            Self::Interval(_) => Vec::new(),
            _ => return None,
        };
        Some(Preview::new(|after| self.next_after(anchor, after), now, changes))
    }
}

fn each<T>(
    entries: &[Value],
    parse: impl Fn(&Value) -> Result<T, InvalidAction>,
) -> Result<Vec<T>, InvalidAction> {
    let entries = entries.iter().enumerate();
    let parsed = entries.map(|(index, entry)| {
        parse(entry).map_err(|refusal| refusal.inside(&format!("trigger[{index}]")))
    });
    parsed.collect()
}

fn schedule(value: &Value) -> Result<Schedule, InvalidAction> {
    let example = r#"{"cron": "0 8 * * *", "timezone": "America/New_York"}"#;
    let fields = Fields::new(value, &["cron", "timezone"], example)?;
    let cron = fields.text("cron", MAX_TEXT, "0 8 * * *")?;
    Schedule::parse(cron, fields.text("timezone", MAX_TEXT, "America/New_York")?)
}

fn interval(value: &Value) -> Result<Interval, InvalidAction> {
    let fields = Fields::new(value, &["interval"], r#"{"interval": "5 minutes"}"#)?;
    Interval::parse(fields.text("interval", MAX_TEXT, "5 minutes")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::arbitrary;
    use proptest::prelude::*;

    fn refused(kind: &str, trigger: Value) -> String {
        Trigger::parse(kind, &trigger).unwrap_err().to_string()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn what_was_put_is_given_back() {
        let device = "0123456789abcdef01234567";
        for (kind, trigger) in [
            ("schedule", json!([{"cron": "0 8 * * Wed", "timezone": "America/New_York"}])),
            ("interval", json!([{"interval": "5 minutes"}, {"interval": "1 day"}])),
            (
                "condition",
                json!([{
                    "device": device, "variable": "temperature", "is": ">", "value": "30",
                    "value_type": "number", "unlock": false,
                }]),
            ),
            ("resource", json!([{"resource": "am", "when": "delete"}])),
            ("mqtt_topic", json!([{"topic": "a/+/b/#"}])),
            ("webhook", json!([{"unsigned": true}])),
        ] {
            let parsed = Trigger::parse(kind, &trigger).unwrap();
            assert_eq!((parsed.kind().as_str(), parsed.to_json()), (kind, trigger));
        }
    }

    #[test]
    fn types_of_the_original_that_do_not_exist_here_are_refused_by_name() {
        for kind in ["condition_geofence", "usage_alert", "schedules", "", "Schedule"] {
            let refusal = refused(kind, json!([]));
            assert!(
                refusal
                    .starts_with(&format!("type: the runner has no trigger of the type {kind:?}"))
            );
            assert!(refusal.ends_with(r#""resource", "mqtt_topic", "webhook""#), "{refusal}");
        }
    }

    #[test]
    fn a_refusal_names_the_entry_and_its_field() {
        let good = json!({"cron": "0 8 * * *", "timezone": "UTC"});
        let bad = json!({"cron": "0 8 * * *", "timezone": "UCT+1"});
        assert!(refused("schedule", json!([good, bad])).starts_with("trigger[1].timezone: there"));
        let unknown = json!([{"cron": "0 8 * * *", "timezone": "UTC", "active": true}]);
        assert!(refused("schedule", unknown).contains(r#"found "active"; the fields are "cron""#));
        assert!(
            refused("interval", json!([{"interval": "5 min"}])).starts_with("trigger[0].inter")
        );
        let twice = json!([{"unsigned": true}, {"unsigned": true}]);
        assert!(refused("webhook", twice).ends_with("has at most 1"));
        for trigger in [json!([]), json!({}), json!(null), json!("0 8 * * *")] {
            assert!(refused("schedule", trigger).starts_with("trigger: this must be a list"));
        }
        let many = vec![json!({"interval": "1 day"}); 101];
        assert!(refused("interval", json!(many)).ends_with("has at most 100"));
    }

    #[test]
    fn an_instant_that_entries_share_is_one() {
        let trigger = json!([{"interval": "2 seconds"}, {"interval": "3 seconds"}]);
        let trigger = Trigger::parse("interval", &trigger).unwrap();
        let next = |after| trigger.next_after(at(0), at(after)).unwrap().as_millis();
        let found = [0, 2000, 3000, 4000, 6000].map(next);
        assert_eq!(found, [2000, 3000, 4000, 6000, 8000]);
        let preview = trigger.preview(at(0), at(0)).unwrap();
        assert_eq!(preview.next, [2000, 3000, 4000, 6000, 8000].map(at));
        let webhook = Trigger::parse("webhook", &json!([{"unsigned": true}])).unwrap();
        assert_eq!((webhook.next_after(at(0), at(0)), webhook.preview(at(0), at(0))), (None, None));
    }

    fn mutated() -> impl Strategy<Value = Value> {
        let fields = prop::sample::select(vec![
            "cron",
            "timezone",
            "interval",
            "device",
            "tag_key",
            "tag_value",
            "variable",
            "is",
            "value",
            "second_value",
            "value_type",
            "unlock",
            "resource",
            "when",
            "topic",
            "dedupe",
            "secret",
            "form",
            "header",
            "unsigned",
            "tolerance_seconds",
        ]);
        let words = prop::sample::select(vec![
            "0 8 * * *",
            "UTC",
            "5 minutes",
            "0123456789abcdef01234567",
            "t",
            "><",
            "number",
            "device",
            "update",
            "a/#",
            "timestamped",
        ]);
        let value = prop_oneof![words.prop_map(Value::from), arbitrary::json()];
        prop::collection::vec((fields, value), 0..6).prop_map(|pairs| {
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused_with_its_place(
            kind in prop::sample::select(ActionType::ALL),
            entry in prop_oneof![mutated(), arbitrary::json()],
        ) {
            for document in [entry.clone(), json!([entry])] {
                match Trigger::parse(kind.as_str(), &document) {
                    Ok(trigger) => {
                        let shown = trigger.to_json();
                        prop_assert_eq!(Trigger::parse(kind.as_str(), &shown), Ok(trigger));
                    }
                    Err(refusal) => prop_assert!(refusal.to_string().starts_with("trigger")),
                }
            }
        }
    }
}
