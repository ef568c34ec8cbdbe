//! What each role may do: every operation is tried with every role.

use std::time::{Duration, Instant};

use axum::http::Method;
use runner::auth::Role;
use serde_json::{Value, json};

use super::world::{OF_GUESTS, SENTINEL, World, operations};
use crate::harness::{Answer, Api, Place, settings, text};

/// Who may call an operation.
#[derive(Clone, Copy, PartialEq, Debug)]
enum By {
    /// A role, and those above it.
    Role(Role),
    /// No role: the token of a device, the guest of a run, or who runs the host.
    NoRole,
    /// Everybody: no token is looked at.
    Everybody,
}

const VIEWER: By = By::Role(Role::Viewer);
const DEVELOPER: By = By::Role(Role::Developer);
const ADMINISTRATOR: By = By::Role(Role::Administrator);

/// Every operation, with who may call it.
const TABLE: &[(Method, &str, By)] = &[
    (Method::GET, "/status", By::Everybody),
    (Method::GET, "/health", By::Everybody),
    (Method::GET, "/metrics", ADMINISTRATOR),
    (Method::GET, "/info", VIEWER),
    (Method::GET, "/secrets", ADMINISTRATOR),
    (Method::POST, "/secrets", ADMINISTRATOR),
    (Method::GET, "/secrets/{id}", ADMINISTRATOR),
    (Method::PUT, "/secrets/{id}", ADMINISTRATOR),
    (Method::DELETE, "/secrets/{id}", ADMINISTRATOR),
    (Method::GET, "/secrets/{id}/readers", ADMINISTRATOR),
    (Method::GET, "/secrets/{id}/runs", ADMINISTRATOR),
    (Method::GET, "/am", ADMINISTRATOR),
    (Method::POST, "/am", ADMINISTRATOR),
    (Method::POST, "/am/preview", ADMINISTRATOR),
    (Method::GET, "/am/settings", VIEWER),
    (Method::GET, "/tags", VIEWER),
    // Here of secrets; of another type, who may list that.
    (Method::GET, "/tags/keys/{type}", ADMINISTRATOR),
    (Method::GET, "/am/{id}", ADMINISTRATOR),
    (Method::PUT, "/am/{id}", ADMINISTRATOR),
    (Method::DELETE, "/am/{id}", ADMINISTRATOR),
    (Method::GET, "/analysis", VIEWER),
    (Method::POST, "/analysis", DEVELOPER),
    (Method::GET, "/analysis/{id}", VIEWER),
    (Method::PUT, "/analysis/{id}", DEVELOPER),
    (Method::DELETE, "/analysis/{id}", DEVELOPER),
    (Method::GET, "/analysis/{id}/token", ADMINISTRATOR),
    (Method::POST, "/analysis/{id}/upload", DEVELOPER),
    (Method::POST, "/analysis/{id}/activate", DEVELOPER),
    (Method::POST, "/analysis/{id}/approve", ADMINISTRATOR),
    (Method::GET, "/analysis/{id}/download", DEVELOPER),
    // Its link decides.
    (Method::GET, "/analysis/{id}/module", By::Everybody),
    (Method::POST, "/analysis/{id}/run", DEVELOPER),
    (Method::POST, "/analysis/{id}/exec", DEVELOPER),
    (Method::GET, "/analysis/{id}/explain", VIEWER),
    (Method::POST, OF_GUESTS, By::NoRole),
    (Method::GET, "/runs", VIEWER),
    (Method::GET, "/runs/{id}", VIEWER),
    (Method::DELETE, "/runs/{id}", ADMINISTRATOR),
    (Method::GET, "/runs/{id}/console", VIEWER),
    (Method::POST, "/runs/{id}/cancel", DEVELOPER),
    (Method::POST, "/runs/{id}/rerun", DEVELOPER),
    (Method::GET, "/action", VIEWER),
    (Method::POST, "/action", DEVELOPER),
    (Method::GET, "/action/{id}", VIEWER),
    (Method::PUT, "/action/{id}", DEVELOPER),
    (Method::DELETE, "/action/{id}", DEVELOPER),
    (Method::GET, "/action/{id}/slots", VIEWER),
    // Each of its channels decides: see the stories of external mode.
    (Method::GET, "/events", By::Everybody),
    // Its signature decides.
    (Method::POST, "/hook/{id}", By::Everybody),
    (Method::GET, "/device", VIEWER),
    (Method::POST, "/device", DEVELOPER),
    (Method::GET, "/device/{id}", VIEWER),
    (Method::PUT, "/device/{id}", DEVELOPER),
    (Method::POST, "/device/token", ADMINISTRATOR),
    (Method::GET, "/device/token/{id}", ADMINISTRATOR),
    (Method::DELETE, "/device/token/{id}", ADMINISTRATOR),
    (Method::DELETE, "/device/{id}", DEVELOPER),
    (Method::GET, "/device/{id}/data", VIEWER),
    (Method::POST, "/device/{id}/data", DEVELOPER),
    (Method::GET, "/data", By::NoRole),
    (Method::POST, "/data", By::NoRole),
    (Method::GET, "/tokens", ADMINISTRATOR),
    (Method::POST, "/tokens", ADMINISTRATOR),
    (Method::GET, "/tokens/{id}", ADMINISTRATOR),
    (Method::PUT, "/tokens/{id}", ADMINISTRATOR),
    (Method::DELETE, "/tokens/{id}", ADMINISTRATOR),
    (Method::GET, "/audit", ADMINISTRATOR),
    (Method::GET, "/users", ADMINISTRATOR),
    (Method::POST, "/users", ADMINISTRATOR),
    (Method::GET, "/users/{id}", ADMINISTRATOR),
    (Method::PUT, "/users/{id}", ADMINISTRATOR),
    (Method::DELETE, "/users/{id}", ADMINISTRATOR),
    (Method::GET, "/profile", VIEWER),
    (Method::POST, "/profile", By::NoRole),
    (Method::GET, "/profile/{id}", VIEWER),
    (Method::PUT, "/profile/{id}", ADMINISTRATOR),
    (Method::GET, "/profile/{id}/token", ADMINISTRATOR),
    (Method::POST, "/profile/{id}/token", ADMINISTRATOR),
    (Method::DELETE, "/profile/{id}/token/{token}", ADMINISTRATOR),
    (Method::DELETE, "/profile/{id}", By::NoRole),
    (Method::GET, "/account", VIEWER),
];

