//! How connections to `/events` begin, live and end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::Method;
use serde_json::{Value, json};

use super::stream::Stream;
use crate::by_hand;
use crate::harness::{Api, Place, text};
use crate::http::world::holds;

async fn token(api: &Api, expires: &str) -> (String, String) {
    let new = json!({"name": "reader", "role": "administrator", "expire_time": expires});
    let made = api.post("/tokens", new).await.ok();
    (text(&made["id"]), text(&made["token"]))
}

#[tokio::test]
async fn channels_that_are_not_there_are_refused_with_those_that_are() {
    let api = Api::open().await;
    let (_, token) = token(&api, "never").await;
    let router = runner::api::router(Arc::clone(&api.runner));
    for query in ["channels=ui", "channel=device_inspector.x", "channels=notification,ui", ""] {
        let answer = Stream::ask(&router, &format!("{query}&token={token}"), None).await;
        assert_eq!(answer.status(), 400, "{query}");
        let body = to_bytes(answer.into_body(), 1 << 16).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let message = text(&body["message"]);
        for known in ["analysis_console.<id of an analysis>", "analysis_trigger"] {
            assert!(message.contains(known), "{message}");
        }
        assert!(!message.contains(&token));
    }
    // A local user is let in as everywhere.
    let (code, _) = api.call(Method::GET, "/events?channel=ui", Value::Null).await.refused(400);
    assert_eq!(code, "invalid_request");
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let api = Api::open().await;
    let analysis = text(&api.post("/analysis", json!({"name": "a"})).await.ok()["id"]);
    let channel = format!("channel=analysis_console.{analysis}");
    let (id, revoked) = token(&api, "never").await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let (_, expiring) = token(&api, &soon.to_string()).await;
    let mut revoked = Stream::open(&api, &format!("{channel}&token={revoked}"), None).await;
    let mut expiring = Stream::open(&api, &format!("{channel}&token={expiring}"), None).await;
    api.delete(&format!("/tokens/{id}")).await.ok();
    let reason = revoked.end().await;
    assert!(reason.starts_with("Invalid token"), "{reason}");
    let reason = expiring.end().await;
    assert!(reason.contains("expired"), "{reason}");
}

#[tokio::test]
async fn a_connection_shows_that_it_lives_and_ends_when_the_server_stops() {
    let api = Api::open().await;
    let analysis = text(&api.post("/analysis", json!({"name": "a"})).await.ok()["id"]);
    let (_, token) = token(&api, "never").await;
    let query = format!("channel=analysis_console.{analysis}&token={token}");
    let mut stream = Stream::open(&api, &query, None).await;
    let runner = Arc::clone(&api.runner);
    let stopping = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(7)).await;
        runner.watch().close();
    });
    assert_eq!(stream.end().await, "the server is stopping");
    assert!(stream.comments >= 1, "no heartbeat came");
    stopping.await.expect("it stops");
}

#[tokio::test]
async fn connections_are_bounded_for_each_token_and_places_are_free_again() {
    let api = Api::open().await;
    let analysis = text(&api.post("/analysis", json!({"name": "a"})).await.ok()["id"]);
    let (_, one) = token(&api, "never").await;
    let (_, other) = token(&api, "never").await;
    let router = runner::api::router(Arc::clone(&api.runner));
    let query = |token: &str| format!("channel=analysis_console.{analysis}&token={token}");
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Stream::open(&api, &query(&one), None).await);
    }
    let answer = Stream::ask(&router, &query(&one), None).await;
    assert_eq!(answer.status(), 429);
    streams.push(Stream::open(&api, &query(&other), None).await);
    streams.remove(0);
    streams.push(Stream::open(&api, &query(&one), None).await);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_let_go_with_a_reason_and_holds_nobody_up() {
    let api = Api::open().await;
    let analysis = api.analysis("floods", &by_hand::floods(2_000)).await;
    let (_, token) = token(&api, "never").await;
    let query = format!("channel=analysis_console.{analysis}&token={token}");
    let mut slow = Stream::open(&api, &query, None).await;
    let mut quick = Stream::open(&api, &query, None).await;
    assert_eq!(api.run(&analysis, json!([])).await["state"], "succeeded");
    for _ in 0..2_000 {
        quick.event().await.payload();
    }
    // Nothing can be asked about a connection that nobody reads.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let mut seen = 0;
    let reason = loop {
        let event = slow.event().await;
        if event.name == "end" {
            break event.data;
        }
        seen += 1;
    };
    assert!(reason.contains("read too slowly"), "{reason}");
    assert!((1..2_000).contains(&seen), "{seen}");
}

#[test]
fn a_token_in_the_query_is_in_no_file_log_or_metric() {
    let place = Place::alone();
    let log = place.file("log", "");
    let file = std::fs::File::create(&log).expect("a file");
    let server = place.serve_with(file.into(), &[("RUNNER_LOG", "trace")]);
    let token = place.run(["token", "create", "--role", "administrator"]).ok();
    let token = token.trim();
    let analysis = place.run(["analysis", "create", "a", "--json"]).ok();
    let analysis: Value = serde_json::from_str(&analysis).expect("JSON");
    let good = format!("channel=analysis_console.{}", text(&analysis["id"]));
    for query in [good.as_str(), "channel=ui", "channel=analysis_trigger"] {
        let mut curl = std::process::Command::new("curl");
        curl.args(["--silent", "--max-time", "2", "--output", "/dev/null"]);
        let url = format!("{}/events?{query}&token={token}", server.url);
        curl.arg(url).status().expect("curl is missing; install it");
    }
    let metrics = std::process::Command::new("curl")
        .args(["--silent", "-H", &format!("token: {token}"), &format!("{}/metrics", server.url)])
        .output()
        .expect("curl");
    let metrics = String::from_utf8(metrics.stdout).expect("text");
    assert!(metrics.contains("route=\"/events\""), "{metrics}");
    assert!(!metrics.contains(&token[2..]));
    server.stop();
    let logged = std::fs::read_to_string(&log).expect("the log");
    assert!(!logged.is_empty() && !logged.contains(&token[2..]), "{logged}");
    assert!(!holds(&place.data(), &token.as_bytes()[2..]));
}
