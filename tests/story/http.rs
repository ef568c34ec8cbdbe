//! The API on the wire: what every client of it may count on.

mod callers;
mod catalogue;
mod grants;
mod lists;
mod modules;
mod roles;
mod runs;
pub mod world;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use runner::api::{self, Trusted};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::{Api, text};
use world::{OF_GUESTS, World, operations};

/// An answer with its headers and its very bytes.
pub struct Raw {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Raw {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }
}

/// Sends a request to a router of its own.
pub async fn exchange(api: &Api, request: Request<Body>) -> Raw {
    let router = api::router(Arc::clone(&api.runner));
    let response = router.oneshot(request).await.expect("the router answers");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole body").to_vec();
    Raw { status: parts.status, headers: parts.headers, body }
}

/// A request of a local user: an administrator.
pub fn trusted(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).body(body.into());
    let mut request = request.expect("a request");
    request.extensions_mut().insert(Trusted::local(1));
    request
}

/// Refuses a null anywhere: one official client takes it for a failure.
fn check_no_null(value: &Value, place: &str) {
    match value {
        Value::Null => panic!("null at {place}"),
        Value::Array(items) => items.iter().for_each(|item| check_no_null(item, place)),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| check_no_null(field, &format!("{place}.{name}")))
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_operation_answers_json_in_the_envelope_without_a_null() {
    let world = World::new().await;
    let mut seen = 0;
    // What deletes comes last: the others need what is deleted.
    let mut all = operations();
    all.sort_by_key(|(method, _)| method == Method::DELETE);
    for (method, template) in all {
        if ["/analysis/{id}/module", "/metrics", "/events", OF_GUESTS].contains(&template.as_str())
        {
            continue;
        }
        let body = world.body(&method, &template).unwrap_or(Value::Null);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut request = trusted(method.clone(), &world.path(&method, &template), body);
        if template == "/data" {
            request.extensions_mut().remove::<Trusted>();
            let token = world.device_token.parse().expect("a header value");
            request.headers_mut().insert("device-token", token);
        }
        let raw = exchange(&world.api, request).await;
        let place = format!("{method} {template}");
        let made = method == Method::POST
            && [
                "/secrets",
                "/analysis",
                "/am",
                "/action",
                "/tokens",
                "/device",
                "/device/token",
                "/profile",
                "/profile/{id}/token",
                "/users",
            ]
            .contains(&template.as_str());
        let expected = if made { StatusCode::CREATED } else { StatusCode::OK };
        let body = raw.json();
        assert_eq!(raw.status, expected, "{place}: {body}");
        assert_eq!(raw.headers["content-type"], "application/json", "{place}");
        assert_eq!(body["status"], true, "{place}");
        let names: Vec<_> = body.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["result", "status"], "{place}");
        check_no_null(&body["result"], &place);
        seen += 1;
    }
    assert!(seen >= 30, "only {seen} operations are described");
}

#[tokio::test]
async fn a_refusal_has_a_message_and_a_code_and_the_status_of_the_code() {
    let api = Api::open().await;
    api.secret("TAKEN", "v", ("a", "b")).await;
    let id = text(&api.post("/analysis", json!({"name": "empty"})).await.ok()["id"]);
    let tags = json!([{"key": "a", "value": "b"}]);
    let taken = json!({"key": "TAKEN", "value": "v", "tags": tags});
    let egress = json!({"key": "E", "value": "a value", "tags": tags, "exposure": "egress"});
    let nowhere = "ffffffffffffffffffffffff";
    let policy = json!({"name": "p", "targets": [["device"]], "permissions": []});
    for (method, path, body, status, code, part) in [
        (Method::POST, "/secrets".into(), taken, 409, "already_exists", "the key TAKEN exists"),
        (Method::POST, "/secrets".into(), egress, 400, "invalid_request", "at least one host"),
        (Method::POST, "/secrets".into(), json!({}), 400, "invalid_request", "missing field `key`"),
        (Method::POST, "/am".into(), policy, 400, "invalid_policy", "targets[0]"),
        (Method::GET, format!("/secrets/{nowhere}"), json!(null), 404, "not_found", "Secret Not"),
        (
            Method::GET,
            format!("/am/{nowhere}"),
            json!(null),
            404,
            "not_found",
            "Access Management Not",
        ),
        (Method::GET, format!("/device/{nowhere}"), json!(null), 404, "not_found", "Device Not"),
        (Method::GET, format!("/runs/{nowhere}"), json!(null), 404, "not_found", "Run Not Found"),
        (Method::GET, format!("/tokens/{nowhere}"), json!(null), 404, "not_found", "not exist"),
        (
            Method::GET,
            format!("/analysis/{nowhere}"),
            json!(null),
            // As in the original, whose clients look for these words.
            400,
            "analysis_not_found",
            "Analysis can't be found",
        ),
        (Method::POST, format!("/analysis/{id}/run"), json!({}), 400, "no_module", "upload one"),
    ] {
        let answer = api.call(method.clone(), &path, body).await;
        let names: Vec<_> = answer.body.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(names, ["code", "message", "status"], "{method} {path}");
        let (found, message) = answer.refused(status);
        assert_eq!(found, code, "{method} {path}: {message}");
        assert!(message.contains(part), "{method} {path}: {message}");
    }
}

