//! `/am`: policies, in the shapes of TagoIO's Access Management.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::listing::{List, MOST};
use super::path::Path;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::tags::WireTag;
use super::{check_protection, identifier, listing};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::policy::{
    Action, Object, Policy, ResourceType, check_name, parse_permissions, parse_targets,
};
use crate::store::{self, Column};
use crate::tag::{Tag, Tags};

const RESOURCE: ResourceType = ResourceType::AccessManagement;

/// What the list of policies can be asked for.
pub const LIST: List = List {
    filters: &["id", "name", "active", "tags"],
    order: "name,asc",
    columns: &[Column::Name, Column::Active, Column::CreatedAt, Column::UpdatedAt],
    fields: &["id", "name", "tags"],
    most: MOST,
};

/// A policy to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPolicy {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// True unless told.
    active: Option<bool>,
    #[schema(value_type = Vec<WireTag>)]
    #[serde(default)]
    tags: Vec<Tag>,
    /// Which analyses, as in `[["analysis", "id", "…"]]`.
    targets: Value,
    /// What they may, as in
    /// `[{"effect": "allow", "action": ["access"], "resource": ["secrets"]}]`.
    permissions: Value,
}

/// A change of a policy; targets and permissions are replaced as a whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    name: Option<String>,
    active: Option<bool>,
    #[schema(value_type = Option<Vec<WireTag>>)]
    tags: Option<Vec<Tag>>,
    targets: Option<Value>,
    permissions: Option<Value>,
    // Clients send back what they read; these cannot change.
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "profile")]
    _profile: Option<Value>,
    #[serde(rename = "created_at")]
    _created_at: Option<Value>,
    #[serde(rename = "updated_at")]
    _updated_at: Option<Value>,
}

/// A policy as it is answered.
#[derive(Serialize, ToSchema)]
pub struct PolicyView {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    policy: Policy,
    #[schema(value_type = String)]
    profile: Id,
}

/// A made policy.
#[derive(Serialize, ToSchema)]
pub struct PolicyMade {
    #[schema(value_type = String)]
    am_id: Id,
}

/// Lists policies, without targets and permissions.
#[utoipa::path(get, path = "/am", tag = "access management",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_lister_of(RESOURCE)?;
    let (filter, page) = LIST.read(&query)?;
    let may = |policy: &Policy| {
        let object = Object { id: Some(policy.id), tags: &policy.tags };
        caller.may(RESOURCE, Action::Access, &object)
    };
    let found =
        listing::permitted(&caller, page, may, |page| caller.tenant.policies(&filter, page));
    let profile = caller.tenant.profile();
    let rows = found.await?.into_iter().map(|policy| PolicyView { policy, profile });
    let mut rows = query.select(rows, LIST.fields)?;
    for row in &mut rows {
        row.remove("targets");
        row.remove("permissions");
    }
    Ok(Success::ok(rows))
}

/// Makes a policy.
#[utoipa::path(post, path = "/am", tag = "access management", request_body = NewPolicy,
    responses((status = 201, body = Success<PolicyMade>), (status = "4XX", body = Failure)))]
pub async fn create(caller: Caller, Body(new): Body<NewPolicy>) -> Answer<PolicyMade> {
    let tags = Tags::new(new.tags)?;
    caller.require(RESOURCE, Action::Create, &Object { id: None, tags: &tags })?;
    check_name(&new.name)?;
    let now = Timestamp::now();
    let policy = Policy {
        id: Id::generate(now),
        name: new.name,
        active: new.active.unwrap_or(true),
        tags,
        targets: parse_targets(&new.targets)?,
        permissions: parse_permissions(&new.permissions)?,
        created_at: now,
        updated_at: now,
    };
    let am_id = policy.id;
    let entry = Entry::new(&caller, Event::PolicyCreate, am_id, &detail(&policy));
    caller.tenant.create_policy(policy, entry).await?;
    Ok(Success::created(PolicyMade { am_id }))
}

/// Shows a policy.
#[utoipa::path(get, path = "/am/{id}", tag = "access management", params(("id" = String, Path)),
    responses((status = 200, body = Success<PolicyView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>) -> Answer<PolicyView> {
    let policy = find(&caller, &id, Action::Access).await?;
    Ok(Success::ok(PolicyView { policy, profile: caller.tenant.profile() }))
}

/// Changes a policy.
#[utoipa::path(put, path = "/am/{id}", tag = "access management", params(("id" = String, Path)),
    request_body = PolicyChange,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<PolicyChange>,
) -> Answer<&'static str> {
    let mut policy = find(&caller, &id, Action::Edit).await?;
    let read_at = policy.updated_at;
    if let Some(name) = change.name {
        check_name(&name)?;
        policy.name = name;
    }
    if let Some(tags) = change.tags {
        policy.tags = Tags::new(tags)?;
        let object = Object { id: Some(policy.id), tags: &policy.tags };
        caller.require(RESOURCE, Action::Edit, &object)?;
    }
    if let Some(targets) = change.targets {
        policy.targets = parse_targets(&targets)?;
    }
    if let Some(permissions) = change.permissions {
        policy.permissions = parse_permissions(&permissions)?;
    }
    policy.active = change.active.unwrap_or(policy.active);
    // Always later than before, so that it also tells editions apart.
    policy.updated_at = Timestamp::now().max(read_at.plus(Duration::from_millis(1)));
    let entry = Entry::new(&caller, Event::PolicyEdit, policy.id, &detail(&policy));
    caller.tenant.edit_policy(policy, read_at, entry).await.map_err(|error| match error {
        store::Error::NotFound => Refusal::new(
            ErrorCode::Conflict,
            "the policy was edited by someone else at the same time; read it and try again",
        ),
        other => other.into(),
    })?;
    Ok(Success::ok("Access Management Successfully Updated"))
}

/// Deletes a policy.
#[utoipa::path(delete, path = "/am/{id}", tag = "access management",
    params(("id" = String, Path)),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>) -> Answer<&'static str> {
    let policy = find(&caller, &id, Action::Delete).await?;
    check_protection(&policy.tags)?;
    let detail = json!({"name": policy.name});
    let entry = Entry::new(&caller, Event::PolicyDelete, policy.id, &detail);
    caller.tenant.delete_policy(policy.id, entry).await.map_err(not_found)?;
    Ok(Success::ok("Access Management Successfully Deleted"))
}

/// The policy, if the caller may do this to it.
pub async fn find(caller: &Caller, id: &str, action: Action) -> Result<Policy, Refusal> {
    caller.require_lister()?;
    let id = identifier(id, "policy")?;
    let policy = caller.tenant.policy(id).await.map_err(not_found)?;
    let object = Object { id: Some(policy.id), tags: &policy.tags };
    caller.require(RESOURCE, action, &object)?;
    Ok(policy)
}

fn detail(policy: &Policy) -> Value {
    let Policy { name, active, targets, permissions, .. } = policy;
    json!({"name": name, "active": active, "targets": targets, "permissions": permissions})
}

fn not_found(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, "Access Management Not Found"),
        other => other.into(),
    }
}
