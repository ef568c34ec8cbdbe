//! What one run may use of the network.

use std::time::Duration;

use serde_json::{Value, json};

use super::servers::{Server, ok};
use super::{ask, fetcher, open, policy, requests, to};
use crate::harness::{Api, text};
use crate::starts::wait_for;

/// A fetcher with these limits that may reach every plain server here.
async fn limited(api: &Api, limits: Value, servers: &[&Server]) -> String {
    let analysis = fetcher(api).await;
    api.put(&format!("/analysis/{analysis}"), json!({"limits": limits})).await.ok();
    let hosts: Vec<_> =
        servers.iter().map(|server| format!("http://api.example.com:{}", server.port)).collect();
    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    policy(api, &analysis, "allow", &hosts).await;
    analysis
}

fn times(server: &Server, times: u32) -> Value {
    let mut request = to("http", "api.example.com", server.port);
    request["times"] = json!(times);
    request
}

#[tokio::test]
async fn each_limit_is_told_to_the_guest_which_goes_on() {
    let (api, _) = open().await;
    let server = Server::plain(ok(&"x".repeat(50_000))).await;
    let limits = json!({
        "outbound_requests": 3, "outbound_request_bytes": 10_000,
        "outbound_response_bytes": 120_000,
    });
    let analysis = limited(&api, limits, &[&server]).await;
    let (became, console) = ask(&api, &analysis, requests(&[times(&server, 5)])).await;
    assert_eq!(became.len(), 5);
    assert_eq!(became[1]["size"], 50_000);
    assert!(text(&became[2]["error"]).contains("outbound_response_bytes"), "{became:?}");
    assert!(text(&became[3]["error"]).contains("outbound_requests"), "{became:?}");
    assert_eq!(console.len(), 2, "{console:?}");
    let mut large = times(&server, 1);
    large["method"] = json!("POST");
    large["body"] = json!(100_000);
    let (became, _) = ask(&api, &analysis, requests(&[large])).await;
    assert!(text(&became[0]["error"]).contains("outbound_request_bytes"), "{became:?}");
    // The next run has all of it again.
    let (became, _) = ask(&api, &analysis, requests(&[times(&server, 1)])).await;
    assert_eq!(became[0]["status"], 200);
    let much = json!({"limits": {"outbound_connections": 1_000_000}});
    let refused = api.put(&format!("/analysis/{analysis}"), much).await.refused(400);
    assert!(refused.1.contains("outbound_connections"), "{}", refused.1);
}

#[tokio::test]
async fn a_server_that_never_answers_ends_with_the_run() {
    let (api, _) = open().await;
    let silent = Server::plain("").await;
    let analysis = limited(&api, json!({"wall_time_ms": 500}), &[&silent]).await;
    let run = api.run(&analysis, requests(&[times(&silent, 1)])).await;
    assert_eq!(run["fault"]["code"], "time_limit", "{run}");
    let closed = tokio::time::timeout(Duration::from_secs(20), silent.closed.notified());
    closed.await.expect("the connection is closed with the run");
}

#[tokio::test]
async fn a_run_that_hoards_connections_has_its_own_and_no_more() {
    let (api, _) = open().await;
    let slow = Server::plain("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx").await;
    let analysis = limited(&api, json!({"outbound_connections": 4}), &[&slow]).await;
    let scope = json!({"requests": [times(&slow, 50)], "together": true, "hold": true});
    let started = api.post(&format!("/analysis/{analysis}/run"), json!({"scope": scope})).await;
    let run = text(&started.ok()["run"]);
    wait_for("four connections", async || (slow.accepted() >= 4).then_some(())).await;
    // Time in which a fifth would come, if it could.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(slow.accepted(), 4);
    let cancelled = api.post(&format!("/runs/{run}/cancel?wait=20"), json!({})).await.ok();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    // And they are free again.
    let other = Server::plain(ok("x")).await;
    policy(&api, &analysis, "allow", &[&format!("http://api.example.com:{}", other.port)]).await;
    let (became, _) = ask(&api, &analysis, requests(&[times(&other, 8)])).await;
    assert!(became.iter().all(|one| one["status"] == 200), "{became:?}");
}

#[tokio::test]
async fn what_no_client_would_send_goes_nowhere() {
    let (api, _) = open().await;
    let server = Server::plain(ok("x")).await;
    let analysis = limited(&api, json!({}), &[&server]).await;
    let port = server.port;
    let with = |name: &str, value: Value| {
        let mut request = to("http", "api.example.com", port);
        request[name] = value;
        request
    };
    let asked = [
        with("method", json!("CONNECT")),
        with("authority", json!(format!("user:pass@api.example.com:{port}"))),
        with("authority", json!(format!("api.example.com:{port}@other.test"))),
        with("authority", json!("")),
        with("scheme", json!("ftp")),
        with("headers", json!([["host", "other.test"]])),
        with("headers", json!([["transfer-encoding", "chunked"]])),
        with("headers", json!([["x", "a\r\nhost: other.test"]])),
        with("headers", json!([["content-length", "5"]])),
        with("path", json!("/ HTTP/1.1\r\nx: y")),
        with("path", json!("http://other.test/")),
        with("path", json!(format!("/{}", "x".repeat(17 << 10)))),
        with("method", json!("X".repeat(65))),
    ];
    let (became, _) = ask(&api, &analysis, requests(&asked)).await;
    assert!(became.iter().all(|one| one["error"].is_string()), "{became:?}");
    assert_eq!(server.accepted(), 0);
}
