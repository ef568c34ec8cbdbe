//! `/secrets`: values go in and never come out.

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
use super::tags::WireTag;
use super::{identifier, listing};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::environment::redactor;
use crate::fault::ErrorCode;
use crate::host::HostPattern;
use crate::id::Id;
use crate::policy::{Action, Object, ResourceType};
use crate::store::{self, Column, SecretEdit, StoredSecret};
use crate::tag::{Tag, Tags};
use crate::vault::{self, Algorithm, Exposure, Scratch, Secret, Uses};

const RESOURCE: ResourceType = ResourceType::Secrets;

/// What the list of secrets can be asked for.
pub const LIST: List = List {
    filters: &["id", "key", "tags"],
    order: "key,asc",
    columns: &[Column::Key, Column::CreatedAt, Column::UpdatedAt],
    fields: &["id", "key"],
    most: MOST,
};

/// A secret to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// `[A-Za-z][A-Za-z0-9_]*`, 1 to 128 characters, unique in the profile.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z][A-Za-z0-9_]*$")]
    key: String,
    /// The value. It is sealed at once and never answered.
    #[schema(value_type = String, min_length = 1)]
    value: Sent,
    /// At least one.
    #[schema(value_type = Vec<WireTag>, min_items = 1, max_items = 30)]
    #[serde(default)]
    tags: Vec<Tag>,
    /// `environment`, the default: an analysis that it is granted to reads the value. `egress`: it
    /// gets a placeholder, and the value goes only into requests to the hosts.
    #[schema(value_type = Option<String>)]
    exposure: Option<Exposure>,
    /// Of an egress secret: the hosts that the value may be sent to, at least one. As in policies:
    /// `api.example.com`, `*.example.com`, with `:port` behind and `http://` before.
    hosts: Option<Vec<String>>,
    /// Of an egress secret: where in a request it may stand, `header:authorization` unless told.
    /// `header:NAME`, `header:authorization:basic`, `query:NAME`, `path:/template/{value}/*`,
    /// `form:NAME`, `json:/POINTER`.
    places: Option<Vec<String>>,
    /// How it may sign: `hmac-sha256`, `hmac-sha384`, `hmac-sha512`.
    #[schema(value_type = Option<Vec<String>>)]
    algorithms: Option<Vec<Algorithm>>,
}

/// What was sent about the uses of a secret. Only administrators say so.
struct UsesSent {
    hosts: Option<Vec<String>>,
    places: Option<Vec<String>>,
    algorithms: Option<Vec<Algorithm>>,
}

impl UsesSent {
    fn is_empty(&self) -> bool {
        self.hosts.is_none() && self.places.is_none() && self.algorithms.is_none()
    }

    /// The uses from now on: what was sent, and for the rest what there was.
    fn over(self, caller: &Caller, exposure: Exposure, kept: &Uses) -> Result<Uses, Refusal> {
        let invalid = |error: &dyn std::fmt::Display| {
            Refusal::new(ErrorCode::InvalidRequest, error.to_string())
        };
        let host = |text: String| {
            let read = text.parse::<HostPattern>();
            read.map_err(|error| invalid(&format!("the host {text:?} is refused: {error}")))
        };
        let hosts: Vec<HostPattern> = match self.hosts {
            Some(hosts) => hosts.into_iter().map(host).collect::<Result<_, _>>()?,
            None => kept.hosts().to_vec(),
        };
        let plain_http = caller.runner.settings().outbound.egress_over_plain_http;
        if let Some(host) = hosts.iter().find(|host| host.is_plain() && !plain_http) {
            return Err(invalid(&format_args!(
                "the host {host} is refused: secrets go over TLS only, unless the host's \
                 administrator sets outbound_egress_over_plain_http"
            )));
        }
        let place = |text: String| text.parse().map_err(|error| invalid(&error));
        let places = match self.places {
            Some(places) => places.into_iter().map(place).collect::<Result<_, _>>()?,
            None => kept.places().to_vec(),
        };
        let algorithms = self.algorithms.unwrap_or_else(|| kept.algorithms().to_vec());
        Uses::new(exposure, hosts, places, algorithms).map_err(|error| invalid(&error))
    }
}

/// A change of a secret; the key is not among what can change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretChange {
    /// Another value.
    #[schema(value_type = Option<String>)]
    value: Option<Sent>,
    /// All tags from now on, at least one.
    #[schema(value_type = Option<Vec<WireTag>>)]
    tags: Option<Vec<Tag>>,
    /// It cannot change. It is said only with all else, to restore a secret whose row was changed
    /// outside of the runner.
    #[schema(value_type = Option<String>)]
    exposure: Option<Exposure>,
    /// All hosts from now on, of an egress secret.
    hosts: Option<Vec<String>>,
    /// All places from now on, of an egress secret.
    places: Option<Vec<String>>,
    /// All algorithms from now on.
    #[schema(value_type = Option<Vec<String>>)]
    algorithms: Option<Vec<Algorithm>>,
}

