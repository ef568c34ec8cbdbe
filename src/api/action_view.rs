//! What `/action` answers.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::tags::WireTag;
use crate::action::{Action, ActionType, SlotOutcome, StartRules, Trigger, script_to_json};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::store::{SlotRecord, StoredAction};
use crate::tag::Tags;

/// An action as it is answered.
#[derive(Serialize, ToSchema)]
pub struct ActionView {
    #[schema(value_type = String)]
    id: Id,
    #[schema(value_type = String)]
    profile: Id,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    active: bool,
    #[schema(value_type = Vec<WireTag>)]
    tags: Tags,
    #[schema(value_type = String)]
    r#type: ActionType,
    #[schema(value_type = Vec<Object>)]
    trigger: Value,
    #[schema(value_type = Object)]
    action: Value,
    lock: bool,
    trigger_when_unlock: bool,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    rules: StartRules,
    /// Raised when the trigger changes.
    revision: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_triggered: Option<Timestamp>,
    /// Why it could not start a run the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    fault: Option<Value>,
    /// The next five instants of a schedule or an interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    next: Option<Vec<Timestamp>>,
    /// What happens to a schedule when clocks change within a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<String>>,
    /// Where a webhook takes requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<String>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

/// A made action.
#[derive(Serialize, ToSchema)]
pub struct ActionMade {
    #[schema(value_type = String)]
    pub(super) action: Id,
    /// Where a webhook takes requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hook: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) next: Option<Vec<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<Vec<String>>,
}

/// What became of one instant, or of consecutive missed ones.
#[derive(Serialize, ToSchema)]
pub struct SlotView {
    #[schema(value_type = String)]
    analysis: Id,
    /// The instant; of missed ones, the first.
    #[schema(value_type = String)]
    instant: Timestamp,
    #[schema(value_type = String)]
    last: Timestamp,
    instants: u64,
    revision: u32,
    /// ran, caught_up, skipped, missed or failed.
    #[schema(value_type = String)]
    outcome: SlotOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    run: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// An action with what is ahead of it at `now`.
pub fn view(stored: StoredAction, now: Timestamp) -> ActionView {
    let StoredAction { action, profile, revision, last_triggered, fault, .. } = stored;
    let active = action.active;
    let preview = action.trigger.preview(action.created_at, now).filter(|_| active);
    let (next, changes) = preview.map(|preview| (preview.next, preview.changes)).unzip();
    let hook = hook(&action);
    let fault = fault.map(|fault| {
        let at = Timestamp::from_millis(fault.at);
        json!({"code": fault.code, "message": fault.message, "at": at})
    });
    ActionView {
        id: action.id,
        profile,
        name: action.name,
        description: action.description,
        active,
        tags: action.tags,
        r#type: action.trigger.kind(),
        trigger: action.trigger.to_json(),
        action: script_to_json(&action.analyses),
        lock: action.lock,
        trigger_when_unlock: action.trigger_when_unlock,
        rules: action.rules,
        revision,
        last_triggered,
        fault,
        next,
        changes,
        hook,
        created_at: action.created_at,
        updated_at: action.updated_at,
    }
}

/// The path of a webhook.
/// Where a webhook is called.
pub fn hook(action: &Action) -> Option<String> {
    matches!(action.trigger, Trigger::Webhook(_)).then(|| format!("/hook/{}", action.id))
}

impl From<SlotRecord> for SlotView {
    fn from(slot: SlotRecord) -> Self {
        Self {
            analysis: slot.analysis,
            instant: slot.instant,
            last: slot.last,
            instants: slot.instants,
            revision: slot.revision,
            outcome: slot.outcome,
            run: slot.run,
            reason: slot.reason,
        }
    }
}
