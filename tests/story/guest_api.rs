//! The runner's own API, called by guests from inside their runs.
//!
//! The guest is `tests/guests/caller`: it sends what its scope lists.

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::cli::{make, path};
use super::harness::{Api, Place, sample_bytes, settings, text};
use super::queue::database;
use super::starts::wait_for;

/// How many calls of a run have a turn, and how many more may wait.
const CALLS: usize = 8 + 64;

/// A step of the guest: a request to the runner itself.
fn ask(path: &str) -> Value {
    json!({"request": {"url": format!("http://runner.internal{path}")}})
}

fn ask_as(token: &str, path: &str) -> Value {
    let url = format!("http://runner.internal{path}");
    json!({"request": {"url": url, "headers": {"token": token}}})
}

fn send(method: &str, path: &str, body: &Value) -> Value {
    let url = format!("http://runner.internal{path}");
    json!({"request": {"url": url, "method": method, "body": body.to_string()}})
}

fn post(path: &str, body: &Value) -> Value {
    send("POST", path, body)
}

/// An answer that a guest got.
#[derive(Debug)]
struct Got {
    status: u64,
    body: Value,
}

impl Got {
    #[track_caller]
    fn of(answer: &Value) -> Self {
        let status = answer["status"].as_u64().unwrap_or_else(|| panic!("no answer: {answer}"));
        let body = serde_json::from_str(answer["body"].as_str().expect("a body"));
        Self { status, body: body.unwrap_or_else(|error| panic!("{error}: {answer}")) }
    }

    #[track_caller]
    fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body["result"].clone()
    }

    /// The code and the message of a refusal.
    #[track_caller]
    fn refused(self, status: u64) -> (String, String) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.body["status"], false);
        (text(&self.body["code"]), text(&self.body["message"]))
    }
}

/// An analysis whose guest does what its scope lists.
struct Caller {
    api: Api,
    id: String,
}

impl Caller {
    async fn new() -> Self {
        Self::on(Api::open().await).await
    }

    async fn alone() -> Self {
        Self::on(Api::alone().await).await
    }

    async fn on(api: Api) -> Self {
        let id = api.analysis("caller", &sample_bytes("caller")).await;
        Self { api, id }
    }

    /// Lets it do this.
    async fn allow(&self, actions: &[&str], on: Value) {
        let policy = json!({
            "name": "allow",
            "targets": [["analysis", "id", self.id]],
            "permissions": [{"effect": "allow", "action": actions, "resource": on}],
        });
        self.api.post("/am", policy).await.ok();
    }

    /// A finished run of these steps.
    async fn run(&self, steps: Value) -> Value {
        self.api.run(&self.id, steps).await
    }

    /// What came of these steps.
    async fn steps(&self, steps: Value) -> Vec<Value> {
        let run = self.run(steps).await;
        assert_eq!(run["state"], "succeeded", "{run}");
        run["result"].as_array().expect("a list").clone()
    }

    /// What the guest got for these requests.
    async fn get(&self, requests: Value) -> Vec<Got> {
        self.steps(requests).await.iter().map(Got::of).collect()
    }

    async fn one(&self, request: Value) -> Got {
        self.get(json!([request])).await.remove(0)
    }

    /// A run that has given out its token and goes on until it is called off.
    async fn revealed(&self) -> (String, String) {
        let steps = json!({"scope": [{"reveal": null}, {"sleep": 3_600_000}]});
        let started = self.api.post(&format!("/analysis/{}/run", self.id), steps).await.ok();
        let run = text(&started["run"]);
        let console = format!("/runs/{run}/console");
        let line = wait_for("the token", async || {
            let lines = self.api.get(&console).await.ok();
            lines.get(0).map(|line| text(&line["text"]))
        });
        let token: String = line.await.chars().rev().collect();
        assert!(token.starts_with("a-") && token.len() == 36, "{token}");
        (run, token)
    }
}

fn lines(run: &Value) -> Vec<String> {
    let lines = run["console"].as_array().expect("a console").iter();
    lines.map(|line| text(&line["text"])).collect()
}

