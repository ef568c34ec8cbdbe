//! `/secrets/{id}/readers` and `/secrets/{id}/runs`: who may use a secret, and which runs did.

use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::path::Path;
use super::reply::{Answer, Failure, Success};
use super::secrets;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::pipeline::Reader;
use crate::policy::{Action, Explanation, Verdict};
use crate::run::State;

/// An analysis, and what becomes of the secret in its runs.
#[derive(Serialize, ToSchema)]
pub struct ReaderView {
    #[schema(value_type = String)]
    analysis: Id,
    name: String,
    active: bool,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    explanation: Explanation,
}

/// A run that was granted the secret.
#[derive(Serialize, ToSchema)]
pub struct SecretRunView {
    #[schema(value_type = String)]
    id: Id,
    #[schema(value_type = String)]
    analysis: Id,
    #[schema(value_type = String)]
    state: State,
    #[schema(value_type = String)]
    started_at: Timestamp,
    /// The version that it was granted.
    version: u32,
}

/// Lists the analyses that a secret is granted to, with the rule that grants it; and those that it
/// would be granted to, but for a variable of the same key or for a module that is not approved.
#[utoipa::path(get, path = "/secrets/{id}/readers", tag = "secrets",
    params(("id" = String, Path)),
    responses((status = 200, body = Success<Vec<ReaderView>>), (status = "4XX", body = Failure)))]
pub async fn readers(caller: Caller, Path(id): Path<String>) -> Answer<Vec<ReaderView>> {
    caller.require_administrator()?;
    let secret = secrets::find(&caller, &id, Action::Access).await?.secret;
    let readers = caller.runner.readers(&caller.tenant, &secret).await?;
    let granted = |reader: &Reader| {
        let decision = reader.explanation.decision;
        matches!(decision, Verdict::Granted | Verdict::Overridden | Verdict::Withheld)
    };
    let view = |reader: Reader| {
        let Reader { analysis, name, active, explanation } = reader;
        ReaderView { analysis, name, active, explanation }
    };
    Ok(Success::ok(readers.into_iter().filter(granted).map(view).collect()))
}

/// Lists the last runs that were granted a secret, the newest first: at most 20, of the last 10,000
/// attempts.
#[utoipa::path(get, path = "/secrets/{id}/runs", tag = "secrets", params(("id" = String, Path)),
    responses((status = 200, body = Success<Vec<SecretRunView>>),
        (status = "4XX", body = Failure)))]
pub async fn runs(caller: Caller, Path(id): Path<String>) -> Answer<Vec<SecretRunView>> {
    caller.require_administrator()?;
    let secret = secrets::find(&caller, &id, Action::Access).await?.secret;
    let runs = caller.tenant.runs_with_secret(secret.id).await?;
    let view = |run: crate::store::SecretRun| {
        let crate::store::SecretRun { id, analysis, state, started_at, version } = run;
        SecretRunView { id, analysis, state, started_at, version }
    };
    Ok(Success::ok(runs.into_iter().map(view).collect()))
}
