//! `/profile` and `/account`: the tenants of a host, and what little there is of an account.
//!
//! A token belongs to one profile and sees that one. To make and to delete profiles is for who runs
//! the host, on its machine.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::listing::{List, MOST};
use super::path::Path;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success, chain};
use crate::audit::{Entry, Event};
use crate::auth::{Principal, Role};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::pipeline::ProfileError;
use crate::store::{self, Column, ProfileEdit, StoredProfile, Tenant};
use crate::tag::is_label;

/// What the list of profiles can be asked for.
pub const LIST: List = List {
    filters: &["id", "name"],
    order: "name,asc",
    columns: &[Column::Name, Column::CreatedAt],
    fields: &["name", "created_at"],
    most: MOST,
};

/// The longest name, in characters.
const MAX_NAME_LENGTH: usize = 100;

/// How a caller names its own profile.
const CURRENT: &str = "current";

/// A profile to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// 1 to 100 characters, unique on the host.
    name: String,
}

/// What changes of a profile.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// 1 to 100 characters, unique on the host.
    name: Option<String>,
    /// Whether a module that no administrator uploaded has nothing that policies grant until one
    /// approves it. True unless it was switched off.
    approve_uploads: Option<bool>,
}

/// A made profile.
#[derive(Serialize, ToSchema)]
pub struct ProfileMade {
    #[schema(value_type = String)]
    id: Id,
}

/// A row of the list.
#[derive(Serialize, ToSchema)]
pub struct ProfileRow {
    #[schema(value_type = String)]
    id: Id,
    name: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

/// A profile as it is answered.
#[derive(Serialize, ToSchema)]
pub struct ProfileView {
    info: ProfileRow,
    approve_uploads: bool,
}

impl From<StoredProfile> for ProfileRow {
    fn from(profile: StoredProfile) -> Self {
        Self { id: profile.id, name: profile.name, created_at: profile.created_at }
    }
}

/// Lists the caller's profile; on the host's machine, all profiles.
#[utoipa::path(get, path = "/profile", tag = "profiles",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_role(Role::Viewer)?;
    let only = match caller.principal {
        Principal::Local { .. } => None,
        _ => Some(caller.tenant.profile()),
    };
    let (filter, page) = LIST.read(&query)?;
    let profiles = caller.runner.host().list_profiles(only, &filter, page).await?;
    let rows = profiles.into_iter().map(ProfileRow::from);
    Ok(Success::ok(query.select(rows, LIST.fields)?))
}

/// Makes a profile. Only who runs the host does, on its machine.
#[utoipa::path(post, path = "/profile", tag = "profiles", request_body = NewProfile,
    responses((status = 201, body = Success<ProfileMade>), (status = "4XX", body = Failure)))]
pub async fn create(caller: Caller, Body(new): Body<NewProfile>) -> Answer<ProfileMade> {
    require_host(&caller)?;
    check_name(&new.name)?;
    let name = new.name.clone();
    let entry = |id| Entry::new(&caller, Event::ProfileCreate, id, &json!({"name": name}));
    let made = caller.runner.create_profile(new.name, entry).await;
    let id = made.map_err(|error| taken(error.into(), &name))?;
    Ok(Success::created(ProfileMade { id }))
}

/// Shows a profile; `current` is the caller's own.
#[utoipa::path(get, path = "/profile/{id}", tag = "profiles", params(("id" = String, Path)),
    responses((status = 200, body = Success<ProfileView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>) -> Answer<ProfileView> {
    caller.require_role(Role::Viewer)?;
    let (_, profile) = find(&caller, &id).await?;
    let approve_uploads = caller.runner.needs_approval(&profile);
    Ok(Success::ok(ProfileView { info: profile.into(), approve_uploads }))
}

/// Changes a profile.
#[utoipa::path(put, path = "/profile/{id}", tag = "profiles", params(("id" = String, Path)),
    request_body = ProfileChange,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<ProfileChange>,
) -> Answer<&'static str> {
    caller.require_administrator()?;
    let (tenant, profile) = find(&caller, &id).await?;
    if let Some(name) = &change.name {
        check_name(name)?;
    }
    let detail = json!({"name": change.name, "approve_uploads": change.approve_uploads});
    let entry = Entry::new(&caller, Event::ProfileEdit, profile.id, &detail);
    let name = change.name.clone().unwrap_or_default();
    let signed = || {
        let statement = StoredProfile::statement(profile.id);
        caller.runner.vault().sign_decision(statement.as_bytes()).to_vec()
    };
    let approve_uploads = change.approve_uploads.map(|on| (!on).then(signed));
    let edit = ProfileEdit { name: change.name, approve_uploads };
    tenant.edit_profile(edit, entry).await.map_err(|error| match error {
        store::Error::Exists => taken(error.into(), &name),
        other => not_found(other),
    })?;
    Ok(Success::ok("Successfully Updated"))
}

