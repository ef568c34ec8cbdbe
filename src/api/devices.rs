//! `/device`: making, showing, editing and deleting devices.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::device_tokens::mint;
use super::listing::{List, MOST};
use super::path::Path;
use super::plaintext::ShownOnce;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::tags::WireTag;
use super::{check_protection, identifier, listing};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::device::{ChunkPeriod, Details, Device, Permission, Storage, check_name};
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::policy::{Action, Object, ResourceType};
use crate::store::{self, Column};
use crate::tag::{Tag, Tags};

const RESOURCE: ResourceType = ResourceType::Device;

/// The name of a device's first token.
const FIRST_TOKEN: &str = "Default";

/// What the list of devices can be asked for.
pub const LIST: List = List {
    filters: &["id", "name", "active", "tags"],
    order: "name,asc",
    columns: &[
        Column::Name,
        Column::Active,
        Column::LastInput,
        Column::CreatedAt,
        Column::UpdatedAt,
    ],
    fields: &["id", "name"],
    most: MOST,
};

/// What a client sends to make or change a device. An empty text takes one away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceFields {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// True unless told; no data is taken for a device that is not active.
    active: Option<bool>,
    #[schema(value_type = Option<Vec<WireTag>>)]
    tags: Option<Vec<Tag>>,
    description: Option<String>,
    /// The original's id of a network; it is kept and means nothing here.
    network: Option<String>,
    /// The original's id of a connector; it is kept and means nothing here.
    connector: Option<String>,
    /// `mutable`, the default, `immutable` or `legacy`; it is kept and means nothing here.
    #[schema(value_type = Option<String>)]
    #[serde(rename = "type")]
    storage: Option<Storage>,
    visible: Option<bool>,
    serie_number: Option<String>,
    /// `day`, `week`, `month` or `quarter`; it is kept and means nothing here.
    #[schema(value_type = Option<String>)]
    chunk_period: Option<ChunkPeriod>,
    /// 0 to 36; it is kept and means nothing here.
    chunk_retention: Option<u32>,
    /// It is kept and never run.
    payload_decoder: Option<String>,
    /// Devices have no parameters: nothing but an empty list.
    #[schema(value_type = Option<Vec<Object>>)]
    configuration_params: Option<Vec<Value>>,
    // Clients send back what they read; these are not changed so.
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "profile")]
    _profile: Option<Value>,
    #[serde(rename = "bucket")]
    _bucket: Option<Value>,
    #[serde(rename = "last_input")]
    _last_input: Option<Value>,
    #[serde(rename = "created_at")]
    _created_at: Option<Value>,
    #[serde(rename = "updated_at")]
    _updated_at: Option<Value>,
}

/// A made device, with its first token in the open this once.
#[derive(Serialize, ToSchema)]
pub struct DeviceMade {
    #[schema(value_type = String)]
    device_id: Id,
    /// The same id: here a device is its own bucket.
    #[schema(value_type = String)]
    bucket_id: Id,
    #[schema(value_type = String)]
    token: ShownOnce,
}

/// A device as it is answered.
#[derive(Serialize, ToSchema)]
pub struct DeviceView {
    #[schema(value_type = String)]
    id: Id,
    name: String,
    active: bool,
    #[schema(value_type = Vec<WireTag>)]
    tags: Tags,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    details: Details,
    #[schema(value_type = String)]
    profile: Id,
    /// `{id, name}`, as of the device itself.
    #[schema(value_type = Object)]
    bucket: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_input: Option<Timestamp>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

impl DeviceView {
    /// The view of a device of `profile`.
    pub fn new(device: Device, profile: Id) -> Self {
        let Device { id, name, active, tags, details, last_input, created_at, updated_at } = device;
        let bucket = json!({"id": id, "name": name});
        Self {
            id,
            name,
            active,
            tags,
            details,
            profile,
            bucket,
            last_input,
            created_at,
            updated_at,
        }
    }
}

/// Lists devices.
#[utoipa::path(get, path = "/device", tag = "devices",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_lister_of(RESOURCE)?;
    let (filter, page) = LIST.read(&query)?;
    if query.get("serial").is_some() {
        // Not passed over: that would show rows that nobody asked for.
        let message = "devices are not found by `serial`; filter by name or tags";
        return Err(Refusal::new(ErrorCode::NotSupported, message));
    }
    let may = |device: &Device| {
        let object = Object { id: Some(device.id), tags: &device.tags };
        caller.may(RESOURCE, Action::Access, &object)
    };
    let found = listing::permitted(&caller, page, may, |page| caller.tenant.devices(&filter, page));
    let profile = caller.tenant.profile();
    let rows = found.await?.into_iter().map(|device| DeviceView::new(device, profile));
    Ok(Success::ok(query.select(rows, LIST.fields)?))
}

/// Makes a device and shows its first token, once.
#[utoipa::path(post, path = "/device", tag = "devices", request_body = DeviceFields,
    responses((status = 201, body = Success<DeviceMade>), (status = "4XX", body = Failure)))]
