//! What `runner policy` sends and shows, against a scripted API.

use serde_json::json;

use super::fake::Fake;

const ID: &str = "0123456789abcdef01234567";

fn fake() -> Fake {
    Fake::new()
        .answer("GET", "/analysis", json!([{"id": ID, "name": "x"}]))
        .answer("GET", "/secrets", json!([{"id": ID, "key": "K"}]))
        .answer("POST", "/am", json!({"am_id": ID}))
}

#[tokio::test]
async fn grant_and_deny_make_one_policy_for_one_analysis() {
    for (verb, effect) in [("grant", "allow"), ("deny", "deny")] {
        let fake = fake();
        let ended = fake.command(&["policy", verb, "x", "--tag", "team=a"]).await;
        let expected = format!("policy \"{effect} x team=a\" created (id {ID})\n");
        assert_eq!(ended.stdout, expected, "{ended:?}");
        let resource = json!(["secrets", "tag.key", "team", "tag.value", "a"]);
        let body = json!({
            "name": format!("{effect} x team=a"),
            "targets": [["analysis", "id", ID]],
            "permissions": [{"effect": effect, "action": ["access"], "resource": resource}],
        });
        assert_eq!(fake.body("POST /am"), body);
    }
}

#[tokio::test]
async fn hosts_are_granted_and_denied_in_their_normal_form() {
    let fake = fake();
    let hosts = ["--host", "API.example.com.", "--host", "http://*.example.com:8080"];
    let ended = fake.command(&[&["policy", "grant", "x"][..], &hosts].concat()).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let body = fake.body("POST /am");
    assert_eq!(body["name"], "allow x api.example.com http://*.example.com:8080");
    let resources: Vec<_> = [0, 1].map(|n| body["permissions"][n]["resource"].clone()).into();
    assert_eq!(
        resources,
        [
            json!(["network", "host", "api.example.com"]),
            json!(["network", "host", "http://*.example.com:8080"]),
        ]
    );
    let fake = self::fake();
    let line = ["policy", "create", "p", "--every-analysis", "--deny-host", "a.example"];
    assert_eq!(fake.command(&line).await.code, 0);
    let permission = &fake.body("POST /am")["permissions"][0];
    assert_eq!(permission["effect"], "deny");
    assert_eq!(permission["resource"], json!(["network", "host", "a.example"]));
    for (host, why) in [("*.com", "a star stands for"), ("127.1", "four decimal numbers")] {
        let ended = fake.command(&["policy", "grant", "x", "--host", host]).await;
        assert!(ended.code == 2 && ended.stderr.contains(why), "{ended:?}");
    }
    assert_eq!(fake.command(&["policy", "grant", "x"]).await.code, 2);
}

#[tokio::test]
async fn signing_is_granted_by_itself() {
    let fake = fake();
    let ended = fake.command(&["policy", "grant", "x", "--tag", "for=hooks", "--sign"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let body = fake.body("POST /am");
    assert_eq!(body["name"], "allow x to sign with for=hooks");
    assert_eq!(body["permissions"][0]["action"], json!(["sign"]));
    let ended = fake.command(&["policy", "grant", "x", "--host", "a.example", "--sign"]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
}

#[tokio::test]
async fn create_takes_flags_or_a_file() {
    let fake = fake();
    let line = ["policy", "create", "p", "--every-analysis", "--analysis-tag", "a=b"];
    let rules = ["--allow-secret", "K", "--deny-tag", "env=prod"];
    let ended = fake.command(&[&line[..], &rules].concat()).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let body = fake.body("POST /am");
    let targets = json!([["analysis", "tag.key", "a", "tag.value", "b"], ["analysis"]]);
    assert_eq!(body["targets"], targets);
    assert_eq!(body["permissions"][0]["resource"], json!(["secrets", "id", ID]));
    assert_eq!(body["permissions"][1]["effect"], "deny");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"name":"f","targets":[["analysis"]]}"#).unwrap();
    let path = file.path().to_str().unwrap();
    let ended = fake.command(&["policy", "create", "--file", path, "--json"]).await;
    assert_eq!(ended.stdout, format!("{{\"am_id\":\"{ID}\"}}\n"));
    let expected = json!({"name": "f", "targets": [["analysis"]]});
    assert_eq!(fake.body("POST /am"), expected);
    let mixed = ["policy", "create", "--file", path, "--every-analysis"];
    assert_eq!(fake.command(&mixed).await.code, 2);
    assert_eq!(fake.command(&["policy", "create", "p", "--every-analysis"]).await.code, 2);
}

#[tokio::test]
async fn show_says_targets_and_permissions_in_words() {
    let rule = |effect: &str, resource| {
        json!({"effect": effect, "action": ["access"],
        "resource": resource})
    };
    let policy = json!({"id": ID, "name": "p", "active": true,
        "targets": [["analysis", "tag_match", "team"]],
        "permissions": [rule("allow", json!(["secrets"])),
            rule("deny", json!(["secrets", "tag.key", "env", "tag.value", "prod"]))]});
    let fake = Fake::new().answer("GET", &format!("/am/{ID}"), policy);
    let ended = fake.command(&["policy", "show", ID]).await;
    let expected = format!(
        "name        p\nid          {ID}\nactive      yes\n\
         target      analysis by tag_match team\n\
         permission  #0 allow access secrets, all\n\
         permission  #1 deny access secrets with tag env=prod\n"
    );
    assert_eq!(ended.stdout, expected);
}
