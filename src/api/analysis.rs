//! `/analysis`: making, showing, editing and deleting analyses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::approval::{self, VersionView};
use super::body::Body;
use super::caller::Caller;
use super::limits::LimitsChange;
use super::listing::{List, MOST};
use super::path::Path;
use super::plaintext::ShownOnce;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use super::tags::WireTag;
use super::variables::{self, WireVariable};
use super::{check_protection, identifier, listing, runs};
use crate::analysis::{Analysis, EXTERNAL, Limits, MAX_NAME_LENGTH, Retry};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::policy::{Action, Object, ResourceType};
use crate::store::{self, AnalysisEdit, AnalysisToken, Column, StoredAnalysis, TokenOwner};
use crate::tag::{Tag, Tags, is_label};
use crate::vault::{Token, TokenKind};

const RESOURCE: ResourceType = ResourceType::Analysis;

/// The longest description and runtime word, in characters.
const MAX_TEXT_LENGTH: usize = 2_048;

/// What the list of analyses can be asked for.
pub const LIST: List = List {
    filters: &["id", "name", "active", "tags"],
    order: "name,asc",
    columns: &[
        Column::Name,
        Column::Active,
        Column::RunOn,
        Column::LastRun,
        Column::CreatedAt,
        Column::UpdatedAt,
    ],
    fields: &["id", "name"],
    most: MOST,
};

/// What a client sends to make or change an analysis.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnalysisFields {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    description: Option<String>,
    active: Option<bool>,
    /// `tago`: on this runner; `external`: at a listener outside. A change ends the token.
    run_on: Option<String>,
    /// Whether an administrator lets runs leave for listeners outside, with their secrets.
    external: Option<bool>,
    /// Any word; the module decides.
    runtime: Option<String>,
    #[schema(value_type = Option<Vec<WireTag>>)]
    tags: Option<Vec<Tag>>,
    /// All variables from now on.
    variables: Option<Vec<WireVariable>>,
    /// Those of the limits that change.
    limits: Option<LimitsChange>,
    /// Which failed attempts are tried again, as `{"attempts": 3, "backoff_ms": 1000,
    /// "max_backoff_ms": 60000, "faults": ["internal"]}`; what is left out has its default.
    #[schema(value_type = Option<Object>)]
    retry: Option<Map<String, Value>>,
    /// The original's schedule of an analysis: use an action for that.
    interval: Option<Value>,
    // Clients send back what they read; these are not changed so.
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "profile")]
    _profile: Option<Value>,
    #[serde(rename = "token")]
    _token: Option<Value>,
    #[serde(rename = "file_name")]
    _file_name: Option<Value>,
    #[serde(rename = "version")]
    _version: Option<Value>,
    #[serde(rename = "versions")]
    _versions: Option<Value>,
    #[serde(rename = "console")]
    _console: Option<Value>,
    #[serde(rename = "last_run")]
    _last_run: Option<Value>,
    #[serde(rename = "locked_at")]
    _locked_at: Option<Value>,
    #[serde(rename = "created_at")]
    _created_at: Option<Value>,
    #[serde(rename = "updated_at")]
    _updated_at: Option<Value>,
}

/// A made analysis, with its token in the open this once. Others than administrators get no more
/// than the token's hint.
#[derive(Serialize, ToSchema)]
pub struct AnalysisMade {
    #[schema(value_type = String)]
    id: Id,
    #[schema(value_type = String)]
    token: ShownOnce,
}

/// A new token of an analysis, in the open this once.
#[derive(Serialize, ToSchema)]
pub struct AnalysisTokenMade {
    #[schema(value_type = String)]
    analysis_token: ShownOnce,
}

