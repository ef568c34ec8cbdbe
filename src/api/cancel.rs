//! `/runs/:id/cancel` and `/rerun`: calling a run off, and starting one again that has ended.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::caller::Caller;
use super::path::Path;
use super::query::Query;
use super::reply::{Answer, Failure, Refusal, Success};
use super::runs::{not_found, resolve, until_ended, wait};
use crate::audit::{Entry, Event};
use crate::auth::Role;
use crate::cause::CauseKind;
use crate::id::Id;
use crate::policy::{Action, Object, ResourceType};
use crate::run::{Run, State};
use crate::store::Cancelled;

/// A cancelled run.
#[derive(Serialize, ToSchema)]
pub struct RunCancelled {
    #[schema(value_type = String)]
    run: Id,
    /// cancelled, or running where its worker was asked to stop it.
    #[schema(value_type = String)]
    state: State,
}

/// Calls a run off that waits or runs. With `wait`, answers when it has ended.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs",
    params(("id" = String, Path), ("wait" = Option<u64>, Query, description = "seconds, up to 50")),
    responses((status = 200, body = Success<RunCancelled>), (status = "4XX", body = Failure)))]
pub async fn cancel(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<RunCancelled> {
    let wait = wait(&caller, &query)?;
    let run = startable(&caller, &id).await?;
    let entry = Entry::new(&caller, Event::RunCancel, run.id, &json!({"analysis": run.analysis}));
    let cancelled = caller.runner.cancel(&caller.tenant, run.id, entry).await;
    let mut state = match cancelled.map_err(not_found)? {
        Cancelled::AtOnce => State::Cancelled,
        Cancelled::Asked => State::Running,
        Cancelled::Ended(state) => {
            return Err(Refusal::invalid(format!("the run has {state} already")));
        }
    };
    if let (State::Running, Some(longest)) = (state, wait) {
        until_ended(&caller, run.id, longest).await;
        state = caller.tenant.run(run.id).await.map_err(not_found)?.run.state;
    }
    Ok(Success::ok(RunCancelled { run: run.id, state }))
}

/// A run that was run again.
#[derive(Serialize, ToSchema)]
pub struct RunAgain {
    /// The new run.
    #[schema(value_type = String)]
    run: Id,
}

/// Queues a run with the scope of one that has ended, of the analysis's active version.
#[utoipa::path(post, path = "/runs/{id}/rerun", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Success<RunAgain>), (status = "4XX", body = Failure)))]
pub async fn rerun(caller: Caller, Path(id): Path<String>) -> Answer<RunAgain> {
    let run = startable(&caller, &id).await?;
    let cause = caller.cause(CauseKind::Api);
    let run = caller.runner.rerun(&caller.tenant, run.id, cause).await?;
    Ok(Success::ok(RunAgain { run }))
}

/// A run of an analysis that the caller may start.
async fn startable(caller: &Caller, id: &str) -> Result<Run, Refusal> {
    caller.require_lister()?;
    let id = resolve(caller, id).await?;
    let run = caller.tenant.run(id).await.map_err(not_found)?.run;
    if caller.principal.role().is_some() {
        caller.require_role(Role::needed(ResourceType::Analysis, Action::Run))?;
    } else {
        let stored = caller.tenant.analysis(run.analysis).await;
        let stored = stored.map_err(super::analysis::not_found)?;
        let object = Object { id: Some(run.analysis), tags: &stored.analysis.tags };
        caller.require(ResourceType::Analysis, Action::Run, &object)?;
    }
    Ok(run)
}
