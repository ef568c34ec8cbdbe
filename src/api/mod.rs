//! TagoIO's HTTP API, and what is ours beside it.
//!
//! Owns routes, the envelope of answers, and who may call what. It decides by asking `policy` and
//! acts by asking `pipeline` and `store`. [`router`] is the table of contents.

mod access;
mod action;
mod action_body;
mod action_view;
mod analysis;
mod approval;
mod audit;
mod body;
mod caller;
mod cancel;
mod console;
mod data;
mod description;
mod device_tokens;
mod devices;
mod events;
mod guests;
mod health;
mod hook;
mod info;
mod limits;
mod listing;
mod metrics;
mod module;
mod path;
mod plaintext;
mod position;
mod preview;
mod profile;
mod profile_tokens;
mod query;
mod readers;
mod reply;
mod run;
mod runs;
mod secrets;
mod services;
mod settings;
mod tags;
mod tail;
mod tokens;
mod upload;
mod users;
mod variables;

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use axum::{Extension, Router};
use tower::Layer as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::NormalizePathLayer;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Description;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::fault::ErrorCode;
use crate::id::Id;
use crate::pipeline::Runner;
use crate::tag::Tags;

pub use caller::{PROFILE_HEADER, Trusted};
use metrics::Counting;
pub use plaintext::wiped_json;
use reply::Refusal;

/// What handlers share.
#[derive(Clone)]
pub struct State {
    runner: Arc<Runner>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "runner",
    description = "Runs analyses with exactly the secrets that policies let each of them see."
))]
struct Api;

/// Where the API describes itself.
const DESCRIPTION: &str = "/openapi.json";

fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(info::status))
        .routes(routes!(health::health))
        .routes(routes!(metrics::metrics))
        .routes(routes!(info::info))
        .routes(routes!(secrets::list, secrets::create))
        .routes(routes!(secrets::info, secrets::edit, secrets::delete))
        .routes(routes!(readers::readers))
        .routes(routes!(readers::runs))
        .routes(routes!(access::list, access::create))
        .routes(routes!(settings::settings))
        .routes(routes!(access::info, access::edit, access::delete))
        .routes(routes!(preview::preview))
        .routes(routes!(analysis::list, analysis::create))
        .routes(routes!(analysis::info, analysis::edit, analysis::delete))
        .routes(routes!(analysis::token))
        .routes(routes!(module::upload))
        .routes(routes!(module::activate))
        .routes(routes!(approval::approve))
        .routes(routes!(module::download))
        .routes(routes!(module::module))
        .routes(routes!(run::run))
        .routes(routes!(run::exec))
        .routes(routes!(run::explain))
        .routes(routes!(runs::list))
        .routes(routes!(runs::info, runs::delete))
        .routes(routes!(console::console))
        .routes(routes!(services::console))
        .routes(routes!(events::events))
        .routes(routes!(cancel::cancel))
        .routes(routes!(cancel::rerun))
        .routes(routes!(action::list, action::create))
        .routes(routes!(action::info, action::edit, action::delete))
        .routes(routes!(action::slots))
        .routes(routes!(devices::list, devices::create))
        .routes(routes!(devices::info, devices::edit, devices::delete))
        .routes(routes!(device_tokens::create))
        .routes(routes!(device_tokens::list, device_tokens::delete))
        .routes(routes!(data::read, data::send))
        .routes(routes!(data::read_of, data::send_to))
        .routes(routes!(hook::receive))
        .routes(routes!(tags::list))
        .routes(routes!(tags::keys))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::info, tokens::edit, tokens::delete))
        .routes(routes!(profile::list, profile::create))
        .routes(routes!(profile::info, profile::edit, profile::delete))
        .routes(routes!(profile_tokens::list, profile_tokens::create))
        .routes(routes!(profile_tokens::delete))
        .routes(routes!(profile::account))
        .routes(routes!(audit::list))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::info, users::edit, users::delete))
}

/// The whole API. As long as the router is there, it also answers the guests of this runner, on
/// the runtime that it is made on.
pub fn router(runner: Arc<Runner>) -> Router {
    let (routes, description) = routes().split_for_parts();
    let description = description::complete(description);
    let named = description.paths.paths.keys().map(String::as_str).chain([DESCRIPTION]);
    let counting = Counting::new(runner.metrics().clone(), named);
    let guests = Arc::clone(&runner);
    let routes = routes
        .route(DESCRIPTION, get(|| async move { axum::Json(description) }))
        .merge(refused())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        // Modules are bounded while they stream, other bodies by `body`.
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(counting, metrics::count))
        .with_state(State { runner });
    // Clients write `/analysis/` as well as `/analysis`; the path must change before routing.
    let trimmed = NormalizePathLayer::trim_trailing_slash().layer(routes);
    let router = Router::new().fallback_service(trimmed);
    let answering = guests::answering(router.clone());
    guests.answer_guests(&answering);
    // The runner holds it weakly: they would hold one another for ever.
    router.layer(Extension(answering))
}

/// What clients of the original may try: refused with what there is instead.
fn refused() -> Router<State> {
    Router::new()
        .route("/account/login", any(profile::no_login))
        .route("/account/profile/token", any(profile::no_login))
        .route("/analysis/services/{*service}", any(services::others))
        .route("/data", put(data::unsupported).delete(data::unsupported))
        .route("/device/{id}/data", put(data::unsupported).delete(data::unsupported))
        .route("/device/{id}/data_amount", get(data::unsupported))
        .route("/device/{id}/empty", post(data::unsupported))
        .route("/device/params", any(devices::no_parameters))
        .route("/device/params/{parameter}", any(devices::no_parameters))
        .route("/device/{id}/params", any(devices::no_parameters))
        .route("/device/{id}/params/{parameter}", any(devices::no_parameters))
}

/// The API's description in OpenAPI's form.
pub fn description() -> Description {
    description::complete(routes().into_openapi())
}

async fn unknown(request: Request) -> Refusal {
    let path = request.uri().path();
    Refusal::new(ErrorCode::NotFound, format!("there is nothing at {path:.200}"))
}

async fn wrong_method(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(
        ErrorCode::MethodNotAllowed,
        format!("{path:.200} does not answer to {method:.20}"),
    )
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Refusal::internal(&format!("a handler panicked: {}", text.unwrap_or("no message")))
        .into_response()
}

/// The id in a path.
fn identifier(text: &str, what: &str) -> Result<Id, Refusal> {
    text.parse().map_err(|error| {
        let message = format!("there is no {what} {text:.40}: {error}");
        Refusal::new(ErrorCode::NotFound, message)
    })
}

/// Refuses to delete what carries one of the original's protection tags; the tag's value is what
/// its owner wants to be said.
fn check_protection(tags: &Tags) -> Result<(), Refusal> {
    let keys = ["_deletion_protection", "_delete_protection_"];
    let Some((key, text)) = keys.iter().find_map(|key| Some((key, tags.get(key)?))) else {
        return Ok(());
    };
    let message = format!("it is protected by its tag {key}: {text}");
    Err(Refusal::new(ErrorCode::Protected, message))
}
