//! A message of an MQTT topic, and the runs that it becomes.
//!
//! Owns what a message means to the actions that listen to its topic. It knows nothing of the
//! connection that brought it: who calls acknowledges it when all that it starts is durable.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::Runner;
use super::event::Event;
use crate::action::{TopicEntry, Trigger};
use crate::analysis::Digest;
use crate::cause::{CauseKind, Chain};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::run::TriggerEntries;
use crate::store::{ActionFault, Error, Once, StoredAction, Tenant};

/// How long the key of a message is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

/// The first and the longest wait before what failed is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The system entry that names the topic.
const TOPIC: &str = "_mqtt_topic";

/// One message.
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// MQTT 5 user properties, in the order in which they came.
    pub(super) properties: Vec<(String, String)>,
    /// The numbers of the filters for which the broker sent it; none where it tells none.
    pub(super) filters: Vec<usize>,
}

/// The number of a topic filter, as subscriptions carry it: the same in every process. Two filters
/// hardly ever share one, and then a message that both match may count twice.
pub(super) fn number(filter: &str) -> usize {
    let digest = *Digest::of(filter.as_bytes()).as_bytes();
    let [a, b, c, d, ..] = digest;
    // MQTT has 28 bits for it, and no 0.
    (u32::from_be_bytes([a, b, c, d]) >> 4).max(1) as usize
}

impl Message {
    /// Starts what each of `actions` that listens to the topic starts, one after the other. Where
    /// several filters match, a broker may send a message for each: the one that it sends for the
    /// action's first matching entry counts. What
    /// cannot be done now is tried again for as long as it takes; what can never be done is left
    /// out, and the action's fault says so.
    pub(super) async fn fire(self, runner: &Arc<Runner>, actions: &[StoredAction]) {
        for stored in actions {
            let Trigger::MqttTopic(entries) = &stored.action.trigger else { continue };
            let matching: Vec<_> = entries.iter().filter(|e| e.matches(&self.topic)).collect();
            let Some(first) = matching.first() else { continue };
            if !runner.may_hear(stored.profile, &self.topic) {
                continue;
            }
            if !self.filters.is_empty() && !self.filters.contains(&number(&first.topic)) {
                continue;
            }
            let action = stored.action.id;
            let key = self.key(&matching);
            let event = Event {
                kind: CauseKind::Mqtt,
                scope: scope(&self.payload),
                entries: TriggerEntries::from([(TOPIC.to_owned(), self.topic.clone())]),
                once: key.map(|key| once(action, &key)),
                chain: Chain::default(),
                entry: None,
            };
            let tenant = runner.tenant(stored.profile);
            let mut wait = FIRST_WAIT;
            while let Err(error) = runner.take(&tenant, action, event.clone()).await {
                if wait == FIRST_WAIT {
                    let topic = &self.topic;
                    tracing::warn!(%action, topic, %error, "a message waits; trying again");
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }

    /// The publisher's own key, where one of the entries says where it is and it is there.
    fn key(&self, matching: &[&TopicEntry]) -> Option<String> {
        let payload = serde_json::from_slice(&self.payload).unwrap_or(Value::Null);
        let key = |entry: &TopicEntry| entry.dedupe.as_ref()?.key(&self.properties, &payload);
        matching.iter().find_map(|entry| key(entry).filter(|key| !key.is_empty()))
    }
}

impl Runner {
    /// Starts what one action starts, or writes down why that can never be. An error passes with
    /// time.
    async fn take(
        self: &Arc<Self>,
        tenant: &Tenant,
        action: Id,
        event: Event,
    ) -> Result<(), Error> {
        match self.fire(tenant, action, event).await {
            // It was deleted or switched off meanwhile.
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) if passes(&error) => Err(error),
            Err(error) => {
                let code = ErrorCode::InvalidRequest.as_str().to_owned();
                let message = format!("a message could not be taken: {error}");
                tracing::warn!(%action, %error, "a message could not be taken");
                let at = Timestamp::now().as_millis();
                tenant.fault_action(action, ActionFault { code, message, at }).await
            }
        }
    }
}

/// Whether the same may succeed later.
const fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::QueueFull
            | Error::Full
            | Error::Unreachable
            | Error::Contended
            | Error::Closed
            | Error::Database(_)
    )
}

fn once(action: Id, key: &str) -> Once {
    Once {
        principal: format!("action:{action}"),
        operation: "mqtt".into(),
        // A key may be as long as a message.
        key: Digest::of(key.as_bytes()).to_string(),
        digest: String::new(),
        keep: REMEMBERED,
    }
}

/// The JSON text that the runs get: a list of records as it is, one record in a list, and anything
/// else as the value of one record.
fn scope(payload: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(payload) else {
        let value = STANDARD.encode(payload);
        let metadata = json!({"encoding": "base64"});
        return json!([{"variable": "payload", "value": value, "metadata": metadata}]).to_string();
    };
    let text = text.trim_ascii();
    let record = |value: &str| format!(r#"[{{"variable":"payload","value":{value}}}]"#);
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return record(&Value::from(text).to_string());
    }
    match text.as_bytes().first() {
        Some(b'[') => text.to_owned(),
        Some(b'{') => format!("[{text}]"),
        _ => record(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::action::Dedupe;

    #[test]
    fn a_payload_becomes_a_list_of_records() {
        for (payload, expected) in [
            (&br#"[{"variable":"t","value":21.50}]"#[..], r#"[{"variable":"t","value":21.50}]"#),
            (b" {\"a\":1}\n", r#"[{"a":1}]"#),
            (b"21.50", r#"[{"variable":"payload","value":21.50}]"#),
            (b"null", r#"[{"variable":"payload","value":null}]"#),
            (b"too \"hot\"", r#"[{"variable":"payload","value":"too \"hot\""}]"#),
            (b"", r#"[{"variable":"payload","value":""}]"#),
        ] {
            assert_eq!(scope(payload), expected);
        }
        assert!(scope(b"\xff").contains(r#""value":"/w==""#));
    }

    #[test]
    fn the_first_key_that_is_there_counts() {
        let entry = |dedupe| TopicEntry { topic: "#".into(), dedupe };
        let property = entry(Some(Dedupe::UserProperty("id".into())));
        let pointer = entry(Some(Dedupe::Pointer("/id".into())));
        let message = |payload: &str, properties: &[(&str, &str)]| Message {
            topic: "a".into(),
            payload: payload.into(),
            filters: Vec::new(),
            properties: properties.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        };
        let all = [&entry(None), &property, &pointer];
        for (message, expected) in [
            (message(r#"{"id": 7}"#, &[("id", "x")]), Some("x")),
            (message(r#"{"id": 7}"#, &[("id", "")]), Some("7")),
            (message("no JSON", &[("other", "x")]), None),
        ] {
            assert_eq!(message.key(&all).as_deref(), expected);
        }
    }

    proptest! {
        #[test]
        fn every_scope_is_a_json_list(payload in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(serde_json::from_str::<Vec<IgnoredAny>>(&scope(&payload)).is_ok());
        }
    }
}
