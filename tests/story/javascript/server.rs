//! A server on loopback that answers as the scripts expect.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, Method, Response, Uri};
use axum::response::IntoResponse;
use axum::routing::any;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The server. It ends with the test.
pub struct Server {
    pub port: u16,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let routes = Router::new()
            .route("/status/{code}", any(status))
            .route("/bytes/{count}", any(bytes))
            .route("/wait/{milliseconds}", any(wait))
            .route("/redirect/{code}/{*to}", any(redirect))
            .fallback(echo);
        let serve = async move { axum::serve(listener, routes).await.expect("a server") };
        Self { port, task: tokio::spawn(serve) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells what it was asked.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.to_string(), Value::from(value.to_str().unwrap_or_default()))
    };
    let headers: Map<String, Value> = headers.iter().map(header).collect();
    let body = String::from_utf8_lossy(&body);
    axum::Json(json!({
        "method": method.as_str(), "url": uri.to_string(), "headers": headers, "body": body,
    }))
}

async fn status(Path(code): Path<u16>) -> Response<Body> {
    let answer = Response::builder().status(code).header("set-cookie", "a=1");
    answer.header("set-cookie", "b=2").body(Body::empty()).expect("an answer")
}

async fn bytes(Path(count): Path<usize>) -> Vec<u8> {
    vec![7; count]
}

async fn wait(Path(milliseconds): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    "waited"
}

/// `to` is a path, or a whole URL without its slashes doubled.
async fn redirect(Path((code, to)): Path<(u16, String)>) -> Response<Body> {
    let to = match to.split_once(":/") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.trim_start_matches('/')),
        None => format!("/{to}"),
    };
    let answer = Response::builder().status(code).header("location", to);
    answer.body(Body::empty()).expect("an answer")
}
