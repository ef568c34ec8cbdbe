//! Which secrets an analysis gets: decided by policies, and seen by a guest.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Value, json};

use super::guests;
use super::harness::{Api, text};

pub const RED: (&str, &str) = ("team", "red");
const BLUE: (&str, &str) = ("team", "blue");

/// A store with the secrets `RED_KEY`, `BLUE_KEY` and `BOTH_KEY` (tagged `team=red`, `env=prod`),
/// and one analysis tagged `team=red` that prints its environment.
pub struct Scene {
    pub api: Api,
    pub analysis: String,
    pub red: String,
    pub both: String,
}

impl Scene {
    pub async fn new() -> Self {
        Self::on(Api::open().await).await
    }

    /// As [`Self::new`], with a store in the data directory.
    pub async fn alone() -> Self {
        Self::on(Api::alone().await).await
    }

    async fn on(api: Api) -> Self {
        let red = api.secret("RED_KEY", "red value 1", RED).await;
        api.secret("BLUE_KEY", "blue value 2", BLUE).await;
        let tags = json!([{"key": "env", "value": "prod"}, {"key": "team", "value": "red"}]);
        let both = json!({"key": "BOTH_KEY", "value": "both value 3", "tags": tags});
        let both = text(&api.post("/secrets", both).await.ok()["id"]);
        let analysis = api.analysis("reader", &guests::environment_printer()).await;
        let tags = json!({"tags": [{"key": "team", "value": "red"}]});
        api.put(&format!("/analysis/{analysis}"), tags).await.ok();
        Self { api, analysis, red, both }
    }

    /// Makes a policy about this analysis.
    pub async fn policy(&self, permissions: Value) -> String {
        self.policy_for(json!([["analysis", "id", self.analysis]]), permissions).await
    }

    pub async fn policy_for(&self, targets: Value, permissions: Value) -> String {
        let policy = json!({"name": "p", "targets": targets, "permissions": permissions});
        text(&self.api.post("/am", policy).await.ok()["am_id"])
    }

    async fn drop_policy(&self, policy: &str) {
        self.api.delete(&format!("/am/{policy}")).await.ok();
    }

    /// What the guest of a new run saw under its secrets' and variables' keys, and the run.
    pub async fn run(&self) -> (BTreeMap<String, String>, Value) {
        let run = self.api.run(&self.analysis, json!([])).await;
        assert_eq!(run["state"], "succeeded", "{run}");
        let mut seen = BTreeMap::new();
        let lines = run["console"].as_array().expect("a console");
        for line in lines.iter().filter_map(|line| line["text"].as_str()) {
            let Some((key, value)) = line.split_once('=') else { continue };
            if !key.starts_with('_') && !key.starts_with("T_ANALYSIS_") && key != "TAGOIO_API" {
                seen.insert(key.to_owned(), value.to_owned());
            }
        }
        // The record and the guest must tell the same story.
        let entries = run["environment"].as_array().expect("an environment");
        let recorded = entries.iter().filter(|entry| entry["origin"] != "system");
        let recorded: Vec<_> = recorded.map(|entry| text(&entry["key"])).collect();
        assert_eq!(recorded, seen.keys().cloned().collect::<Vec<_>>());
        (seen, run)
    }

    /// The keys of the secrets and variables that the guest of a new run saw.
    async fn keys(&self) -> Vec<String> {
        self.run().await.0.into_keys().collect()
    }

    pub async fn explain(&self, key: &str) -> Value {
        let path = format!("/analysis/{}/explain?key={key}", self.analysis);
        let mut explained = self.api.get(&path).await.ok();
        assert_eq!(explained["analysis"], json!({"id": self.analysis, "name": "reader"}));
        let keys = explained["keys"].as_array_mut().expect("a list");
        assert_eq!(keys.len(), 1, "{keys:?}");
        assert_eq!(keys[0]["key"], key);
        keys.remove(0)
    }
}

/// A permission to access secrets, or its denial.
pub fn access(effect: &str, resource: Value) -> Value {
    json!({"effect": effect, "action": ["access"], "resource": resource})
}

