//! `/analysis/:id/run`, `/exec` and `/explain`: starting runs, and saying what they would see.

use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::analysis::{find, not_found};
use super::body::{self, Body};
use super::caller::Caller;
use super::path::Path;
use super::plaintext::ShownOnce;
use super::query::Query;
use super::reply::{Answer, Failure, Refusal, Success};
use super::runs::{self, RunView};
use super::variables::{self, WireVariable};
use crate::analysis::Digest;
use crate::auth::Role;
use crate::cause::CauseKind;
use crate::host::{Destination, HostPattern};
use crate::id::Id;
use crate::pipeline::{Asked, ExecRequest, Explained, Repeats};
use crate::policy::{Action, Explanation, HostExplanation, Object, ResourceType};
use crate::store::Once;

/// How long an idempotency key is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

/// What starts a run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBody {
    /// Any JSON, null too; `[]` when it is left out.
    #[schema(value_type = Option<Value>)]
    #[serde(default, deserialize_with = "present")]
    scope: Option<Box<RawValue>>,
}

/// What `runner exec` sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecBody {
    /// Another module than the active one, as base64.
    module: Option<String>,
    /// Any JSON, null too; `[]` when it is left out.
    #[schema(value_type = Option<Value>)]
    #[serde(default, deserialize_with = "present")]
    scope: Option<Box<RawValue>>,
    /// Variables that beat those of the analysis.
    #[serde(default)]
    environment: Vec<WireVariable>,
    /// A shorter wall time for this run than the analysis's own.
    wall_time_ms: Option<u64>,
}

/// A started run.
#[derive(Serialize, ToSchema)]
pub struct RunStarted {
    /// A token that reads this run and nothing else.
    #[schema(value_type = String)]
    analysis_token: ShownOnce,
    /// The run's id; the whole run, finished or not, when it was waited for.
    #[schema(value_type = Value)]
    run: StartedRun,
}

#[derive(Serialize)]
#[serde(untagged)]
enum StartedRun {
    Id(Id),
    Whole(Box<RunView>),
}

/// What every key of an analysis's environment comes from, and which hosts it may reach.
#[derive(Serialize, ToSchema)]
pub struct ExplainView {
    #[schema(value_type = Object)]
    analysis: Value,
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Explanation>,
    #[schema(value_type = Vec<Object>)]
    network: Vec<HostExplanation>,
    /// Why nothing of this is given, where the module that runs is not approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<String>,
}

/// Queues a run, durably. With `wait`, answers when it has ended or the wait is over. The same
/// `Idempotency-Key` with the same body within 24 hours is answered with the first run.
#[utoipa::path(post, path = "/analysis/{id}/run", tag = "runs",
    params(("id" = String, Path),
        ("wait" = Option<u64>, Query, description = "seconds, up to 50"),
        ("idempotency-key" = Option<String>, Header, description = "1 to 255 characters")),
    request_body = RunBody,
    responses((status = 200, body = Success<RunStarted>), (status = "4XX", body = Failure)))]
pub async fn run(
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
    Body(RunBody { scope }): Body<RunBody>,
) -> Answer<RunStarted> {
    let analysis = find(&caller, &id, Action::Run).await?.analysis.id;
    let wait = runs::wait(&caller, &query)?;
    let cause = caller.cause(CauseKind::Api);
    let scope = text(scope.as_deref());
    let once = once(&headers, &caller, analysis, scope)?;
    let repeats = Repeats { once, ..Repeats::default() };
    let id = caller.runner.enqueue_as(&caller.tenant, analysis, scope, cause, repeats).await?;
    let run = match wait {
        None => StartedRun::Id(id),
        Some(longest) => {
            runs::until_ended(&caller, id, longest).await;
            StartedRun::Whole(Box::new(runs::whole(&caller, id).await?))
        }
    };
    Ok(Success::ok(RunStarted { analysis_token: caller.runner.vault().run_token(id).into(), run }))
}

/// What makes this request the same as an earlier one, if its sender cares.
fn once(
    headers: &HeaderMap,
    caller: &Caller,
    analysis: Id,
    scope: &str,
) -> Result<Option<Once>, Refusal> {
    let once = |key| Once {
        principal: caller.principal.to_string(),
        operation: format!("run {analysis}"),
        key,
        digest: Digest::of(scope.as_bytes()).to_string(),
        keep: REMEMBERED,
    };
    Ok(idempotency_key(headers)?.map(once))
}

