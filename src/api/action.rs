//! `/action`: what starts analyses by itself, in TagoIO's shapes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::analysis;
use super::body::Body;
use super::caller::Caller;
use super::path::Path;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::{check_protection, identifier, listing};
use crate::action::{
    Action, ActionType, InvalidAction, MAX_NAME_LENGTH, Overlap, SlotOutcome, StartRules, Trigger,
    Webhook, script, script_to_json,
};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::policy::{self, Object, ResourceType};
use crate::store::{self, StoredAction};
use crate::tag::{Tag, Tags, is_label};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 2_000;

const RESOURCE: ResourceType = ResourceType::Action;

/// An action to be made, or what changes of one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionBody {
    /// 1 to 100 characters.
    name: Option<String>,
    description: Option<String>,
    /// True unless told.
    active: Option<bool>,
    #[schema(value_type = Option<Vec<Object>>)]
    tags: Option<Vec<Tag>>,
    /// schedule, interval, condition, resource, mqtt_topic or webhook.
    r#type: Option<String>,
    /// The entries, as in `[{"cron": "0 8 * * *", "timezone": "Europe/London"}]`.
    #[schema(value_type = Option<Vec<Object>>)]
    trigger: Option<Value>,
    /// What is started, as in `{"type": "script", "script": ["<analysis id>"]}`.
    #[schema(value_type = Option<Object>)]
    action: Option<Value>,
    /// Whether a condition waits to be unlocked.
    lock: Option<bool>,
    /// Whether unlocking a condition starts runs too.
    trigger_when_unlock: Option<bool>,
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
    #[schema(value_type = Vec<Object>)]
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
    action: Id,
    /// Where a webhook takes requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    next: Option<Vec<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<String>>,
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

/// Lists actions.
#[utoipa::path(get, path = "/action", tag = "actions",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_lister()?;
    query.check_order("name,asc")?;
    let filter = query.filter(&["id", "name", "active"])?;
    let may = |stored: &StoredAction| {
        let object = Object { id: Some(stored.action.id), tags: &stored.action.tags };
        caller.may(RESOURCE, policy::Action::Access, &object)
    };
    let page = query.page()?;
    let found = listing::permitted(&caller, page, may, |page| caller.tenant.actions(&filter, page));
    let now = caller.runner.host().now().await?;
    let rows = found.await?.into_iter().map(|stored| view(stored, now));
    Ok(Success::ok(
        query.select(rows, &["id", "name", "active", "type", "tags", "last_triggered"])?,
    ))
}

/// Makes an action. The answer shows when a schedule or an interval is due next.
#[utoipa::path(post, path = "/action", tag = "actions", request_body = ActionBody,
    responses((status = 201, body = Success<ActionMade>), (status = "4XX", body = Failure)))]
pub async fn create(caller: Caller, Body(body): Body<ActionBody>) -> Answer<ActionMade> {
    let now = caller.runner.host().now().await?;
    let missing = |field: &str| Refusal::invalid(format!("the field {field} is missing"));
    let name = body.name.clone().ok_or_else(|| missing("name"))?;
    let kind = body.r#type.clone().ok_or_else(|| missing("type"))?;
    let trigger = body.trigger.as_ref().ok_or_else(|| missing("trigger"))?;
    let trigger = Trigger::parse(&kind, trigger)?;
    let analyses = script(body.action.as_ref().ok_or_else(|| missing("action"))?)?;
    let mut rules = StartRules::default();
    if !is_timed(&trigger) {
        // Events are not instants that come again: each one counts.
        rules.overlap = Overlap::Allow;
    }
    let tags = Tags::new(body.tags.clone().unwrap_or_default())?;
    caller.require(RESOURCE, policy::Action::Create, &Object { id: None, tags: &tags })?;
    check_tags(&caller, body.tags.is_some())?;
    let action = Action {
        id: Id::generate(now),
        name,
        description: body.description.clone().filter(|text| !text.is_empty()),
        active: body.active.unwrap_or(true),
        tags,
        trigger,
        analyses,
        rules: rules.with(&body.rules())?,
        lock: body.lock.unwrap_or(false),
        trigger_when_unlock: body.trigger_when_unlock.unwrap_or(false),
        created_at: now,
        updated_at: now,
    };
    check(&caller, &action).await?;
    let (id, preview, hook) = (action.id, action.trigger.preview(now, now), hook(&action));
    let next_at = due(&action, now);
    let entry = Entry::new(&caller.principal, Event::ActionCreate, id, &detail(&action));
    caller.tenant.create_action(action, next_at, entry).await?;
    let (next, changes) = preview.map(|preview| (preview.next, preview.changes)).unzip();
    Ok(Success::created(ActionMade { action: id, hook, next, changes }))
}

