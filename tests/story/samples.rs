//! The sample analyses do what their folders say, and so does a component that was frozen when
//! version 1.0.0 of the guest's contract became final.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::http::{Method, Request};
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
    install_with(api, name, |text| text).await
}

/// The same, with a change of the JSON of its policy and its variables.
pub async fn install_with(api: &Api, name: &str, change: impl Fn(String) -> String) -> String {
    let folder = repository().join("sample-analyses").join(name);
    let changed = |file: &str| -> Value {
        change(read(&folder, file).to_string()).parse().expect("JSON, also after the change")
    };
    for secret in read(&folder, "secrets.json").as_array().expect("a list") {
        api.post("/secrets", secret.clone()).await.ok();
    }
    api.post("/am", changed("policy.json")).await.ok();
    let analysis = json!({
        "name": name,
        "tags": [{"key": "sample", "value": name}],
        "variables": changed("variables.json"),
    });
    let id = text(&api.post("/analysis", analysis).await.ok()["id"]);
    match script(&folder) {
        Some(file) => {
            let text = fs::read(folder.join(file)).expect("a script");
            api.upload_script(&id, file, &text).await.ok()
        }
        None => api.upload(&id, &sample_bytes(name)).await.ok(),
    };
    id
}

/// The script of a sample, which is uploaded as it is.
fn script(folder: &Path) -> Option<&'static str> {
    ["analysis.js", "analysis.ts"].into_iter().find(|file| folder.join(file).is_file())
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
    assert_expected(&run, "verify-webhook", "webhook");
}

/// The first run of an analysis when it has ended; it must begin within so many seconds.
async fn started(api: &Api, analysis: &str, seconds: u64) -> Value {
    let began = Instant::now();
    loop {
        let runs = api.get(&format!("/runs?filter[analysis]={analysis}")).await.ok();
        if let Some(first) = runs.as_array().and_then(|runs| runs.last()) {
            return api.get(&format!("/runs/{}?wait=50", text(&first["id"]))).await.ok();
        }
        assert!(began.elapsed() < Duration::from_secs(seconds), "no run in {seconds} s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A run is what the sample's folder says, and this kind of trigger started it.
#[track_caller]
fn assert_expected(run: &Value, name: &str, kind: &str) {
    let folder = repository().join("sample-analyses").join(name);
    assert_eq!(shown(run), read(&folder, "expected.json"), "{name}");
    assert_eq!(run["cause"]["kind"], kind, "{name}");
}

/// Changes the trigger of a sample's action, whose own would take too long for a test.
async fn hasten(api: &Api, made: &Value, trigger: Value) {
    let action = text(&made["action"]);
    api.put(&format!("/action/{action}"), json!({"trigger": [trigger]})).await.ok();
}

#[tokio::test]
async fn the_sample_of_schedules_is_started_by_the_next_minute() {
    let api = Api::open().await;
    let analysis = install(&api, "key-inventory").await;
    let made = install_action(&api, "key-inventory", &analysis).await;
    let next = text(&made["next"][0]);
    // Six in London is five or six in UTC.
    assert!(next.ends_with("T05:00:00.000Z") || next.ends_with("T06:00:00.000Z"), "{next}");
    hasten(&api, &made, json!({"cron": "* * * * *", "timezone": "Europe/London"})).await;
    let run = started(&api, &analysis, 70).await;
    assert_expected(&run, "key-inventory", "schedule");
}

#[tokio::test]
async fn the_sample_of_intervals_is_started_second_by_second() {
    let api = Api::open().await;
    let analysis = install(&api, "heartbeat").await;
    let made = install_action(&api, "heartbeat", &analysis).await;
    hasten(&api, &made, json!({"interval": "1 second"})).await;
    let run = started(&api, &analysis, 30).await;
    assert_eq!((&run["state"], &run["cause"]["kind"]), (&json!("succeeded"), &json!("interval")));
    let beat = text(&run["console"][0]["text"]);
    let of_2026_or_later = beat.starts_with("beat ") && beat.as_str() > "beat 1767225600";
    assert!(of_2026_or_later && beat.contains(", signature "), "{beat}");
}

#[tokio::test]
async fn the_sample_of_conditions_is_started_by_what_a_device_posts() {
    let api = Api::open().await;
    let analysis = install(&api, "stock-alert").await;
    install_action(&api, "stock-alert", &analysis).await;
    let tags = json!([{"key": "kind", "value": "storage"}]);
    let device = json!({"name": "shelf", "type": "mutable", "tags": tags});
    let device = api.post("/device", device).await.ok();
    // What the records of the sample say, as a device sends it.
    let mut records = read(&repository().join("sample-analyses/stock-alert"), "scope.json");
    for record in records.as_array_mut().expect("records") {
        let record = record.as_object_mut().expect("a record");
        record.retain(|name, value| !["id", "device"].contains(&name.as_str()) && !value.is_null());
    }
    let token = text(&device["token"]);
    api.call_as(&token, Method::POST, "/data", records).await.ok();
    let run = started(&api, &analysis, 30).await;
    assert_expected(&run, "stock-alert", "condition");
    assert_eq!(run["scope"][0]["device"], device["device_id"]);
}

#[tokio::test]
async fn the_sample_of_resources_is_started_by_a_rotation_and_sees_the_new_value() {
    let api = Api::open().await;
    let analysis = install(&api, "rotation-check").await;
    let secret = format!("/secrets/{}", text(&api.get("/secrets").await.ok()[0]["id"]));
    // The value whose digest the sample's variable lists.
    api.put(&secret, json!({"value": "not-a-real-key-of-monday"})).await.ok();
    let run = api.run(&analysis, json!([])).await;
    assert_eq!(run["state"], "failed", "{run}");
    api.delete(&format!("/runs/{}", text(&run["id"]))).await.ok();
    install_action(&api, "rotation-check", &analysis).await;
    api.put(&secret, json!({"value": "not-a-real-key-of-tuesday"})).await.ok();
    let run = started(&api, &analysis, 30).await;
    assert_expected(&run, "rotation-check", "resource");
}

#[tokio::test]
async fn every_sample_gives_what_its_folder_says() {
    let root = repository().join("sample-analyses");
    let mut names: Vec<_> = fs::read_dir(&root)
        .expect("the samples are there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|folder| folder.join("expected.json").is_file())
        // Those that call an API are told in sample_apis.rs.
        .filter(|folder| !folder.join("server.json").is_file())
        .filter(|folder| cfg!(feature = "javascript") || script(folder).is_none())
        .map(|folder| folder.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    let known = [
        "access-pass",
        "cold-chain",
        "energy-bill",
        "heartbeat",
        "key-inventory",
        "mqtt-alarm",
        "rotation-check",
        #[cfg(feature = "javascript")]
        "rotation-plan",
        "sensor-average",
        "stock-alert",
        "tank-levels",
        "verify-webhook",
        "verify-webhook-signing",
    ];
    assert_eq!(names, known, "a sample came or went");
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
        let secrets = read(&folder, "secrets.json");
        // One that only signs is not seen.
        let own = secrets.as_array().expect("a list").iter();
        let own = own.filter(|secret| secret.get("algorithms").is_none()).count();
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