#[tokio::test]
async fn a_guest_is_its_analysis_and_may_do_what_policies_allow_it() {
    let caller = Caller::new().await;
    let secret = caller.api.secret("KEY", "correct-horse", ("env", "prod")).await;
    let one = format!("/secrets/{secret}");
    let made = caller.api.post("/device", json!({"name": "d"})).await.ok();
    let data = format!("/device/{}/data", text(&made["device_id"]));
    let record = json!({"variable": "v", "value": 1});
    let requests = json!([
        ask("/info"),
        ask("/secrets"),
        ask(&one),
        post(&data, &record),
        ask(&format!("/analysis/{}/token", caller.id)),
        ask("/tokens"),
        ask("/nowhere"),
        send("PATCH", "/info", &Value::Null),
        ask("/status"),
    ]);
    let mut got = caller.get(requests.clone()).await.into_iter();
    let mut next = || got.next().expect("an answer");
    let info = next().ok();
    assert_eq!((&info["id"], &info["name"]), (&json!(caller.id), &json!("caller")));
    assert_eq!((&info["active"], &info["run_on"]), (&json!(true), &json!("tago")));
    assert_eq!(next().ok(), json!([]));
    for (action, resource) in [("access", "secrets"), ("send_data", "device")] {
        let (code, message) = next().refused(401);
        assert_eq!(code, "denied");
        let named = [action, resource].iter().all(|word| message.contains(&format!("`{word}`")));
        assert!(named, "{message}");
    }
    for _ in 0..2 {
        let (code, message) = next().refused(401);
        assert_eq!(code, "denied");
        assert!(message.contains("administrator"), "{message}");
    }
    assert_eq!(next().refused(404).0, "not_found");
    assert_eq!(next().refused(405).0, "method_not_allowed");
    assert_eq!(next().ok()["version"], env!("CARGO_PKG_VERSION"));

    caller.allow(&["access"], json!(["secrets", "tag.key", "env", "tag.value", "prod"])).await;
    caller.allow(&["send_data"], json!(["device"])).await;
    let got = caller.get(requests).await;
    assert_eq!(got[1].body["result"][0]["key"], "KEY");
    assert_eq!(got[2].body["result"]["value_length"], 13);
    assert_eq!(got[3].body["result"], "1 Data Added");
    let answers = format!("{got:?}");
    assert!(!answers.contains("correct-horse") && !answers.contains("[secret"), "{answers}");
}

#[tokio::test]
async fn a_guest_uploads_only_what_a_policy_lets_it() {
    let caller = Caller::new().await;
    let upload = format!("/analysis/{}/upload", caller.id);
    let body = json!({"file": "bm90IGEgbW9kdWxl", "file_name": "x.wasm", "language": "wasm"});
    assert_eq!(caller.one(post(&upload, &body)).await.refused(401).0, "denied");
    caller.allow(&["upload"], json!(["analysis"])).await;
    assert_eq!(caller.one(post(&upload, &body)).await.refused(400).0, "invalid_module");
    let large = json!({"key": "$LARGE"});
    assert_eq!(caller.one(post("/secrets", &large)).await.refused(413).0, "too_large");
}

#[tokio::test]
async fn the_token_of_a_run_counts_only_inside_of_it_and_only_while_it_runs() {
    let caller = Caller::new().await;
    let (run, token) = caller.revealed().await;
    let refused = |(code, message): (String, String)| {
        assert_eq!(code, "unauthenticated");
        assert!(message.starts_with("Invalid token"), "{message}");
    };
    let outside = caller.api.call_as(&token, Method::GET, "/info", Value::Null).await;
    refused(outside.refused(401));
    // The very bytes over a connection.
    let address = caller.api.listen().await;
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "GET http://runner.internal/info HTTP/1.1\r\nhost: runner.internal\r\n\
         token: {token}\r\nconnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("Invalid token"), "{answer}");

    let other = caller.one(ask_as(&token, "/info")).await;
    refused(other.refused(401));
    caller.api.post(&format!("/runs/{run}/cancel?wait=50"), Value::Null).await.ok();
    let dead = caller.one(ask_as(&token, "/info")).await;
    refused(dead.refused(401));
    let outside = caller.api.call_as(&token, Method::GET, "/info", Value::Null).await;
    refused(outside.refused(401));
}