/// The secrets with a tag.
pub fn tagged(tag: (&str, &str)) -> Value {
    json!(["secrets", "tag.key", tag.0, "tag.value", tag.1])
}

#[tokio::test]
async fn without_a_policy_nothing_is_granted() {
    let scene = Scene::new().await;
    assert_eq!(scene.keys().await, [""; 0]);
    // Policies about others, and about other actions, change nothing.
    scene
        .policy_for(
            json!([["analysis", "id", "0".repeat(24)]]),
            json!([access("allow", json!(["secrets"]))]),
        )
        .await;
    scene
        .policy_for(
            json!([["analysis", "tag.key", "team", "tag.value", "blue"]]),
            json!([access("allow", json!(["secrets"]))]),
        )
        .await;
    scene
        .policy_for(
            json!([["analysis", "tag_match", "env"]]),
            json!([access("allow", json!(["secrets"]))]),
        )
        .await;
    scene
        .policy(json!([
            {"effect": "allow", "action": ["create", "edit", "delete"], "resource": ["secrets", "tag_match", "team"]},
            access("allow", json!(["analysis"])),
            access("allow", json!(["access_management"])),
        ]))
        .await;
    assert_eq!(scene.keys().await, [""; 0]);
}

#[tokio::test]
async fn each_form_of_a_permission_grants_what_it_says() {
    let scene = Scene::new().await;
    for (resource, keys) in [
        (json!(["secrets"]), &["BLUE_KEY", "BOTH_KEY", "RED_KEY"][..]),
        (json!(["secrets", "id", scene.both]), &["BOTH_KEY"]),
        (json!(["secrets", "id", scene.both.to_uppercase()]), &["BOTH_KEY"]),
        (tagged(BLUE), &["BLUE_KEY"]),
        (tagged(RED), &["BOTH_KEY", "RED_KEY"]),
        (tagged(("env", "prod")), &["BOTH_KEY"]),
        (tagged(("team", "RED")), &[]),
        (tagged(("env", "red")), &[]),
        // The analysis has team=red, and no `env` at all.
        (json!(["secrets", "tag_match", "team"]), &["BOTH_KEY", "RED_KEY"]),
        (json!(["secrets", "tag_match", "env"]), &[]),
        (json!(["secrets", "tag_match", "nothing"]), &[]),
    ] {
        let policy = scene.policy(json!([access("allow", resource.clone())])).await;
        assert_eq!(scene.keys().await, keys, "{resource}");
        scene.drop_policy(&policy).await;
    }
    assert_eq!(scene.keys().await, [""; 0], "a deleted policy grants nothing");
}

#[tokio::test]
async fn each_form_of_a_target_picks_whom_it_says() {
    let scene = Scene::new().await;
    for (target, picked) in [
        (json!(["analysis"]), true),
        (json!(["analysis", "id", scene.analysis]), true),
        (json!(["analysis", "id", scene.red]), false),
        (json!(["analysis", "tag.key", "team", "tag.value", "red"]), true),
        (json!(["analysis", "tag.key", "team", "tag.value", "Red"]), false),
        (json!(["analysis", "tag_match", "team"]), true),
        (json!(["analysis", "tag_match", "red"]), false),
    ] {
        let all = json!([access("allow", tagged(RED))]);
        let policy = scene.policy_for(json!([target]), all.clone()).await;
        let keys = if picked { &["BOTH_KEY", "RED_KEY"][..] } else { &[] };
        assert_eq!(scene.keys().await, keys, "{target}");
        scene.drop_policy(&policy).await;
        // One target that matches is enough.
        let others =
            json!([["analysis", "id", "0".repeat(24)], target, ["analysis", "tag_match", "x"]]);
        let policy = scene.policy_for(others, all).await;
        assert_eq!(scene.keys().await, keys, "{target} among others");
        scene.drop_policy(&policy).await;
    }
}