/// Operations whose bodies may set tags.
const TAGGING: &[(Method, &str)] = &[
    (Method::POST, "/analysis"),
    (Method::PUT, "/analysis/{id}"),
    (Method::POST, "/device"),
    (Method::PUT, "/device/{id}"),
    (Method::POST, "/action"),
    (Method::PUT, "/action/{id}"),
];

/// A new token with a role.
async fn token(api: &Api, role: Role) -> String {
    let new = json!({"name": role.as_str(), "role": role.as_str()});
    text(&api.post("/tokens", new).await.ok()["token"])
}

/// A right body, which sets nothing that only administrators may set.
fn body(world: &World, role: Role, method: &Method, template: &str) -> Value {
    let mut body = world.body(method, template).unwrap_or(Value::Null);
    if role != Role::Administrator && TAGGING.contains(&(method.clone(), template)) {
        let fields = body.as_object_mut().expect("an object");
        fields.remove("tags");
        fields.remove("external");
    }
    body
}

#[test]
fn the_table_names_every_operation_once() {
    let mut known: Vec<_> =
        TABLE.iter().map(|(method, path, _)| ((*path).to_owned(), method.to_string())).collect();
    let described = operations().into_iter();
    let mut described: Vec<_> =
        described.map(|(method, path)| (path, method.to_string())).collect();
    known.sort();
    described.sort();
    assert_eq!(known, described);
}

