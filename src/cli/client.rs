//! The one way commands reach the API: in this process, over the data directory's socket, or to a
//! server. What a command sends and gets is the same on all three.
//!
//! Owns the envelope (`{status, result}` or `{status, message, code}`) and paging. It knows no
//! command; how bytes travel is `transport`'s.

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tower::ServiceExt;
use zeroize::Zeroizing;

use super::events::Events;
use super::failure::Failure;
use super::transport::{Received, Server, receive, send_to_socket, stream_from_socket};
use crate::api::{PROFILE_HEADER, wiped_json};
use crate::fault::ErrorCode;

/// How long an answer may take, but for `exec`. The longest wait the API offers is 50 seconds;
/// compiling a large module takes longer than that on a small machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Rows asked for at once when a list is read to its end.
const PAGE: usize = 100;

/// A connection to the API of one runner.
pub struct Client {
    route: Route,
    token: Option<HeaderValue>,
    /// The profile that commands of this machine work in, where it is not the first.
    profile: Option<HeaderValue>,
}

enum Route {
    Router(Router),
    Socket(PathBuf),
    Server(Server),
}

/// What a request carries.
pub enum Body {
    /// Nothing.
    Empty,
    /// JSON text. The buffer is wiped once it is sent: secret values travel in it.
    Json(Zeroizing<Vec<u8>>),
    /// A WebAssembly module.
    Module(Vec<u8>),
    /// A script of JavaScript or TypeScript.
    Script(Vec<u8>),
}

impl Body {
    /// `value` as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, Failure> {
        let text = wiped_json(value)
            .map_err(|error| Failure::usage(format_args!("cannot be sent as JSON: {error}")))?;
        Ok(Self::Json(text))
    }

    fn into_parts(self) -> (Option<HeaderValue>, Bytes) {
        let header = |text| Some(HeaderValue::from_static(text));
        match self {
            Self::Empty => (None, Bytes::new()),
            Self::Json(text) => (header("application/json"), Bytes::from_owner(text)),
            Self::Module(bytes) => (header("application/wasm"), bytes.into()),
            Self::Script(bytes) => (header("text/javascript"), bytes.into()),
        }
    }
}

/// The `result` of a successful answer: JSON exactly as the API wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answer(Box<RawValue>);

impl Answer {
    /// An answer that did not come in an envelope: one event of a stream.
    pub fn from_text(text: String) -> Result<Self, Failure> {
        RawValue::from_string(text).map(Self).map_err(|error| unknown_form(&error))
    }

    /// The JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The result in the form a command needs. Fields it does not know are left alone.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.get()).map_err(|error| unknown_form(&error))
    }
}

/// What a list asks for. Filters are exact.
#[derive(Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Asks for these fields of each row.
    pub fn fields(names: &[&str]) -> Self {
        let pair = |(at, name): (usize, &&str)| (format!("fields[{at}]"), (*name).to_owned());
        Self { pairs: names.iter().enumerate().map(pair).collect() }
    }

    /// Keeps rows whose `field` is exactly `value`.
    #[must_use]
    pub fn filter(mut self, field: &str, value: &str) -> Self {
        self.pairs.push((format!("filter[{field}]"), value.to_owned()));
        self
    }

    /// Keeps rows that carry all of these tags.
    #[must_use]
    pub fn tags(mut self, tags: &[crate::tag::Tag]) -> Self {
        for (at, tag) in tags.iter().enumerate() {
            self.pairs.push((format!("filter[tags][{at}][key]"), tag.key.clone()));
            self.pairs.push((format!("filter[tags][{at}][value]"), tag.value.clone()));
        }
        self
    }
}

impl Client {
    /// Asks a router in this process.
    pub fn router(router: Router) -> Self {
        Self { route: Route::Router(router), token: None, profile: None }
    }

    /// Asks the server that listens on the socket at `path`.
    pub fn socket(path: PathBuf) -> Self {
        Self { route: Route::Socket(path), token: None, profile: None }
    }