#[tokio::test]
async fn every_run_has_another_token_than_the_ones_that_are_kept() {
    let caller = Caller::new().await;
    let ((one, first), (other, second)) = (caller.revealed().await, caller.revealed().await);
    assert_ne!(first, second);
    // What whoever starts a run gets reads that run, and is not what its guest has.
    let started = caller.api.post(&format!("/analysis/{}/run", caller.id), json!({})).await.ok();
    let reads = text(&started["analysis_token"]);
    assert!(reads != first && reads != second);
    for run in [one, other] {
        caller.api.post(&format!("/runs/{run}/cancel?wait=50"), Value::Null).await.ok();
    }
}

#[tokio::test]
async fn a_guest_may_send_other_tokens_that_count_outside_as_well() {
    let caller = Caller::new().await;
    let api = &caller.api;
    let new = json!({"name": "t", "role": "administrator"});
    let made = api.post("/tokens", new).await.ok();
    let (id, administrator) = (text(&made["id"]), text(&made["token"]));
    let made = api.post("/analysis", json!({"name": "other"})).await.ok();
    let (other, analysis) = (text(&made["id"]), text(&made["token"]));
    let made = api.post("/device", json!({"name": "d"})).await.ok();
    let (device, own) = (text(&made["device_id"]), text(&made["token"]));
    let started = api.post(&format!("/analysis/{}/run?wait=50", caller.id), json!({})).await.ok();
    let (run, reads) = (text(&started["run"]["id"]), text(&started["analysis_token"]));
    let sent = json!({"request": {
        "url": "http://runner.internal/data",
        "method": "POST",
        "headers": {"token": "", "device-token": own},
        "body": json!([{"variable": "v", "value": 7}]).to_string(),
    }});
    let bearer = json!({"request": {
        "url": "http://runner.internal/info",
        "headers": {"token": "", "authorization": "Bearer $TOKEN"},
    }});
    let got = caller.get(json!([
        ask_as(&administrator, "/info"),
        ask_as(&analysis, "/info"),
        ask_as(&own, "/info"),
        sent,
        ask_as(&own, "/data?query=last_value"),
        ask_as(&reads, &format!("/runs/{run}")),
        bearer,
        ask_as("", "/info"),
        ask_as("a-0000000000000000000000000000000000", "/info"),
    ]));
    let mut got = got.await.into_iter();
    let mut next = || got.next().expect("an answer");
    for expected in [id, other, device] {
        assert_eq!(next().ok()["id"], *expected);
    }
    assert_eq!(next().ok(), "1 Data Added");
    assert_eq!(next().ok()[0]["value"], 7);
    assert_eq!(next().ok()["id"], *run);
    assert_eq!(next().ok()["id"], *caller.id);
    let (code, message) = next().refused(401);
    assert_eq!(code, "unauthenticated");
    assert!(message.contains("no token was sent"), "{message}");
    assert!(next().refused(401).1.starts_with("Invalid token"));
}

#[tokio::test]
async fn the_token_is_masked_in_all_that_leaves_the_run() {
    let caller = Caller::new().await;
    let run = caller.run(json!([
        {"print": "token=$TOKEN."},
        {"log": "$TOKEN"},
        post("/analysis/services/console/send", &json!({"message": "sent $TOKEN"})),
        {"say": "a $TOKEN b"},
    ]));
    let run = run.await;
    assert_eq!(lines(&run), ["token=[run token].", "[run token]", "sent [run token]"]);
    assert_eq!(run["result"][3], "a [run token] b");
    let failed = caller.run(json!([{"fail": "with $TOKEN"}])).await;
    assert_eq!(failed["fault"]["message"], "with [run token]");
}