#[tokio::test]
async fn a_deny_beats_every_allow_in_any_order() {
    let scene = Scene::new().await;
    let allow = || access("allow", json!(["secrets"]));
    let deny = || access("deny", tagged(RED));
    // Across policies, the deny made first, last and in between.
    for order in
        [[deny(), allow(), allow()], [allow(), deny(), allow()], [allow(), allow(), deny()]]
    {
        let mut made = Vec::new();
        for permission in order {
            made.push(scene.policy(json!([permission])).await);
        }
        assert_eq!(scene.keys().await, ["BLUE_KEY"]);
        for policy in made {
            scene.drop_policy(&policy).await;
        }
    }
    // Within one policy.
    for order in [json!([deny(), allow()]), json!([allow(), deny()])] {
        let policy = scene.policy(order).await;
        assert_eq!(scene.keys().await, ["BLUE_KEY"]);
        scene.drop_policy(&policy).await;
    }
    // The narrowest allow does not beat the widest deny.
    scene.policy(json!([access("allow", json!(["secrets", "id", scene.both]))])).await;
    assert_eq!(scene.keys().await, ["BOTH_KEY"]);
    scene.policy_for(json!([["analysis"]]), json!([access("deny", json!(["secrets"]))])).await;
    assert_eq!(scene.keys().await, [""; 0]);
}

#[tokio::test]
async fn an_inactive_policy_counts_for_nothing() {
    let scene = Scene::new().await;
    let allow = scene.policy(json!([access("allow", tagged(RED))])).await;
    let deny = scene.policy(json!([access("deny", json!(["secrets", "id", scene.red]))])).await;
    assert_eq!(scene.keys().await, ["BOTH_KEY"]);
    let switch = async |policy: &str, active: bool| {
        scene.api.put(&format!("/am/{policy}"), json!({"active": active})).await.ok();
    };
    switch(&deny, false).await;
    assert_eq!(scene.keys().await, ["BOTH_KEY", "RED_KEY"]);
    switch(&allow, false).await;
    assert_eq!(scene.keys().await, [""; 0]);
    switch(&allow, true).await;
    switch(&deny, true).await;
    assert_eq!(scene.keys().await, ["BOTH_KEY"]);
}

#[tokio::test]
async fn the_spelling_secret_works_and_is_answered_as_secrets() {
    let scene = Scene::new().await;
    let policy = scene.policy(json!([access("allow", json!(["secret", "id", scene.red]))])).await;
    assert_eq!(scene.keys().await, ["RED_KEY"]);
    let shown = scene.api.get(&format!("/am/{policy}")).await.ok();
    assert_eq!(shown["permissions"][0]["resource"], json!(["secrets", "id", scene.red]));
}

#[tokio::test]
async fn a_variable_wins_over_a_secret_and_no_deny_hides_it() {
    let scene = Scene::new().await;
    scene.policy(json!([access("allow", json!(["secrets", "id", scene.red]))])).await;
    let (seen, run) = scene.run().await;
    assert_eq!(seen["RED_KEY"], "[secret RED_KEY]");
    let entry = run["environment"].as_array().expect("a list")[0].clone();
    assert_eq!((&entry["key"], &entry["origin"]), (&json!("RED_KEY"), &json!("secret")));

    let path = format!("/analysis/{}", scene.analysis);
    let variables =
        json!({"variables": [{"key": "RED_KEY", "value": "mine"}, {"key": "N", "value": 7}]});
    scene.api.put(&path, variables).await.ok();
    let (seen, run) = scene.run().await;
    assert_eq!(seen["RED_KEY"], "mine");
    assert_eq!(seen["N"], "7");
    assert!(!run["environment"].to_string().contains("secret"), "{run}");
    assert_eq!(scene.explain("RED_KEY").await["decision"], "overridden");

    scene.policy(json!([access("deny", json!(["secrets"]))])).await;
    let (seen, _) = scene.run().await;
    assert_eq!(seen["RED_KEY"], "mine", "a deny hides secrets, never variables");

    scene.api.put(&path, json!({"variables": []})).await.ok();
    assert_eq!(scene.keys().await, [""; 0]);
}

