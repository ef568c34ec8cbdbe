//! What who operates a server sees of it: health, metrics, the log, and a run's console as it grows.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::harness::{Api, Place};
use crate::http::exchange;

#[tokio::test]
async fn health_needs_no_token_and_says_when_the_store_is_gone() {
    let api = Api::open().await;
    let ask = || Request::get("/health").body(Body::empty()).expect("a request");
    let raw = exchange(&api, ask()).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(raw.status, 200);
    assert_eq!(raw.json()["result"], json!({"store": "ok", "version": version}));
    api.runner.close().await;
    let raw = exchange(&api, ask()).await;
    assert_eq!(raw.status, 503);
    let result = &raw.json()["result"];
    assert!(result["store"].as_str().unwrap().starts_with("unreachable: "), "{result}");
    assert_eq!(result["version"], version);
}

#[test]
fn the_log_is_json_on_request_and_an_unknown_form_is_refused() {
    let place = Place::new();
    let mut command = place.command(["serve", "--listen", "127.0.0.1:0"]);
    command.env("RUNNER_LOG_FORMAT", "json").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().expect("the server starts");
    let mut line = String::new();
    let stderr = server.stderr.take().expect("stderr is piped");
    BufReader::new(stderr).read_line(&mut line).expect("the server logs");
    server.kill().expect("it can be killed");
    server.wait().expect("it is gone");
    let logged: Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(logged["level"], "INFO", "{line}");
    assert!(logged["timestamp"].is_string() && logged["message"].is_string(), "{line}");

    let settings = place.file("runner.toml", "log_format = \"xml\"\n");
    let refused = place.run(["config", "--config", settings.to_str().unwrap()]);
    assert_eq!(refused.code(), 2);
    assert!(refused.stderr().contains("must be text or json"), "{}", refused.stderr());
    let shown = place.run(["config", "--json"]).ok();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["log_format"]["value"], "text");
}
