//! What who operates a server sees of it: health, metrics, the log, and a run's console as it grows.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::harness::{Api, Place, text, wat};
use crate::http::exchange;
use crate::http::world::{endless, noop};

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

/// The metrics as an administrator's token reads them, as Prometheus sends it.
async fn scrape(api: &Api) -> String {
    let token = json!({"name": "prometheus", "role": "administrator"});
    let token = text(&api.post("/tokens", token).await.ok()["token"]);
    let request = Request::get("/metrics").header("authorization", format!("Bearer {token}"));
    let raw = exchange(api, request.body(Body::empty()).expect("a request")).await;
    assert_eq!(raw.status, 200);
    let form = raw.headers["content-type"].to_str().expect("a text");
    assert!(form.starts_with("application/openmetrics-text"), "{form}");
    String::from_utf8(raw.body).expect("the metrics are text")
}

/// The value of one metric.
fn value(metrics: &str, name: &str) -> f64 {
    let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map_or(0.0, |text| text.parse().expect("a number"))
}

#[tokio::test]
async fn metrics_count_what_runs_and_what_is_asked_and_are_for_administrators() {
    let api = Api::open().await;
    let id = api.analysis("counted", &noop()).await;
    let trap = wat(r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#);
    let failing = api.analysis("failing", &trap).await;
    for _ in 0..3 {
        let run = text(&api.run(&id, json!([])).await["id"]);
        api.get(&format!("/runs/{run}")).await.ok();
    }
    api.run(&failing, json!([])).await;
    let exec = format!("/analysis/{id}/exec");
    api.post(&exec, json!({})).await.ok();
    api.get("/nothing/of/the/kind").await.refused(404);
    let metrics = scrape(&api).await;
    let runner = |name: &str| value(&metrics, &format!("runner_{name}"));
    for (name, expected) in [
        ("runs_acknowledged_total{cause=\"api\"}", 4.0),
        ("runs_acknowledged_total{cause=\"exec\"}", 1.0),
        ("runs_finished_total{state=\"succeeded\"}", 4.0),
        ("runs_finished_total{state=\"failed\"}", 1.0),
        ("run_duration_seconds_count", 5.0),
        ("queue_wait_seconds_count", 4.0),
        ("runs_running", 0.0),
        ("http_requests_total{route=\"/runs/{id}\",status=\"200\"}", 3.0),
        ("http_requests_total{route=\"unknown\",status=\"404\"}", 1.0),
    ] {
        assert_eq!(runner(name), expected, "{name} in:\n{metrics}");
    }
    let writes = runner("store_group_writes_sum");
    assert!(writes >= runner("store_group_writes_count") && writes >= 10.0, "{metrics}");
    assert!(!metrics.contains(&id), "an id is a label: {metrics}");

    let anyone = Request::get("/metrics").body(Body::empty()).expect("a request");
    assert_eq!(exchange(&api, anyone).await.status, 401);
}

#[tokio::test]
async fn the_depth_of_the_queue_is_read_from_the_store() {
    let api = Api::open().await;
    let id = api.analysis("endless", &endless()).await;
    api.put(&format!("/analysis/{id}"), json!({"limits": {"wall_time_ms": 5_000}})).await.ok();
    // Two more than the guests that may run at once.
    for _ in 0..10 {
        api.post(&format!("/analysis/{id}/run"), json!({})).await.ok();
    }
    let deadline = Instant::now() + Duration::from_secs(4);
    loop {
        let metrics = scrape(&api).await;
        let names = ["runs_open{state=\"queued\"}", "runs_open{state=\"running\"}", "runs_running"];
        let found = names.map(|name| value(&metrics, &format!("runner_{name}")));
        if found == [2.0, 8.0, 8.0] {
            break;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