#[tokio::test]
async fn what_would_let_a_guest_wait_is_refused() {
    let caller = Caller::new().await;
    caller.allow(&["run", "access"], json!(["analysis"])).await;
    let new = json!({"name": "t", "role": "administrator"});
    let token = text(&caller.api.post("/tokens", new).await.ok()["token"]);
    let (id, run) = (&caller.id, caller.run(json!([])).await);
    let run = text(&run["id"]);
    let exec = json!({"request": {
        "url": format!("http://runner.internal/analysis/{id}/exec"),
        "method": "POST",
        "headers": {"token": token},
    }});
    let stream = json!({"request": {
        "url": format!("http://runner.internal/runs/{run}/console"),
        "headers": {"accept": "text/event-stream"},
    }});
    let got = caller.get(json!([
        post(&format!("/analysis/{id}/run?wait=1"), &json!({})),
        ask(&format!("/runs/{run}?wait=1")),
        post(&format!("/runs/{run}/cancel?wait=1"), &json!({})),
        ask_as(&token, &format!("/runs/{run}?wait=0")),
        exec,
        stream,
        ask(&format!("/runs/{run}/console?follow=true")),
    ]));
    for got in got.await {
        let (code, message) = got.refused(400);
        assert_eq!(code, "invalid_request");
        assert!(message.contains("not possible from inside a run"), "{message}");
    }
    assert_eq!(caller.one(ask(&format!("/runs/{run}/console"))).await.ok(), json!([]));
}

#[tokio::test]
async fn a_guest_that_starts_another_run_does_not_need_its_place() {
    let place = Place::new();
    let mut settings = settings(&place);
    settings.sandbox.guests = 1;
    let caller = Caller::on(Api::open_with(place, settings).await).await;
    caller.allow(&["run"], json!(["analysis"])).await;
    let path = format!("/analysis/{}/run", caller.id);
    let started = caller.one(post(&path, &json!({"scope": [ask("/info")]}))).await.ok();
    let run = caller.api.get(&format!("/runs/{}?wait=50", text(&started["run"]))).await.ok();
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(Got::of(&run["result"][0]).ok()["id"], *caller.id);
}

#[tokio::test]
async fn only_so_many_calls_of_a_run_are_answered_or_wait_at_once() {
    let caller = Caller::new().await;
    caller.allow(&["create"], json!(["secrets"])).await;
    let refused = 5;
    let held = json!({"hold": {
        // Its body never ends.
        "request": {"url": "http://runner.internal/secrets", "method": "POST"},
        "times": CALLS + refused,
        "answered": refused,
    }});
    let answers = caller.steps(json!([held, ask("/info")])).await;
    let answers = answers[0].as_array().expect("a list").iter().chain([&answers[1]]);
    let codes: Vec<_> = answers.map(|answer| Got::of(answer).refused(429).0).collect();
    assert_eq!(codes, vec!["too_many_requests"; refused + 1]);
    // The calls that were held ended with their run: another one has all turns.
    let many: Vec<_> = (0..CALLS).map(|_| ask("/info")["request"].clone()).collect();
    let answers = caller.steps(json!([{"together": many}])).await;
    for answer in answers[0].as_array().expect("a list") {
        Got::of(answer).ok();
    }
}