#[tokio::test]
async fn a_change_holds_for_the_next_run() {
    let scene = Scene::new().await;
    let policy = scene.policy(json!([access("allow", tagged(BLUE))])).await;
    assert_eq!(scene.keys().await, ["BLUE_KEY"]);
    let at = format!("/am/{policy}");
    scene.api.put(&at, json!({"permissions": [access("allow", tagged(RED))]})).await.ok();
    assert_eq!(scene.keys().await, ["BOTH_KEY", "RED_KEY"]);
    // The tags of a secret ...
    let secret = format!("/secrets/{}", scene.red);
    scene.api.put(&secret, json!({"tags": [{"key": "team", "value": "blue"}]})).await.ok();
    assert_eq!(scene.keys().await, ["BOTH_KEY"]);
    // ... its end ...
    scene.api.delete(&format!("/secrets/{}", scene.both)).await.ok();
    assert_eq!(scene.keys().await, [""; 0]);
    // ... a new secret ...
    scene.api.secret("LATE_KEY", "late value", RED).await;
    assert_eq!(scene.keys().await, ["LATE_KEY"]);
    // ... the targets, and the tags of the analysis.
    let targets = json!({"targets": [["analysis", "tag.key", "team", "tag.value", "green"]]});
    scene.api.put(&at, targets).await.ok();
    assert_eq!(scene.keys().await, [""; 0]);
    let tags = json!({"tags": [{"key": "team", "value": "green"}]});
    scene.api.put(&format!("/analysis/{}", scene.analysis), tags).await.ok();
    assert_eq!(scene.keys().await, ["LATE_KEY"]);
}

