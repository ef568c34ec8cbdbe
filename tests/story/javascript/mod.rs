//! The JavaScript engine: what scripts find there, and how their runs end.

mod ends;
mod server;

use std::fs;

use serde_json::{Value, json};

use super::harness::{Api, Place, repository, settings, text};
use server::Server;

/// The names by which the scripts call the server beside the test.
const NAMES: [&str; 4] = ["echo.test", "other.test", "slow.test", "denied.test"];

/// A script of `runtime/js/tests/scripts`, with what runs the tests in it.
fn script(name: &str) -> Vec<u8> {
    let folder = repository().join("runtime/js/tests");
    let read = |path: &str| fs::read(folder.join(path)).expect("a script");
    [read(&format!("scripts/{name}.js")), read("run.js")].concat()
}

/// A runner, and a server that its analyses may be let to.
async fn world() -> (Api, Server) {
    let place = Place::alone();
    let mut settings = settings(&place);
    settings.outbound.private_ranges = vec!["127.0.0.1".parse().expect("a range")];
    let address = "127.0.0.1".parse().expect("an address");
    let host = |name: &str| (runner::host::Host::parse(name).expect("a name"), address);
    settings.outbound.hosts = NAMES.into_iter().chain(["refused.test"]).map(host).collect();
    (Api::open_with(place, settings).await, Server::open().await)
}

/// An analysis with what the scripts look for in their environment.
async fn analysis(api: &Api, name: &str, more: &[(&str, String)]) -> String {
    let made = api.post("/analysis", json!({"name": name})).await.ok();
    let id = text(&made["id"]);
    let given = [("KEY", "v".to_owned()), ("GREETING", "hi there".to_owned())];
    let variable = |(key, value): &(&str, String)| json!({"key": key, "value": value});
    let variables: Vec<Value> = given.iter().chain(more).map(variable).collect();
    api.put(&format!("/analysis/{id}"), json!({"variables": variables})).await.ok();
    api.upload_script(&id, &format!("{name}.js"), &script(name)).await.ok();
    id
}

async fn allow(api: &Api, analysis: &str, action: &str, resources: &[Value]) {
    let permission =
        |resource: &Value| json!({"effect": "allow", "action": [action], "resource": resource});
    let policy = json!({
        "name": "what the script needs",
        "targets": [["analysis", "id", analysis]],
        "permissions": resources.iter().map(permission).collect::<Vec<_>>(),
    });
    api.post("/am", policy).await.ok();
}

/// Runs the tests of a script: their number is its result.
async fn passes(api: &Api, analysis: &str) {
    let run = api.run(analysis, json!([{"a": 1}])).await;
    assert_eq!(run["state"], "succeeded", "{}", text(&run["fault"]["message"]));
    assert!(run["result"].as_u64().is_some_and(|tests| tests > 3), "{}", run["result"]);
}

#[tokio::test]
async fn scripts_find_what_the_web_and_node_have() {
    let (api, _server) = world().await;
    for name in ["inspect", "web", "node", "process"] {
        passes(&api, &analysis(&api, name, &[]).await).await;
    }
}

#[tokio::test]
async fn fetch_keeps_to_its_standard() {
    let (api, server) = world().await;
    let id = analysis(&api, "fetch", &[("PORT", server.port.to_string())]).await;
    let host = |name: &str| json!(["network", "host", format!("http://{name}:{}", server.port)]);
    let mut hosts: Vec<Value> = NAMES[..3].iter().map(|name| host(name)).collect();
    hosts.push(json!(["network", "host", "http://refused.test:1"]));
    allow(&api, &id, "access", &hosts).await;
    passes(&api, &id).await;
}

#[tokio::test]
async fn our_sdk_calls_the_api_under_the_run_s_token() {
    let (api, _server) = world().await;
    let device = api.post("/device", json!({"name": "One"})).await.ok();
    let id = analysis(&api, "sdk", &[("DEVICE", text(&device["token"]))]).await;
    allow(&api, &id, "access", &[json!(["device"])]).await;
    passes(&api, &id).await;
}
