//! What who operates a server sees of it: health, metrics, the log, and a run's console as it grows.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::{Api, Place, repository, text, wat};
use crate::http::world::{endless, noop};
use crate::http::{exchange, trusted};

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
    let page = repository().join("docs/operations.md");
    let page = std::fs::read_to_string(page).expect("docs/operations.md");
    for described in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = described.split(' ').next().unwrap_or_default();
        assert!(page.contains(&format!("`{name}")), "docs/operations.md lacks {name}");
    }

    let anyone = Request::get("/metrics").body(Body::empty()).expect("a request");
    assert_eq!(exchange(&api, anyone).await.status, 401);
}

#[tokio::test]
async fn slots_and_the_runs_they_start_are_counted() {
    let api = Api::open().await;
    let analysis = api.analysis("often", &noop()).await;
    let action = json!({
        "name": "often",
        "type": "interval",
        "trigger": [{"interval": "1 second"}],
        "action": {"type": "script", "script": [analysis]},
    });
    api.post("/action", action).await.ok();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = scrape(&api).await;
        let ran = value(&metrics, "runner_slots_total{outcome=\"ran\"}");
        if ran >= 1.0 {
            let started = value(&metrics, "runner_runs_acknowledged_total{cause=\"interval\"}");
            // One may fire between the two.
            assert!((ran - started).abs() <= 1.0 && started >= 1.0, "{metrics}");
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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

/// A command that prints two lines and then runs until its wall time is over.
fn chatty() -> Vec<u8> {
    wat(r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\08\00\00\00")
        (data (i32.const 16) "one\ntwo\n")
        (func (export "_start")
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (loop (br 0))))"#)
}

/// The console of a run as it is followed from behind line `seen` on.
async fn follow(api: &Api, run: &str, seen: usize) -> Body {
    let path = format!("/runs/{run}/console");
    let mut request = trusted(Method::GET, &path, Body::empty());
    let headers = request.headers_mut();
    headers.insert("accept", "text/event-stream".parse().expect("a header"));
    headers.insert("last-event-id", seen.into());
    let router = runner::api::router(Arc::clone(&api.runner));
    let response = router.oneshot(request).await.expect("the router answers");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

/// The next piece of a stream, as text.
async fn piece(body: &mut Body) -> String {
    let frame = tokio::time::timeout(Duration::from_secs(20), body.frame()).await;
    let frame = frame.expect("an event in time").expect("a further event").expect("a whole one");
    String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
}

#[tokio::test]
async fn a_console_is_followed_while_the_run_goes_on_and_resumed_behind_a_line() {
    let api = Api::open().await;
    let id = api.analysis("chatty", &chatty()).await;
    api.put(&format!("/analysis/{id}"), json!({"limits": {"wall_time_ms": 2_000}})).await.ok();
    let run = text(&api.post(&format!("/analysis/{id}/run"), json!({})).await.ok()["run"]);
    let mut body = follow(&api, &run, 0).await;
    for (number, said) in [(1, "one"), (2, "two")] {
        let event = piece(&mut body).await;
        assert!(event.starts_with(&format!("id: {number}\ndata: {{")), "{event}");
        assert!(event.contains(&format!("\"text\":\"{said}\"")), "{event}");
    }
    let path = format!("/runs/{run}");
    let now = api.get(&path).await.ok();
    assert_eq!(now["state"], "running", "the lines came before the end");
    let lines = api.get(&format!("{path}/console")).await.ok();
    assert_eq!(lines[1]["text"], "two", "{lines}");
    assert_eq!(now["console"], lines);
    assert_eq!(piece(&mut body).await, "event: end\ndata: {\"state\":\"failed\"}\n\n");
    assert!(body.frame().await.is_none(), "nothing comes after the end");

    // The same lines, from the store.
    assert_eq!(api.get(&format!("{path}/console")).await.ok(), lines);
    let mut body = follow(&api, &run, 1).await;
    let event = piece(&mut body).await;
    assert_eq!(event, format!("id: 2\ndata: {}\n\n", ordered(&lines[1])), "{event}");
    assert!(piece(&mut body).await.starts_with("event: end\n"));

    let (code, message) = api.get(&format!("{path}/console?follow=maybe")).await.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("true or false"), "{message}");
    let anyone = Request::get(format!("{path}/console?follow=true")).body(Body::empty()).unwrap();
    assert_eq!(exchange(&api, anyone).await.status, 401);
}

/// A line with its fields in the order in which they are answered.
fn ordered(line: &Value) -> String {
    let fields =
        ["time", "stream", "level", "text"].map(|name| format!("\"{name}\":{}", line[name]));
    format!("{{{}}}", fields.join(","))
}

#[tokio::test]
async fn followers_of_a_run_that_waits_are_let_go_when_the_server_stops() {
    let api = Api::open().await;
    let id = api.analysis("endless", &endless()).await;
    api.put(&format!("/analysis/{id}"), json!({"limits": {"wall_time_ms": 3_000}})).await.ok();
    let mut runs = Vec::new();
    for _ in 0..9 {
        let run = api.post(&format!("/analysis/{id}/run"), json!({})).await.ok();
        runs.push(text(&run["run"]));
    }
    let mut body = follow(&api, runs.last().expect("a run"), 0).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    api.runner.watch().close();
    let last = tokio::time::timeout(Duration::from_secs(1), body.frame()).await;
    assert!(last.expect("it ends at once").is_none(), "it ends without an event");
}

#[test]
fn the_command_follows_a_console_and_prints_it_as_data() {
    let place = Place::new();
    let module = place.file("chatty.wasm", chatty());
    let module = module.to_str().expect("a path");
    let limit = ["--limit", "wall_time_ms=1500"];
    place.run(["analysis", "create", "chatty", "--module", module]).ok();
    place.run([&["analysis", "edit", "chatty"][..], &limit].concat()).ok();
    let server = place.serve();
    let run = place.run(["run", "start", "chatty", "--detach"]).ok();
    let followed = place.run(["run", "console", run.trim(), "--follow"]).ok();
    let texts = |printed: &str| -> Vec<String> {
        printed.lines().map(|line| line.rsplit(' ').next().unwrap_or_default().into()).collect()
    };
    assert_eq!(texts(&followed), ["one", "two"]);
    assert_eq!(place.run(["run", "console", run.trim()]).ok(), followed);
    let objects = place.run(["run", "console", run.trim(), "--follow", "--json"]).ok();
    let second: Value = serde_json::from_str(objects.lines().nth(1).expect("two lines")).unwrap();
    assert_eq!(second["text"], "two");
    server.stop();
    // Without a server the command opens the data directory itself.
    assert_eq!(place.run(["run", "console", run.trim(), "--follow"]).ok(), followed);
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