#[tokio::test]
async fn what_can_never_match_is_refused_with_the_right_form() {
    let scene = Scene::new().await;
    let id = "0123456789abcdef01234567";
    let any_form = r#"write ["analysis"], ["analysis","id","<24 hexadecimal characters>"]"#;
    for (target, message) in [
        (json!(["run_user"]), any_form),
        (json!(["run_user", "id", id]), "the runner has no run users"),
        (json!(["secrets"]), any_form),
        (json!(["analysis", "id"]), r#"write ["analysis","id","<24 hexadecimal characters>"]"#),
        (json!(["analysis", "id", id, id]), r#"write ["analysis","id","<24"#),
        (json!(["analysis", "id", "reader"]), "an id has 24 hexadecimal characters"),
        (
            json!(["analysis", "tag.key", "k"]),
            r#"["analysis","tag.key","<key>","tag.value","<value>"]"#,
        ),
        (
            json!(["analysis", "tag.key", "k", "v"]),
            r#"["analysis","tag.key","<key>","tag.value","<value>"]"#,
        ),
        (json!(["analysis", "tag_match"]), r#"["analysis","tag_match","<key>"]"#),
        (json!(["analysis", "tag_match", ""]), "1 to 100 characters"),
        (json!("analysis"), any_form),
        (json!([]), any_form),
    ] {
        let permissions = json!([access("allow", json!(["secrets"]))]);
        let policy =
            json!({"name": "p", "targets": [["analysis"], target], "permissions": permissions});
        let (code, said) = scene.api.post("/am", policy).await.refused(400);
        assert_eq!(code, "invalid_policy", "{target}");
        assert!(said.starts_with("targets[1]: ") && said.contains(message), "{target}: {said}");
    }
    let actions = r#"the actions are "access", "sign", "create", "edit", "delete""#;
    for (permission, at, message) in [
        (
            json!({"effect": "allow", "action": ["run"], "resource": ["secrets"]}),
            "permissions[0].action[0]",
            actions,
        ),
        (
            json!({"effect": "allow", "action": ["read"], "resource": ["secrets"]}),
            "permissions[0].action[0]",
            actions,
        ),
        (
            json!({"effect": "allow", "action": ["access", "*"], "resource": ["secrets"]}),
            "permissions[0].action[1]",
            actions,
        ),
        (
            json!({"effect": "allow", "action": [], "resource": ["secrets"]}),
            "permissions[0].action",
            "as in [\"access\"]",
        ),
        (
            json!({"effect": "denied", "action": ["access"], "resource": ["secrets"]}),
            "permissions[0].effect",
            "write \"deny\"",
        ),
        (
            json!({"effect": "allow", "action": ["create"], "resource": ["secrets", "id", id]}),
            "permissions[0].resource",
            "a permission of its own with one of [\"secrets\"]",
        ),
        (
            json!({"effect": "allow", "action": ["access"], "resource": ["dashboard"]}),
            "permissions[0].resource",
            "the types are \"secrets\"",
        ),
        (
            json!({"effect": "allow", "action": ["access"], "resource": ["run_user"]}),
            "permissions[0].resource",
            "no run users",
        ),
        (
            json!({"effect": "allow", "action": ["access"], "resource": ["secrets", "tag_match", "a", "b"]}),
            "permissions[0].resource",
            r#"["secrets","tag_match","<key>"]"#,
        ),
        (
            json!({"effect": "allow", "action": ["access"]}),
            "permissions[0].resource",
            "found nothing",
        ),
        (
            json!({"effect": "allow", "actions": ["access"], "resource": ["secrets"]}),
            "permissions[0]",
            "the fields are",
        ),
    ] {
        let policy = json!({"name": "p", "targets": [["analysis"]], "permissions": [permission]});
        let (code, said) = scene.api.post("/am", policy.clone()).await.refused(400);
        assert_eq!(code, "invalid_policy", "{permission}");
        assert!(said.starts_with(at) && said.contains(message), "{permission}: {said}");
        // An edit is read as strictly.
        let good = scene.policy(json!([access("allow", json!(["secrets"]))])).await;
        let change = json!({"permissions": policy["permissions"]});
        let (code, _) = scene.api.put(&format!("/am/{good}"), change).await.refused(400);
        assert_eq!(code, "invalid_policy", "{permission}");
        scene.drop_policy(&good).await;
    }
    let empty =
        json!({"name": "p", "targets": [], "permissions": [access("allow", json!(["secrets"]))]});
    assert_eq!(scene.api.post("/am", empty).await.refused(400).0, "invalid_policy");
    assert_eq!(scene.api.get("/am").await.ok(), json!([]), "nothing of it was stored");
}

#[tokio::test]
async fn an_analysis_sees_and_changes_by_token_only_what_policies_allow() {
    let scene = Scene::new().await;
    let path = format!("/analysis/{}/token", scene.analysis);
    let token = text(&scene.api.get(&path).await.ok()["analysis_token"]);
    let call = async |method: Method, path: &str, body: Value| {
        scene.api.call_as(&token, method, path, body).await
    };
    assert_eq!(call(Method::GET, "/secrets", Value::Null).await.ok(), json!([]));
    let red = format!("/secrets/{}", scene.red);
    assert_eq!(call(Method::GET, &red, Value::Null).await.refused(401).0, "denied");
    scene
        .policy(json!([
            access("allow", tagged(RED)),
            {"effect": "allow", "action": ["edit"], "resource": ["secrets", "id", scene.red]},
        ]))
        .await;
    let listed = call(Method::GET, "/secrets", Value::Null).await.ok();
    let keys: Vec<_> = listed.as_array().expect("a list").iter().map(|s| text(&s["key"])).collect();
    assert_eq!(keys, ["BOTH_KEY", "RED_KEY"]);
    call(Method::PUT, &red, json!({"value": "another value"})).await.ok();
    assert_eq!(call(Method::DELETE, &red, Value::Null).await.refused(401).0, "denied");
    let both = format!("/secrets/{}", scene.both);
    assert_eq!(call(Method::PUT, &both, json!({"value": "x"})).await.refused(401).0, "denied");
    let made = json!({"key": "NEW", "value": "v", "tags": [{"key": "team", "value": "red"}]});
    assert_eq!(call(Method::POST, "/secrets", made).await.refused(401).0, "denied");
    // A policy is no thing that an analysis gives itself.
    let own = json!({"name": "mine", "targets": [["analysis"]], "permissions": [access("allow", json!(["secrets"]))]});
    assert_eq!(call(Method::POST, "/am", own).await.refused(401).0, "denied");
}