#[tokio::test]
async fn runs_that_guests_start_are_a_chain_and_it_ends() {
    let caller = Caller::new().await;
    caller.allow(&["run"], json!(["analysis", "id", caller.id])).await;
    let again = json!({"request": {
        "url": format!("http://runner.internal/analysis/{}/run", caller.id),
        "method": "POST",
        "body": r#"{"scope": $SCOPE}"#,
    }});
    let first = caller.run(json!([again])).await;
    let path = format!("/runs?amount=100&filter[analysis]={}", caller.id);
    let runs = wait_for("the end of the chain", async || {
        let runs = caller.api.get(&path).await.ok().as_array().expect("a list").clone();
        let ended = runs.iter().all(|run| run["state"] == "succeeded");
        (ended && runs.len() == 17).then_some(runs)
    });
    let mut runs = runs.await;
    runs.reverse();
    let mut before = None;
    for (depth, run) in runs.iter().enumerate() {
        let cause = &run["cause"];
        assert_eq!(cause["depth"].as_u64().unwrap_or(0), depth as u64, "{run}");
        match &before {
            None => assert_eq!((&run["id"], &cause["root"]), (&first["id"], &Value::Null)),
            Some(by) => {
                assert_eq!(cause["root"], first["id"]);
                assert_eq!((&cause["kind"], &cause["by"]), (&json!("api"), by));
            }
        }
        before = Some(json!(format!("analysis:{}/run:{}", caller.id, text(&run["id"]))));
    }
    let last = Got::of(&runs[16]["result"][0]);
    assert_eq!(last.refused(409).0, "chain_too_deep");
}

#[tokio::test]
async fn whatever_a_guest_sets_off_belongs_to_its_chain() {
    let caller = Caller::alone().await;
    let api = &caller.api;
    let quiet = api.analysis("quiet", &super::by_hand::quiet(1)).await;
    let made = api.post("/device", json!({"name": "d"})).await.ok();
    let (device, own) = (text(&made["device_id"]), text(&made["token"]));
    let new = json!({"name": "t", "role": "administrator"});
    let made = api.post("/tokens", new).await.ok();
    let (token, administrator) = (text(&made["id"]), text(&made["token"]));
    let action = async |kind: &str, trigger: Value| {
        let script = json!({"type": "script", "script": [quiet]});
        let new = json!({"name": kind, "type": kind, "trigger": trigger, "action": script});
        text(&api.post("/action", new).await.ok()["action"])
    };
    action("condition", json!([{"device": device, "variable": "v", "is": "*"}])).await;
    action("resource", json!([{"resource": "secrets", "when": "create"}])).await;
    let hook = action("webhook", json!([{"unsigned": true}])).await;
    caller.allow(&["create"], json!(["secrets"])).await;
    let (tags, record) =
        (json!([{"key": "a", "value": "b"}]), json!({"variable": "v", "value": 1}));
    let secret = |key: &str| json!({"key": key, "value": "v", "tags": tags});
    let url = |path: &str| format!("http://runner.internal{path}");
    let as_ = |token: &str, path: &str, body: &Value| {
        json!({"request": {"url": url(path), "method": "POST", "headers": {"token": token},
            "body": body.to_string()}})
    };
    let run = caller.run(json!([
        post("/secrets", &secret("ONE")),
        as_(&administrator, "/secrets", &secret("TWO")),
        as_(&own, "/data", &record),
        as_("", &format!("/hook/{hook}"), &json!([])),
        as_(&administrator, &format!("/analysis/{quiet}/run"), &json!({})),
    ]));
    let run = run.await;
    for answer in run["result"].as_array().expect("a list") {
        Got::of(answer).ok();
    }
    let path = format!("/runs?amount=100&filter[analysis]={quiet}");
    let runs = wait_for("five runs", async || {
        let runs = api.get(&path).await.ok().as_array().expect("a list").clone();
        (runs.len() == 5).then_some(runs)
    });
    let mut kinds = Vec::new();
    for started in runs.await {
        let cause = &started["cause"];
        assert_eq!((&cause["depth"], &cause["root"]), (&json!(1), &run["id"]), "{started}");
        kinds.push(text(&cause["kind"]));
    }
    kinds.sort();
    assert_eq!(kinds, ["api", "condition", "resource", "resource", "webhook"]);

    let (id, run) = (caller.id.clone(), text(&run["id"]));
    let place = caller.api.close().await;
    let mut database = database(&place).await;
    let audit = "SELECT principal FROM audit WHERE event = 'secrets.create' ORDER BY sequence";
    let rows = sqlx::query(audit).fetch_all(&mut database).await.expect("the audit");
    let principals: Vec<String> = rows.iter().map(|row| row.get("principal")).collect();
    assert_eq!(
        principals,
        [format!("analysis:{id}/run:{run}"), format!("token:{token}/run:{run}")]
    );
}

