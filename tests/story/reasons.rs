//! Why an analysis got a secret or did not: explained beforehand, and in the audit afterwards.

use axum::http::Method;
use runner::auth::Principal;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::harness::{Api, text};
use super::policies::{RED, Scene, access, tagged};
use super::secrets::database;

#[tokio::test]
async fn explain_says_who_spoke_or_that_nobody_did() {
    let scene = Scene::new().await;
    let silent = scene.explain("RED_KEY").await;
    assert_eq!(silent["decision"], "refused");
    assert!(silent.get("policy").is_none() && silent.get("origin").is_none(), "{silent}");
    assert_eq!(silent["reason"], "no policy allows this: no active policy targets the analysis");

    let allow = json!({"name": "the grant", "targets": [["analysis"]], "permissions": [
        access("allow", tagged(("env", "prod"))), access("allow", json!(["secrets", "tag_match", "team"])),
    ]});
    let allow = text(&scene.api.post("/am", allow).await.ok()["am_id"]);
    let granted = scene.explain("RED_KEY").await;
    assert_eq!(granted["decision"], "granted");
    assert_eq!(granted["origin"], "secret");
    assert_eq!(granted["secret"], scene.red);
    assert_eq!(granted["version"], 1);
    assert_eq!(granted["exposure"], "environment");
    assert_eq!(granted["policy"], json!({"id": allow, "name": "the grant"}));
    assert_eq!((&granted["permission"], &granted["effect"]), (&json!(1), &json!("allow")));
    assert_eq!(
        granted["reason"],
        "policy \"the grant\", permission 1 allows access to secrets tagged team=red, as the \
         analysis is"
    );
    // A run gets it by the same rule.
    let (_, run) = scene.run().await;
    let entries = run["environment"].as_array().expect("a list").iter();
    let entry = entries.clone().find(|entry| entry["key"] == "RED_KEY").expect("the secret");
    assert_eq!((&entry["policy"], &entry["permission"]), (&json!(allow), &json!(1)));
    assert_eq!((&entry["secret"], &entry["version"]), (&json!(scene.red), &json!(1)));

    let silent = scene.explain("BLUE_KEY").await;
    assert_eq!(
        (&silent["decision"], &silent["reason"]),
        (&json!("refused"), &json!("no policy allows this"))
    );

    let path = format!("/analysis/{}", scene.analysis);
    scene.api.put(&path, json!({"variables": [{"key": "RED_KEY", "value": "v"}]})).await.ok();
    let overridden = scene.explain("RED_KEY").await;
    assert_eq!(overridden["decision"], "overridden");
    assert_eq!(overridden["origin"], "variable");
    assert_eq!(overridden["policy"]["id"], allow);

    let deny = json!({"name": "the ban", "targets": [["analysis"]], "permissions": [access("deny", tagged(RED))]});
    let deny = text(&scene.api.post("/am", deny).await.ok()["am_id"]);
    let denied = scene.explain("BOTH_KEY").await;
    assert_eq!(denied["decision"], "refused");
    assert_eq!(denied["policy"], json!({"id": deny, "name": "the ban"}));
    assert_eq!((&denied["permission"], &denied["effect"]), (&json!(0), &json!("deny")));
    assert!(text(&denied["reason"]).starts_with("denied by policy \"the ban\", permission 0"));
    let variable = scene.explain("RED_KEY").await;
    assert_eq!(
        (&variable["decision"], &variable["origin"]),
        (&json!("variable"), &json!("variable"))
    );

    // All keys at once, sorted, and nothing for a key that is nowhere.
    let all = scene.api.get(&format!("{path}/explain")).await.ok();
    let keys: Vec<_> =
        all["keys"].as_array().expect("a list").iter().map(|k| text(&k["key"])).collect();
    assert_eq!(keys, ["BLUE_KEY", "BOTH_KEY", "RED_KEY"]);
    let none = scene.api.get(&format!("{path}/explain?key=NOWHERE")).await.ok();
    assert_eq!(none["keys"], json!([]));
}

#[tokio::test]
async fn explain_is_for_administrators() {
    let scene = Scene::new().await;
    let path = format!("/analysis/{}", scene.analysis);
    let token = text(&scene.api.get(&format!("{path}/token")).await.ok()["analysis_token"]);
    let asked =
        scene.api.call_as(&token, Method::GET, &format!("{path}/explain"), Value::Null).await;
    assert_eq!(asked.refused(401).0, "denied");
}