/// Shows an action.
#[utoipa::path(get, path = "/action/{id}", tag = "actions", params(("id" = String, Path)),
    responses((status = 200, body = Success<ActionView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>) -> Answer<ActionView> {
    let stored = find(&caller, &id, policy::Action::Access).await?;
    Ok(Success::ok(view(stored, caller.runner.host().now().await?)))
}

/// Changes an action. A changed trigger starts a new revision: nothing before it is caught up.
#[utoipa::path(put, path = "/action/{id}", tag = "actions", params(("id" = String, Path)),
    request_body = ActionBody,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<ActionBody>,
) -> Answer<String> {
    let stored = find(&caller, &id, policy::Action::Edit).await?;
    let now = caller.runner.host().now().await?;
    let mut action = stored.action;
    let (before, was_active) = (action.trigger.clone(), action.active);
    let kind = body.r#type.clone().unwrap_or_else(|| action.trigger.kind().as_str().to_owned());
    if body.trigger.is_some() || kind != action.trigger.kind().as_str() {
        let shown = action.trigger.to_json();
        action.trigger = Trigger::parse(&kind, body.trigger.as_ref().unwrap_or(&shown))?;
    }
    if let Some(sent) = &body.action {
        action.analyses = script(sent)?;
    }
    action.rules = action.rules.with(&body.rules())?;
    check_tags(&caller, body.tags.is_some())?;
    if let Some(tags) = body.tags {
        action.tags = Tags::new(tags)?;
    }
    action.name = body.name.unwrap_or(action.name);
    if let Some(text) = body.description {
        action.description = Some(text).filter(|text| !text.is_empty());
    }
    action.active = body.active.unwrap_or(action.active);
    action.lock = body.lock.unwrap_or(action.lock);
    action.trigger_when_unlock = body.trigger_when_unlock.unwrap_or(action.trigger_when_unlock);
    let read_at = action.updated_at;
    // Always later than before, so that it also tells editions apart.
    action.updated_at = now.max(read_at.plus(Duration::from_millis(1)));
    check(&caller, &action).await?;
    let begins = action.trigger != before || action.active != was_active;
    let next_at = begins.then(|| due(&action, now));
    let mut message = "Action Successfully Updated".to_owned();
    if let Some(preview) = action.trigger.preview(action.created_at, now) {
        let next: Vec<_> = preview.next.iter().map(Timestamp::to_string).collect();
        message = format!("{message}; next: {}", next.join(", "));
        message.extend(preview.changes.iter().flat_map(|change| ["; ", change]));
    }
    let entry = Entry::new(&caller.principal, Event::ActionEdit, action.id, &detail(&action));
    let edited = caller.tenant.edit_action(action, read_at, next_at, entry).await;
    edited.map_err(|error| match error {
        store::Error::NotFound => Refusal::new(
            ErrorCode::Conflict,
            "the action was edited by someone else at the same time; read it and try again",
        ),
        other => other.into(),
    })?;
    Ok(Success::ok(message))
}

/// Deletes an action. Its runs stay on record.
#[utoipa::path(delete, path = "/action/{id}", tag = "actions", params(("id" = String, Path)),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>) -> Answer<&'static str> {
    let stored = find(&caller, &id, policy::Action::Delete).await?;
    check_protection(&stored.action.tags)?;
    let (id, detail) = (stored.action.id, json!({"name": stored.action.name}));
    let entry = Entry::new(&caller.principal, Event::ActionDelete, id, &detail);
    caller.tenant.delete_action(id, entry).await.map_err(not_found)?;
    Ok(Success::ok("Action Successfully Deleted"))
}

/// Lists what became of the instants of a schedule or an interval, the latest first.
#[utoipa::path(get, path = "/action/{id}/slots", tag = "actions", params(("id" = String, Path)),
    responses((status = 200, body = Success<Vec<SlotView>>), (status = "4XX", body = Failure)))]
