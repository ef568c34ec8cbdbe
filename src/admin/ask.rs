//! Asking the API, in this process, as who signed in.
//!
//! Owns the envelope of answers, and what the panel makes of a refusal. What was asked for is
//! decided there and not here.

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tower::ServiceExt as _;

use super::Panel;
use super::error::Refused;
use super::session::Visitor;
use crate::api::{Trusted, wiped_json};

/// The header that carries a token.
const TOKEN: HeaderName = HeaderName::from_static("token");

#[derive(Deserialize)]
struct Envelope<'a> {
    status: bool,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    message: Option<String>,
    code: Option<String>,
}

impl Panel {
    /// Asks who the holder of a token is, which only the API can tell.
    pub async fn ask_with_token<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &str,
    ) -> Result<T, Refused> {
        let mut value = HeaderValue::from_str(token.trim())
            .map_err(|_| Refused::new(StatusCode::UNAUTHORIZED, "that is not a token"))?;
        value.set_sensitive(true);
        let mut request = request(Method::GET, path, Body::empty())?;
        request.headers_mut().insert(TOKEN, value);
        open(self.answer(request).await).await
    }

    async fn answer(&self, request: Request<Body>) -> Response {
        let Ok(response) = self.api.clone().oneshot(request).await;
        response
    }
}

impl Visitor {
    /// `GET path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refused> {
        self.ask(Method::GET, path, Body::empty()).await
    }

    /// `POST path` with JSON.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Refused> {
        self.ask(Method::POST, path, json(body)?).await
    }

    /// `PUT path` with JSON.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Refused> {
        self.ask(Method::PUT, path, json(body)?).await
    }

    /// `DELETE path`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refused> {
        self.ask(Method::DELETE, path, Body::empty()).await
    }

    /// Asks, and opens the envelope of the answer. A refusal stands in the visitor's frame.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, Refused> {
        let answer = open(self.stream(method, path, body).await?).await;
        answer.map_err(|refused| self.refuse(refused))
    }

    /// Asks for what comes without an envelope: a download, or a stream of events.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response, Refused> {
        let mut request = request(method, path, body)?;
        request.extensions_mut().insert(Trusted {
            principal: self.session.principal(),
            profile: Some(self.session.profile),
        });
        Ok(self.panel.answer(request).await)
    }
}

/// A text as one part of a path of the API.
pub fn segment(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

fn request(method: Method, path: &str, body: Body) -> Result<Request<Body>, Refused> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(HOST, "localhost").header(CONTENT_TYPE, "application/json");
    request.body(body).map_err(|_| Refused::new(StatusCode::NOT_FOUND, "there is no such page"))
}

/// JSON in a buffer that is wiped once it is sent: secret values travel in it.
fn json(value: &impl Serialize) -> Result<Body, Refused> {
    let text = wiped_json(value).map_err(|error| failed(&error))?;
    Ok(Body::new(Full::new(Bytes::from_owner(text))))
}

async fn open<T: DeserializeOwned>(response: Response) -> Result<T, Refused> {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| failed(&error))?;
    let envelope: Envelope<'_> = serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
    match envelope.result {
        Some(result) if envelope.status => {
            serde_json::from_str(result.get()).map_err(|error| failed(&error))
        }
        _ => {
            // Whoever signed in is known: what the API calls unauthorised is a matter of roles.
            let denied = envelope.code.as_deref() == Some("denied");
            let status = if denied { StatusCode::FORBIDDEN } else { status };
            Err(Refused::new(status, envelope.message.unwrap_or_default()))
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> Refused {
    tracing::error!(%error, "the panel cannot read what the API answers");
    let message = "the runner failed; its log has the reason";
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}