#[tokio::test]
async fn lines_that_are_sent_to_the_console_stand_in_their_order() {
    let caller = Caller::new().await;
    caller.api.secret("KEY", "correct-horse", ("env", "prod")).await;
    caller.api.grant(&caller.id, "allow", ("env", "prod")).await;
    let line = |message: &str, timestamp: Value| {
        let body = json!({"message": message, "timestamp": timestamp});
        post("/analysis/services/console/send", &body)
    };
    let run = caller.run(json!([
        {"print": "one"},
        line("two", Value::Null),
        {"log": "three"},
        line("four\nfive", json!(1_700_000_000_000_u64)),
        {"print": "six"},
        line("correct-horse", json!("2026-11-23 22:53:31.320047")),
        {"print": "eight"},
        post("/analysis/services/console/send", &json!({"text": "x"})),
    ]));
    let run = run.await;
    let expected = ["one", "two", "three", "four", "five", "six", "[secret KEY]", "eight"];
    assert_eq!(lines(&run), expected);
    let sent = &run["console"][1];
    assert_eq!((&sent["stream"], &sent["level"]), (&json!("console"), &json!("info")));
    Got::of(&run["result"][1]).ok();
    assert_eq!(Got::of(&run["result"][7]).refused(400).0, "invalid_request");
    // It is bounded like everything that a guest prints.
    let limits = json!({"limits": {"console_bytes": 100}});
    caller.api.put(&format!("/analysis/{}", caller.id), limits).await.ok();
    let run = caller.run(json!([line(&"x".repeat(1000), Value::Null), {"print": "lost"}])).await;
    assert_eq!(run["console_truncated"], true);
    assert_eq!(lines(&run).len(), 2);
    // From outside there is no run to print for.
    let token = caller.api.get(&format!("/analysis/{}/token", caller.id)).await.ok();
    let (token, body) = (text(&token["analysis_token"]), json!({"message": "m"}));
    let path = "/analysis/services/console/send";
    let outside = caller.api.call_as(&token, Method::POST, path, body).await;
    assert_eq!(outside.refused(401).0, "denied");
}

#[tokio::test]
async fn other_services_say_what_to_use_instead() {
    let caller = Caller::new().await;
    let services = [
        ("email/send", "e-mail"),
        ("email-smtp/send", "e-mail"),
        ("email-sendgrid/send", "e-mail"),
        ("sms/send", "text messages"),
        ("sms-twilio/send", "text messages"),
        ("whatsapp-twilio/send", "WhatsApp"),
        ("notification/send", "no users"),
        ("queue-sqs/send", "queue"),
        ("attachment/upload", "storage"),
        ("mqtt/publish", "publishes none"),
    ];
    let requests = services.map(|(service, _)| {
        post(&format!("/analysis/services/{service}"), &json!({"to": "x", "message": "y"}))
    });
    let got = caller.get(json!(requests)).await;
    for (got, (service, instead)) in got.into_iter().zip(services) {
        let (code, message) = got.refused(400);
        assert_eq!(code, "not_supported");
        assert!(message.contains(service) && message.contains(instead), "{message}");
    }
    let unknown = caller.one(post("/analysis/services/fax/send", &json!({}))).await;
    assert_eq!(unknown.refused(404).0, "not_found");
}

#[tokio::test]
async fn requests_to_the_api_of_the_original_never_leave() {
    let caller = Caller::new().await;
    let here = [
        "https://api.tago.io/info",
        "https://API.tago.io:443/info/",
        "http://api.us-e1.tago.io/info",
        "https://api.eu-w1.tago.io:8443/info",
        "https://api.0123abcd.tagoio.net/info",
        "https://sse.tago.io/info",
        "https://runner.internal./info",
        "http://RUNNER.internal:1234/info",
    ];
    let requests = here.map(|url| json!({"request": {"url": url}}));
    for got in caller.get(json!(requests)).await {
        assert_eq!(got.ok()["id"], *caller.id);
    }
    let events =
        caller.one(json!({"request": {"url": "https://sse.tago.io/events?token=x"}})).await;
    let (code, message) = events.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("not possible from inside a run"), "{message}");
}

