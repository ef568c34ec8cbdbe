//! The sample analyses do what their folders say, and so does a component that was frozen when
//! version 1.0.0 of the guest's contract became final.

use std::fs;
use std::path::Path;

use axum::http::Request;
use serde_json::{Value, json};

use super::harness::{Api, repository, sample_bytes, text};
use super::hooks::github;

/// A JSON file of a sample.
pub fn read(folder: &Path, name: &str) -> Value {
    let path = folder.join(name);
    let content = fs::read_to_string(&path);
    let content = content.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&content).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `expected.json` says about a run, of a run.
pub fn shown(run: &Value) -> Value {
    let texts: Vec<_> = run["console"].as_array().expect("a console").iter().collect();
    let texts: Vec<_> = texts.iter().map(|line| line["text"].clone()).collect();
    let mut shown = json!({"state": run["state"], "console": texts});
    for name in ["result", "fault"] {
        if let Some(value) = run.get(name) {
            shown[name] = value.clone();
        }
    }
    shown
}

/// Stores a sample with its secrets and its policy; answers the analysis's id.
pub async fn install(api: &Api, name: &str) -> String {
    let folder = repository().join("sample-analyses").join(name);
    for secret in read(&folder, "secrets.json").as_array().expect("a list") {
        api.post("/secrets", secret.clone()).await.ok();
    }
    api.post("/am", read(&folder, "policy.json")).await.ok();
    let analysis = json!({
        "name": name,
        "tags": [{"key": "sample", "value": name}],
        "variables": read(&folder, "variables.json"),
    });
    let id = text(&api.post("/analysis", analysis).await.ok()["id"]);
    api.upload(&id, &sample_bytes(name)).await.ok();
    id
}

/// Makes a sample's action; what the API answers.
pub async fn install_action(api: &Api, name: &str, analysis: &str) -> Value {
    let folder = repository().join("sample-analyses").join(name);
    let mut action = read(&folder, "action.json").to_string().replace("<analysis>", analysis);
    for secret in api.get("/secrets").await.ok().as_array().expect("a list") {
        let name = format!("<secret {}>", text(&secret["key"]));
        action = action.replace(&name, &text(&secret["id"]));
    }
    api.post("/action", action.parse().expect("JSON")).await.ok()
}

#[tokio::test]
async fn the_sample_of_webhooks_is_started_by_a_signed_request() {
    let api = Api::open().await;
    let analysis = install(&api, "verify-webhook").await;
    let hook = text(&install_action(&api, "verify-webhook", &analysis).await["hook"]);
    let folder = repository().join("sample-analyses/verify-webhook");
    let body = fs::read_to_string(folder.join("scope.json")).expect("a scope");
    let signature = github("It's a Secret to Everybody", &body);
    let request = Request::post(hook).header("x-hub-signature-256", signature);
    let answer = api.send(request.body(body.into()).expect("a request")).await.ok();
    let run = api.get(&format!("/runs/{}?wait=50", text(&answer["runs"][0]))).await.ok();
    assert_eq!(shown(&run), read(&folder, "expected.json"));
    assert_eq!(run["cause"]["kind"], "webhook");
}

#[tokio::test]
async fn every_sample_gives_what_its_folder_says() {
    let root = repository().join("sample-analyses");
    let mut names: Vec<_> = fs::read_dir(&root)
        .expect("the samples are there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|folder| folder.join("expected.json").is_file())
        .map(|folder| folder.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    for known in ["verify-webhook", "sensor-average", "mqtt-alarm", "stock-alert"] {
        assert!(names.iter().any(|name| name == known), "{known} is not among {names:?}");
    }
    // All in one profile: what one may see, the others must not.
    let api = Api::open().await;
    let mut ids = Vec::new();
    for name in &names {
        ids.push(install(&api, name).await);
    }
    for (name, id) in names.iter().zip(&ids) {
        let folder = root.join(name);
        let run = api.run(id, read(&folder, "scope.json")).await;
        assert_eq!(shown(&run), read(&folder, "expected.json"), "{name}");
        let own = read(&folder, "secrets.json").as_array().map_or(0, Vec::len);
        let environment = run["environment"].as_array().expect("a list");
        let seen = environment.iter().filter(|entry| entry["origin"] == "secret").count();
        assert_eq!(seen, own, "{name} sees its own secrets and no others");
    }
}

#[tokio::test]
async fn a_component_of_version_1_0_0_still_runs() {
    let component = fs::read(repository().join("tests/vectors/component-1.0.0.wasm"));
    let component = component.expect("the frozen component");
    let api = Api::open().await;
    let id = api.analysis("frozen", &component).await;
    // GitHub's own example, from "Validating webhook deliveries".
    let scope = json!({
        "payload": "Hello, World!",
        "signature": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    });
    let run = api.run(&id, scope.clone()).await;
    assert_eq!(
        (&run["state"], &run["fault"]["code"]),
        (&json!("failed"), &json!("error")),
        "{run}"
    );
    assert!(text(&run["fault"]["message"]).contains("WEBHOOK_SECRET"), "{run}");

    api.grant(&id, "allow", ("team", "web")).await;
    api.secret("WEBHOOK_SECRET", "It's a Secret to Everybody", ("team", "web")).await;
    let run = api.run(&id, scope.clone()).await;
    let expected = json!({
        "state": "succeeded",
        "result": {"valid": true},
        "console": ["the signature is valid"],
    });
    assert_eq!(shown(&run), expected);

    let variables = json!([{"key": "WEBHOOK_SECRET", "value": "another"}]);
    api.put(&format!("/analysis/{id}"), json!({"variables": variables})).await.ok();
    let run = api.run(&id, scope).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("succeeded"), &json!({"valid": false})));
}
