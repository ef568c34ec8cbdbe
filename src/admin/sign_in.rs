//! Signing in and out.
//!
//! Owns the two ways in: a token, which the API recognises, and the name and password of a user. It
//! says of neither what was wrong with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use askama::Template;
use axum::extract::{ConnectInfo, FromRequest as _, Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::error::Refused;
use super::form::{Asked, Form, Submitted};
use super::layout::{Layout, render};
use super::session::{of_store, own_page, recognise};
use super::{Panel, cookie};
use crate::audit::{Entry, Event};
use crate::auth::{Holder, Password, Role, Session};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::store::{self, NewSession};
use crate::vault::BrowserKey;

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage {
    layout: Layout,
    form_token: String,
    next: String,
    name: String,
    wrong: Option<String>,
}

/// Who showed something that opens a session.
struct Recognised {
    holder: Holder,
    role: Role,
    profile: Id,
    ends: Option<Timestamp>,
}

/// What the API says about a token.
#[derive(Deserialize)]
struct Info {
    id: Option<Id>,
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<String>,
    ref_id: Option<Id>,
    expire_time: Option<String>,
}

/// Shows the two forms.
pub async fn page(State(panel): State<Panel>, asked: Asked, headers: HeaderMap) -> Response {
    let next = own_page(asked.get("next")).to_owned();
    match recognise(&panel, &headers).await {
        Ok(None) => show(&panel, &headers, next, String::new(), None),
        Ok(Some(_)) => Redirect::to(&next).into_response(),
        Err(error) => of_store(&error).into_response(),
    }
}

/// The forms, made for the browser that asks. One that shows nothing gets something to show.
fn show(
    panel: &Panel,
    headers: &HeaderMap,
    next: String,
    name: String,
    wrong: Option<Refused>,
) -> Response {
    let vault = panel.runner.vault();
    let (digest, cookie) = match cookie::browser(headers) {
        Some(text) => (vault.browser_digest(text), None),
        None => {
            let key = BrowserKey::generate();
            (vault.browser_digest(key.as_str()), Some((SET_COOKIE, cookie::set_browser(&key))))
        }
    };
    let status = wrong.as_ref().map_or(StatusCode::OK, |refused| refused.status);
    let page = SignInPage {
        layout: Layout::of_stranger().titled("Sign in"),
        form_token: vault.form_token(&digest),
        next,
        name,
        wrong: wrong.map(|refused| refused.message),
    };
    (status, AppendHeaders(cookie), render(&page)).into_response()
}

/// Opens a session for who shows a token, or a name and its password.
pub async fn sign_in(State(panel): State<Panel>, request: Request) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    // Without an address all count as one.
    let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
    let headers = parts.headers.clone();
    let form = Form::from_request(Request::from_parts(parts, body), &panel).await?;
    let next = own_page(form.get("next")).to_owned();
    let name = form.trimmed("name").to_owned();
    let again = |refused| show(&panel, &headers, next.clone(), name.clone(), Some(refused));
    let Some(shown) = cookie::browser(&headers) else {
        let message = "the browser did not send back the panel's cookie. Browsers keep it over \
                       HTTPS, and on this machine under localhost or 127.0.0.1";
        return Err(again(Refused::new(StatusCode::FORBIDDEN, message)));
    };
    let browser = panel.runner.vault().browser_digest(shown);
    form.check(&panel, &browser).map_err(again)?;
    let by_name = (!form.has("token")).then_some(name.as_str());
    let now = Timestamp::now();
    if !panel.attempts.may_try(address, by_name, now) {
        let message =
            "too many attempts failed from this address or for this name; wait 15 minutes";
        return Err(again(Refused::new(StatusCode::TOO_MANY_REQUESTS, message)));
    }
    let recognised = match by_name {
        None => by_token(&panel, form.get("token")).await,
        Some(name) => by_password(&panel, name, form.get("password")).await,
    };
    let recognised = recognised.map_err(|refused| {
        if refused.status == StatusCode::UNAUTHORIZED {
            panel.attempts.failed(address, by_name, now);
            tracing::warn!(%address, "somebody failed to sign in to the panel");
        }
        again(refused)
    })?;
    let key = begin(&panel, &recognised, now).await;
    let key = key.map_err(|error| of_store(&error).into_response())?;
    // Another cookie than before: nobody who knew that one is signed in too.
    let cookie = AppendHeaders([(SET_COOKIE, cookie::set_browser(&key))]);
    Ok((cookie, Redirect::to(&next)).into_response())
}

/// Ends the session.
pub async fn sign_out(Submitted { visitor, .. }: Submitted) -> Result<Response, Refused> {
    let session = &visitor.session;
    let entry = Entry::new(&session.principal(), Event::SessionEnd, session.id, &json!({}));
    let tenant = visitor.panel.runner.tenant(session.profile);
    tenant.end_session(session.id, entry).await.map_err(|error| of_store(&error))?;
    let cookie = AppendHeaders([(SET_COOKIE, cookie::clear_browser())]);
    Ok((cookie, Redirect::to("/admin/sign-in")).into_response())
}

async fn begin(
    panel: &Panel,
    recognised: &Recognised,
    now: Timestamp,
) -> Result<BrowserKey, store::Error> {
    let Recognised { holder, role, profile, ends } = *recognised;
    let session = Session::begin(profile, holder, role, ends, now);
    let vault = panel.runner.vault();
    let key = BrowserKey::generate();
    let digest = vault.browser_digest(key.as_str());
    let bound = vault.sign_owner(session.statement(&digest).as_bytes());
    let detail = json!({"role": role});
    let entry = Entry::new(&session.principal(), Event::SessionBegin, session.id, &detail);
    let tenant = panel.runner.tenant(profile);
    tenant.begin_session(NewSession { session, digest, bound }, entry).await?;
    Ok(key)
}

async fn by_token(panel: &Panel, token: &str) -> Result<Recognised, Refused> {
    let info: Info = panel.ask_with_token("/info", token).await?;
    let role = info.role.as_deref().and_then(|role| role.parse().ok());
    match (info.kind.as_deref(), info.id, role, info.ref_id) {
        (Some("profile"), Some(id), Some(role), Some(profile)) => {
            let ends = info.expire_time.as_deref().and_then(|end| end.parse().ok());
            Ok(Recognised { holder: Holder::Token(id), role, profile, ends })
        }
        _ => {
            let message = "this token is of an analysis, a run or a device. Sign in with one that \
                           begins with p-, as `runner token create` prints it";
            Err(Refused::new(StatusCode::UNAUTHORIZED, message))
        }
    }
}

async fn by_password(panel: &Panel, name: &str, password: &str) -> Result<Recognised, Refused> {
    let wrong = || Refused::new(StatusCode::UNAUTHORIZED, "the name or the password is wrong");
    let password = Zeroizing::new(password.to_owned());
    let found = panel.runner.host().user_by_name(name).await.map_err(|error| of_store(&error))?;
    let Some(found) = found else {
        Password::of_nobody().is(password).await;
        return Err(wrong());
    };
    let signed = panel.runner.vault().verify_owner(found.statement().as_bytes(), &found.bound);
    if !found.password.is(password).await || !signed {
        return Err(wrong());
    }
    let (id, role) = (found.user.id, found.user.role);
    Ok(Recognised { holder: Holder::User(id), role, profile: found.profile, ends: None })
}