#[tokio::test]
async fn links_to_modules_work_inside() {
    let caller = Caller::new().await;
    caller.allow(&["download"], json!(["analysis"])).await;
    let got = caller.one(ask(&format!("/analysis/{}/download", caller.id))).await.ok();
    let url = text(&got["url"]);
    assert!(url.starts_with("http://runner.internal/"), "{url}");
    let answers = caller.steps(json!([{"request": {"url": url, "headers": {"token": ""}}}])).await;
    assert_eq!(answers[0]["status"], 200);
}

#[test]
fn commands_without_a_server_answer_their_guests_too() {
    let place = Place::new();
    let id = make(&place, "caller", sample_bytes("caller"));
    let scope = json!([ask("/info")]).to_string();
    for start in [&["run", "start", "caller"][..], &["exec", "--analysis", "caller"]] {
        let answer = place.run([start, &["--scope", &scope]].concat()).ok();
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(Got::of(&answer[0]).ok()["id"], *id, "{start:?}");
    }
    // A bare module belongs to no analysis, so there is nobody to answer it.
    let module = place.file("bare.wasm", sample_bytes("caller"));
    let bare = place.run(["exec", path(&module), "--scope", &scope]).ok();
    assert!(bare.contains("exec MODULE --analysis"), "{bare}");
}

#[tokio::test]
async fn a_server_that_stops_answers_its_guests_until_they_end() {
    let place = Place::new();
    make(&place, "caller", sample_bytes("caller"));
    let server = place.serve();
    let scope = json!([{"sleep": 2_000}, ask("/info")]).to_string();
    place.run(["run", "start", "caller", "--detach", "--scope", &scope]).ok();
    let latest = || {
        let runs = place.run(["run", "list", "--limit", "1", "--json"]).ok();
        serde_json::from_str::<Value>(&runs).expect("JSON")[0].clone()
    };
    wait_for("the run", async || (latest()["state"] == "running").then_some(())).await;
    server.stop();
    let run = latest();
    assert_eq!(run["state"], "succeeded", "{run}");
    Got::of(&run["result"][1]).ok();
}

#[tokio::test]
async fn the_guest_of_a_module_that_is_not_approved_does_nothing_that_policies_allow() {
    let caller = Caller::new().await;
    caller.allow(&["access"], json!(["secrets"])).await;
    caller.allow(&["access"], json!(["network"])).await;
    caller.api.secret("KEY", "value", ("a", "b")).await;
    assert_eq!(caller.get(json!([ask("/secrets")])).await.remove(0).ok()[0]["key"], "KEY");
    // The same program with one more section is another module.
    let mut module = sample_bytes("caller");
    module.extend([0, 2, 1, b'x']);
    let new = json!({"name": "developer", "role": "developer"});
    let developer = text(&caller.api.post("/tokens", new).await.ok()["token"]);
    let file = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, module);
    let body = json!({"file": file, "file_name": "caller.wasm"});
    let path = format!("/analysis/{}/upload", caller.id);
    caller.api.call_as(&developer, Method::POST, &path, body).await.ok();
    let own = format!("/analysis/{}", caller.id);
    let mut got = caller.get(json!([ask("/secrets"), ask(&own), ask("/info")])).await;
    assert_eq!(got.remove(0).ok(), json!([]));
    let (code, message) = got.remove(0).refused(401);
    assert_eq!(code, "denied");
    assert!(message.contains("not approved"), "{message}");
    assert_eq!(got.remove(0).ok()["id"], *caller.id);
    let outside = json!([{"request": {"url": "http://example.com/"}}]);
    let answer = caller.steps(outside).await.remove(0).to_string();
    assert!(answer.contains("a module that is not approved reaches no host"), "{answer}");
}