/// Tries every operation with the token of a role.
async fn try_all(role: Role) {
    let world = World::new().await;
    let token = token(&world.api, role).await;
    // What deletes comes last: the others need what is deleted.
    let mut all = TABLE.to_vec();
    all.sort_by_key(|(method, ..)| *method == Method::DELETE);
    for (method, template, by) in all {
        let place = format!("{role} {method} {template}");
        if by == By::Everybody || template == "/metrics" && role == Role::Administrator {
            continue;
        }
        let body = body(&world, role, &method, template);
        let path = world.path(&method, template);
        let answer = world.api.call_as(&token, method, &path, body).await;
        match by {
            By::Role(least) if role >= least => {
                assert!(answer.status.is_success(), "{place}: {answer:?}");
            }
            By::Role(least) => {
                let (code, message) = answer.refused(401);
                assert_eq!(code, "denied", "{place}: {message}");
                let expected = format!("Authorization Denied: this needs {}", least.holders());
                assert_eq!(message, expected, "{place}");
            }
            By::NoRole | By::Everybody => assert_eq!(answer.refused(401).0, "denied", "{place}"),
        }
    }
}

#[tokio::test]
async fn a_viewer_reads_and_is_refused_everything_else() {
    try_all(Role::Viewer).await;
}

#[tokio::test]
async fn a_developer_is_refused_what_is_the_administrators() {
    try_all(Role::Developer).await;
}

#[tokio::test]
async fn an_administrator_may_all_of_it() {
    try_all(Role::Administrator).await;
}

#[tokio::test]
async fn a_developer_sets_no_tags_anywhere() {
    let world = World::new().await;
    let developer = token(&world.api, Role::Developer).await;
    for (method, template) in TAGGING {
        let mut body = body(&world, Role::Developer, method, template);
        body["tags"] = json!([{"key": "team", "value": "red"}]);
        let path = world.fill(template);
        let answer = world.api.call_as(&developer, method.clone(), &path, body).await;
        let (code, message) = answer.refused(401);
        assert_eq!(code, "denied", "{method} {template}");
        assert!(message.contains("administrator"), "{method} {template}: {message}");
    }
}

#[tokio::test]
async fn a_developer_gives_an_analysis_no_limit_above_its_default() {
    let place = Place::new();
    let mut settings = settings(&place);
    settings.sandbox.caps.wall_time_ms = 3_600_000;
    settings.sandbox.caps.memory_bytes = 4 << 30;
    let api = Api::open_with(place, settings).await;
    let analysis = text(&api.post("/analysis", json!({"name": "a"})).await.ok()["id"]);
    let developer = token(&api, Role::Developer).await;
    let path = format!("/analysis/{analysis}");
    let edit = async |limits: Value| {
        api.call_as(&developer, Method::PUT, &path, json!({"limits": limits})).await
    };
    edit(json!({"wall_time_ms": 1_000, "queued_runs": 10})).await.ok();
    edit(json!({"wall_time_ms": 60_000})).await.ok();
    let (code, message) = edit(json!({"wall_time_ms": 60_001})).await.refused(401);
    assert_eq!(code, "denied");
    assert!(message.ends_with("the limit wall_time_ms is above its default"), "{message}");
    let new = json!({"name": "large", "limits": {"memory_bytes": 512 << 20}});
    let made = api.call_as(&developer, Method::POST, "/analysis", new).await;
    assert!(made.refused(401).1.contains("memory_bytes"));
    // What an administrator gave may be sent back, or become less, but not more.
    api.put(&path, json!({"limits": {"wall_time_ms": 120_000}})).await.ok();
    edit(json!({"wall_time_ms": 120_000})).await.ok();
    assert_eq!(edit(json!({"wall_time_ms": 120_001})).await.refused(401).0, "denied");
    edit(json!({"wall_time_ms": 90_000})).await.ok();
}