#[tokio::test]
async fn the_audit_names_who_did_what_and_which_keys_were_granted() {
    let scene = Scene::alone().await;
    let policy = scene.policy(json!([access("allow", tagged(RED))])).await;
    scene
        .api
        .put(&format!("/secrets/{}", scene.red), json!({"value": "another value 4"}))
        .await
        .ok();
    let (_, run) = scene.run().await;
    // Another principal: a token.
    let token = json!({"name": "ci", "role": "administrator"});
    let token = scene.api.post("/tokens", token).await.ok();
    let (sent, both) = (text(&token["token"]), format!("/secrets/{}", scene.both));
    scene.api.call_as(&sent, Method::DELETE, &both, Value::Null).await.ok();
    let exec = format!("/analysis/{}/exec", scene.analysis);
    let executed = scene.api.post(&exec, json!({})).await.ok();
    let Scene { api, analysis, red, both } = scene;
    let place = api.close().await;
    let mut database = database(&place).await;
    let rows =
        sqlx::query("SELECT principal, event, resource_id, detail FROM audit ORDER BY sequence");
    let rows = rows.fetch_all(&mut database).await.expect("the audit");
    let entries: Vec<(String, String, String, Value)> = rows
        .iter()
        .map(|row| {
            let detail: String = row.get("detail");
            let detail = serde_json::from_str(&detail).expect("a detail is JSON");
            (row.get("principal"), row.get("event"), row.get("resource_id"), detail)
        })
        .collect();
    let find = |event: &str, resource: &str| {
        let found: Vec<_> =
            entries.iter().filter(|entry| entry.1 == event && entry.2 == resource).collect();
        assert_eq!(found.len(), 1, "{event} {resource}: {entries:?}");
        found[0].clone()
    };
    let local = Principal::Local { uid: 1 }.to_string();
    for (event, resource) in [
        ("secrets.create", &red),
        ("secrets.edit", &red),
        ("analysis.create", &analysis),
        ("analysis.upload", &analysis),
        ("analysis.edit", &analysis),
        ("policy.create", &policy),
        ("token.create", &text(&token["id"])),
    ] {
        assert_eq!(find(event, resource).0, local);
    }
    assert_eq!(find("secrets.create", &red).3["key"], "RED_KEY");
    assert_eq!(find("secrets.delete", &both).0, format!("token:{}", text(&token["id"])));
    let granted = find("run.grant", &text(&run["id"]));
    assert_eq!(granted.0, local);
    let keys = granted.3["keys"].as_array().expect("a list").clone();
    let named: Vec<_> =
        keys.iter().map(|key| (text(&key["key"]), key["version"].clone())).collect();
    assert_eq!(named, [("BOTH_KEY".to_owned(), json!(1)), ("RED_KEY".to_owned(), json!(2))]);
    assert!(keys.iter().all(|key| key["policy"] == json!(policy) && key["permission"] == 0));
    let executed = find("run.grant", &text(&executed["id"]));
    assert_eq!(executed.3["keys"].as_array().map(Vec::len), Some(1));

    let whole = entries.iter().map(|entry| entry.3.to_string()).collect::<String>();
    for value in ["red value 1", "blue value 2", "both value 3", "another value 4"] {
        assert!(!whole.contains(value), "{value}");
    }
}

#[tokio::test]
async fn nobody_edits_or_deletes_the_audit() {
    let api = Api::alone().await;
    api.secret("KEY", "some value", RED).await;
    let place = api.close().await;
    let mut database = database(&place).await;
    for statement in [
        "UPDATE audit SET principal = 'local:0'",
        "UPDATE audit SET sequence = sequence + 100",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE event = 'secrets.create'",
    ] {
        let refused = sqlx::query(statement).execute(&mut database).await;
        let refused = refused.expect_err(statement).to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
    let count = sqlx::query("SELECT count(*) AS n FROM audit WHERE principal = 'local:1'");
    let count: i64 = count.fetch_one(&mut database).await.expect("a count").get("n");
    assert_eq!(count, 1);
}
