//! Runs that go to listeners outside: what a frame holds, who gets it, and what is on record.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};

use super::stream::Stream;
use crate::harness::{Answer, Api, Place, text};
use crate::http::world::holds;
use crate::secrets::database;
use crate::starts::wait_for;

pub const SECRET: &str = "correct-horse-battery-staple";
const SENT: &str = "sent-and-never-read-by-anybody";

/// An analysis that runs outside.
pub struct Outside {
    pub id: String,
    pub token: String,
}

/// An analysis outside with a variable, a secret that the variable beats, one that it may read, and
/// one that it may only send.
pub async fn outside(api: &Api) -> Outside {
    let new = json!({
        "name": "outside",
        "external": true,
        "run_on": "external",
        "variables": [
            {"key": "PLAIN", "value": "plain"},
            {"key": "BOTH", "value": "of the variable"},
        ],
    });
    let made = api.post("/analysis", new).await.ok();
    let (id, token) = (text(&made["id"]), text(&made["token"]));
    api.secret("KEY", SECRET, ("env", "prod")).await;
    api.secret("BOTH", "of the secret", ("env", "prod")).await;
    let sent = json!({
        "key": "SENT", "value": SENT, "exposure": "egress", "hosts": ["api.example.com"],
        "tags": [{"key": "env", "value": "prod"}],
    });
    api.post("/secrets", sent).await.ok();
    api.grant(&id, "allow", ("env", "prod")).await;
    Outside { id, token }
}

impl Outside {
    pub fn query(&self) -> String {
        format!("channels=analysis_trigger&token={}", self.token)
    }

    async fn start(&self, api: &Api, scope: Value) -> String {
        let path = format!("/analysis/{}/run", self.id);
        text(&api.post(&path, json!({"scope": scope})).await.ok()["run"])
    }
}

/// The run once it has ended.
pub async fn ended(api: &Api, run: &str) -> Value {
    wait_for("the end of the run", async || {
        let shown = api.get(&format!("/runs/{run}?wait=20")).await.ok();
        shown["finished_at"].is_string().then_some(shown)
    })
    .await
}

async fn say(api: &Api, token: &str, message: &str, timestamp: Value) -> Answer {
    let body = json!({"message": message, "timestamp": timestamp});
    api.call_as(token, Method::POST, "/analysis/services/console/send", body).await
}

fn lines(run: &Value) -> Vec<String> {
    let lines = run["console"].as_array().expect("lines");
    lines.iter().map(|line| text(&line["text"])).collect()
}

async fn audited(place: &Place, event: &'static str) -> Vec<(String, String, Value)> {
    let mut rows = database(place).await;
    let found = sqlx::query(
        "SELECT principal, resource_id, detail FROM audit WHERE event = $1 ORDER BY sequence",
    );
    let found = found.bind(event).fetch_all(&mut rows).await.expect("the rows");
    rows.close().await.expect("it closes");
    let entry = |row: &sqlx::sqlite::SqliteRow| {
        let detail: String = row.get("detail");
        let detail = serde_json::from_str(&detail).expect("JSON");
        (row.get("principal"), row.get("resource_id"), detail)
    };
    found.iter().map(entry).collect()
}

