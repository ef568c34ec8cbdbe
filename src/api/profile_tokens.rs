//! `/profile/:id/token`: the same tokens as `/tokens`, as the original's clients ask for them.
//!
//! The original's `full`, `write` and `read` are the roles administrator, developer and viewer.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::listing::{List, MOST};
use super::path::Path;
use super::plaintext::ShownOnce;
use super::profile::find;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::tokens::{expires_at, make};
use crate::audit::{Entry, Event};
use crate::auth::Role;
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::store::{self, Column};
use crate::vault::TokenKind;

/// What the list of a profile's tokens can be asked for.
pub const LIST: List = List {
    filters: &["id", "name"],
    order: "created_at,desc",
    columns: &[Column::Name, Column::CreatedAt],
    fields: &["name", "token", "permission", "expire_time", "last_authorization"],
    most: MOST,
};

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileTokenRequest {
    /// 1 to 100 characters.
    name: String,
    /// `full` (administrator), `write` (developer) or `read` (viewer); or say `role`.
    permission: Option<String>,
    /// `administrator`, `developer` or `viewer`.
    role: Option<String>,
    /// `never`, the default, or an ISO 8601 date.
    expire_time: Option<String>,
}

/// A made token, in the open this once.
#[derive(Serialize, ToSchema)]
pub struct ProfileTokenMade {
    #[schema(value_type = String)]
    id: Id,
    #[schema(value_type = String)]
    token: ShownOnce,
    /// `full`, `write` or `read`.
    permission: String,
    #[schema(value_type = String)]
    role: Role,
    /// A date, or `never`.
    expire_date: String,
}

/// What is seen of a token after it was made.
#[derive(Serialize, ToSchema)]
pub struct ProfileTokenView {
    #[schema(value_type = String)]
    id: Id,
    name: String,
    /// Prefix and last four characters.
    token: String,
    /// `full`, `write` or `read`.
    permission: String,
    #[schema(value_type = String)]
    role: Role,
    /// A date, or `never`.
    expire_time: String,
    /// When it was last used: a date, or `never`.
    last_authorization: String,
    created_by: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

impl From<store::Token> for ProfileTokenView {
    fn from(token: store::Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            token: token.hint,
            permission: token.role.permission().into(),
            role: token.role,
            expire_time: or_never(token.expires_at),
            last_authorization: or_never(token.last_used_at),
            created_by: token.created_by,
            created_at: token.created_at,
        }
    }
}

/// Lists the tokens of the caller's profile, the newest first, none of them whole.
#[utoipa::path(get, path = "/profile/{id}/token", tag = "profiles", params(("id" = String, Path)),
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<Vec<Row>> {
    caller.require_administrator()?;
    let (tenant, _) = find(&caller, &id).await?;
    let (filter, page) = LIST.read(&query)?;
    let tokens = tenant.newest_tokens(&filter, page).await?;
    let rows = tokens.into_iter().map(ProfileTokenView::from);
    Ok(Success::ok(query.select(rows, LIST.fields)?))
}

/// Makes a token and shows it, once.
#[utoipa::path(post, path = "/profile/{id}/token", tag = "profiles", params(("id" = String, Path)),
    request_body = ProfileTokenRequest,
    responses((status = 201, body = Success<ProfileTokenMade>), (status = "4XX", body = Failure)))]
pub async fn create(
    caller: Caller,
    Path(id): Path<String>,
    Body(new): Body<ProfileTokenRequest>,
) -> Answer<ProfileTokenMade> {
    caller.require_administrator()?;
    let (tenant, _) = find(&caller, &id).await?;
    let role = match (new.permission.as_deref(), new.role.as_deref()) {
        (Some(word), None) => Role::of_permission(word).ok_or_else(|| {
            Refusal::invalid(format!(
                "there is no permission {word:?}; there are full, write, read"
            ))
        })?,
        (None, Some(word)) => word.parse().map_err(|()| {
            Refusal::invalid(format!("there is no role {word:?}; there are {}", Role::list()))
        })?,
        _ => return Err(Refusal::invalid("say either permission or role")),
    };
    let end = expires_at(new.expire_time.as_deref())?;
    let made = make(&caller, &tenant, new.name, role, end).await?;
    Ok(Success::created(ProfileTokenMade {
        id: made.id,
        token: made.token,
        permission: role.permission().into(),
        role,
        expire_date: or_never(end),
    }))
}

/// Deletes a token, named by its text, as in the original, or by its id.
#[utoipa::path(delete, path = "/profile/{id}/token/{token}", tag = "profiles",
    params(("id" = String, Path), ("token" = String, Path, description = "the token, or its id")),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(
    caller: Caller,
    Path((id, token)): Path<(String, String)>,
) -> Answer<&'static str> {
    caller.require_administrator()?;
    let (tenant, _) = find(&caller, &id).await?;
    let unknown = |error| match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, "Token Not Found"),
        other => other.into(),
    };
    let id = match TokenKind::of(&token) {
        Some(TokenKind::Profile) => {
            let digest = caller.runner.vault().token_digest(&token);
            tenant.token_by_digest(&digest).await.map_err(unknown)?
        }
        _ => token.parse().map_err(|_| unknown(store::Error::NotFound))?,
    };
    let entry = Entry::new(&caller, Event::TokenDelete, id, &json!({}));
    tenant.delete_token(id, entry).await.map_err(unknown)?;
    Ok(Success::ok("Successfully Removed"))
}

fn or_never(date: Option<Timestamp>) -> String {
    date.map_or_else(|| "never".into(), |date| date.to_string())
}
