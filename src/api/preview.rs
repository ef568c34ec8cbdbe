//! `/am/preview`: what a policy would give and take, before it is saved.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::access;
use super::body::Body;
use super::caller::Caller;
use super::reply::{Answer, Failure, Refusal, Success};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::pipeline::{Preview, Proposal, Shifted};
use crate::policy::{Action, Policy, Shift, check_name, parse_permissions, parse_targets};
use crate::tag::Tags;

/// A change of the policies that is only looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyProposal {
    /// The policy that it changes; none for a new one.
    id: Option<String>,
    /// What the reasons call it.
    name: Option<String>,
    /// True unless told.
    active: Option<bool>,
    /// As in a policy; left out together with the permissions for what a deletion would do.
    targets: Option<Value>,
    permissions: Option<Value>,
}

/// What would change.
#[derive(Serialize, ToSchema)]
pub struct PreviewView {
    /// How many analyses the policy would count for; absent where it is a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    targeted: Option<usize>,
    /// The analyses that would gain or lose secrets.
    changes: Vec<ShiftedView>,
}

/// What would change for one analysis.
#[derive(Serialize, ToSchema)]
pub struct ShiftedView {
    #[schema(value_type = String)]
    analysis: Id,
    name: String,
    /// `{turn, key, secret, action, reason}`, where the turn is `gains` or `loses`.
    #[schema(value_type = Vec<Object>)]
    secrets: Vec<Shift>,
}

/// Says which analyses would gain or lose which secrets, and changes nothing.
#[utoipa::path(post, path = "/am/preview", tag = "access management",
    request_body = PolicyProposal,
    responses((status = 200, body = Success<PreviewView>), (status = "4XX", body = Failure)))]
pub async fn preview(caller: Caller, Body(sent): Body<PolicyProposal>) -> Answer<PreviewView> {
    caller.require_administrator()?;
    let kept = match &sent.id {
        Some(id) if id.parse::<Id>().is_ok() => {
            Some(access::find(&caller, id, Action::Edit).await?)
        }
        Some(_) => {
            return Err(Refusal::invalid("the id of a policy has 24 hexadecimal characters"));
        }
        None => None,
    };
    let proposal = match (sent.targets, sent.permissions, kept) {
        (None, None, Some(kept)) => Proposal::Delete(kept.id),
        (None, _, _) | (_, None, _) => {
            let message =
                "say targets and permissions, or the id alone for what deleting it would do";
            return Err(Refusal::invalid(message));
        }
        (Some(targets), Some(permissions), kept) => {
            let now = Timestamp::now();
            let name = sent.name.unwrap_or_else(|| "this policy".to_owned());
            check_name(&name)?;
            Proposal::Put(Policy {
                id: kept.map_or_else(|| Id::generate(now), |kept| kept.id),
                name,
                active: sent.active.unwrap_or(true),
                tags: Tags::default(),
                targets: parse_targets(&targets)?,
                permissions: parse_permissions(&permissions)?,
                created_at: now,
                updated_at: now,
            })
        }
    };
    let Preview { targeted, shifted } = caller.runner.preview(&caller.tenant, proposal).await?;
    let view = |Shifted { analysis, name, shifts }| ShiftedView { analysis, name, secrets: shifts };
    Ok(Success::ok(PreviewView { targeted, changes: shifted.into_iter().map(view).collect() }))
}
