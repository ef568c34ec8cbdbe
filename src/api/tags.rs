//! `/tags`: which tags there are, to be suggested where one is typed, and which keys those of a type
//! of resource have.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::path::Path;
use super::reply::{Answer, Failure, Refusal, Success};
use crate::auth::Role;
use crate::fault::ErrorCode;
use crate::policy::{Action, Object, ResourceType};
use crate::tag::Tag;

/// The types as the original's clients call them here, and in policies.
const TYPES: [(&str, ResourceType); 5] = [
    ("secrets", ResourceType::Secrets),
    ("analysis", ResourceType::Analysis),
    ("action", ResourceType::Action),
    ("am", ResourceType::AccessManagement),
    ("device", ResourceType::Device),
];

/// What the original has beside.
const UNKNOWN_HERE: [&str; 4] = ["bucket", "dashboard", "tcore", "run_users"];

/// A tag.
#[derive(Serialize, ToSchema)]
#[schema(as = Tag)]
#[serde(deny_unknown_fields)]
pub struct WireTag {
    /// 1 to 100 characters, none of them a control character; unique in its list.
    #[schema(min_length = 1, max_length = 100)]
    key: String,
    /// 1 to 100 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 100)]
    value: String,
}

/// Lists each pair of key and value that resources carry, once, sorted; at most 10,000. Only
/// resources that the caller may list count.
#[utoipa::path(get, path = "/tags", tag = "tags",
    responses((status = 200, body = Success<Vec<WireTag>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller) -> Answer<Vec<WireTag>> {
    caller.require_role(Role::Viewer)?;
    let seen = TYPES.into_iter().map(|(_, resource)| resource);
    let seen = seen.filter(|resource| {
        caller.principal.role().is_some_and(|role| role.may(*resource, Action::Access))
    });
    let tags = caller.tenant.tags(seen).await?;
    Ok(Success::ok(tags.into_iter().map(|Tag { key, value }| WireTag { key, value }).collect()))
}

/// Lists the keys of the tags that resources of a type carry, each once, in their order. An analysis
/// sees those of the resources that it may access.
#[utoipa::path(get, path = "/tags/keys/{type}", tag = "tags",
    params(("type" = String, Path, description = "secrets, analysis, action, am or device")),
    responses((status = 200, body = Success<Vec<String>>), (status = "4XX", body = Failure)))]
pub async fn keys(caller: Caller, Path(word): Path<String>) -> Answer<BTreeSet<String>> {
    let resource = resource(&word)?;
    caller.require_lister_of(resource)?;
    if caller.principal.role().is_some() {
        let keys = caller.tenant.tag_keys(resource).await?;
        return Ok(Success::ok(keys.into_iter().collect()));
    }
    let tagged = caller.tenant.tagged(resource).await?;
    let seen = tagged.iter().filter(|(id, tags)| {
        caller.may(resource, Action::Access, &Object { id: Some(**id), tags })
    });
    let keys = seen.flat_map(|(_, tags)| tags.as_slice().iter().map(|tag| tag.key.clone()));
    Ok(Success::ok(keys.collect()))
}

fn resource(word: &str) -> Result<ResourceType, Refusal> {
    if let Some((_, resource)) = TYPES.iter().find(|(known, _)| *known == word) {
        return Ok(*resource);
    }
    let code = match UNKNOWN_HERE.contains(&word) {
        true => ErrorCode::NotSupported,
        false => ErrorCode::InvalidRequest,
    };
    let known = TYPES.map(|(known, _)| known).join(", ");
    Err(Refusal::new(
        code,
        format!("there are no tags of the type {word:.100?}; there are {known}"),
    ))
}