/// The key by which a sender tells that a request is the same as an earlier one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().map(str::trim).filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| {
        Refusal::invalid("the header idempotency-key must have 1 to 255 visible ASCII characters")
    })?;
    Ok(Some(key.to_owned()))
}

/// Executes a run at once, with another module or more variables if wanted, and answers it whole.
#[utoipa::path(post, path = "/analysis/{id}/exec", tag = "runs", params(("id" = String, Path)),
    request_body = ExecBody,
    responses((status = 200, body = Success<RunView>), (status = "4XX", body = Failure)))]
pub async fn exec(caller: Caller, Path(id): Path<String>, request: Request) -> Answer<RunView> {
    caller.require_role(Role::Developer)?;
    caller.require_outside("`exec`")?;
    let analysis = find(&caller, &id, Action::Run).await?.analysis;
    let settings = caller.runner.settings();
    let caps = settings.sandbox.caps;
    // Base64 is a third longer than the module; scope and variables have the usual bound.
    let module_bytes = analysis.limits.within(&caps).module_bytes;
    let longest = usize::try_from(module_bytes).unwrap_or(usize::MAX).saturating_mul(4) / 3;
    let longest = longest.saturating_add(body::MAX_BODY);
    let bytes = body::read(request, longest, body::LONGEST_WITH_MODULE).await?;
    let ExecBody { module, scope, environment, wall_time_ms } = body::parse(&bytes)?;
    let module = module.map(|text| STANDARD.decode(text)).transpose();
    let module = module.map_err(|_| Refusal::invalid("the field `module` is not base64"))?;
    if wall_time_ms == Some(0) {
        return Err(Refusal::invalid("wall_time_ms is 0; it must be at least 1"));
    }
    let exec = ExecRequest {
        analysis: analysis.id,
        module,
        variables: variables::read(environment, settings.max_variables)?,
        scope: Zeroizing::new(text(scope.as_deref()).to_owned()),
        wall_time_ms,
        by: caller.to_string(),
        approves: caller.principal.role().is_some_and(Role::approves),
    };
    let run = caller.runner.exec(&caller.tenant, exec).await?;
    Ok(Success::ok(runs::whole(&caller, run).await?))
}

/// Says for each key where its value would come from, for each host whether it may be reached, and
/// which rule granted or refused it. With `key` it answers that key alone, with `host` that host.
/// Who has no `access` to a refused secret finds it only by naming its key.
#[utoipa::path(get, path = "/analysis/{id}/explain", tag = "analysis",
    params(("id" = String, Path), ("key" = Option<String>, Query),
        ("host" = Option<String>, Query, description = "such as api.example.com")),
    responses((status = 200, body = Success<ExplainView>), (status = "4XX", body = Failure)))]
pub async fn explain(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<ExplainView> {
    let id = find(&caller, &id, Action::Access).await?.analysis.id;
    let host = query.get("host").map(destination).transpose()?;
    let asked = match (query.get("key"), &host) {
        (None, None) => Asked::Everything,
        (Some(key), None) => Asked::Key(key),
        (None, Some(host)) => Asked::Host(host),
        (Some(_), Some(_)) => return Err(Refusal::invalid("ask for a key or for a host")),
    };
    let sees = |secret: &Object<'_>| caller.may(ResourceType::Secrets, Action::Access, secret);
    let explained = caller.runner.explain(&caller.tenant, id, asked, sees).await;
    let explained = explained.map_err(not_found)?;
    let Explained { name, keys, hosts, withheld } = explained;
    let analysis = json!({"id": id, "name": name});
    Ok(Success::ok(ExplainView { analysis, keys, network: hosts, withheld }))
}

/// The one destination that `host` means.
fn destination(host: &str) -> Result<Destination, Refusal> {
    let pattern: HostPattern = host.parse().map_err(|error| {
        Refusal::invalid(format!("host: {error}; write one such as api.example.com"))
    })?;
    pattern.destination().ok_or_else(|| Refusal::invalid("host: name one host, without a star"))
}

/// What stands there, even if it is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn text(scope: Option<&RawValue>) -> &str {
    scope.map_or("[]", RawValue::get)
}