    /// Asks the server at `url` with `token`, over TLS if it begins with `https://`.
    ///
    /// Plain HTTP to another machine is refused unless `insecure_http`.
    pub fn server(
        url: &str,
        token: Option<Zeroizing<String>>,
        insecure_http: bool,
    ) -> Result<Self, Failure> {
        let header = |token: Zeroizing<String>| {
            let mut value = HeaderValue::from_str(token.trim())
                .map_err(|_| Failure::usage("RUNNER_TOKEN holds characters no token has"))?;
            value.set_sensitive(true);
            Ok::<_, Failure>(value)
        };
        let server = Route::Server(Server::new(url, insecure_http)?);
        Ok(Self { route: server, token: token.map(header).transpose()?, profile: None })
    }

    /// The same within a profile, by its name or id; none stands for the first one.
    pub fn within(mut self, profile: Option<&str>) -> Result<Self, Failure> {
        let header = |name: &str| {
            HeaderValue::from_bytes(name.as_bytes())
                .map_err(|_| Failure::usage("--profile holds characters that no name has"))
        };
        self.profile = profile.map(header).transpose()?;
        Ok(self)
    }

    /// Sends one request and opens the envelope of its answer.
    pub async fn request(
        &self,
        method: Method,
        path_and_query: &str,
        body: Body,
    ) -> Result<Answer, Failure> {
        tokio::time::timeout(ANSWER_TIMEOUT, self.request_without_end(method, path_and_query, body))
            .await
            .unwrap_or_else(|_| {
                let seconds = ANSWER_TIMEOUT.as_secs();
                let message = format!("no answer came within {seconds} seconds");
                Err(Failure::refused(ErrorCode::Unreachable, message))
            })
    }

    /// The same for a request that is answered when a run ends, however long that takes.
    pub async fn request_without_end(
        &self,
        method: Method,
        path_and_query: &str,
        body: Body,
    ) -> Result<Answer, Failure> {
        open(self.send(method, path_and_query, body).await?)
    }

    /// `GET path`.
    pub async fn get(&self, path_and_query: &str) -> Result<Answer, Failure> {
        self.request(Method::GET, path_and_query, Body::Empty).await
    }

    /// `POST path` with JSON.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, Failure> {
        self.request(Method::POST, path, Body::json(body)?).await
    }

    /// `PUT path` with JSON.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Result<Answer, Failure> {
        self.request(Method::PUT, path, Body::json(body)?).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.request(Method::DELETE, path, Body::Empty).await
    }

    /// The rows at `path`, page after page, until they end or there are `limit` of them.
    pub async fn list(
        &self,
        path: &str,
        query: &Query,
        limit: Option<usize>,
    ) -> Result<Answer, Failure> {
        let amount = limit.map_or(PAGE, |limit| limit.clamp(1, PAGE));
        let limit = limit.unwrap_or(usize::MAX);
        let mut rows: Vec<Box<RawValue>> = Vec::new();
        for page in 1_usize.. {
            let text = form_urlencoded::Serializer::new(String::new())
                .append_pair("page", &page.to_string())
                .append_pair("amount", &amount.to_string())
                .extend_pairs(&query.pairs)
                .finish();
            let more: Vec<Box<RawValue>> = self.get(&format!("{path}?{text}")).await?.parse()?;
            let last = more.len() < amount;
            rows.extend(more);
            if last || rows.len() >= limit {
                break;
            }
        }
        rows.truncate(limit);
        serde_json::value::to_raw_value(&rows).map(Answer).map_err(|error| {
            Failure::refused(ErrorCode::InternalError, format_args!("cannot join pages: {error}"))
        })
    }

    /// The bytes behind a download address of the API, which come without an envelope.
    ///
    /// Only path and query of `url` count: the runner that signed it is the one asked.
    pub async fn download(&self, url: &str) -> Result<Bytes, Failure> {
        let not_ours =
            || Failure::refused(ErrorCode::InternalError, "the download address is none");
        let uri: hyper::Uri = url.parse().map_err(|_| not_ours())?;
        let path = uri.path_and_query().ok_or_else(not_ours)?;
        let received = self.send(Method::GET, path.as_str(), Body::Empty).await?;
        if received.status == StatusCode::OK {
            return Ok(received.body);
        }
        open(received).and(Err(not_ours()))
    }

    /// Asks for a stream of events, and waits until it begins.
    pub async fn events(&self, path_and_query: &str) -> Result<Events, Failure> {
        let mut request = self.build(Method::GET, path_and_query, Body::Empty)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let response = match &self.route {
            Route::Socket(path) => stream_from_socket(path, request).await?.map(whole),
            Route::Server(server) => server.stream(request).await?.map(whole),
            Route::Router(router) => {
                let Ok(response) = router.clone().oneshot(request.map(whole)).await;
                response
            }
        };
        if response.status() == StatusCode::OK {
            return Ok(Events::new(response.into_body()));
        }
        let received = receive(response).await.map_err(|error| no_answer(&error))?;
        Err(open(received).err().unwrap_or_else(|| no_answer(&"it is not a stream of events")))
    }

    async fn send(
        &self,
        method: Method,
        path_and_query: &str,
        body: Body,
    ) -> Result<Received, Failure> {
        let request = self.build(method, path_and_query, body)?;
        match &self.route {
            Route::Socket(path) => send_to_socket(path, request).await,
            Route::Server(server) => server.send(request).await,
            Route::Router(router) => {
                let Ok(response) = router.clone().oneshot(request.map(whole)).await;
                receive(response).await.map_err(|error| no_answer(&error))
            }
        }
    }

    fn build(
        &self,
        method: Method,
        path_and_query: &str,
        body: Body,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let (content_type, bytes) = body.into_parts();
        let host = match &self.route {
            Route::Server(server) => server.authority(),
            Route::Router(_) | Route::Socket(_) => "localhost".to_owned(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header(HOST, host)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("runner/", env!("CARGO_PKG_VERSION")));
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(token) = &self.token {
            request = request.header("token", token);
        }
        if let Some(profile) = &self.profile {
            request = request.header(PROFILE_HEADER, profile);
        }
        request.body(Full::new(bytes)).map_err(Failure::usage)
    }
}