/// A row of the list.
#[derive(Serialize, ToSchema)]
pub struct AnalysisRow {
    #[schema(value_type = String)]
    id: Id,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    active: bool,
    run_on: String,
    external: bool,
    runtime: String,
    #[schema(value_type = Vec<WireTag>)]
    tags: Tags,
    #[schema(value_type = Object)]
    limits: Limits,
    #[schema(value_type = Object)]
    retry: Retry,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// A date, or `never`.
    last_run: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

/// Everything about an analysis.
#[derive(Serialize, ToSchema)]
pub struct AnalysisView {
    #[serde(flatten)]
    row: AnalysisRow,
    #[schema(value_type = String)]
    profile: Id,
    /// Prefix and last four characters.
    token: String,
    /// The file of the active version.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    /// As they were sent; to viewers without their values.
    variables: Vec<Value>,
    /// By their numbers.
    #[schema(value_type = Object)]
    versions: BTreeMap<u32, VersionView>,
    /// The latest lines of the latest runs.
    console: Vec<String>,
}

impl From<Analysis> for AnalysisRow {
    fn from(analysis: Analysis) -> Self {
        Self {
            id: analysis.id,
            name: analysis.name,
            description: analysis.description,
            active: analysis.active,
            run_on: analysis.run_on,
            external: analysis.external,
            runtime: analysis.runtime,
            tags: analysis.tags,
            limits: analysis.limits,
            retry: analysis.retry,
            version: analysis.version,
            last_run: analysis.last_run.map_or_else(|| "never".into(), |at| at.to_string()),
            created_at: analysis.created_at,
            updated_at: analysis.updated_at,
        }
    }
}

/// Lists analyses.
#[utoipa::path(get, path = "/analysis", tag = "analysis",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_lister_of(RESOURCE)?;
    let (filter, page) = LIST.read(&query)?;
    let may = |analysis: &Analysis| {
        let object = Object { id: Some(analysis.id), tags: &analysis.tags };
        caller.may(RESOURCE, Action::Access, &object)
    };
    let found =
        listing::permitted(&caller, page, may, |page| caller.tenant.analyses(&filter, page));
    let rows = found.await?.into_iter().map(AnalysisRow::from);
    Ok(Success::ok(query.select(rows, LIST.fields)?))
}

/// Makes an analysis and shows its token, once.
#[utoipa::path(post, path = "/analysis", tag = "analysis", request_body = AnalysisFields,
    responses((status = 201, body = Success<AnalysisMade>), (status = "4XX", body = Failure)))]
pub async fn create(caller: Caller, Body(new): Body<AnalysisFields>) -> Answer<AnalysisMade> {
    let name = new.name.clone().ok_or_else(|| Refusal::invalid("an analysis needs a name"))?;
    let now = Timestamp::now();
    let caps = caller.runner.settings().sandbox.caps;
    let mut stored =
        StoredAnalysis::new(Id::generate(now), name, Limits::default().within(&caps), now);
    let id = stored.analysis.id;
    let edit = edit_of(&caller, &stored.analysis, new)?;
    let analysis = &mut stored.analysis;
    analysis.description = edit.description.flatten();
    analysis.active = edit.active.unwrap_or(true);
    analysis.run_on = edit.run_on.unwrap_or_else(|| analysis.run_on.clone());
    analysis.external = edit.external.unwrap_or_default();
    analysis.runtime = edit.runtime.unwrap_or_else(|| analysis.runtime.clone());
    analysis.limits = edit.limits.unwrap_or(analysis.limits);
    analysis.retry = edit.retry.unwrap_or_default();
    analysis.tags = edit.tags.unwrap_or_default();
    caller.require(RESOURCE, Action::Create, &Object { id: None, tags: &analysis.tags })?;
    if !analysis.tags.as_slice().is_empty() || analysis.external {
        // Tags are what policies select by, and secrets leave the host with runs outside: neither
        // an analysis nor a developer gives them out.
        caller.require_administrator()?;
    }
    check_limits(&caller, &Limits::default(), edit.limits.as_ref())?;
    stored.variables = edit.variables.flatten();
    let token = Token::generate(TokenKind::Analysis);
    let detail = json!({"name": stored.analysis.name, "tags": stored.analysis.tags});
    let entry = Entry::new(&caller, Event::AnalysisCreate, id, &detail);
    caller.tenant.create_analysis(stored, kept(&caller, id, &token), entry).await?;
    // With the token its holder does what policies give the analysis, and those of no tag give it
    // to a new one at once.
    let shown = match caller.require_administrator() {
        Ok(()) => (&token).into(),
        Err(_) => Zeroizing::new(token.hint()).into(),
    };
    Ok(Success::created(AnalysisMade { id, token: shown }))
}