/// Deletes a profile that is empty, or with `force` and its name whatever it holds. Only who runs
/// the host does, on its machine.
#[utoipa::path(delete, path = "/profile/{id}", tag = "profiles",
    params(("id" = String, Path), ("force" = Option<String>, Query, description = "its name")),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<&'static str> {
    require_host(&caller)?;
    let (_, profile) = find(&caller, &id).await?;
    let force = query.get("force");
    if force.is_some_and(|name| name != profile.name) {
        let message = "force must be the name of the profile: it says what is deleted for good";
        return Err(Refusal::invalid(message));
    }
    let detail = json!({"name": profile.name, "force": force.is_some()});
    let entry = Entry::new(&caller, Event::ProfileDelete, profile.id, &detail);
    caller.runner.delete_profile(profile.id, force.is_some(), entry).await?;
    Ok(Success::ok("Successfully Removed"))
}

/// What there is of an account: who the token is, and its profile.
#[utoipa::path(get, path = "/account", tag = "profiles",
    responses((status = 200, body = Success<Object>), (status = "4XX", body = Failure)))]
pub async fn account(caller: Caller) -> Answer<Value> {
    caller.require_role(Role::Viewer)?;
    let profile = caller.tenant.itself().await?;
    let (name, since) = match caller.principal {
        Principal::Token { id, .. } => {
            let token = caller.tenant.token(id).await?;
            (token.name, token.created_at)
        }
        _ => (caller.to_string(), profile.created_at),
    };
    Ok(Success::ok(json!({
        "name": name,
        "active": true,
        "role": caller.principal.role(),
        "profiles": [{"id": profile.id, "name": profile.name}],
        "created_at": since,
    })))
}

/// Refuses the original's ways to a token by a password.
pub async fn no_login() -> Refusal {
    let message = "there are no accounts with passwords here: who runs the host makes a token with \
                   `runner token create`, and clients are given that";
    Refusal::new(ErrorCode::NotSupported, message)
}

/// The profile that `id` names, if the caller may know of it: its own, or any on the host's
/// machine.
pub async fn find(caller: &Caller, id: &str) -> Result<(Tenant, StoredProfile), Refusal> {
    let own = caller.tenant.profile();
    let unknown = || not_found(store::Error::NotFound);
    let tenant = match (id.parse::<Id>(), &caller.principal) {
        _ if id == CURRENT => caller.tenant.clone(),
        (Ok(id), _) if id == own => caller.tenant.clone(),
        (Ok(id), Principal::Local { .. }) => caller.runner.tenant(id),
        _ => return Err(unknown()),
    };
    let profile = tenant.itself().await.map_err(not_found)?;
    Ok((tenant, profile))
}

fn require_host(caller: &Caller) -> Result<(), Refusal> {
    if matches!(caller.principal, Principal::Local { .. }) {
        return Ok(());
    }
    let message = "Authorization Denied: only who runs the host makes and deletes profiles, on its \
                   machine with `runner profile`; no administrator's token does";
    Err(Refusal::new(ErrorCode::Denied, message))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if is_label(name, MAX_NAME_LENGTH) && name != CURRENT && name.parse::<Id>().is_err() {
        return Ok(());
    }
    let message = format!(
        "a profile's name has 1 to {MAX_NAME_LENGTH} characters, no control characters, and is \
         neither {CURRENT:?} nor like an id"
    );
    Err(Refusal::invalid(message))
}

/// Says which name is taken.
fn taken(refusal: Refusal, name: &str) -> Refusal {
    match refusal.code {
        ErrorCode::AlreadyExists => Refusal::new(
            ErrorCode::AlreadyExists,
            format!("a profile named {name:?} exists; choose another name"),
        ),
        _ => refusal,
    }
}

fn not_found(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, "Profile Not Found"),
        other => other.into(),
    }
}

impl From<ProfileError> for Refusal {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::First | ProfileError::NotEmpty(_) => Self::invalid(error.to_string()),
            ProfileError::RootKey(error) => {
                let message = format!(
                    "the keys of profiles need the root key, and the server cannot read it: {}",
                    chain(&error)
                );
                Self::new(ErrorCode::StoreUnreadable, message)
            }
            ProfileError::Vault(error) => error.into(),
            ProfileError::Store(error) => error.into(),
        }
    }
}
