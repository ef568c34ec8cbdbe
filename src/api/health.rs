//! `/health`: whether the server can do its work, for load balancers and supervisors.

use serde::Serialize;
use utoipa::ToSchema;

use super::State;
use super::reply::Success;
use crate::pipeline::Link;

/// How the server is.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or `unreachable: ` and why.
    store: String,
    /// Where an MQTT broker is set: `connected`, `disconnected`, or `standby` while another node has
    /// the connection or no action listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    mqtt: Option<Link>,
    /// The runner's version.
    version: &'static str,
}

/// Says whether the store answers, with status 503 where it does not; needs no token.
#[utoipa::path(get, path = "/health", tag = "info",
    responses((status = 200, body = Success<Health>), (status = 503, body = Success<Health>)))]
pub async fn health(
    axum::extract::State(State { runner }): axum::extract::State<State>,
) -> Success<Health> {
    let mqtt = runner.broker_link();
    let health = |store| Health { store, mqtt, version: env!("CARGO_PKG_VERSION") };
    match runner.host().ping().await {
        Ok(()) => Success::ok(health("ok".into())),
        // Anyone may ask, so the error's causes go to the log alone.
        Err(error) => {
            tracing::warn!(error = %super::reply::chain(&error), "the store does not answer");
            Success::unavailable(health(format!("unreachable: {error}")))
        }
    }
}
