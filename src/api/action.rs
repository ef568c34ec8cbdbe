//! `/action`: what starts analyses by itself, in TagoIO's shapes.

use std::time::Duration;

use serde_json::{Value, json};

use super::action_body::ActionBody;
use super::action_view::{ActionMade, ActionView, SlotView, hook, view};
use super::analysis;
use super::body::Body;
use super::caller::Caller;
use super::listing::{List, MOST};
use super::path::Path;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::{check_protection, identifier, listing};
use crate::action::{Action, InvalidAction, MAX_NAME_LENGTH, Overlap, StartRules, Trigger, script};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::policy::{self, Object, ResourceType};
use crate::store::{self, Column, StoredAction};
use crate::tag::{Tags, is_label};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 2_000;

const RESOURCE: ResourceType = ResourceType::Action;

/// What the list of actions can be asked for.
pub const LIST: List = List {
    filters: &["id", "name", "active", "tags"],
    order: "name,asc",
    columns: &[
        Column::Name,
        Column::Active,
        Column::LastTriggered,
        Column::CreatedAt,
        Column::UpdatedAt,
    ],
    fields: &["id", "name", "active", "type", "tags", "last_triggered"],
    most: MOST,
};

/// What the list of an action's slots can be asked for.
pub const SLOTS: List =
    List { filters: &[], order: "instant,desc", columns: &[], fields: &[], most: MOST };

/// Lists actions.
#[utoipa::path(get, path = "/action", tag = "actions",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_lister_of(RESOURCE)?;
    let (filter, page) = LIST.read(&query)?;
    let may = |stored: &StoredAction| {
        let object = Object { id: Some(stored.action.id), tags: &stored.action.tags };
        caller.may(RESOURCE, policy::Action::Access, &object)
    };
    let found = listing::permitted(&caller, page, may, |page| caller.tenant.actions(&filter, page));
    let now = caller.runner.host().now().await?;
    let rows = found.await?.into_iter().map(|stored| view(stored, now));
    Ok(Success::ok(query.select(rows, LIST.fields)?))
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
    let entry = Entry::new(&caller, Event::ActionCreate, id, &detail(&action));
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
    check_secret(&caller, &stored.action.trigger)?;
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
    let ahead = action.trigger.preview(action.created_at, now).filter(|_| action.active);
    if let Some(preview) = ahead {
        let next: Vec<_> = preview.next.iter().map(Timestamp::to_string).collect();
        message = format!("{message}; next: {}", next.join(", "));
        message.extend(preview.changes.iter().flat_map(|change| ["; ", change]));
    }
    let entry = Entry::new(&caller, Event::ActionEdit, action.id, &detail(&action));
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
    check_secret(&caller, &stored.action.trigger)?;
    check_protection(&stored.action.tags)?;
    let (id, detail) = (stored.action.id, json!({"name": stored.action.name}));
    let entry = Entry::new(&caller, Event::ActionDelete, id, &detail);
    caller.tenant.delete_action(id, entry).await.map_err(not_found)?;
    Ok(Success::ok("Action Successfully Deleted"))
}

/// Lists what became of the instants of a schedule or an interval, the latest first.
#[utoipa::path(get, path = "/action/{id}/slots", tag = "actions", params(("id" = String, Path)),
    responses((status = 200, body = Success<Vec<SlotView>>), (status = "4XX", body = Failure)))]
pub async fn slots(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<Vec<SlotView>> {
    let stored = find(&caller, &id, policy::Action::Access).await?;
    let (_, page) = SLOTS.read(&query)?;
    let slots = caller.tenant.slots(stored.action.id, page).await?;
    Ok(Success::ok(slots.into_iter().map(SlotView::from).collect()))
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
    if !sent || caller.require_administrator().is_ok() {
        return Ok(());
    }
    let message = "Authorization Denied: only an administrator may set tags, because policies \
                   select by them";
    Err(Refusal::new(ErrorCode::Denied, message))
}

/// Refuses topics of which a profile would never hear: the broker is the host's, and of its messages
/// each profile but the first has those whose topic begins with its id.
fn check_topics(caller: &Caller, trigger: &Trigger) -> Result<(), Refusal> {
    let profile = caller.tenant.profile();
    let Trigger::MqttTopic(entries) = trigger else { return Ok(()) };
    let own = format!("{profile}/");
    if caller.runner.is_first(profile) || entries.iter().all(|e| e.topic.starts_with(&own)) {
        return Ok(());
    }
    let message = format!("trigger: topics of this profile begin with {own}, as in {own}sensors/#");
    Err(Refusal::invalid(message))
}

/// What names a secret is the administrator's: to make, to change and to delete.
fn check_secret(caller: &Caller, trigger: &Trigger) -> Result<(), Refusal> {
    if trigger.secret().is_none() || caller.require_administrator().is_ok() {
        return Ok(());
    }
    let message = "Authorization Denied: only an administrator may name a secret in an action, and \
                   change or delete an action that does";
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
    check_topics(caller, &action.trigger)?;
    check_secret(caller, &action.trigger)?;
    if let Some(secret) = action.trigger.secret() {
        match caller.tenant.secret(secret).await {
            Ok(_) => {}
            Err(store::Error::NotFound) => {
                let message = format!("trigger[0].secret: there is no secret {secret}");
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
