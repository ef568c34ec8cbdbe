//! Who visits a page: the session behind the browser's cookie.
//!
//! Owns how a session is recognised. What the visitor may do is decided by the API alone, which
//! the panel asks as the session's principal.

use axum::extract::FromRequestParts;
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};

use super::error::Refused;
use super::layout::{Layout, Section, Who, render};
use super::{Panel, cookie};
use crate::auth::{NOTED_EVERY, Session};
use crate::clock::Timestamp;
use crate::store::{self, StoredSession};

/// Somebody who signed in.
pub struct Visitor {
    /// The session.
    pub session: Session,
    /// The digest of what the browser shows.
    pub browser: [u8; 32],
    /// The panel.
    pub panel: Panel,
    name: String,
    notice: Option<String>,
}

impl FromRequestParts<Panel> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, panel: &Panel) -> Result<Self, Response> {
        match recognise(panel, &parts.headers).await {
            Ok(Some(visitor)) => Ok(visitor),
            Ok(None) => Err(stranger(parts)),
            Err(error) => Err(of_store(&error).into_response()),
        }
    }
}

/// Who shows the cookie, if it stands for a session that has not ended.
pub async fn recognise(
    panel: &Panel,
    headers: &HeaderMap,
) -> Result<Option<Visitor>, store::Error> {
    let Some(text) = cookie::browser(headers) else { return Ok(None) };
    let vault = panel.runner.vault();
    let browser = vault.browser_digest(text);
    let Some(found) = panel.runner.host().session(&browser).await? else { return Ok(None) };
    let StoredSession { session, bound, name, role } = found;
    let now = Timestamp::now();
    let signed = vault.verify_owner(session.statement(&browser).as_bytes(), &bound);
    if !signed || role != session.role || session.is_over(now) {
        return Ok(None);
    }
    if now.since(session.seen_at) >= NOTED_EVERY {
        panel.runner.tenant(session.profile).note_session(session.id, now).await?;
    }
    let notice = cookie::notice(headers);
    Ok(Some(Visitor { session, browser, panel: panel.clone(), name, notice }))
}

/// Sends a stranger to sign in, and back to the page afterwards.
fn stranger(parts: &Parts) -> Response {
    if parts.method.is_safe() {
        let page = parts.uri.path_and_query().map_or("/admin", |page| page.as_str());
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("next", page).finish();
        return Redirect::to(&format!("/admin/sign-in?{query}")).into_response();
    }
    let message = "the session has ended, and nothing was saved; sign in again";
    Refused::new(StatusCode::UNAUTHORIZED, message).into_response()
}

/// What the panel says where the store cannot be asked.
pub fn of_store(error: &store::Error) -> Refused {
    tracing::error!(%error, "the panel cannot ask the store");
    let message = "the store does not answer; the runner's log has the reason";
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, message)
}

impl Visitor {
    /// What every form of this visitor carries.
    pub fn form_token(&self) -> String {
        self.panel.runner.vault().form_token(&self.browser)
    }

    /// The frame of a page in this section.
    pub fn layout(&self, section: Section, title: &str) -> Layout {
        let frame = self.frame();
        Layout { section: Some(section), ..frame }.titled(title)
    }

    fn frame(&self) -> Layout {
        let role = self.session.role.as_str();
        let who = Who { name: self.name.clone(), role, form_token: self.form_token() };
        Layout::of(who, self.notice.clone())
    }

    /// Shows a page. What the page before it left to be said is said now.
    pub fn show(&self, page: &impl askama::Template) -> Response {
        let said = self.notice.as_ref().map(|_| (SET_COOKIE, cookie::clear_notice()));
        (AppendHeaders(said), render(page)).into_response()
    }

    /// Shows the page of a form again, with what was wrong.
    pub fn show_again(&self, refused: &Refused, page: &impl askama::Template) -> Response {
        (refused.status, render(page)).into_response()
    }

    /// Leads to a page that says what was done.
    pub fn go(&self, path: &str, notice: &str) -> Response {
        let said = AppendHeaders([(SET_COOKIE, cookie::set_notice(notice))]);
        (said, Redirect::to(path)).into_response()
    }

    /// A refusal within this visitor's frame.
    pub fn refuse(&self, refused: Refused) -> Refused {
        refused.within(self.frame())
    }
}

/// A page of the panel to go on with, for a text that anybody may have written.
pub fn own_page(text: &str) -> &str {
    let own = text.parse::<Uri>().is_ok_and(|uri| {
        let path = uri.path();
        uri.authority().is_none() && (path == "/admin" || path.starts_with("/admin/"))
    });
    if own && !text.contains(['\\', '\n', '\r']) { text } else { "/admin" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_nobody_is_led_elsewhere() {
        for own in ["/admin", "/admin/secrets?q=a&page=2", "/admin/secrets/x"] {
            assert_eq!(own_page(own), own);
        }
        for other in [
            "",
            "//evil.example/admin/",
            "https://evil.example/admin/",
            "/administrator",
            "/secrets",
            "admin/x",
            "/\\evil.example",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_page(other), "/admin", "{other}");
        }
    }
}
