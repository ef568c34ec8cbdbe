//! `/tokens`: tokens of people and services, each shown once.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::identifier;
use super::listing::{List, MOST};
use super::path::Path;
use super::plaintext::ShownOnce;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use crate::audit::{Entry, Event};
use crate::auth::Role;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::store::{self, Column, NewToken, Tenant, TokenOwner};
use crate::tag::is_label;
use crate::vault::{self, TokenKind};

/// The longest name, in characters.
const MAX_NAME_LENGTH: usize = 100;

/// What the list of tokens can be asked for.
pub const LIST: List = List {
    filters: &["id", "name"],
    order: "name,asc",
    columns: &[Column::Name, Column::CreatedAt],
    fields: &["name", "role", "hint", "created_by", "created_at", "expires_at", "last_used_at"],
    most: MOST,
};

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `administrator`, `developer` or `viewer`.
    role: String,
    /// `never`, the default, or an ISO 8601 date.
    expire_time: Option<String>,
}

/// Another name for a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenChange {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

/// What is seen of a token after it was made.
#[derive(Serialize, ToSchema)]
pub struct TokenView {
    #[schema(value_type = String)]
    id: Id,
    name: String,
    #[schema(value_type = String)]
    role: Role,
    /// Prefix and last four characters.
    hint: String,
    created_by: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_used_at: Option<Timestamp>,
}

impl From<store::Token> for TokenView {
    fn from(token: store::Token) -> Self {
        let store::Token { id, name, role, hint, created_by, created_at, expires_at, last_used_at } =
            token;
        Self { id, name, role, hint, created_by, created_at, expires_at, last_used_at }
    }
}

/// A made token, in the open this once.
#[derive(Serialize, ToSchema)]
pub struct TokenMade {
    #[schema(value_type = String)]
    pub(super) id: Id,
    #[schema(value_type = String)]
    pub(super) token: ShownOnce,
}

/// Lists tokens.
#[utoipa::path(get, path = "/tokens", tag = "tokens",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_administrator()?;
    let (filter, page) = LIST.read(&query)?;
    let tokens = caller.tenant.tokens(&filter, page).await?;
    Ok(Success::ok(query.select(tokens.into_iter().map(TokenView::from), LIST.fields)?))
}

/// Makes a token and shows it, once.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = TokenRequest,
    responses((status = 201, body = Success<TokenMade>), (status = "4XX", body = Failure)))]
pub async fn create(caller: Caller, Body(new): Body<TokenRequest>) -> Answer<TokenMade> {
    caller.require_administrator()?;
    let role = role(&new.role)?;
    let expires_at = expires_at(new.expire_time.as_deref())?;
    Ok(Success::created(make(&caller, &caller.tenant, new.name, role, expires_at).await?))
}

/// Makes a token for a profile.
pub async fn make(
    caller: &Caller,
    tenant: &Tenant,
    name: String,
    role: Role,
    expires_at: Option<Timestamp>,
) -> Result<TokenMade, Refusal> {
    check_name(&name)?;
    let now = Timestamp::now();
    let text = vault::Token::generate(TokenKind::Profile);
    let token = store::Token {
        id: Id::generate(now),
        name,
        role,
        hint: text.hint(),
        created_by: caller.to_string(),
        created_at: now,
        expires_at,
        last_used_at: None,
    };
    let id = token.id;
    let detail = json!({"name": token.name, "role": role, "hint": token.hint});
    let entry = Entry::new(caller, Event::TokenCreate, id, &detail);
    let (vault, profile) = (caller.runner.vault(), tenant.profile());
    let digest = vault.token_digest(text.as_str());
    let owner = TokenOwner::Token { id, role, profile, expires_at };
    let bound = vault.sign_owner(owner.statement(&digest).as_bytes());
    tenant.create_token(NewToken { token, digest, bound }, entry).await?;
    Ok(TokenMade { id, token: (&text).into() })
}

/// Shows what is known about a token.
#[utoipa::path(get, path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    responses((status = 200, body = Success<TokenView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>) -> Answer<TokenView> {
    caller.require_administrator()?;
    Ok(Success::ok(caller.tenant.token(identifier(&id, "token")?).await?.into()))
}

/// Renames a token.
#[utoipa::path(put, path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    request_body = TokenChange,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<TokenChange>,
) -> Answer<&'static str> {
    caller.require_administrator()?;
    check_name(&change.name)?;
    let id = identifier(&id, "token")?;
    let detail = json!({"name": change.name});
    let entry = Entry::new(&caller, Event::TokenEdit, id, &detail);
    caller.tenant.rename_token(id, change.name, entry).await?;
    Ok(Success::ok("Successfully Updated"))
}

/// Deletes a token; it opens nothing from then on.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>) -> Answer<&'static str> {
    caller.require_administrator()?;
    let id = identifier(&id, "token")?;
    let entry = Entry::new(&caller, Event::TokenDelete, id, &json!({}));
    caller.tenant.delete_token(id, entry).await?;
    Ok(Success::ok("Successfully Removed"))
}

/// Reads the word for a role.
pub fn role(word: &str) -> Result<Role, Refusal> {
    word.parse().map_err(|()| {
        Refusal::invalid(format!("there is no role {word:?}; there are {}", Role::list()))
    })
}

/// Refuses a name of a token or a user that cannot be read or typed.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    if is_label(name, MAX_NAME_LENGTH) {
        return Ok(());
    }
    let message = format!("a name has 1 to {MAX_NAME_LENGTH} characters, no control characters");
    Err(Refusal::invalid(message))
}

/// The end of a token: none for `never`, and where nothing is said.
pub fn expires_at(text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text.filter(|text| *text != "never") else { return Ok(None) };
    let expiry: Timestamp = text.parse().map_err(|_| {
        let message = format!(
            "expire_time is {text:?}; write `never` or a date such as 2027-01-31T08:00:00Z"
        );
        Refusal::invalid(message)
    })?;
    if expiry <= Timestamp::now() {
        return Err(Refusal::invalid(format!("expire_time is {text}, which has passed")));
    }
    Ok(Some(expiry))
}