#[tokio::test]
async fn an_inactive_analysis_is_refused_until_it_is_switched_on() {
    let api = Api::open().await;
    let id = api.analysis("off", &world::noop()).await;
    api.put(&format!("/analysis/{id}"), json!({"active": false})).await.ok();
    let run = format!("/analysis/{id}/run");
    assert_eq!(api.post(&run, json!({})).await.refused(400).0, "inactive_analysis");
    let exec = format!("/analysis/{id}/exec");
    assert_eq!(api.post(&exec, json!({})).await.refused(400).0, "inactive_analysis");
    api.put(&format!("/analysis/{id}"), json!({"active": true})).await.ok();
    assert_eq!(api.run(&id, json!([])).await["state"], "succeeded");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_in_json() {
    let api = Api::open().await;
    for path in ["/", "/nothing", "/secrets/a/b", "/SECRETS", "/analysis/x/y/z", "/%00"] {
        let (code, message) = api.get(path).await.refused(404);
        assert_eq!(code, "not_found", "{path}");
        assert!(message.contains("there is nothing at /"), "{path}: {message}");
    }
    for (method, path) in [
        (Method::DELETE, "/secrets"),
        (Method::PATCH, "/secrets"),
        (Method::POST, "/secrets/0123456789abcdef01234567"),
        (Method::PUT, "/runs"),
        (Method::GET, "/analysis/0123456789abcdef01234567/run"),
        (Method::OPTIONS, "/am"),
        (Method::from_bytes(b"BREW").unwrap(), "/info"),
    ] {
        let (code, message) = api.call(method.clone(), path, Value::Null).await.refused(405);
        assert_eq!(code, "method_not_allowed", "{method} {path}");
        assert!(message.contains(method.as_str()) && message.contains(path), "{message}");
    }
}

#[tokio::test]
async fn the_strings_of_the_original_are_answered() {
    let world = World::new().await;
    let policy = world.body(&Method::POST, "/am").expect("a body");
    let upload = world.body(&Method::POST, "/analysis/{id}/upload").expect("a body");
    let World { api, secret, analysis, policy: am, token, run, device, .. } = &world;
    let path = |collection: &str, id: &str| format!("/{collection}/{id}");
    for (method, path, body, said) in [
        (Method::PUT, path("secrets", secret), json!({"value": "w"}), "Successfully Updated"),
        (Method::PUT, path("analysis", analysis), json!({"name": "n"}), "Successfully Updated"),
        (Method::PUT, path("tokens", token), json!({"name": "n"}), "Successfully Updated"),
        (Method::PUT, path("device", device), json!({"name": "n"}), "Successfully Updated"),
        (Method::PUT, path("am", am), policy, "Access Management Successfully Updated"),
        (
            Method::POST,
            format!("/analysis/{analysis}/upload"),
            upload,
            "Analysis Script Successfully Uploaded",
        ),
        (Method::DELETE, path("device", device), json!(null), "Successfully Removed"),
        (Method::DELETE, path("runs", run), json!(null), "Successfully Removed"),
        (Method::DELETE, path("am", am), json!(null), "Access Management Successfully Deleted"),
        (Method::DELETE, path("secrets", secret), json!(null), "Successfully Removed"),
        (Method::DELETE, path("analysis", analysis), json!(null), "Successfully Removed"),
        (Method::DELETE, path("tokens", token), json!(null), "Successfully Removed"),
    ] {
        let answer = api.call(method.clone(), &path, body).await.ok();
        assert_eq!(answer, said, "{method} {path}");
        if method == Method::DELETE {
            assert!(!api.get(&path).await.status.is_success(), "{path} is still there");
        }
    }
}

#[tokio::test]
async fn what_carries_a_protection_tag_is_not_deleted() {
    let World { api, analysis, policy, device, .. } = World::new().await;
    let device = format!("/device/{device}");
    for path in [format!("/analysis/{analysis}"), format!("/am/{policy}"), device] {
        for key in ["_deletion_protection", "_delete_protection_"] {
            let tags = json!({"tags": [{"key": key, "value": "ask Ada first"}]});
            api.put(&path, tags).await.ok();
            let (code, message) = api.delete(&path).await.refused(400);
            assert_eq!(code, "protected", "{path}");
            assert!(message.contains(key) && message.contains("ask Ada first"), "{message}");
            api.get(&path).await.ok();
        }
        api.put(&path, json!({"tags": []})).await.ok();
        api.delete(&path).await.ok();
    }
}

#[tokio::test]
async fn the_description_of_the_api_is_the_one_on_record() {
    let api = Api::open().await;
    // It needs no token: it says nothing about this runner's content.
    let raw = exchange(&api, Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(raw.status, StatusCode::OK);
    assert_eq!(raw.headers["content-type"], "application/json");
    let mut description = raw.json();
    assert_eq!(description, serde_json::to_value(api::description()).unwrap());
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    description["info"]["version"] = json!("[the crate's version]");
    insta::assert_json_snapshot!("openapi", description);
}
