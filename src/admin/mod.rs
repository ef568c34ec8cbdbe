//! The admin panel at `/admin`: pages for people, rendered here.
//!
//! The panel is a client of the API in the same process. A page's handler asks the API's router as
//! who signed in, and shows what it answers: every check, every validation and every text of an
//! error is the API's own. Owned here are sessions, sign-in, and how things look. [`router`] is the
//! table of contents.

mod access;
mod ask;
mod assets;
mod attempts;
mod audit;
mod cookie;
mod error;
mod form;
mod guard;
mod help;
mod layout;
mod listing;
mod moment;
mod rule_form;
mod secret_form;
mod secrets;
mod session;
mod sign_in;
mod tags;
mod tokens;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::response::Redirect;
use axum::routing::{get, post};

use crate::pipeline::Runner;

use attempts::Attempts;

/// What handlers share.
#[derive(Clone)]
pub struct Panel {
    runner: Arc<Runner>,
    /// The API that pages are made from.
    api: Router,
    attempts: Arc<Attempts>,
}

/// The panel before `api`: what is not below `/admin` is the API's.
pub fn router(runner: Arc<Runner>, api: Router) -> Router {
    let panel = Panel { runner, api: api.clone(), attempts: Arc::default() };
    let pages = Router::new()
        .route("/admin", get(|| async { Redirect::to("/admin/secrets") }))
        .route("/admin/", get(|| async { Redirect::to("/admin") }))
        .route("/admin/assets/{name}", get(assets::asset))
        .route("/admin/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/admin/sign-out", post(sign_in::sign_out))
        .route("/admin/help/{page}", get(help::page))
        .route("/admin/secrets", get(secrets::list).post(secrets::create))
        .route("/admin/secrets/new", get(secrets::new))
        .route("/admin/secrets/{id}", get(secrets::detail).post(secrets::edit))
        .route("/admin/secrets/{id}/delete", post(secrets::delete))
        .route("/admin/access", get(access::list).post(access::create))
        .route("/admin/access/new", get(access::new))
        .route("/admin/access/preview", post(access::preview))
        .route("/admin/access/{id}", get(access::detail).post(access::edit))
        .route("/admin/access/{id}/delete", post(access::delete))
        .route("/admin/tokens", get(tokens::list).post(tokens::create))
        .route("/admin/tokens/new", get(tokens::new))
        .route("/admin/tokens/{id}", get(tokens::detail).post(tokens::edit))
        .route("/admin/tokens/{id}/delete", post(tokens::delete))
        .route("/admin/users", get(users::list).post(users::create))
        .route("/admin/users/new", get(users::new))
        .route("/admin/users/{id}", get(users::detail).post(users::edit))
        .route("/admin/users/{id}/delete", post(users::delete))
        .route("/admin/audit", get(audit::list))
        .route("/admin/{*path}", get(error::nothing))
        .method_not_allowed_fallback(error::wrong_method)
        // A form may be as large as what it becomes: the API bounds the rest.
        .layer(axum::extract::DefaultBodyLimit::max(form::MAX_FORM))
        .layer(from_fn(guard::guard))
        .with_state(panel);
    Router::new().merge(pages).fallback_service(api)
}