pub async fn slots(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<Vec<SlotView>> {
    let stored = find(&caller, &id, policy::Action::Access).await?;
    query.check_order("instant,desc")?;
    query.filter(&[])?;
    let slots = caller.tenant.slots(stored.action.id, query.page()?).await?;
    let slot = |slot: store::SlotRecord| SlotView {
        analysis: slot.analysis,
        instant: slot.instant,
        last: slot.last,
        instants: slot.instants,
        revision: slot.revision,
        outcome: slot.outcome,
        run: slot.run,
        reason: slot.reason,
    };
    Ok(Success::ok(slots.into_iter().map(slot).collect()))
}

impl ActionBody {
    /// The fields that are rules of starting.
    fn rules(&self) -> Map<String, Value> {
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

const fn is_timed(trigger: &Trigger) -> bool {
    matches!(trigger, Trigger::Schedule(_) | Trigger::Interval(_))
}

/// When a clock starts it next.
fn due(action: &Action, now: Timestamp) -> Option<Timestamp> {
    if !action.active {
        return None;
    }
    action.trigger.next_after(action.created_at, now)
}

/// Tags are policy input: only administrators set them.
fn check_tags(caller: &Caller, sent: bool) -> Result<(), Refusal> {
    if !sent || caller.principal.is_administrator() {
        return Ok(());
    }
    let message = "Authorization Denied: only an administrator may set tags, because policies \
                   select by them";
    Err(Refusal::new(ErrorCode::Denied, message))
}

/// Refuses what cannot work: names, analyses and secrets that are not there, or not the caller's.
async fn check(caller: &Caller, action: &Action) -> Result<(), Refusal> {
    if !is_label(&action.name, MAX_NAME_LENGTH) {
        let message =
            format!("name must have 1 to {MAX_NAME_LENGTH} characters, no control characters");
        return Err(Refusal::invalid(message));
    }
    let long = |text: &String| text.chars().count() > MAX_DESCRIPTION || text.contains('\0');
    if action.description.as_ref().is_some_and(long) {
        let message = format!("description has at most {MAX_DESCRIPTION} characters, no NUL");
        return Err(Refusal::invalid(message));
    }
    for id in &action.analyses {
        let found = caller.tenant.analysis(*id).await.map_err(analysis::not_found)?.analysis;
        let object = Object { id: Some(*id), tags: &found.tags };
        caller.require(ResourceType::Analysis, policy::Action::Run, &object)?;
    }
    let listens = action.active && matches!(action.trigger, Trigger::MqttTopic(_));
    if listens && caller.runner.settings().broker.is_none() {
        let message = "type: there is no MQTT broker to listen to; name one in the setting mqtt_url \
                       and start the server again";
        return Err(Refusal::invalid(message));
    }
    if let Trigger::Webhook(Webhook::Signed(signature)) = &action.trigger {
        if !caller.principal.is_administrator() {
            let message = "Authorization Denied: only an administrator may name a secret in an \
                           action";
            return Err(Refusal::new(ErrorCode::Denied, message));
        }
        match caller.tenant.secret(signature.secret).await {
            Ok(_) => {}
            Err(store::Error::NotFound) => {
                let message = format!("trigger[0].secret: there is no secret {}", signature.secret);
                return Err(Refusal::invalid(message));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn find(caller: &Caller, id: &str, act: policy::Action) -> Result<StoredAction, Refusal> {
    caller.require_lister()?;
    let id = identifier(id, "action")?;
    let stored = caller.tenant.action(id).await.map_err(not_found)?;
    caller.require(RESOURCE, act, &Object { id: Some(id), tags: &stored.action.tags })?;
    Ok(stored)
}

fn view(stored: StoredAction, now: Timestamp) -> ActionView {
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
fn hook(action: &Action) -> Option<String> {
    matches!(action.trigger, Trigger::Webhook(_)).then(|| format!("/hook/{}", action.id))
}

fn detail(action: &Action) -> Value {
    json!({
        "name": action.name,
        "active": action.active,
        "type": action.trigger.kind(),
        "trigger": action.trigger.to_json(),
        "script": action.analyses,
    })
}

fn not_found(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, "Action Not Found"),
        other => other.into(),
    }
}

impl From<InvalidAction> for Refusal {
    fn from(error: InvalidAction) -> Self {
        Self::invalid(error.to_string())
    }
}
