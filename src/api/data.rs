//! `/data` and `/device/:id/data`: what devices send, and the last of it.

use std::ops::RangeInclusive;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body;
use super::caller::Caller;
use super::devices::{find, not_found};
use super::path::Path;
use super::query::Query;
use super::reply::{Answer, Failure, Refusal, Success};
use crate::auth::Principal;
use crate::device::{Device, Draft, Permission, Record, records};
use crate::fault::ErrorCode;
use crate::policy::Action;

/// How many records are answered where no variable is named, as in the original.
const USUAL_AMOUNT: usize = 15;

/// How many records can be asked for.
const AMOUNTS: RangeInclusive<usize> = 1..=1_000;

/// One record as it is sent; a list of them is taken too.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRecord {
    /// 1 to 100 characters.
    variable: String,
    /// A string, a number or a boolean.
    value: Option<Value>,
    unit: Option<String>,
    /// What belongs together; the records of one request unless told.
    group: Option<String>,
    /// The older name of `group`.
    serie: Option<String>,
    /// ISO 8601; the present unless told.
    time: Option<String>,
    /// `{"lat": …, "lng": …}` or a GeoJSON point.
    #[schema(value_type = Option<Object>)]
    location: Option<Value>,
    /// Any object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    // Clients send on what they read; these are given anew.
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "device")]
    _device: Option<Value>,
    #[serde(rename = "created_at")]
    _created_at: Option<Value>,
}

/// The records of a request: one object or a list.
pub struct Posted(Vec<Draft>);

impl<S: Sync> FromRequest<S> for Posted {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/")) {
            let message = "raw payloads are not supported: no payload parser is run; send JSON \
                           with content-type application/json, as {\"variable\": …, \"value\": …}";
            return Err(Refusal::new(ErrorCode::NotSupported, message));
        }
        let bytes = body::read_usual(request).await?;
        let sent = body::parse_items::<NewRecord>(&bytes)?.into_iter();
        let drafts = sent.enumerate().map(|(at, sent)| sent.draft(at));
        drafts.collect::<Result<_, _>>().map(Self)
    }
}

impl NewRecord {
    fn draft(self, at: usize) -> Result<Draft, Refusal> {
        let Self { variable, value, unit, group, serie, time, location, metadata, .. } = self;
        if group.is_some() && serie.is_some() && group != serie {
            let message = format!("record {at}: group and serie differ; send group alone");
            return Err(Refusal::invalid(message));
        }
        let group = group.or(serie);
        Ok(Draft { variable, value, unit, group, time, location, metadata })
    }
}

/// Takes data with the token of a device.
#[utoipa::path(post, path = "/data", tag = "devices", request_body = NewRecord,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn send(caller: Caller, posted: Posted) -> Answer<String> {
    let device = own(&caller, Permission::writes, "sending needs `write` or `full`").await?;
    take(&caller, &device, posted).await
}

/// Answers the last records with the token of a device.
#[utoipa::path(get, path = "/data", tag = "devices",
    params(("query" = String, Query, description = "last_value or last_item"),
        ("variables" = Option<Vec<String>>, Query, description = "all unless told"),
        ("qty" = Option<u32>, Query, description = "1 to 1000")),
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn read(caller: Caller, query: Query) -> Answer<Vec<Record>> {
    let device = own(&caller, Permission::reads, "reading needs `read` or `full`").await?;
    answer(&caller, &device, &query).await
}

/// Takes data for a device.
#[utoipa::path(post, path = "/device/{id}/data", tag = "devices", params(("id" = String, Path)),
    request_body = NewRecord,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn send_to(caller: Caller, Path(id): Path<String>, posted: Posted) -> Answer<String> {
    let device = find(&caller, &id, Action::SendData).await?;
    take(&caller, &device, posted).await
}

/// Answers the last records of a device.
#[utoipa::path(get, path = "/device/{id}/data", tag = "devices",
    params(("id" = String, Path),
        ("query" = String, Query, description = "last_value or last_item"),
        ("variables" = Option<Vec<String>>, Query, description = "all unless told"),
        ("qty" = Option<u32>, Query, description = "1 to 1000")),
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn read_of(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<Vec<Record>> {
    let device = find(&caller, &id, Action::GetData).await?;
    answer(&caller, &device, &query).await
}

/// Refuses what the original does with stored data beside.
pub async fn unsupported(_: Caller) -> Refusal {
    not_stored("this is not supported")
}

/// The device whose token the caller has, if the token permits this.
async fn own(
    caller: &Caller,
    permitted: fn(Permission) -> bool,
    needed: &str,
) -> Result<Device, Refusal> {
    let Principal::Device { id, permission } = caller.principal else {
        let message = "Authorization Denied: this needs the token of a device; administrators and \
                       analyses use /device/:id/data";
        return Err(Refusal::new(ErrorCode::Denied, message));
    };
    if !permitted(permission) {
        let message = format!(
            "Authorization Denied: the permission of this token is `{}`; {needed}",
            permission.as_str()
        );
        return Err(Refusal::new(ErrorCode::Denied, message));
    }
    caller.tenant.device(id).await.map_err(not_found)
}

async fn take(caller: &Caller, device: &Device, Posted(drafts): Posted) -> Answer<String> {
    if !device.active {
        let message = "the device is switched off; switch it on to send data";
        return Err(Refusal::new(ErrorCode::InactiveDevice, message));
    }
    let now = caller.runner.host().now().await?;
    let records = records(drafts, device.id, now)?;
    caller.runner.post_data(&caller.tenant, device.id, &records, now, caller.chain()).await?;
    Ok(Success::ok(format!("{} Data Added", records.len())))
}

async fn answer(caller: &Caller, device: &Device, query: &Query) -> Answer<Vec<Record>> {
    if let Some(name) = query.other_than(&["query", "variables", "qty"]) {
        return Err(not_stored(&format!("the parameter {name:.40} is not supported")));
    }
    let with_value = match query.get("query") {
        Some("last_value") => true,
        Some("last_item") => false,
        Some(other) => return Err(not_stored(&format!("query={other:.40} is not supported"))),
        None => return Err(not_stored("reading without `query` is not supported")),
    };
    let variables = query.all("variables");
    let usual = if variables.is_empty() { USUAL_AMOUNT } else { *AMOUNTS.end() };
    let most = match query.get("qty") {
        None => usual,
        Some(text) => text.parse().ok().filter(|most| AMOUNTS.contains(most)).ok_or_else(|| {
            let (least, most) = (AMOUNTS.start(), AMOUNTS.end());
            Refusal::invalid(format!("qty is {text:?}; it must be from {least} to {most}"))
        })?,
    };
    if variables.len() > *AMOUNTS.end() {
        let message = format!("at most {} variables are asked for at once", AMOUNTS.end());
        return Err(Refusal::invalid(message));
    }
    let (runner, tenant) = (&caller.runner, &caller.tenant);
    let records = runner.last_records(tenant, device.id, &variables, with_value, most).await?;
    Ok(Success::ok(records))
}

fn not_stored(what: &str) -> Refusal {
    let message = format!(
        "{what}: of each variable only the last record is kept; read it with query=last_value or \
         query=last_item, and with variables and qty"
    );
    Refusal::new(ErrorCode::NotSupported, message)
}
