//! `/info` and `/status`: who the token is, and which version answers.

use serde_json::{Value, json};

use super::caller::Caller;
use super::devices::DeviceView;
use super::reply::{Answer, Failure, Refusal, Success};
use crate::auth::Principal;

/// Says whose token was sent.
#[utoipa::path(get, path = "/info", tag = "info",
    responses((status = 200, body = Success<Object>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller) -> Answer<Value> {
    Ok(Success::ok(match &caller.principal {
        Principal::Analysis { id } => {
            let analysis = caller.tenant.analysis(*id).await?.analysis;
            json!({
                "id": id,
                "name": analysis.name,
                "active": analysis.active,
                "run_on": analysis.run_on,
                "tags": analysis.tags,
                "last_run": analysis.last_run.map_or("never".into(), |at| at.to_string()),
                "created_at": analysis.created_at,
                "updated_at": analysis.updated_at,
            })
        }
        Principal::Token { id, role } => {
            let token = caller.tenant.token(*id).await?;
            json!({
                "id": id,
                "name": token.name,
                "type": "profile",
                "permission": role.permission(),
                "role": role,
                "expire_time": token.expires_at.map_or("never".into(), |at| at.to_string()),
                "ref_id": caller.tenant.profile(),
                "created_at": token.created_at,
                "created_by": token.created_by,
            })
        }
        Principal::User { id, role } => {
            let user = caller.tenant.user(*id).await?;
            json!({
                "id": id,
                "name": user.name,
                "type": "user",
                "role": role,
                "ref_id": caller.tenant.profile(),
                "created_at": user.created_at,
                "created_by": user.created_by,
            })
        }
        Principal::Local { uid } => {
            let profile = caller.tenant.profile();
            json!({"name": format!("local:{uid}"), "type": "local", "ref_id": profile})
        }
        Principal::Device { id, .. } => {
            let device = caller.tenant.device(*id).await?;
            let view = DeviceView::new(device, caller.tenant.profile());
            serde_json::to_value(view).map_err(|error| Refusal::internal(&error))?
        }
        Principal::Run { id } => json!({"name": format!("run:{id}"), "type": "run", "ref_id": id}),
    }))
}

/// Says which version answers; needs no token.
#[utoipa::path(get, path = "/status", tag = "info",
    responses((status = 200, body = Success<Object>)))]
pub async fn status() -> Success<Value> {
    Success::ok(json!({"version": env!("CARGO_PKG_VERSION")}))
}