/// What anybody ever sees of a secret.
#[derive(Serialize, ToSchema)]
pub struct SecretView {
    #[schema(value_type = String)]
    id: Id,
    key: String,
    #[schema(value_type = Vec<WireTag>)]
    tags: Tags,
    /// In Unicode characters.
    value_length: u32,
    version: u32,
    #[schema(value_type = String)]
    exposure: Exposure,
    hosts: Vec<String>,
    places: Vec<String>,
    algorithms: Vec<String>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

impl From<Secret> for SecretView {
    fn from(secret: Secret) -> Self {
        Self {
            id: secret.id,
            key: secret.key,
            tags: secret.tags,
            value_length: secret.value_length,
            version: secret.version,
            exposure: secret.exposure,
            hosts: vault::texts(secret.uses.hosts()),
            places: vault::texts(secret.uses.places()),
            algorithms: vault::texts(secret.uses.algorithms()),
            created_at: secret.created_at,
            updated_at: secret.updated_at,
        }
    }
}

/// A made secret.
#[derive(Serialize, ToSchema)]
pub struct SecretMade {
    #[schema(value_type = String)]
    id: Id,
    /// Why the value cannot be masked fully, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// Lists secrets.
#[utoipa::path(get, path = "/secrets", tag = "secrets",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_lister_of(RESOURCE)?;
    let (filter, page) = LIST.read(&query)?;
    let may = |secret: &Secret| {
        let object = Object { id: Some(secret.id), tags: &secret.tags };
        caller.may(RESOURCE, Action::Access, &object)
    };
    let secrets =
        listing::permitted(&caller, page, may, |page| caller.tenant.secrets(&filter, page)).await?;
    let rows = secrets.into_iter().map(SecretView::from);
    Ok(Success::ok(query.select(rows, LIST.fields)?))
}

/// Makes a secret.
#[utoipa::path(post, path = "/secrets", tag = "secrets", request_body = NewSecret,
    responses((status = 201, body = Success<SecretMade>), (status = "4XX", body = Failure)))]
pub async fn create(caller: Caller, Body(new): Body<NewSecret>) -> Answer<SecretMade> {
    let tags = Tags::new(new.tags)?;
    caller.require(RESOURCE, Action::Create, &Object { id: None, tags: &tags })?;
    for tag in tags.as_slice() {
        // One permitted tag must not let in others that other analyses read by.
        let alone = Tags::new(vec![tag.clone()])?;
        caller.require(RESOURCE, Action::Create, &Object { id: None, tags: &alone })?;
    }
    let cap = caller.runner.settings().secret_value_cap;
    let exposure = new.exposure.unwrap_or_default();
    let value_length = vault::check_secret(&new.key, &new.value, &tags, exposure, cap)?;
    let NewSecret { hosts, places, algorithms, .. } = new;
    let uses = UsesSent { hosts, places, algorithms }.over(&caller, exposure, &Uses::NONE)?;
    if !uses.is_empty() {
        // They decide where a value goes, as policies do.
        caller.require_administrator()?;
    }
    let now = Timestamp::now();
    let secret = Secret {
        id: Id::generate(now),
        key: new.key,
        tags,
        version: 1,
        exposure,
        uses,
        value_length,
        created_at: now,
        updated_at: now,
    };
    let binding = secret.binding(caller.tenant.profile());
    let sealed = caller.runner.vault().seal_secret(&binding, &new.value)?;
    let (id, key) = (secret.id, secret.key.clone());
    let mut detail = json!({"key": key, "tags": secret.tags});
    note_uses(&mut detail, &secret);
    let entry = Entry::new(&caller, Event::SecretsCreate, id, &detail);
    let made = caller.tenant.create_secret(StoredSecret { secret, sealed }, entry).await;
    made.map_err(|error| match error {
        store::Error::Exists => Refusal::new(
            ErrorCode::AlreadyExists,
            format!("a secret with the key {key} exists; edit it, or choose another key"),
        ),
        other => other.into(),
    })?;
    let warning = redactor::weak(&new.value).map(str::to_owned);
    Ok(Success::created(SecretMade { id, warning }))
}

