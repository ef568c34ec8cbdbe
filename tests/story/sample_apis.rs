//! Samples that call an HTTP API: each against a server that gives the answers of its folder.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use runner::host::Host;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::harness::{Api, Place, repository, settings, text};
use super::samples::{install_with, read, shown};

/// The host that the samples' policies and variables name.
const API: &str = "api.example.com";

/// One request that a sample must make, and what it is answered.
#[derive(Deserialize)]
struct Expected {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    answer: Answer,
}

#[derive(Deserialize)]
struct Answer {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

/// A server that expects these requests in order; answers its port and what is still expected.
async fn serve(expected: Vec<Expected>) -> (u16, Arc<Mutex<Vec<Expected>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let left = Arc::new(Mutex::new(expected));
    let of_server = Arc::clone(&left);
    let router = Router::new().fallback(move |request| answer(Arc::clone(&of_server), request));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, left)
}

/// What the next expected request is answered, or a status that no sample takes for an answer.
async fn answer(left: Arc<Mutex<Vec<Expected>>>, request: Request) -> Response<axum::body::Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let mut left = left.lock().expect("no test has failed");
    let Some(expected) = left.first() else { return refused("no more requests were expected") };
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    if (head.method.as_str(), path.as_str()) != (&expected.method, &expected.path) {
        return refused(&format!("{} {path} was not expected", head.method));
    }
    for (name, value) in &expected.headers {
        if head.headers.get(name).is_none_or(|given| given.as_bytes() != value.as_bytes()) {
            return refused(&format!("the header {name} is not {value}"));
        }
    }
    if body != expected.body.as_bytes() {
        return refused(&format!("the body is {:?}", String::from_utf8_lossy(&body)));
    }
    let Expected { answer, .. } = left.remove(0);
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(Bytes::from(answer.body).into()).expect("an answer")
}

fn refused(why: &str) -> Response<axum::body::Body> {
    let mut response = Response::new(why.to_owned().into());
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    eprintln!("the server of the sample: {why}");
    response
}

/// A runner for which the samples' API is on this machine.
async fn open() -> Api {
    let place = Place::new();
    let mut settings = settings(&place);
    settings.outbound.private_ranges = vec!["127.0.0.1".parse().expect("a range")];
    let address = "127.0.0.1".parse().expect("an address");
    settings.outbound.hosts = [(Host::parse(API).expect("a name"), address)].into();
    Api::open_with(place, settings).await
}

/// Runs a sample against a server of its folder's answers.
async fn assert_calls_its_api(name: &str) {
    let folder = repository().join("sample-analyses").join(name);
    let expected =
        serde_json::from_value(read(&folder, "server.json")).expect("a list of requests");
    let (port, left) = serve(expected).await;
    let api = open().await;
    let here = format!("http://{API}:{port}");
    let change = |text: String| {
        let text = text.replace(&format!("\"{API}\""), &format!("{here:?}"));
        text.replace(&format!("https://{API}"), &here)
    };
    let analysis = install_with(&api, name, change).await;
    let run = api.run(&analysis, read(&folder, "scope.json")).await;
    assert_eq!(shown(&run), read(&folder, "expected.json"), "{name}");
    let missed = left.lock().expect("the server is fine").len();
    assert_eq!(missed, 0, "{name} left requests out");

    // Without the policy's permission for the host nothing is sent, and the run says what is missing.
    let policy = format!("/am/{}", text(&api.get("/am").await.ok()[0]["id"]));
    let secrets = &read(&folder, "policy.json")["permissions"][0];
    api.put(&policy, json!({"permissions": [secrets]})).await.ok();
    let run = api.run(&analysis, read(&folder, "scope.json")).await;
    let message = run["fault"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("no policy allows this analysis network access"), "{run}");
    assert!(message.contains(&here), "{run}");
}

#[tokio::test]
async fn the_rust_sample_asks_an_api_with_a_secret_in_a_header() {
    assert_calls_its_api("irrigation-plan").await;
}

#[tokio::test]
async fn the_python_sample_pushes_to_an_api_and_signs_what_it_sends() {
    assert_calls_its_api("signed-push").await;
}

#[cfg(feature = "javascript")]
#[tokio::test]
async fn the_typescript_sample_fetches_with_a_secret_in_a_header() {
    assert_calls_its_api("price-watch").await;
}