#[tokio::test]
async fn a_run_goes_out_as_one_frame_and_its_lines_come_back() {
    let api = Api::alone().await;
    let outside = outside(&api).await;
    let mut listener = Stream::open(&api, &outside.query(), None).await;
    let console = format!("channel=analysis_console.{}&token={}", outside.id, outside.token);
    let mut console = Stream::open(&api, &console, None).await;
    let scope = json!([{"variable": "x", "value": 1.5}]);
    let run = outside.start(&api, scope.clone()).await;
    let payload = listener.event().await.payload();
    let names: Vec<_> = payload.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, ["analysis_id", "data", "environment", "token"]);
    assert_eq!((&payload["data"], &payload["analysis_id"]), (&scope, &json!(outside.id)));
    let expected = json!([
        {"key": "BOTH", "value": "of the variable"},
        {"key": "KEY", "value": SECRET},
        {"key": "PLAIN", "value": "plain"},
        {"key": "_analysis_id", "value": outside.id},
        {"key": "_attempt", "value": "1"},
        {"key": "_run_id", "value": run},
    ]);
    assert_eq!(payload["environment"], expected);
    let token = text(&payload["token"]);
    assert!(token.starts_with("a-") && token.len() == 36 && token != outside.token, "{token}");

    // In all the forms in which clients send the time, of which none says anything here.
    say(&api, &token, "first\nsecond", Value::Null).await.ok();
    say(&api, &token, &format!("key {SECRET}"), json!(1_769_846_400_007_u64)).await.ok();
    let local = json!("2026-11-23 22:53:31.320047");
    say(&api, &token, &format!("token {token}"), local).await.ok();
    let shown = ended(&api, &run).await;
    assert_eq!(shown["state"], "delivered", "{shown}");
    assert!(shown.get("module").is_none() && shown.get("fault").is_none(), "{shown}");
    let expected = [
        "[delivered to a local connection]",
        "first",
        "second",
        "key [secret KEY]",
        "token [run token]",
    ];
    assert_eq!(lines(&shown), expected);
    let told = api.get(&format!("/analysis/{}", outside.id)).await.ok()["console"].to_string();
    assert!(told.contains("key [secret KEY]"), "{told}");
    let mut followed = Vec::new();
    let mut last = String::new();
    for _ in 0..expected.len() {
        let event = console.event().await;
        assert_eq!(event.payload()["run_id"], *run);
        followed.push(event.message());
        last = event.id;
    }
    followed.sort();
    let mut sorted = expected.map(str::to_owned);
    sorted.sort();
    assert_eq!(followed, sorted);
    drop(console);
    say(&api, &token, "later", Value::Null).await.ok();
    let query = format!("channel=analysis_console.{}&token={}", outside.id, outside.token);
    let mut console = Stream::open(&api, &query, Some(&last)).await;
    assert_eq!(console.event().await.message(), "later");

    let [(principal, resource, detail)] = &audited(api.place(), "run.frame").await[..] else {
        panic!("one frame is one entry")
    };
    assert_eq!((principal, resource), (&format!("analysis:{}", outside.id), &run));
    assert_eq!(*detail, json!({"attempt": 1, "peer": "a local connection"}));
    let leaks = audited(api.place(), "run.leak").await;
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert_eq!(leaks[0].2["report"]["leaks"][0]["key"], "KEY");
    let grants = audited(api.place(), "run.grant").await;
    assert!(!grants[0].2.to_string().contains("SENT"), "{grants:?}");
    for value in [SECRET, SENT, &token[2..]] {
        assert!(!holds(&api.place().data(), value.as_bytes()), "{value} lies in a file");
    }
}

#[tokio::test]
async fn the_token_of_a_frame_is_the_analysis_as_policies_let_it_and_listens_to_nothing() {
    let api = Api::open().await;
    let outside = outside(&api).await;
    let mut listener = Stream::open(&api, &outside.query(), None).await;
    let run = outside.start(&api, json!([])).await;
    let token = text(&listener.event().await.payload()["token"]);
    ended(&api, &run).await;
    let info = api.call_as(&token, Method::GET, "/info", Value::Null).await.ok();
    assert_eq!((&info["id"], &info["run_on"]), (&json!(outside.id), &json!("external")));
    let keys = api.call_as(&token, Method::GET, "/secrets?orderBy=key,asc", Value::Null).await.ok();
    assert_eq!(keys.as_array().expect("a list").len(), 3, "{keys}");
    let (code, _) = api.call_as(&token, Method::GET, "/tokens", Value::Null).await.refused(401);
    assert_eq!(code, "denied");
    // What it starts is the next of a chain.
    let policy = json!({
        "name": "run",
        "targets": [["analysis", "id", outside.id]],
        "permissions": [{"effect": "allow", "action": ["run"], "resource": ["analysis"]}],
    });
    api.post("/am", policy).await.ok();
    let path = format!("/analysis/{}/run", outside.id);
    let next = text(&api.call_as(&token, Method::POST, &path, json!({})).await.ok()["run"]);
    listener.event().await.payload();
    let cause = &ended(&api, &next).await["cause"];
    assert_eq!((&cause["root"], &cause["depth"]), (&json!(run), &json!(1)), "{cause}");
    let router = runner::api::router(Arc::clone(&api.runner));
    for channel in ["analysis_trigger".to_owned(), format!("analysis_console.{}", outside.id)] {
        let query = format!("channel={channel}&token={token}");
        assert_eq!(Stream::ask(&router, &query, None).await.status(), 401, "{channel}");
    }
    // It ends with external mode.
    let off = json!({"external": false});
    api.put(&format!("/analysis/{}", outside.id), off).await.ok();
    let (code, _) = say(&api, &token, "x", Value::Null).await.refused(401);
    assert_eq!(code, "unauthenticated");
}

