//! `/device/token`: tokens of devices, each shown once.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::devices::find;
use super::listing::{List, MOST};
use super::path::Path;
use super::plaintext::ShownOnce;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::tokens::expires_at;
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::device::{Permission, check_name};
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::policy::Action;
use crate::store::{self, DeviceToken, NewDeviceToken, TokenOwner};
use crate::vault::{Token, TokenKind};

/// What the list of a device's tokens can be asked for.
pub const LIST: List = List {
    filters: &[],
    order: "created_at,desc",
    columns: &[],
    fields: &["name", "token", "device_id", "permission", "expire_time", "created_at"],
    most: MOST,
};

/// A token to be made for a device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceTokenRequest {
    /// The device's id.
    #[schema(value_type = String)]
    device: Id,
    /// 1 to 100 characters, unique for the device.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `full`, `read` or `write`.
    #[schema(value_type = String)]
    permission: Permission,
    /// `never`, the default, or an ISO 8601 date.
    expire_time: Option<String>,
}

/// A made token, in the open this once.
#[derive(Serialize, ToSchema)]
pub struct DeviceTokenMade {
    #[schema(value_type = String)]
    token: ShownOnce,
    #[schema(value_type = String)]
    permission: Permission,
    /// A date, or `never`.
    expire_date: String,
}

/// What is seen of a device's token after it was made.
#[derive(Serialize, ToSchema)]
pub struct DeviceTokenView {
    name: String,
    /// Prefix and last four characters.
    token: String,
    #[schema(value_type = String)]
    device_id: Id,
    #[schema(value_type = String)]
    permission: Permission,
    /// A date, or `never`.
    expire_time: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

impl From<DeviceToken> for DeviceTokenView {
    fn from(token: DeviceToken) -> Self {
        let DeviceToken { device, name, permission, hint, created_at, expires_at } = token;
        let expire_time = shown(expires_at);
        Self { name, token: hint, device_id: device, permission, expire_time, created_at }
    }
}

/// Lists the tokens of a device, the newest first, none of them whole.
#[utoipa::path(get, path = "/device/token/{id}", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<Vec<Row>> {
    let device = find(&caller, &id, Action::TokenAccess).await?;
    let (_, page) = LIST.read(&query)?;
    let tokens = caller.tenant.device_tokens(device.id, page).await?;
    let rows = tokens.into_iter().map(DeviceTokenView::from);
    Ok(Success::ok(query.select(rows, LIST.fields)?))
}

/// Makes a token for a device and shows it, once.
#[utoipa::path(post, path = "/device/token", tag = "devices", request_body = DeviceTokenRequest,
    responses((status = 201, body = Success<DeviceTokenMade>), (status = "4XX", body = Failure)))]
pub async fn create(
    caller: Caller,
    Body(new): Body<DeviceTokenRequest>,
) -> Answer<DeviceTokenMade> {
    let device = find(&caller, &new.device.to_string(), Action::TokenAccess).await?.id;
    check_name(&new.name)?;
    let expires_at = expires_at(new.expire_time.as_deref())?;
    let name = new.name.clone();
    let (text, token) = mint(&caller, device, new.name, new.permission, expires_at);
    let detail = json!({
        "made": name, "permission": new.permission, "hint": token.token.hint,
    });
    let entry = Entry::new(&caller, Event::DeviceToken, device, &detail);
    let made = caller.tenant.create_device_token(token, entry).await;
    made.map_err(|error| match error {
        store::Error::Exists => Refusal::new(
            ErrorCode::AlreadyExists,
            format!("the device has a token named {name:?}; delete it, or choose another name"),
        ),
        other => super::devices::not_found(other),
    })?;
    let (permission, expire_date) = (new.permission, shown(expires_at));
    Ok(Success::created(DeviceTokenMade { token: (&text).into(), permission, expire_date }))
}

/// Deletes a token of a device; it opens nothing from then on. It is named by its text, as in the
/// original, or by its name and the device.
#[utoipa::path(delete, path = "/device/token/{id}", tag = "devices",
    params(("id" = String, Path, description = "the token, or its name"),
        ("device" = Option<String>, Query, description = "the device's id, with a name")),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<&'static str> {
    caller.require_lister()?;
    let missing = match query.get("device") {
        Some(_) => "the device has no token of this name",
        None => {
            "there is no such token of a device; name it by its text, or by its name with \
             ?device=ID"
        }
    };
    let unknown = |error| match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, missing),
        other => other.into(),
    };
    let (device, name) = match query.get("device") {
        Some(device) => (device.to_owned(), id),
        None if TokenKind::of(&id) == Some(TokenKind::Device) => {
            let digest = caller.runner.vault().token_digest(&id);
            let token = caller.tenant.device_token_by_digest(&digest).await.map_err(unknown)?;
            (token.device.to_string(), token.name)
        }
        None => return Err(unknown(store::Error::NotFound)),
    };
    let device = find(&caller, &device, Action::TokenAccess).await?.id;
    let detail = json!({"deleted": name});
    let entry = Entry::new(&caller, Event::DeviceToken, device, &detail);
    caller.tenant.delete_device_token(device, name, entry).await.map_err(unknown)?;
    Ok(Success::ok("Successfully Removed"))
}

/// A new token of a device: its text, and what the store keeps of it.
pub fn mint(
    caller: &Caller,
    device: Id,
    name: String,
    permission: Permission,
    expires_at: Option<Timestamp>,
) -> (Token, NewDeviceToken) {
    let text = Token::generate(TokenKind::Device);
    let (vault, profile) = (caller.runner.vault(), caller.tenant.profile());
    let digest = vault.token_digest(text.as_str());
    let owner = TokenOwner::Device { device, profile, permission, expires_at };
    let bound = vault.sign_owner(owner.statement(&digest).as_bytes());
    let (hint, created_at) = (text.hint(), Timestamp::now());
    let token = DeviceToken { device, name, permission, hint, created_at, expires_at };
    (text, NewDeviceToken { token, digest, bound })
}

fn shown(end: Option<Timestamp>) -> String {
    end.map_or_else(|| "never".into(), |end| end.to_string())
}
