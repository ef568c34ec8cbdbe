//! Actions on what devices post: comparisons, locks, tags, one firing for each post.

use axum::http::Method;
use serde_json::{Value, json};

use super::by_hand;
use super::harness::{Api, text};

/// A device, and the token that it posts with.
struct Device {
    id: String,
    token: String,
}

async fn device(api: &Api, name: &str, tags: Value) -> Device {
    let new = json!({"name": name, "type": "mutable", "tags": tags});
    let made = api.post("/device", new).await.ok();
    Device { id: text(&made["device_id"]), token: text(&made["token"]) }
}

async fn post(api: &Api, device: &Device, data: Value) {
    api.call_as(&device.token, Method::POST, "/data", data).await.ok();
}

/// An action on a condition; answers its id.
async fn condition(api: &Api, analysis: &str, trigger: Value) -> String {
    let body = json!({
        "name": "condition",
        "type": "condition",
        "trigger": trigger,
        "action": {"type": "script", "script": [analysis]},
    });
    text(&api.post("/action", body).await.ok()["action"])
}

/// The runs of an analysis when they have ended, the oldest first.
async fn ended(api: &Api, analysis: &str) -> Vec<Value> {
    let list = api.get(&format!("/runs?amount=100&filter[analysis]={analysis}")).await.ok();
    let mut runs = Vec::new();
    for run in list.as_array().expect("a list").iter().rev() {
        runs.push(api.get(&format!("/runs/{}?wait=20", text(&run["id"]))).await.ok());
    }
    runs
}

#[tokio::test]
async fn a_post_that_meets_a_condition_starts_one_run_with_all_of_its_records() {
    let api = Api::open().await;
    let analysis = api.analysis("hot", &by_hand::prints_its_environment()).await;
    let boiler = device(&api, "boiler", json!([])).await;
    let other = device(&api, "other", json!([])).await;
    let trigger = json!([{
        "device": boiler.id, "variable": "temperature", "is": ">", "value": "30",
        "value_type": "number", "unlock": false,
    }]);
    condition(&api, &analysis, trigger).await;
    post(&api, &boiler, json!([{"variable": "temperature", "value": 30}])).await;
    post(&api, &boiler, json!({"variable": "pressure", "value": 31})).await;
    post(&api, &other, json!([{"variable": "temperature", "value": 99}])).await;
    assert!(ended(&api, &analysis).await.is_empty(), "nothing was above 30");
    let batch = json!([
        {"variable": "temperature", "value": 31, "unit": "C"},
        {"variable": "temperature", "value": "32.5"},
        {"variable": "pressure", "value": 3},
    ]);
    post(&api, &boiler, batch).await;
    let runs = ended(&api, &analysis).await;
    assert_eq!(runs.len(), 1, "one firing for one post");
    let run = &runs[0];
    assert_eq!((&run["state"], &run["cause"]["kind"]), (&json!("succeeded"), &json!("condition")));
    let scope = run["scope"].as_array().expect("records");
    assert_eq!(scope.len(), 3);
    assert_eq!((&scope[0]["value"], &scope[2]["variable"]), (&json!(31), &json!("pressure")));
    assert!(scope.iter().all(|record| record["device"] == *boiler.id));
    let console = run["console"].to_string();
    for entry in [format!("_device_id={}", boiler.id), "_action_type=condition".into()] {
        assert!(console.contains(&entry), "{entry} is not in {console}");
    }
}

#[tokio::test]
async fn a_lock_holds_until_what_unlocks_it() {
    let api = Api::open().await;
    let analysis = api.analysis("alarm", &by_hand::prints_its_environment()).await;
    let boiler = device(&api, "boiler", json!([])).await;
    let entry = |is: &str, unlock: bool| {
        json!({
            "device": boiler.id, "variable": "temperature", "is": is, "value": "30",
            "value_type": "number", "unlock": unlock,
        })
    };
    let action = condition(&api, &analysis, json!([entry(">", false), entry("<", true)])).await;
    let measure = async |value: u32| {
        post(&api, &boiler, json!([{"variable": "temperature", "value": value}])).await;
        let shown = api.get(&format!("/action/{action}")).await.ok();
        (ended(&api, &analysis).await.len(), shown["lock"].as_bool().expect("a flag"))
    };
    assert_eq!(measure(31).await, (1, true), "it fires and locks");
    assert_eq!(measure(40).await, (1, true), "it is locked");
    assert_eq!(measure(20).await, (1, false), "it is unlocked, which starts nothing");
    assert_eq!(measure(35).await, (2, true), "it fires again");
    let runs = ended(&api, &analysis).await;
    assert!(runs[0]["console"].to_string().contains("_action_state=locked"), "{}", runs[0]);
    api.put(&format!("/action/{action}"), json!({"trigger_when_unlock": true})).await.ok();
    assert_eq!(measure(20).await, (3, false), "unlocking starts one too");
}

#[tokio::test]
async fn a_tag_stands_for_every_device_that_carries_it() {
    let api = Api::open().await;
    let analysis = api.analysis("door", &by_hand::quiet(1)).await;
    let tags = json!([{"key": "kind", "value": "door"}]);
    let (front, back) =
        (device(&api, "front", tags.clone()).await, device(&api, "back", tags).await);
    let window = device(&api, "window", json!([{"key": "kind", "value": "window"}])).await;
    let trigger = json!([{
        "tag_key": "kind", "tag_value": "door", "variable": "open", "is": "=", "value": "true",
        "value_type": "boolean",
    }]);
    let action = condition(&api, &analysis, trigger).await;
    for device in [&front, &back, &window] {
        post(&api, device, json!([{"variable": "open", "value": true}])).await;
    }
    let runs = ended(&api, &analysis).await;
    assert_eq!(runs.len(), 2, "{runs:?}");
    api.put(&format!("/action/{action}"), json!({"active": false})).await.ok();
    post(&api, &front, json!([{"variable": "open", "value": true}])).await;
    assert_eq!(ended(&api, &analysis).await.len(), 2, "it is switched off");
}