#[tokio::test]
async fn each_run_goes_to_one_of_several_listeners() {
    let api = Api::open().await;
    let outside = outside(&api).await;
    let mut listeners = [
        Stream::open(&api, &outside.query(), None).await,
        Stream::open(&api, &outside.query(), None).await,
    ];
    let mut runs = Vec::new();
    for _ in 0..4 {
        for listener in &mut listeners {
            let run = outside.start(&api, json!([])).await;
            let own = listener.event();
            let environment = tokio::time::timeout(Duration::from_secs(30), own).await;
            let environment =
                environment.expect("each has its turn").payload()["environment"].clone();
            let entries = environment.as_array().expect("a list").clone();
            let id = entries.iter().find(|entry| entry["key"] == "_run_id").expect("the id");
            assert_eq!(id["value"], *run);
            assert_eq!(ended(&api, &run).await["state"], "delivered");
            runs.push(run);
        }
    }
    api.runner.watch().close();
    for listener in &mut listeners {
        assert_eq!(listener.end().await, "the server is stopping");
    }
}

#[tokio::test]
async fn a_listener_that_does_not_read_is_let_go_and_another_gets_the_run() {
    let api = Api::open().await;
    let outside = outside(&api).await;
    let mut stuck = Stream::open(&api, &outside.query(), None).await;
    let mut reader = Stream::open(&api, &outside.query(), None).await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(outside.start(&api, json!([])).await);
    }
    for _ in &runs {
        reader.event().await.payload();
    }
    for run in &runs {
        assert_eq!(ended(&api, run).await["state"], "delivered");
    }
    let reason = stuck.end().await;
    assert!(reason.contains("did not take a run in time"), "{reason}");
}

#[tokio::test]
async fn a_run_waits_for_a_listener_and_ends_without_one() {
    let api = Api::open().await;
    let outside = outside(&api).await;
    let run = outside.start(&api, json!([])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(api.get(&format!("/runs/{run}")).await.ok()["state"], "queued");
    let mut listener = Stream::open(&api, &outside.query(), None).await;
    listener.event().await.payload();
    assert_eq!(ended(&api, &run).await["state"], "delivered");
    drop(listener);
    let run = outside.start(&api, json!([])).await;
    let shown = ended(&api, &run).await;
    assert_eq!(shown["state"], "no_listener", "{shown}");
    assert_eq!(shown["fault"]["code"], "no_listener");
    assert!(text(&shown["fault"]["message"]).contains("Analysis.use"), "{shown}");
    assert_eq!(lines(&shown), [""; 0]);
}

#[tokio::test]
async fn a_line_needs_a_run_that_was_delivered() {
    let api = Api::open().await;
    let outside = outside(&api).await;
    let (code, message) = say(&api, &outside.token, "x", Value::Null).await.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("within the last hour"), "{message}");
}

#[tokio::test]
async fn external_mode_is_off_until_an_administrator_enables_it() {
    let api = Api::open().await;
    let new = json!({"name": "off", "run_on": "external"});
    let made = api.post("/analysis", new).await.ok();
    let (id, token) = (text(&made["id"]), text(&made["token"]));
    let started = api.post(&format!("/analysis/{id}/run"), json!({})).await.ok();
    let shown = ended(&api, &text(&started["run"])).await;
    assert_eq!((&shown["state"], &shown["fault"]["blame"]), (&json!("failed"), &json!("policy")));
    assert_eq!(shown["fault"]["code"], "external_disabled");
    let message = text(&shown["fault"]["message"]);
    assert!(
        message.contains("an administrator enables it with `runner analysis edit"),
        "{message}"
    );
    let router = runner::api::router(Arc::clone(&api.runner));
    let refused = async |token: &str| {
        let query = format!("channel=analysis_trigger&token={token}");
        let answer = Stream::ask(&router, &query, None).await;
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 1 << 16).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        (status, text(&body["message"]))
    };
    let (status, message) = refused(&token).await;
    assert!(status == 401 && message.contains("administrator"), "{status} {message}");
    // Nor does the analysis enable it for itself, whatever policies say.
    let policy = json!({
        "name": "all",
        "targets": [["analysis", "id", id]],
        "permissions": [{"effect": "allow", "action": ["edit"], "resource": ["analysis"]}],
    });
    api.post("/am", policy).await.ok();
    let path = format!("/analysis/{id}");
    let answer = api.call_as(&token, Method::PUT, &path, json!({"external": true})).await;
    assert_eq!(answer.refused(401).0, "denied");
    api.put(&path, json!({"external": true, "run_on": "tago"})).await.ok();
    let token = text(&api.get(&format!("{path}/token")).await.ok()["analysis_token"]);
    let (status, message) = refused(&token).await;
    assert!(status == 400 && message.contains("--run-on external"), "{status} {message}");
    let administrator = json!({"name": "x", "role": "administrator"});
    let administrator = text(&api.post("/tokens", administrator).await.ok()["token"]);
    let (status, message) = refused(&administrator).await;
    assert!(status == 401 && message.contains("own token"), "{status} {message}");
    let (code, message) = api.put(&path, json!({"run_on": "moon"})).await.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("`tago`") && message.contains("`external`"), "{message}");
}