/// Shows an analysis.
#[utoipa::path(get, path = "/analysis/{id}", tag = "analysis", params(("id" = String, Path)),
    responses((status = 200, body = Success<AnalysisView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>) -> Answer<AnalysisView> {
    let stored = find(&caller, &id, Action::Access).await?;
    let (profile, vault) = (caller.tenant.profile(), caller.runner.vault());
    let id = stored.analysis.id;
    let mut variables = variables::open(vault, profile, id, stored.variables.as_deref())?;
    if !caller.sees_input() {
        variables = variables.iter().map(|variable| json!({"key": variable["key"]})).collect();
    }
    let versions = approval::versions(&caller, id).await?;
    let active = stored.analysis.version.and_then(|version| versions.get(&version));
    Ok(Success::ok(AnalysisView {
        profile,
        token: stored.token_hint,
        file_name: active.map(|version| version.file_name().to_owned()),
        variables,
        versions,
        console: runs::latest_console(&caller, id).await?,
        row: stored.analysis.into(),
    }))
}

/// Changes an analysis.
#[utoipa::path(put, path = "/analysis/{id}", tag = "analysis", params(("id" = String, Path)),
    request_body = AnalysisFields,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<AnalysisFields>,
) -> Answer<&'static str> {
    let stored = find(&caller, &id, Action::Edit).await?;
    let id = stored.analysis.id;
    let mut edit = edit_of(&caller, &stored.analysis, change)?;
    if edit.tags.is_some() || edit.external.is_some() {
        // Tags are what policies select by, and secrets leave the host with runs outside.
        caller.require_administrator()?;
    }
    let running = edit.active.is_some() || edit.limits.is_some() || edit.retry.is_some();
    if running && caller.principal.role().is_none() {
        // An analysis that was switched off or capped must not undo that itself.
        caller.require_administrator()?;
    }
    check_limits(&caller, &stored.analysis.limits, edit.limits.as_ref())?;
    if edit.run_on.as_ref().is_some_and(|place| *place != stored.analysis.run_on) {
        // As in the original: who held the token for the one place does not hold it for the other.
        // The new one is nobody's until it is asked for.
        edit.token = Some(kept(&caller, id, &Token::generate(TokenKind::Analysis)));
    }
    let detail = json!({
        "name": edit.name, "active": edit.active, "tags": edit.tags, "limits": edit.limits, "retry": edit.retry,
        "run_on": edit.run_on, "external": edit.external, "variables": edit.variables.is_some(),
    });
    let entry = Entry::new(&caller, Event::AnalysisEdit, id, &detail);
    caller.tenant.edit_analysis(id, edit, entry).await.map_err(not_found)?;
    Ok(Success::ok("Successfully Updated"))
}

/// Deletes an analysis with its modules; its finished runs stay on record.
#[utoipa::path(delete, path = "/analysis/{id}", tag = "analysis", params(("id" = String, Path)),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>) -> Answer<&'static str> {
    let StoredAnalysis { analysis, .. } = find(&caller, &id, Action::Delete).await?;
    check_protection(&analysis.tags)?;
    let detail = json!({"name": analysis.name});
    let entry = Entry::new(&caller, Event::AnalysisDelete, analysis.id, &detail);
    caller.runner.delete_analysis(&caller.tenant, analysis.id, entry).await.map_err(not_found)?;
    Ok(Success::ok("Successfully Removed"))
}

/// Gives an analysis a new token and shows it, once. The one before opens nothing from then on.
#[utoipa::path(get, path = "/analysis/{id}/token", tag = "analysis",
    params(("id" = String, Path)),
    responses((status = 200, body = Success<AnalysisTokenMade>), (status = "4XX", body = Failure)))]
pub async fn token(caller: Caller, Path(id): Path<String>) -> Answer<AnalysisTokenMade> {
    caller.require_administrator()?;
    let stored = find(&caller, &id, Action::Edit).await?;
    let token = Token::generate(TokenKind::Analysis);
    let (id, detail) = (stored.analysis.id, json!({"hint": token.hint()}));
    let edit = AnalysisEdit { token: Some(kept(&caller, id, &token)), ..AnalysisEdit::default() };
    let entry = Entry::new(&caller, Event::AnalysisToken, id, &detail);
    caller.tenant.edit_analysis(id, edit, entry).await.map_err(not_found)?;
    Ok(Success::ok(AnalysisTokenMade { analysis_token: (&token).into() }))
}

