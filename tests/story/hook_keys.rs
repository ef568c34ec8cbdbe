//! The secrets that webhooks are checked with: who names them, and what becomes of the hook when
//! they change.

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};

use super::harness::{Api, text};
use super::hooks::{BODY, HEADER, KEY, SIGNATURE, Scene, github, webhook};
use super::hostile::Watch;
use super::secrets::database;

#[tokio::test]
async fn a_rotated_secret_counts_from_the_next_request_on() {
    let scene = Scene::new(json!({"form": "github"})).await;
    scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
    let secret = format!("/secrets/{}", scene.secret);
    scene.api.put(&secret, json!({"value": "the next key"})).await.ok();
    scene.post(&[(HEADER, SIGNATURE)], BODY).await.refused(401);
    let signature = github("the next key", BODY);
    let answer = scene.post(&[(HEADER, &signature)], BODY).await.ok();
    assert!(answer.get("duplicate").is_none(), "{answer}");
}

#[tokio::test]
async fn a_deleted_secret_faults_the_action_until_another_is_named() {
    let scene = Scene::alone(json!({"form": "github"})).await;
    let started = scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
    scene.api.get(&format!("/runs/{}?wait=20", text(&started["runs"][0]))).await.ok();
    scene.api.delete(&format!("/secrets/{}", scene.secret)).await.ok();
    let (code, message) = scene.post(&[(HEADER, SIGNATURE)], BODY).await.refused(503);
    assert_eq!(code, "cannot_verify");
    assert!(!message.contains("HOOK_KEY") && !message.contains(&scene.secret), "{message}");
    let fault = scene.shown().await["fault"].clone();
    assert_eq!(fault["code"], "cannot_verify");
    let message = text(&fault["message"]);
    assert!(message.contains(&scene.secret) && message.contains("was deleted"), "{message}");

    // It is written down once, not at the will of whoever calls.
    let mut watch = Watch::on(&scene.api).await;
    let version = watch.version().await;
    for _ in 0..3 {
        scene.post(&[(HEADER, SIGNATURE)], BODY).await.refused(503);
    }
    assert_eq!(watch.version().await, version);

    let other = scene.api.secret("OTHER", "another key", ("team", "web")).await;
    scene.edit(json!({"trigger": [{"secret": other, "form": "github"}]})).await;
    assert!(scene.shown().await.get("fault").is_none());
    scene.post(&[(HEADER, SIGNATURE)], BODY).await.refused(401);
    scene.post(&[(HEADER, &github("another key", BODY))], BODY).await.ok();
}

#[tokio::test]
async fn a_secret_whose_row_was_changed_is_no_key() {
    let Scene { api, analysis, secret, action } = Scene::alone(json!({"form": "github"})).await;
    let place = api.close().await;
    let mut rows = database(&place).await;
    // The ciphertext of a key that the attacker knows cannot be made; another's is no help.
    sqlx::query("UPDATE tag SET value = 'other' WHERE resource = 'secrets'")
        .execute(&mut rows)
        .await
        .expect("the row is changed");
    rows.close().await.expect("it closes");
    let scene = Scene { api: Api::open_at(place).await, analysis, secret, action };
    scene.post(&[(HEADER, SIGNATURE)], BODY).await.refused(503);
    let message = text(&scene.shown().await["fault"]["message"]);
    assert!(message.contains("HOOK_KEY") && message.contains("does not open"), "{message}");
    assert_eq!(scene.runs().await, 0);
}

#[tokio::test]
async fn the_use_of_a_secret_stands_in_the_audit_once_for_each_generation() {
    let scene = Scene::alone(json!({"form": "github"})).await;
    scene.post(&[], BODY).await.refused(401);
    for body in ["one", "two", "three"] {
        scene.post(&[(HEADER, &github(KEY, body))], body).await.ok();
    }
    scene.api.put(&format!("/secrets/{}", scene.secret), json!({"value": "k2"})).await.ok();
    for body in ["four", "five"] {
        scene.post(&[(HEADER, &github("k2", body))], body).await.ok();
    }
    let Scene { api, secret, action, .. } = scene;
    let place = api.close().await;
    let mut rows = database(&place).await;
    let entries = sqlx::query(
        "SELECT principal, resource_id, detail FROM audit WHERE event = 'action.secret' \
         ORDER BY sequence",
    );
    let entries = entries.fetch_all(&mut rows).await.expect("the audit");
    let mut details = Vec::new();
    for entry in &entries {
        assert_eq!(entry.get::<String, _>("principal"), format!("action:{action}"));
        assert_eq!(entry.get::<String, _>("resource_id"), action);
        let detail: String = entry.get("detail");
        details.push(serde_json::from_str::<Value>(&detail).expect("JSON"));
    }
    let expected = [1, 2].map(|version| json!({"secret": secret, "version": version}));
    assert_eq!(details, expected);
}

#[tokio::test]
async fn only_an_administrator_names_the_secret_of_a_hook() {
    let scene = Scene::new(json!({"form": "github"})).await;
    let made = scene.api.post("/analysis", json!({"name": "author"})).await.ok();
    let (author, token) = (text(&made["id"]), text(&made["token"]));
    let policy = json!({
        "name": "author",
        "targets": [["analysis", "id", author]],
        "permissions": [
            {"effect": "allow", "action": ["access", "create", "edit"], "resource": ["action"]},
            {"effect": "allow", "action": ["run"], "resource": ["analysis"]},
            {"effect": "allow", "action": ["access"], "resource": ["secrets"]},
        ],
    });
    scene.api.post("/am", policy).await.ok();
    let signed = json!({"secret": scene.secret, "form": "github"});
    let new = webhook(&scene.analysis, &signed);
    let refused = scene.api.call_as(&token, Method::POST, "/action", new).await;
    let (code, message) = refused.refused(401);
    assert_eq!(code, "denied");
    assert!(message.contains("only an administrator may name a secret"), "{message}");
    let unsigned = webhook(&scene.analysis, &json!({"unsigned": true}));
    let made = scene.api.call_as(&token, Method::POST, "/action", unsigned).await.ok();
    let edit = format!("/action/{}", text(&made["action"]));
    let change = json!({"trigger": [signed]});
    let refused = scene.api.call_as(&token, Method::PUT, &edit, change).await;
    assert_eq!(refused.refused(401).0, "denied");
}