#[tokio::test]
async fn an_action_that_names_a_secret_is_the_administrators() {
    let World { api, analysis, secret, hook, .. } = World::new().await;
    let developer = token(&api, Role::Developer).await;
    let script = json!({"type": "script", "script": [analysis]});
    let signed = json!([{"secret": secret, "form": "github"}]);
    let new = json!({"name": "h", "type": "webhook", "trigger": signed, "action": script});
    let names = |answer: Answer| {
        let (code, message) = answer.refused(401);
        assert_eq!(code, "denied");
        assert!(message.contains("only an administrator may name a secret"), "{message}");
    };
    names(api.call_as(&developer, Method::POST, "/action", new.clone()).await);
    let change = json!({"trigger": signed});
    let path = format!("/action/{hook}");
    names(api.call_as(&developer, Method::PUT, &path, change).await);
    let made = text(&api.post("/action", new).await.ok()["action"]);
    let path = format!("/action/{made}");
    // Nor may it be turned into one that names none, or taken away.
    let unsigned = json!({"trigger": [{"unsigned": true}]});
    names(api.call_as(&developer, Method::PUT, &path, unsigned).await);
    names(api.call_as(&developer, Method::DELETE, &path, Value::Null).await);
    api.call_as(&developer, Method::GET, &path, Value::Null).await.ok();
}

#[tokio::test]
async fn a_viewer_sees_neither_variables_nor_scopes() {
    let World { api, analysis, .. } = World::new().await;
    let path = format!("/analysis/{analysis}");
    let variables = json!([{"key": "PLAIN", "value": SENTINEL}]);
    api.put(&path, json!({"variables": variables})).await.ok();
    let run = text(&api.run(&analysis, json!([{"password": SENTINEL}])).await["id"]);
    let paths = [path, format!("/runs/{run}"), "/runs".into()];
    for (role, sees) in [(Role::Viewer, false), (Role::Developer, true)] {
        let token = token(&api, role).await;
        for path in &paths {
            let shown = api.call_as(&token, Method::GET, path, Value::Null).await.ok().to_string();
            assert_eq!(shown.contains(SENTINEL), sees, "{role} {path}: {shown}");
        }
        let shown = api.call_as(&token, Method::GET, &paths[0], Value::Null).await.ok();
        assert_eq!(shown["variables"][0]["key"], "PLAIN");
    }
}

#[tokio::test]
async fn a_developer_gets_no_token_of_an_analysis() {
    let api = Api::open().await;
    let developer = token(&api, Role::Developer).await;
    let new = json!({"name": "mine"});
    let made = api.call_as(&developer, Method::POST, "/analysis", new).await.ok();
    let hint = text(&made["token"]);
    assert!(hint.starts_with("a-…") && hint.chars().count() == 7, "{hint}");
    let id = text(&made["id"]);
    assert_eq!(api.get(&format!("/analysis/{id}")).await.ok()["token"], *hint);
}

#[tokio::test]
async fn info_tells_the_role_and_the_originals_word_for_it() {
    let api = Api::open().await;
    for (role, permission) in
        [(Role::Viewer, "read"), (Role::Developer, "write"), (Role::Administrator, "full")]
    {
        let token = token(&api, role).await;
        let info = api.call_as(&token, Method::GET, "/info", Value::Null).await.ok();
        assert_eq!(info["role"], role.as_str());
        assert_eq!(info["permission"], permission);
    }
    let unknown = api.post("/tokens", json!({"name": "t", "role": "king"})).await;
    let (code, message) = unknown.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("viewer, developer, administrator"), "{message}");
}