pub async fn create(caller: Caller, Body(new): Body<DeviceFields>) -> Answer<DeviceMade> {
    let now = Timestamp::now();
    let mut device = Device {
        id: Id::generate(now),
        name: String::new(),
        active: true,
        tags: Tags::default(),
        details: Details { visible: true, ..Details::default() },
        last_input: None,
        created_at: now,
        updated_at: now,
    };
    if new.name.is_none() {
        return Err(Refusal::invalid("a device needs a name"));
    }
    apply(new, &mut device)?;
    let tags = &device.tags;
    caller.require(RESOURCE, Action::Create, &Object { id: None, tags })?;
    if !tags.as_slice().is_empty() && caller.principal.role().is_some() {
        // Tags are what policies and actions select by.
        caller.require_administrator()?;
    }
    for tag in tags.as_slice() {
        // One permitted tag must not let in others that policies and actions select by.
        let alone = Tags::new(vec![tag.clone()])?;
        caller.require(RESOURCE, Action::Create, &Object { id: None, tags: &alone })?;
    }
    let id = device.id;
    let (text, token) = mint(&caller, id, FIRST_TOKEN.into(), Permission::Full, None);
    let entry = Entry::new(&caller, Event::DeviceCreate, id, &detail(&device));
    caller.tenant.create_device(device, token, entry).await?;
    Ok(Success::created(DeviceMade { device_id: id, bucket_id: id, token: (&text).into() }))
}

/// Shows a device.
#[utoipa::path(get, path = "/device/{id}", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = Success<DeviceView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>) -> Answer<DeviceView> {
    let device = find(&caller, &id, Action::Access).await?;
    Ok(Success::ok(DeviceView::new(device, caller.tenant.profile())))
}

/// Changes a device.
#[utoipa::path(put, path = "/device/{id}", tag = "devices", params(("id" = String, Path)),
    request_body = DeviceFields,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<DeviceFields>,
) -> Answer<&'static str> {
    let mut device = find(&caller, &id, Action::Edit).await?;
    let read_at = device.updated_at;
    if change.tags.is_some() {
        // Tags are what policies and actions select by: an analysis must not move a device.
        caller.require_administrator()?;
    }
    apply(change, &mut device)?;
    // Always later than before, so that it also tells editions apart.
    device.updated_at = Timestamp::now().max(read_at.plus(Duration::from_millis(1)));
    let entry = Entry::new(&caller, Event::DeviceEdit, device.id, &detail(&device));
    caller.tenant.edit_device(device, read_at, entry).await.map_err(|error| match error {
        store::Error::NotFound => Refusal::new(
            ErrorCode::Conflict,
            "the device was edited by someone else at the same time; read it and try again",
        ),
        other => other.into(),
    })?;
    Ok(Success::ok("Successfully Updated"))
}

/// Deletes a device with its tokens and its data.
#[utoipa::path(delete, path = "/device/{id}", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>) -> Answer<&'static str> {
    let device = find(&caller, &id, Action::Delete).await?;
    check_protection(&device.tags)?;
    let detail = json!({"name": device.name});
    let entry = Entry::new(&caller, Event::DeviceDelete, device.id, &detail);
    caller.tenant.delete_device(device.id, entry).await.map_err(not_found)?;
    Ok(Success::ok("Successfully Removed"))
}

/// Refuses the original's parameters of devices.
pub async fn no_parameters(_: Caller) -> Refusal {
    parameters_refused()
}

fn parameters_refused() -> Refusal {
    let message = "devices have no configuration parameters; keep such values in tags, or in \
                   variables of the analysis";
    Refusal::new(ErrorCode::NotSupported, message)
}

/// The device, if the caller may do this to it.
pub async fn find(caller: &Caller, id: &str, action: Action) -> Result<Device, Refusal> {
    caller.require_lister()?;
    let device = caller.tenant.device(identifier(id, "device")?).await.map_err(not_found)?;
    let object = Object { id: Some(device.id), tags: &device.tags };
    caller.require(RESOURCE, action, &object)?;
    Ok(device)
}

/// The refusal for a device that is not there.
pub fn not_found(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, "Device Not Found"),
        other => other.into(),
    }
}

/// Lays what was sent over the device, and checks the whole.
fn apply(sent: DeviceFields, device: &mut Device) -> Result<(), Refusal> {
    if let Some(tags) = sent.tags {
        device.tags = Tags::new(tags)?;
    }
    if sent.configuration_params.is_some_and(|parameters| !parameters.is_empty()) {
        return Err(parameters_refused());
    }
    if let Some(name) = sent.name {
        device.name = name;
    }
    device.active = sent.active.unwrap_or(device.active);
    let details = &mut device.details;
    for (kept, sent) in [
        (&mut details.description, sent.description),
        (&mut details.network, sent.network),
        (&mut details.connector, sent.connector),
        (&mut details.serie_number, sent.serie_number),
        (&mut details.payload_decoder, sent.payload_decoder),
    ] {
        if let Some(text) = sent {
            *kept = (!text.is_empty()).then_some(text);
        }
    }
    details.storage = sent.storage.unwrap_or(details.storage);
    details.visible = sent.visible.unwrap_or(details.visible);
    details.chunk_period = sent.chunk_period.or(details.chunk_period);
    details.chunk_retention = sent.chunk_retention.or(details.chunk_retention);
    check_name(&device.name)?;
    Ok(details.check()?)
}

fn detail(device: &Device) -> Value {
    json!({"name": device.name, "active": device.active, "tags": device.tags})
}