#[tokio::test]
async fn changing_the_place_ends_the_token_and_who_listens_with_it() {
    let api = Api::open().await;
    let outside = outside(&api).await;
    let mut listener = Stream::open(&api, &outside.query(), None).await;
    let path = format!("/analysis/{}", outside.id);
    // The same place again changes nothing.
    api.put(&path, json!({"run_on": "external"})).await.ok();
    api.call_as(&outside.token, Method::GET, "/info", Value::Null).await.ok();
    api.put(&path, json!({"run_on": "tago"})).await.ok();
    let answer = api.call_as(&outside.token, Method::GET, "/info", Value::Null).await;
    assert_eq!(answer.refused(401).0, "unauthenticated");
    api.put(&path, json!({"run_on": "external"})).await.ok();
    // Whoever holds the old token gets nothing, even before it is noticed that it has ended.
    let run = outside.start(&api, json!([])).await;
    let reason = listener.end().await;
    assert!(reason.contains("token") && reason.contains("not"), "{reason}");
    let token = text(&api.get(&format!("{path}/token")).await.ok()["analysis_token"]);
    let query = format!("channel=analysis_trigger&token={token}");
    let mut listener = Stream::open(&api, &query, None).await;
    let frame = listener.event().await.payload();
    assert_eq!(ended(&api, &run).await["state"], "delivered");
    // A listener that has only the analysis's own token prints into the run that came last.
    say(&api, &token, "by the analysis", Value::Null).await.ok();
    say(&api, &text(&frame["token"]), "by the frame", Value::Null).await.ok();
    let shown = api.get(&format!("/runs/{run}")).await.ok();
    assert_eq!(lines(&shown)[1..], ["by the analysis", "by the frame"]);
}

#[tokio::test]
async fn the_console_of_a_delivered_run_is_cut_at_its_limit() {
    let api = Api::open().await;
    let outside = outside(&api).await;
    let limits = json!({"limits": {"console_bytes": 4_000}});
    api.put(&format!("/analysis/{}", outside.id), limits).await.ok();
    let mut listener = Stream::open(&api, &outside.query(), None).await;
    let run = outside.start(&api, json!([])).await;
    let token = text(&listener.event().await.payload()["token"]);
    ended(&api, &run).await;
    for _ in 0..40 {
        say(&api, &token, &"x".repeat(200), Value::Null).await.ok();
    }
    let shown = api.get(&format!("/runs/{run}")).await.ok();
    assert_eq!(shown["console_truncated"], true);
    let lines = lines(&shown);
    assert_eq!(lines.last().expect("a line"), "[console cut: limit of 4000 bytes reached]");
    assert!((5..20).contains(&lines.len()), "{}", lines.len());
}

#[tokio::test]
async fn a_run_finds_the_listener_on_whichever_node_it_is() {
    let one = Api::open_at(Place::shared()).await;
    let two = Api::open_at(Place::node_of(one.place())).await;
    let outside = outside(&one).await;
    let mut listener = Stream::open(&two, &outside.query(), None).await;
    let console = format!("channel=analysis_console.{}&token={}", outside.id, outside.token);
    let mut console = Stream::open(&one, &console, None).await;
    for _ in 0..3 {
        let run = outside.start(&one, json!([])).await;
        let frame = listener.event().await.payload();
        // The lines come by the other node, which has not delivered the run.
        say(&one, &text(&frame["token"]), &format!("key {SECRET}"), Value::Null).await.ok();
        let shown = ended(&one, &run).await;
        assert_eq!(shown["state"], "delivered", "{shown}");
        let mut expected = ["[delivered to a local connection]", "key [secret KEY]"];
        assert_eq!(lines(&shown), expected);
        let mut told = [console.event().await.message(), console.event().await.message()];
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
    }
}
