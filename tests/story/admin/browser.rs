//! A browser without script: it keeps cookies, fills forms and follows where it is led.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use runner::{admin, api};
use std::sync::Arc;
use tower::ServiceExt as _;

use crate::harness::{Api, text};
use serde_json::json;

/// Where the panel is, as the browser writes it.
pub const HOST: &str = "panel.example";

/// A page that was answered.
#[derive(Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The text.
    pub body: String,
}

/// One browser.
pub struct Browser {
    panel: Router,
    /// The cookies it shows, by name.
    pub cookies: BTreeMap<String, String>,
}

impl Page {
    /// The page, which must have this status.
    #[track_caller]
    pub fn has(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// The page, whose text must have this in it.
    #[track_caller]
    pub fn says(self, part: &str) -> Self {
        assert!(self.body.contains(part), "{part:?} is not in {}", self.body);
        self
    }

    /// Where it leads.
    #[track_caller]
    pub fn leads(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.headers["location"].to_str().expect("a text")
    }

    /// What its forms carry.
    #[track_caller]
    pub fn form_token(&self) -> String {
        let (_, rest) = self.body.split_once(r#"name="form-token" value=""#).expect("a form");
        rest.split('"').next().expect("its end").to_owned()
    }
}

impl Browser {
    /// A browser that has not been here before.
    pub fn new(api: &Api) -> Self {
        let routes = api::router(Arc::clone(&api.runner));
        Self { panel: admin::router(Arc::clone(&api.runner), routes), cookies: BTreeMap::new() }
    }

    /// One that signed in with an administrator's token; answers the token too.
    pub async fn signed_in(api: &Api) -> (Self, String) {
        let new = json!({"name": "laptop", "role": "administrator"});
        let token = text(&api.post("/tokens", new).await.ok()["token"]);
        let mut browser = Self::new(api);
        let led = browser.sign_in(&[("token", &token)]).await;
        assert_eq!(led.leads(), "/admin");
        (browser, token)
    }

    /// Sends one of the forms of the sign-in page.
    pub async fn sign_in(&mut self, fields: &[(&str, &str)]) -> Page {
        let page = self.open("/admin/sign-in").await;
        let token = page.form_token();
        self.send("/admin/sign-in", &token, fields).await
    }

    /// Opens a page.
    pub async fn open(&mut self, path: &str) -> Page {
        self.ask(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    /// Opens a page, fills its form, and sends it there or elsewhere.
    pub async fn fill(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.open(page).await.form_token();
        self.send(action, &token, fields).await
    }

    /// Sends a form.
    pub async fn send(&mut self, path: &str, token: &str, fields: &[(&str, &str)]) -> Page {
        self.ask(form(path, Some(&format!("https://{HOST}")), token, fields)).await
    }

    /// Sends any request with the cookies, and keeps those that are set.
    pub async fn ask(&mut self, mut request: Request<Body>) -> Page {
        let shown: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers = request.headers_mut();
        headers.insert("host", HOST.parse().expect("a host"));
        if !shown.is_empty() {
            headers.insert("cookie", shown.join("; ").parse().expect("cookies"));
        }
        let response = self.panel.clone().oneshot(request).await.expect("the panel answers");
        let (parts, body) = response.into_parts();
        for set in parts.headers.get_all("set-cookie") {
            let set = set.to_str().expect("a text");
            let (pair, attributes) = set.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a value");
            assert!(name.starts_with("__Host-"), "{set}");
            for needed in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
                assert!(attributes.split("; ").any(|found| found.trim() == needed), "{set}");
            }
            match attributes.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let bytes = to_bytes(body, usize::MAX).await.expect("a whole body");
        let body = String::from_utf8(bytes.to_vec()).expect("text");
        Page { status: parts.status, headers: parts.headers, body }
    }
}

/// A form as a browser sends it.
pub fn form(
    path: &str,
    origin: Option<&str>,
    token: &str,
    fields: &[(&str, &str)],
) -> Request<Body> {
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("form-token", token)
        .extend_pairs(fields)
        .finish();
    let mut request = Request::builder().method(Method::POST).uri(path);
    request = request.header("content-type", "application/x-www-form-urlencoded");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.body(Body::from(body)).expect("a request")
}
