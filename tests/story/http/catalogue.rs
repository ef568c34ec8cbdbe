//! What forms for policies and tag fields are filled from: the catalogue, and the known tag keys.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Api, text};

/// A resource of a permission, picked by one of the catalogue's forms.
fn picked(resource: &str, form: &str) -> Value {
    match form {
        "any" => json!([resource]),
        "id" => json!([resource, "id", "0123456789abcdef01234567"]),
        "tag" => json!([resource, "tag.key", "env", "tag.value", "prod"]),
        "tag_match" => json!([resource, "tag_match", "env"]),
        "host" => json!([resource, "host", "api.example.com"]),
        other => panic!("how is a resource picked by {other:?}?"),
    }
}

#[tokio::test]
async fn the_catalogue_lists_exactly_what_policies_take() {
    let api = Api::open().await;
    let catalogue = api.get("/am/settings").await.ok();
    let types = catalogue["resources"].as_object().expect("types");
    let settings = catalogue["settings"]["analysis"].as_object().expect("actions by type");
    assert_eq!(types.keys().collect::<Vec<_>>(), settings.keys().collect::<Vec<_>>());
    let forms = ["any", "id", "tag", "tag_match", "host"];
    let mut permitted = 0;
    for (resource, actions) in settings {
        assert!(types[resource]["label"].as_str().is_some_and(|label| !label.is_empty()));
        for action in actions.as_array().expect("actions") {
            assert!(action["label"].is_string() && action["description"].is_string());
            let offered = action["match_by"].as_array().expect("forms");
            assert!(!offered.is_empty(), "{resource} {action}");
            for form in forms {
                let permission = json!({
                    "effect": "allow", "action": [action["value"]],
                    "resource": picked(resource, form),
                });
                let policy = json!({
                    "name": "p", "targets": [["analysis"]], "permissions": [permission],
                });
                let taken = api.post("/am", policy).await.status.is_success();
                assert_eq!(taken, offered.contains(&json!(form)), "{resource} {action} by {form}");
                permitted += usize::from(taken);
            }
        }
    }
    assert!(permitted > 80, "only {permitted} permissions were taken");
}

#[tokio::test]
async fn the_keys_of_tags_are_listed_once_for_each_type() {
    let api = Api::open().await;
    for (key, tag) in [("A", ("env", "prod")), ("B", ("env", "dev")), ("C", ("area", "north"))] {
        api.secret(key, "v", tag).await;
    }
    let tags = json!([{"key": "site", "value": "north"}]);
    let script =
        json!({"type": "script", "script": [api.analysis("n", &super::world::noop()).await]});
    let action = json!({
        "name": "n", "type": "interval", "trigger": [{"interval": "1 day"}], "action": script,
        "tags": tags,
    });
    api.post("/device", json!({"name": "n", "tags": tags})).await.ok();
    api.post("/action", action).await.ok();
    for (word, keys) in [
        ("secrets", json!(["area", "env"])),
        ("device", json!(["site"])),
        ("action", json!(["site"])),
        ("analysis", json!([])),
        ("am", json!([])),
    ] {
        assert_eq!(api.get(&format!("/tags/keys/{word}")).await.ok(), keys, "{word}");
    }
    for (word, code) in [
        ("dashboard", "not_supported"),
        ("run_users", "not_supported"),
        ("nothing", "invalid_request"),
        ("Secrets", "invalid_request"),
    ] {
        let (found, message) = api.get(&format!("/tags/keys/{word}")).await.refused(400);
        assert_eq!(found, code, "{message}");
        assert!(message.contains("there are secrets, analysis"), "{message}");
    }
}

#[tokio::test]
async fn an_analysis_sees_the_tag_keys_of_what_it_may_access() {
    let api = Api::open().await;
    for (key, tag) in [("A", ("env", "prod")), ("B", ("hidden", "yes"))] {
        api.secret(key, "v", tag).await;
    }
    let made = api.post("/analysis", json!({"name": "caller"})).await.ok();
    let token = text(&made["token"]);
    let keys = || api.call_as(&token, Method::GET, "/tags/keys/secrets", Value::Null);
    assert_eq!(keys().await.ok(), json!([]));
    api.grant(&text(&made["id"]), "allow", ("env", "prod")).await;
    assert_eq!(keys().await.ok(), json!(["env"]));
}