/// A body of any kind as one of axum's.
fn whole<B>(body: B) -> axum::body::Body
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    axum::body::Body::new(body)
}

fn unknown_form(error: &serde_json::Error) -> Failure {
    let message = format!("the answer is not in the form this version knows: {error}");
    Failure::refused(ErrorCode::InternalError, message)
        .hint("use a `runner` of the same version as the server")
}

fn no_answer(error: &dyn std::fmt::Display) -> Failure {
    Failure::refused(ErrorCode::InternalError, format_args!("no answer: {error}"))
}

#[derive(Deserialize)]
struct Envelope {
    status: bool,
    result: Option<Box<RawValue>>,
    message: Option<String>,
    code: Option<String>,
}

fn open(received: Received) -> Result<Answer, Failure> {
    let status = received.status;
    let foreign = || {
        let message =
            format!("the answer (HTTP status {}) is not one of a runner", status.as_u16());
        Failure::refused(ErrorCode::Unreachable, message).hint("check the address in --server")
    };
    let envelope: Envelope = serde_json::from_slice(&received.body).map_err(|_| foreign())?;
    if envelope.status && status.is_success() {
        return envelope.result.map(Answer).ok_or_else(foreign);
    }
    let code = envelope.code.and_then(|code| code.parse().ok()).unwrap_or(by_status(status));
    let failure = Failure::refused(code, envelope.message.ok_or_else(foreign)?);
    Err(match code {
        ErrorCode::Unauthenticated => failure.hint(
            "RUNNER_TOKEN=TOKEN, where TOKEN comes from \
             `runner token create --role administrator` on the server's machine",
        ),
        _ => failure,
    })
}

/// A newer server may know codes that this version does not; its status still says the kind.
fn by_status(status: StatusCode) -> ErrorCode {
    match status.as_u16() {
        401 => ErrorCode::Unauthenticated,
        403 => ErrorCode::Denied,
        404 => ErrorCode::NotFound,
        405 => ErrorCode::MethodNotAllowed,
        409 => ErrorCode::AlreadyExists,
        413 => ErrorCode::TooLarge,
        429 | 502..=504 => ErrorCode::Unavailable,
        400..=499 => ErrorCode::InvalidRequest,
        _ => ErrorCode::InternalError,
    }
}
