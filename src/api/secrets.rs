//! `/secrets`: values go in and never come out.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::path::Path;
use super::plaintext::Sent;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::{identifier, listing};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::environment::redactor;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::policy::{Action, Object, ResourceType};
use crate::store::{self, SecretEdit, StoredSecret};
use crate::tag::{Tag, Tags};
use crate::vault::{self, Exposure, Scratch, Secret};

const RESOURCE: ResourceType = ResourceType::Secrets;

/// A secret to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// `[A-Za-z][A-Za-z0-9_]*`, 1 to 128 characters, unique in the profile.
    key: String,
    /// The value. It is sealed at once and never answered.
    #[schema(value_type = String)]
    value: Sent,
    /// At least one.
    #[schema(value_type = Vec<Object>)]
    #[serde(default)]
    tags: Vec<Tag>,
    /// `environment`, the default.
    #[schema(value_type = Option<String>)]
    exposure: Option<Exposure>,
}

/// A change of a secret; the key is not among what can change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretChange {
    /// Another value.
    #[schema(value_type = Option<String>)]
    value: Option<Sent>,
    /// All tags from now on, at least one.
    #[schema(value_type = Option<Vec<Object>>)]
    tags: Option<Vec<Tag>>,
}

/// What anybody ever sees of a secret.
#[derive(Serialize, ToSchema)]
pub struct SecretView {
    #[schema(value_type = String)]
    id: Id,
    key: String,
    #[schema(value_type = Vec<Object>)]
    tags: Tags,
    /// In Unicode characters.
    value_length: u32,
    version: u32,
    #[schema(value_type = String)]
    exposure: Exposure,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

impl From<Secret> for SecretView {
    fn from(secret: Secret) -> Self {
        let Secret { id, key, tags, version, exposure, value_length, created_at, updated_at } =
            secret;
        Self { id, key, tags, value_length, version, exposure, created_at, updated_at }
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
    caller.require_lister()?;
    query.check_order("key,asc")?;
    let filter = query.filter(&["id", "key"])?;
    let may = |secret: &Secret| {
        let object = Object { id: Some(secret.id), tags: &secret.tags };
        caller.may(RESOURCE, Action::Access, &object)
    };
    let page = query.page()?;
    let secrets =
        listing::permitted(&caller, page, may, |page| caller.tenant.secrets(&filter, page)).await?;
    let rows = secrets.into_iter().map(SecretView::from);
    Ok(Success::ok(query.select(rows, &["id", "key"])?))
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
    let value_length = vault::check_secret(&new.key, &new.value, &tags, cap)?;
    let exposure = new.exposure.unwrap_or(Exposure::Environment);
    if exposure == Exposure::Egress {
        let message = "exposure `egress` is not supported yet; leave exposure out";
        return Err(Refusal::new(ErrorCode::NotSupported, message));
    }
    let now = Timestamp::now();
    let secret = Secret {
        id: Id::generate(now),
        key: new.key,
        tags,
        version: 1,
        exposure,
        value_length,
        created_at: now,
        updated_at: now,
    };
    let binding = secret.binding(caller.tenant.profile());
    let sealed = caller.runner.vault().seal_secret(&binding, &new.value)?;
    let (id, key) = (secret.id, secret.key.clone());
    let detail = json!({"key": key, "tags": secret.tags});
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

/// Replaces a secret's value, its tags, or both; that makes a new version.
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
        // Tags are what policies select by: an analysis must not hand a secret to others.
        caller.require_administrator()?;
    }
    // Tags are bound into the envelope, so the value is sealed anew in any case. What is kept must
    // be what was sealed: a new value must not vouch for tags that somebody changed in the store.
    let mut scratch = Scratch::default();
    let mut kept = 0..0;
    if change.value.is_none() || tags.is_none() {
        let opened = vault.load_secret(&secret.binding(profile), &sealed);
        let opened = opened.and_then(|sealed| sealed.open(&mut scratch));
        kept = opened.map_err(|_| unreadable(&secret.key))?;
    }
    let value = match &change.value {
        Some(value) => {
            let cap = caller.runner.settings().secret_value_cap;
            secret.value_length = vault::check_value(value, cap)?;
            value
        }
        None => scratch.text(&kept),
    };
    let from_version = secret.version;
    secret.version += 1;
    secret.tags = tags.unwrap_or(secret.tags);
    let sealed = vault.seal_secret(&secret.binding(profile), value)?;
    let detail = json!({
        "key": secret.key, "version": secret.version, "tags": secret.tags,
        "value": change.value.is_some(),
    });
    let entry = Entry::new(&caller, Event::SecretsEdit, secret.id, &detail);
    let edit = SecretEdit {
        id: secret.id,
        from_version,
        tags: secret.tags,
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
async fn find(caller: &Caller, id: &str, action: Action) -> Result<StoredSecret, Refusal> {
    caller.require_lister()?;
    let stored = caller.tenant.secret(identifier(id, "secret")?).await.map_err(not_found)?;
    let object = Object { id: Some(stored.secret.id), tags: &stored.secret.tags };
    caller.require(RESOURCE, action, &object)?;
    Ok(stored)
}

fn unreadable(key: &str) -> Refusal {
    let message = format!(
        "the secret {key} does not open: its row, its tags or its key was changed outside of the \
         runner; set its value and its tags together"
    );
    Refusal::new(ErrorCode::StoreUnreadable, message)
}

fn not_found(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, "Secret Not Found"),
        other => other.into(),
    }
}
