//! What is sent to `/action`.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::tags::WireTag;
use crate::tag::Tag;

/// An action to be made, or what changes of one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionBody {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    /// True unless told.
    pub(super) active: Option<bool>,
    #[schema(value_type = Option<Vec<WireTag>>)]
    pub(super) tags: Option<Vec<Tag>>,
    /// schedule, interval, condition, resource, mqtt_topic or webhook.
    pub(super) r#type: Option<String>,
    /// The entries, as in `[{"cron": "0 8 * * *", "timezone": "Europe/London"}]`.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) trigger: Option<Value>,
    /// What is started, as in `{"type": "script", "script": ["<analysis id>"]}`.
    #[schema(value_type = Option<Object>)]
    pub(super) action: Option<Value>,
    /// Whether a condition waits to be unlocked.
    pub(super) lock: Option<bool>,
    /// Whether unlocking a condition starts runs too.
    pub(super) trigger_when_unlock: Option<bool>,
    /// What becomes of late instants: skip, once or all.
    #[schema(value_type = Option<String>)]
    misfire: Option<Value>,
    /// How many late instants `all` makes up for.
    #[schema(value_type = Option<u32>)]
    catch_up_limit: Option<Value>,
    /// What becomes of a start while an earlier run goes on: skip, queue, cancel_previous, allow.
    #[schema(value_type = Option<String>)]
    overlap: Option<Value>,
    /// Over how many seconds starts are spread.
    #[schema(value_type = Option<u32>)]
    spread_seconds: Option<Value>,
    /// How many of its runs run at once, for each analysis; null for no limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    concurrency: Option<Value>,
    // Clients send back what they read; these cannot change.
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "profile")]
    _profile: Option<Value>,
    #[serde(rename = "last_triggered")]
    _last_triggered: Option<Value>,
    #[serde(rename = "created_at")]
    _created_at: Option<Value>,
    #[serde(rename = "updated_at")]
    _updated_at: Option<Value>,
    #[serde(rename = "fault")]
    _fault: Option<Value>,
    #[serde(rename = "revision")]
    _revision: Option<Value>,
    #[serde(rename = "next")]
    _next: Option<Value>,
    #[serde(rename = "changes")]
    _changes: Option<Value>,
    #[serde(rename = "hook")]
    _hook: Option<Value>,
}

impl ActionBody {
    /// The fields that are rules of starting.
    pub(super) fn rules(&self) -> Map<String, Value> {
        let fields = [
            ("misfire", &self.misfire),
            ("catch_up_limit", &self.catch_up_limit),
            ("overlap", &self.overlap),
            ("spread_seconds", &self.spread_seconds),
            ("concurrency", &self.concurrency),
        ];
        let sent = fields.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        sent.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// A null is something that was sent.
fn present<'d, D: serde::Deserializer<'d>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}