/// Shows a secret without its value.
#[utoipa::path(get, path = "/secrets/{id}", tag = "secrets", params(("id" = String, Path)),
    responses((status = 200, body = Success<SecretView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>) -> Answer<SecretView> {
    let stored = find(&caller, &id, Action::Access).await?;
    Ok(Success::ok(stored.secret.into()))
}

/// Replaces a secret's value, its tags or its uses; that makes a new version.
#[utoipa::path(put, path = "/secrets/{id}", tag = "secrets", params(("id" = String, Path)),
    request_body = SecretChange,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<SecretChange>,
) -> Answer<&'static str> {
    let StoredSecret { mut secret, sealed } = find(&caller, &id, Action::Edit).await?;
    let (profile, vault) = (caller.tenant.profile(), caller.runner.vault());
    let tags = change.tags.map(Tags::new).transpose()?;
    if let Some(tags) = &tags {
        vault::check_secret_tags(tags)?;
    }
    let SecretChange { hosts, places, algorithms, .. } = change;
    let uses = UsesSent { hosts, places, algorithms };
    if tags.is_some() || change.exposure.is_some() || !uses.is_empty() {
        // Tags are what policies select by, and uses say where a value goes: an analysis must not
        // hand a secret to others.
        caller.require_administrator()?;
    }
    // All of it is bound into the envelope, so the value is sealed anew in any case. What is kept
    // must be what was sealed: a new value must not vouch for what somebody changed in the store.
    let mut scratch = Scratch::default();
    let opened = vault.load_secret(&secret.binding(profile), &sealed);
    let opened = opened.and_then(|sealed| sealed.open(&mut scratch));
    let stated = change.exposure.filter(|_| change.value.is_some() && tags.is_some());
    let (kept, kept_uses) = match (opened, stated) {
        (Ok(kept), _) => (kept, std::mem::take(&mut secret.uses)),
        (Err(_), Some(exposure)) => {
            secret.exposure = exposure;
            (0..0, Uses::NONE)
        }
        (Err(_), None) => return Err(unreadable(&secret.key)),
    };
    if change.exposure.is_some_and(|exposure| exposure != secret.exposure) {
        let message = "the exposure of a secret cannot change; make another secret, and delete \
                       this one";
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    let value = match &change.value {
        Some(value) => {
            let cap = caller.runner.settings().secret_value_cap;
            secret.value_length = vault::check_value_of(secret.exposure, value, cap)?;
            value
        }
        None => scratch.text(&kept),
    };
    let from_version = secret.version;
    secret.version += 1;
    secret.tags = tags.unwrap_or(secret.tags);
    secret.uses = uses.over(&caller, secret.exposure, &kept_uses)?;
    let sealed = vault.seal_secret(&secret.binding(profile), value)?;
    let mut detail = json!({
        "key": secret.key, "version": secret.version, "tags": secret.tags,
        "value": change.value.is_some(),
    });
    note_uses(&mut detail, &secret);
    let entry = Entry::new(&caller, Event::SecretsEdit, secret.id, &detail);
    let edit = SecretEdit {
        id: secret.id,
        from_version,
        tags: secret.tags,
        exposure: secret.exposure,
        uses: secret.uses,
        value_length: secret.value_length,
        sealed,
        at: entry.at,
    };
    caller.tenant.edit_secret(edit, entry).await.map_err(|error| match error {
        store::Error::NotFound => Refusal::new(
            ErrorCode::Conflict,
            "the secret was edited by someone else at the same time; read it and try again",
        ),
        other => other.into(),
    })?;
    Ok(Success::ok("Successfully Updated"))
}

/// Deletes a secret with every ciphertext of it.
#[utoipa::path(delete, path = "/secrets/{id}", tag = "secrets", params(("id" = String, Path)),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>) -> Answer<&'static str> {
    let StoredSecret { secret, .. } = find(&caller, &id, Action::Delete).await?;
    let detail = json!({"key": secret.key, "version": secret.version});
    let entry = Entry::new(&caller, Event::SecretsDelete, secret.id, &detail);
    caller.tenant.delete_secret(secret.id, entry).await?;
    Ok(Success::ok("Successfully Removed"))
}

/// The secret, if the caller may do this to it.
pub async fn find(caller: &Caller, id: &str, action: Action) -> Result<StoredSecret, Refusal> {
    caller.require_lister()?;
    let stored = caller.tenant.secret(identifier(id, "secret")?).await.map_err(not_found)?;
    let object = Object { id: Some(stored.secret.id), tags: &stored.secret.tags };
    caller.require(RESOURCE, action, &object)?;
    Ok(stored)
}

/// Adds to an audit entry's detail what a secret may be used for without being read.
fn note_uses(detail: &mut serde_json::Value, secret: &Secret) {
    if secret.uses.is_empty() {
        return;
    }
    detail["exposure"] = json!(secret.exposure);
    detail["hosts"] = json!(vault::texts(secret.uses.hosts()));
    detail["places"] = json!(vault::texts(secret.uses.places()));
    detail["algorithms"] = json!(secret.uses.algorithms());
}

fn unreadable(key: &str) -> Refusal {
    let message = format!(
        "the secret {key} does not open: its row, its tags or its key was changed outside of the \
         runner; set its value, its tags and its exposure together, and hosts, places and \
         algorithms if it has any"
    );
    Refusal::new(ErrorCode::StoreUnreadable, message)
}

fn not_found(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, "Secret Not Found"),
        other => other.into(),
    }
}
