//! `/users`: people who sign in to the admin panel with a name and a password.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::listing::{List, MOST};
use super::path::Path;
use super::plaintext::Sent;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::{identifier, tokens};
use crate::audit::{Entry, Event};
use crate::auth::{Password, Role, check_password};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::store::{self, Column, StoredUser, User};

/// What the list of users can be asked for.
pub const LIST: List = List {
    filters: &["id", "name"],
    order: "name,asc",
    columns: &[Column::Name, Column::CreatedAt, Column::UpdatedAt],
    fields: &["name", "role", "created_by", "created_at", "updated_at", "signed_in_at"],
    most: MOST,
};

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// What they sign in with: 1 to 100 characters, unique on the whole server.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `administrator`, `developer` or `viewer`.
    role: String,
    /// 12 to 200 characters. It is hashed at once and never answered.
    #[schema(value_type = String, min_length = 12, max_length = 200)]
    password: Sent,
}

/// A change of a user. Any change ends their sessions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// `administrator`, `developer` or `viewer`.
    role: Option<String>,
    /// Another password.
    #[schema(value_type = Option<String>, min_length = 12, max_length = 200)]
    password: Option<Sent>,
}

/// What is seen of a user.
#[derive(Serialize, ToSchema)]
pub struct UserView {
    #[schema(value_type = String)]
    id: Id,
    name: String,
    #[schema(value_type = String)]
    role: Role,
    created_by: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = String)]
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    signed_in_at: Option<Timestamp>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let User { id, name, role, created_by, created_at, updated_at, signed_in_at } = user;
        Self { id, name, role, created_by, created_at, updated_at, signed_in_at }
    }
}

/// A made user.
#[derive(Serialize, ToSchema)]
pub struct UserMade {
    #[schema(value_type = String)]
    id: Id,
}

/// Lists users.
#[utoipa::path(get, path = "/users", tag = "users",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_administrator()?;
    let (filter, page) = LIST.read(&query)?;
    let users = caller.tenant.users(&filter, page).await?;
    Ok(Success::ok(query.select(users.into_iter().map(UserView::from), LIST.fields)?))
}

/// Makes a user.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = Success<UserMade>), (status = "4XX", body = Failure)))]
pub async fn create(caller: Caller, Body(new): Body<NewUser>) -> Answer<UserMade> {
    caller.require_administrator()?;
    tokens::check_name(&new.name)?;
    let role = tokens::role(&new.role)?;
    let password = hash(&new.password).await?;
    let now = Timestamp::now();
    let user = User {
        id: Id::generate(now),
        name: new.name,
        role,
        created_by: caller.to_string(),
        created_at: now,
        updated_at: now,
        signed_in_at: None,
    };
    let id = user.id;
    let entry =
        Entry::new(&caller, Event::UserCreate, id, &json!({"name": user.name, "role": role}));
    let stored = signed(&caller, user, password);
    caller.tenant.create_user(stored, entry).await.map_err(taken)?;
    Ok(Success::created(UserMade { id }))
}

/// Shows a user.
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = Success<UserView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>) -> Answer<UserView> {
    caller.require_administrator()?;
    Ok(Success::ok(caller.tenant.user(identifier(&id, "user")?).await?.into()))
}

/// Changes a user, and ends their sessions.
#[utoipa::path(put, path = "/users/{id}", tag = "users", params(("id" = String, Path)),
    request_body = UserChange,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<UserChange>,
) -> Answer<&'static str> {
    caller.require_administrator()?;
    let kept = caller.tenant.stored_user(identifier(&id, "user")?).await?;
    if change.password.is_none()
        && !caller.runner.vault().verify_owner(kept.statement().as_bytes(), &kept.bound)
    {
        let message = "the user's row was changed outside of the runner; set the password as well";
        return Err(Refusal::new(ErrorCode::Conflict, message));
    }
    let StoredUser { mut user, mut password, .. } = kept;
    if let Some(name) = change.name {
        tokens::check_name(&name)?;
        user.name = name;
    }
    if let Some(role) = change.role {
        user.role = tokens::role(&role)?;
    }
    let detail = json!({
        "name": user.name, "role": user.role, "password": change.password.is_some(),
    });
    if let Some(text) = change.password {
        password = hash(&text).await?;
    }
    user.updated_at = Timestamp::now();
    let entry = Entry::new(&caller, Event::UserEdit, user.id, &detail);
    let stored = signed(&caller, user, password);
    caller.tenant.edit_user(stored, entry).await.map_err(taken)?;
    Ok(Success::ok("Successfully Updated"))
}

/// Deletes a user, and ends their sessions.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>) -> Answer<&'static str> {
    caller.require_administrator()?;
    let id = identifier(&id, "user")?;
    let entry = Entry::new(&caller, Event::UserDelete, id, &json!({}));
    caller.tenant.delete_user(id, entry).await?;
    Ok(Success::ok("Successfully Removed"))
}

async fn hash(text: &Sent) -> Result<Password, Refusal> {
    check_password(text).map_err(|error| Refusal::invalid(error.to_string()))?;
    let hashed = Password::of(text.clone_wiping()).await;
    hashed.ok_or_else(|| Refusal::new(ErrorCode::Unavailable, "the runner is stopping"))
}

fn signed(caller: &Caller, user: User, password: Password) -> StoredUser {
    let profile = caller.tenant.profile();
    let mut stored = StoredUser { profile, user, password, bound: Vec::new() };
    let signature = caller.runner.vault().sign_owner(stored.statement().as_bytes());
    stored.bound = signature.to_vec();
    stored
}

fn taken(error: store::Error) -> Refusal {
    match error {
        store::Error::Exists => Refusal::new(
            ErrorCode::AlreadyExists,
            "a user of this name exists on this server; choose another name",
        ),
        other => other.into(),
    }
}