#[tokio::test]
async fn a_tokens_last_use_is_shown() {
    let api = Api::open().await;
    let new = json!({"name": "used", "role": "viewer"});
    let made = api.post("/tokens", new).await.ok();
    let (path, token) = (format!("/tokens/{}", text(&made["id"])), text(&made["token"]));
    assert_eq!(api.get(&path).await.ok().get("last_used_at"), None);
    let before = jiff::Timestamp::now().as_millisecond();
    api.call_as(&token, Method::GET, "/info", Value::Null).await.ok();
    let deadline = Instant::now() + Duration::from_secs(60);
    let used = loop {
        let shown = api.get(&path).await.ok();
        if let Some(used) = shown.get("last_used_at") {
            break text(used);
        }
        assert!(Instant::now() < deadline, "its use was never noted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let at: jiff::Timestamp = used.parse().expect("a date");
    // The database may have a clock of its own.
    assert!(at.as_millisecond() >= before - 60_000, "{used}");
    let rows = api.get("/tokens?filter[name]=used").await.ok();
    assert_eq!(rows[0]["last_used_at"], *used);
}

#[tokio::test]
async fn explain_shows_a_refused_key_only_to_who_may_see_the_secret_or_names_it() {
    let api = Api::open().await;
    let made = api.post("/analysis", json!({"name": "a"})).await.ok();
    let (analysis, own) = (text(&made["id"]), text(&made["token"]));
    for (key, team) in [("GRANTED", "ours"), ("HIDDEN", "ours"), ("REFUSED", "other")] {
        api.secret(key, "v", ("team", team)).await;
    }
    api.secret("SHADOWED", "v", ("team", "other")).await;
    api.grant(&analysis, "allow", ("team", "ours")).await;
    let variables = json!([{"key": "HIDDEN", "value": "v"}, {"key": "SHADOWED", "value": "v"}]);
    api.put(&format!("/analysis/{analysis}"), json!({"variables": variables})).await.ok();
    let access = json!({
        "name": "itself",
        "targets": [["analysis", "id", analysis]],
        "permissions": [{"effect": "allow", "action": ["access"], "resource": ["analysis"]}],
    });
    api.post("/am", access).await.ok();
    let explain = async |token: &str, query: &str| {
        let path = format!("/analysis/{analysis}/explain{query}");
        let answer = api.call_as(token, Method::GET, &path, Value::Null).await.ok();
        let said = |row: &Value| (text(&row["key"]), text(&row["decision"]), text(&row["reason"]));
        answer["keys"].as_array().expect("keys").iter().map(said).collect::<Vec<_>>()
    };
    let developer = token(&api, Role::Developer).await;
    let viewer = token(&api, Role::Viewer).await;
    for token in [&developer, &viewer, &own] {
        let all = explain(token, "").await;
        let keys: Vec<_> = all.iter().map(|(key, decision, _)| (&**key, &**decision)).collect();
        let expected = [("GRANTED", "granted"), ("HIDDEN", "overridden"), ("SHADOWED", "variable")];
        assert_eq!(keys, expected);
        // Nor is it told that there is a secret under a variable.
        assert_eq!(all[2].2, "a variable of the analysis");
        let named = explain(token, "?key=REFUSED").await;
        assert_eq!((named.len(), &*named[0].1), (1, "refused"));
        assert!(explain(token, "?key=NOTHING").await.is_empty());
    }
    let administrator = token(&api, Role::Administrator).await;
    let all = explain(&administrator, "").await;
    assert!(all.iter().any(|(key, decision, _)| key == "REFUSED" && decision == "refused"));
    assert!(all.iter().any(|(key, _, why)| key == "SHADOWED" && why.contains("stays out")));
    // An analysis that may see secrets is told of those, whatever it asks about.
    let reader = json!({
        "name": "reader",
        "targets": [["analysis", "id", analysis]],
        "permissions": [{
            "effect": "allow", "action": ["access"],
            "resource": ["secrets", "tag.key", "team", "tag.value", "other"],
        }],
    });
    api.post("/am", reader).await.ok();
    let bare = text(&api.post("/analysis", json!({"name": "b"})).await.ok()["id"]);
    let path = format!("/analysis/{bare}/explain");
    let told = api.call_as(&own, Method::GET, &path, Value::Null).await.ok();
    assert_eq!(told["keys"].as_array().map(Vec::len), Some(4), "{told}");
}