/// What the store keeps of an analysis's token.
fn kept(caller: &Caller, id: Id, token: &Token) -> AnalysisToken {
    let (vault, profile) = (caller.runner.vault(), caller.tenant.profile());
    let digest = vault.token_digest(token.as_str());
    let owner = TokenOwner::Analysis { id, profile };
    let bound = vault.sign_owner(owner.statement(&digest).as_bytes());
    AnalysisToken { digest, bound, hint: token.hint() }
}

/// The analysis, if the caller may do this to it.
pub async fn find(caller: &Caller, id: &str, action: Action) -> Result<StoredAnalysis, Refusal> {
    caller.require_lister()?;
    let id = identifier(id, "analysis").map_err(|_| not_found(store::Error::NotFound))?;
    let stored = caller.tenant.analysis(id).await.map_err(not_found)?;
    let object = Object { id: Some(id), tags: &stored.analysis.tags };
    caller.require(RESOURCE, action, &object)?;
    Ok(stored)
}

/// The refusal for an analysis that is not there, in the original's words.
pub fn not_found(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => {
            Refusal::new(ErrorCode::AnalysisNotFound, "Analysis can't be found")
        }
        other => other.into(),
    }
}

/// Checks what was sent, against the analysis as it is.
fn edit_of(caller: &Caller, now: &Analysis, sent: AnalysisFields) -> Result<AnalysisEdit, Refusal> {
    let settings = caller.runner.settings();
    if let Some(name) = &sent.name
        && !is_label(name, MAX_NAME_LENGTH)
    {
        let message =
            format!("a name has 1 to {MAX_NAME_LENGTH} characters, no control characters");
        return Err(Refusal::invalid(message));
    }
    for text in [&sent.description, &sent.runtime].into_iter().flatten() {
        if text.chars().count() > MAX_TEXT_LENGTH || text.contains('\0') {
            let message = format!(
                "description and runtime have at most {MAX_TEXT_LENGTH} characters, no NUL"
            );
            return Err(Refusal::invalid(message));
        }
    }
    if let Some(place) = sent.run_on.as_deref().filter(|place| !["tago", EXTERNAL].contains(place))
    {
        let message = format!(
            "run_on is {place:?}; it is `tago`, for runs here, or `{EXTERNAL}`, for runs at a \
             listener outside"
        );
        return Err(Refusal::invalid(message));
    }
    if sent.interval.is_some_and(|interval| !interval.is_null() && interval != "never") {
        let message = "an analysis has no interval of its own; leave it out";
        return Err(Refusal::new(ErrorCode::NotSupported, message));
    }
    let limits = sent.limits.map(|change| change.of(&now.limits));
    if let Some(limits) = &limits {
        limits.check(&settings.sandbox.caps)?;
    }
    let retry = sent.retry.map(retry).transpose()?;
    let variables = match sent.variables {
        None => None,
        Some(sent) => {
            let read = variables::read(sent, settings.max_variables)?;
            let profile = caller.tenant.profile();
            Some(variables::seal(caller.runner.vault(), profile, now.id, &read)?)
        }
    };
    Ok(AnalysisEdit {
        name: sent.name,
        description: sent.description.map(|text| (!text.is_empty()).then_some(text)),
        active: sent.active,
        run_on: sent.run_on,
        external: sent.external,
        runtime: sent.runtime,
        limits,
        retry,
        tags: sent.tags.map(Tags::new).transpose()?,
        variables,
        token: None,
    })
}

/// Refuses limits above the defaults to all but administrators. What an administrator has given may
/// stay, or become less.
fn check_limits(caller: &Caller, now: &Limits, new: Option<&Limits>) -> Result<(), Refusal> {
    let Some(raised) = new.and_then(|new| new.raised(now)) else { return Ok(()) };
    caller.require_administrator().map_err(|refusal| {
        let message = format!("{}: the limit {raised} is above its default", refusal.message);
        Refusal::new(refusal.code, message)
    })
}

/// Retry rules as they are sent; what is left out has its default.
fn retry(sent: Map<String, Value>) -> Result<Retry, Refusal> {
    let retry: Retry = serde_json::from_value(Value::Object(sent))
        .map_err(|error| Refusal::invalid(format!("retry: {error}")))?;
    retry.check()?;
    Ok(retry)
}
