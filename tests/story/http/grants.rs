//! What an analysis may do with its own token: what policies allow, and no more.

use axum::http::Method;
use serde_json::{Value, json};

use super::world::{OF_GUESTS, World, noop, operations};
use crate::harness::{Api, text};

/// An analysis, and the token that speaks for it.
struct Guest {
    id: String,
    token: String,
}

async fn guest(api: &Api, name: &str, tags: Value) -> Guest {
    let made = api.post("/analysis", json!({"name": name, "tags": tags})).await.ok();
    Guest { id: text(&made["id"]), token: text(&made["token"]) }
}

/// A policy for one analysis; answers its id.
async fn policy(api: &Api, analysis: &str, effect: &str, actions: &[&str], on: Value) -> String {
    let new = json!({
        "name": "grant",
        "targets": [["analysis", "id", analysis]],
        "permissions": [{"effect": effect, "action": actions, "resource": on}],
    });
    text(&api.post("/am", new).await.ok()["am_id"])
}

fn tagged(key: &str, value: &str) -> Value {
    json!([{"key": key, "value": value}])
}

/// An operation that policies decide about: the path, and which action on which type it needs.
const DECIDED: &[(Method, &str, &str, &str)] = &[
    (Method::POST, "/secrets", "create", "secrets"),
    (Method::GET, "/secrets/{id}", "access", "secrets"),
    (Method::PUT, "/secrets/{id}", "edit", "secrets"),
    (Method::DELETE, "/secrets/{id}", "delete", "secrets"),
    (Method::POST, "/analysis", "create", "analysis"),
    (Method::GET, "/analysis/{id}", "access", "analysis"),
    (Method::GET, "/analysis/{id}/explain", "access", "analysis"),
    (Method::PUT, "/analysis/{id}", "edit", "analysis"),
    (Method::POST, "/analysis/{id}/run", "run", "analysis"),
    (Method::POST, "/analysis/{id}/upload", "upload", "analysis"),
    (Method::POST, "/analysis/{id}/activate", "upload", "analysis"),
    (Method::GET, "/analysis/{id}/download", "download", "analysis"),
    (Method::GET, "/runs/{id}", "access", "analysis"),
    (Method::GET, "/runs/{id}/console", "access", "analysis"),
    (Method::POST, "/runs/{id}/cancel", "run", "analysis"),
    (Method::POST, "/runs/{id}/rerun", "run", "analysis"),
    (Method::DELETE, "/analysis/{id}", "delete", "analysis"),
    (Method::POST, "/device", "create", "device"),
    (Method::GET, "/device/{id}", "access", "device"),
    (Method::PUT, "/device/{id}", "edit", "device"),
    (Method::GET, "/device/{id}/data", "get_data", "device"),
    (Method::POST, "/device/{id}/data", "send_data", "device"),
    (Method::POST, "/device/token", "token_access", "device"),
    (Method::GET, "/device/token/{id}", "token_access", "device"),
    (Method::DELETE, "/device/token/{id}", "token_access", "device"),
    (Method::DELETE, "/device/{id}", "delete", "device"),
    (Method::POST, "/action", "create", "action"),
    (Method::GET, "/action/{id}", "access", "action"),
    (Method::GET, "/action/{id}/slots", "access", "action"),
    (Method::PUT, "/action/{id}", "edit", "action"),
    (Method::DELETE, "/action/{id}", "delete", "action"),
    (Method::POST, "/am", "create", "access_management"),
    (Method::GET, "/am/{id}", "access", "access_management"),
    (Method::PUT, "/am/{id}", "edit", "access_management"),
    (Method::DELETE, "/am/{id}", "delete", "access_management"),
];

/// Operations that no policy gives to an analysis.
const RESERVED: &[(Method, &str)] = &[
    (Method::GET, "/analysis/{id}/token"),
    (Method::POST, "/analysis/{id}/approve"),
    (Method::POST, "/analysis/{id}/exec"),
    (Method::DELETE, "/runs/{id}"),
    (Method::GET, "/metrics"),
    // Only a device's own token opens these; the refusal says what others use.
    (Method::GET, "/data"),
    (Method::POST, "/data"),
    // Only from inside of a run.
    (Method::POST, OF_GUESTS),
    (Method::GET, "/tokens"),
    (Method::GET, "/profile"),
    (Method::POST, "/profile"),
    (Method::GET, "/profile/{id}"),
    (Method::PUT, "/profile/{id}"),
    (Method::DELETE, "/profile/{id}"),
    (Method::GET, "/profile/{id}/token"),
    (Method::POST, "/profile/{id}/token"),
    (Method::DELETE, "/profile/{id}/token/{token}"),
    (Method::GET, "/account"),
    (Method::POST, "/tokens"),
    (Method::GET, "/tokens/{id}"),
    (Method::PUT, "/tokens/{id}"),
    (Method::DELETE, "/tokens/{id}"),
    (Method::GET, "/tags"),
    (Method::GET, "/audit"),
    (Method::POST, "/am/preview"),
    (Method::GET, "/secrets/{id}/readers"),
    (Method::GET, "/secrets/{id}/runs"),
    (Method::GET, "/users"),
    (Method::POST, "/users"),
    (Method::GET, "/users/{id}"),
    (Method::PUT, "/users/{id}"),
    (Method::DELETE, "/users/{id}"),
];

/// Operations that every analysis may call, and that show it only what it may see.
const OPEN: &[(Method, &str)] = &[
    (Method::GET, "/status"),
    (Method::GET, "/health"),
    (Method::GET, "/info"),
    // Each channel decides for itself: see the stories of external mode.
    (Method::GET, "/events"),
    (Method::GET, "/secrets"),
    (Method::GET, "/analysis"),
    (Method::GET, "/action"),
    // Its signature decides, not a token.
    (Method::POST, "/hook/{id}"),
    (Method::GET, "/am"),
    (Method::GET, "/am/settings"),
    (Method::GET, "/tags/keys/{type}"),
    (Method::GET, "/device"),
    (Method::GET, "/runs"),
    // Its link decides, not a token.
    (Method::GET, "/analysis/{id}/module"),
];

/// Operations whose bodies may set tags, but not when an analysis sends them.
const TAGGING: &[(Method, &str)] = &[
    (Method::POST, "/analysis"),
    (Method::PUT, "/analysis/{id}"),
    (Method::PUT, "/secrets/{id}"),
    (Method::PUT, "/device/{id}"),
    (Method::POST, "/action"),
    (Method::PUT, "/action/{id}"),
];

/// A body that is in order for an analysis: it sets no tags that policies select by, and nothing
/// that only administrators set.
fn body(world: &World, method: &Method, template: &str) -> Value {
    let mut body = world.body(method, template).unwrap_or(Value::Null);
    if TAGGING.contains(&(method.clone(), template)) {
        body.as_object_mut().expect("an object").remove("tags");
    }
    if (method, template) == (&Method::POST, "/analysis") {
        body.as_object_mut().expect("an object").remove("external");
    }
    if (method, template) == (&Method::PUT, "/secrets/{id}") {
        for reserved in ["exposure", "hosts", "places", "algorithms"] {
            body.as_object_mut().expect("an object").remove(reserved);
        }
    }
    if (method, template) == (&Method::PUT, "/analysis/{id}") {
        for reserved in ["active", "external", "limits", "retry"] {
            body.as_object_mut().expect("an object").remove(reserved);
        }
    }
    body
}

#[tokio::test]
async fn no_policy_lets_an_analysis_set_the_tags_that_policies_select_by() {
    let world = World::new().await;
    let mighty = guest(&world.api, "mighty", json!([])).await;
    for resource in ["secrets", "analysis", "device", "action"] {
        policy(&world.api, &mighty.id, "allow", actions(resource), json!([resource])).await;
    }
    for (method, template) in TAGGING {
        let mut body = body(&world, method, template);
        body["tags"] = tagged("team", "billing");
        let path = world.fill(template);
        let answer = world.api.call_as(&mighty.token, method.clone(), &path, body).await;
        let (code, message) = answer.refused(401);
        assert_eq!(code, "denied", "{method} {template}");
        assert!(message.contains("administrator"), "{method} {template}: {message}");
    }
    // Nor does it switch itself on again, or raise its own limits.
    let path = format!("/analysis/{}", mighty.id);
    for change in
        [json!({"active": true}), json!({"limits": {"wall_time_ms": 1}}), json!({"external": true})]
    {
        let answer = world.api.call_as(&mighty.token, Method::PUT, &path, change).await;
        assert_eq!(answer.refused(401).0, "denied");
    }
    let renamed = json!({"name": "mightier"});
    world.api.call_as(&mighty.token, Method::PUT, &path, renamed).await.ok();
}

#[test]
fn every_operation_is_decided_reserved_or_open() {
    let decided = DECIDED.iter().map(|(method, path, ..)| (method.clone(), *path));
    let mut known: Vec<_> = decided
        .chain(RESERVED.iter().cloned())
        .chain(OPEN.iter().cloned())
        .map(|(method, path)| (path.to_owned(), method.to_string()))
        .collect();
    let mut described: Vec<_> =
        operations().into_iter().map(|(method, path)| (path, method.to_string())).collect();
    known.sort();
    described.sort();
    assert_eq!(known, described);
}

#[tokio::test]
async fn without_a_policy_an_analysis_sees_nothing_and_may_do_nothing() {
    let world = World::new().await;
    let api = &world.api;
    let nobody = guest(api, "nobody", json!([])).await;
    for (method, template, action, resource) in DECIDED {
        let body = body(&world, method, template);
        let path = world.path(method, template);
        let answer = api.call_as(&nobody.token, method.clone(), &path, body).await;
        let (code, message) = answer.refused(401);
        assert_eq!(code, "denied", "{method} {template}: {message}");
        // The original says the first two words and nothing else.
        assert!(message.starts_with("Authorization Denied"), "{message}");
        let names =
            message.contains(&format!("`{action}`")) && message.contains(&format!("`{resource}`"));
        assert!(names, "{method} {template} names neither action nor type: {message}");
    }
    for list in ["/secrets", "/analysis", "/am", "/device", "/runs"] {
        let rows = api.call_as(&nobody.token, Method::GET, list, Value::Null).await.ok();
        assert_eq!(rows, json!([]), "{list}");
    }
}

/// What there is to be granted on a type of resource.
fn actions(resource: &str) -> &'static [&'static str] {
    match resource {
        "analysis" => &["access", "create", "edit", "delete", "run", "upload", "download"],
        "device" => {
            &["access", "create", "edit", "delete", "token_access", "get_data", "send_data"]
        }
        "secrets" => &["access", "sign", "create", "edit", "delete"],
        _ => &["access", "create", "edit", "delete"],
    }
}

#[tokio::test]
async fn each_operation_needs_its_own_action_and_no_other_gives_it() {
    for (method, template, action, resource) in DECIDED {
        let place = format!("{method} {template}");
        // A world for each: some of them delete.
        let world = World::new().await;
        let api = &world.api;
        let caller = guest(api, "caller", json!([])).await;
        for other in ["secrets", "analysis", "access_management", "device", "action"] {
            let others = actions(other).iter().copied();
            let others: Vec<_> =
                others.filter(|one| (other, *one) != (*resource, *action)).collect();
            policy(api, &caller.id, "allow", &others, json!([other])).await;
        }
        let path = world.path(method, template);
        let call = || {
            let body = body(&world, method, template);
            api.call_as(&caller.token, method.clone(), &path, body)
        };
        let (code, message) = call().await.refused(401);
        assert_eq!(code, "denied", "{place} with every other action: {message}");

        policy(api, &caller.id, "allow", &[action], json!([resource])).await;
        let deny = policy(api, &caller.id, "deny", &[action], json!([resource])).await;
        assert_eq!(call().await.refused(401).0, "denied", "{place} with a deny beside the allow");
        api.delete(&format!("/am/{deny}")).await.ok();
        let answer = call().await;
        assert!(answer.status.is_success(), "{place} with its action: {answer:?}");
    }
}

#[tokio::test]
async fn a_grant_is_only_for_what_its_selector_picks() {
    let api = Api::open().await;
    let caller = guest(&api, "caller", tagged("tenant", "acme")).await;
    let ours = api.secret("OURS", "v", ("tenant", "acme")).await;
    let theirs = api.secret("THEIRS", "v", ("tenant", "other")).await;
    policy(
        &api,
        &caller.id,
        "allow",
        &["access", "edit"],
        json!(["secrets", "tag_match", "tenant"]),
    )
    .await;
    let call = |method: Method, id: &str, body: Value| {
        let path = format!("/secrets/{id}");
        let (api, token) = (&api, &caller.token);
        async move { api.call_as(token, method, &path, body).await }
    };
    assert_eq!(call(Method::GET, &ours, Value::Null).await.ok()["key"], "OURS");
    assert_eq!(call(Method::GET, &theirs, Value::Null).await.refused(401).0, "denied");
    call(Method::PUT, &ours, json!({"value": "w"})).await.ok();
    // Nor may a secret be moved to where the grant does not reach.
    let moved = call(Method::PUT, &ours, json!({"tags": tagged("tenant", "other")})).await;
    assert_eq!(moved.refused(401).0, "denied");
    let new = |tenant| json!({"key": "NEW", "value": "v", "tags": tagged("tenant", tenant)});
    policy(&api, &caller.id, "allow", &["create"], json!(["secrets", "tag_match", "tenant"])).await;
    let path = "/secrets";
    let elsewhere = api.call_as(&caller.token, Method::POST, path, new("other")).await;
    assert_eq!(elsewhere.refused(401).0, "denied");
    api.call_as(&caller.token, Method::POST, path, new("acme")).await.ok();
}

#[tokio::test]
async fn lists_show_an_analysis_its_permitted_rows_on_pages_without_gaps() {
    let api = Api::open().await;
    let caller = guest(&api, "caller", json!([])).await;
    for number in 0..30 {
        let env = if number % 3 == 0 { "prod" } else { "dev" };
        api.secret(&format!("K{number:02}"), "v", ("env", env)).await;
        let new = json!({"name": format!("n{number:02}"), "tags": tagged("env", env)});
        let id = text(&api.post("/analysis", new).await.ok()["id"]);
        let am = policy(&api, &id, "allow", &["access"], json!(["secrets"])).await;
        let change = json!({"name": format!("n{number:02}"), "tags": tagged("env", env)});
        api.put(&format!("/am/{am}"), change.clone()).await.ok();
        api.post("/device", change).await.ok();
    }
    for resource in ["secrets", "analysis", "access_management", "device"] {
        let on = json!([resource, "tag.key", "env", "tag.value", "prod"]);
        policy(&api, &caller.id, "allow", &["access"], on).await;
        let one = json!([resource, "tag.key", "env", "tag.value", "dev"]);
        policy(&api, &caller.id, "deny", &["access"], one).await;
    }
    for (list, name, prefix) in [
        ("/secrets", "key", "K"),
        ("/analysis", "name", "n"),
        ("/am", "name", "n"),
        ("/device", "name", "n"),
    ] {
        let expected: Vec<_> = (0..30).step_by(3).map(|n| format!("{prefix}{n:02}")).collect();
        let mut seen = Vec::new();
        for page in 1..=4 {
            let path = format!("{list}?amount=4&page={page}");
            let rows = api.call_as(&caller.token, Method::GET, &path, Value::Null).await.ok();
            let rows: Vec<_> =
                rows.as_array().unwrap().iter().map(|row| text(&row[name])).collect();
            assert_eq!(rows.len(), [4, 4, 2, 0][page - 1], "{path}");
            seen.extend(rows);
        }
        assert_eq!(seen, expected, "{list}");
    }
}

#[tokio::test]
async fn an_analysis_reads_its_own_runs_and_others_only_with_access_to_them() {
    let api = Api::open().await;
    let (reader, other) =
        (guest(&api, "reader", json!([])).await, guest(&api, "other", json!([])).await);
    for id in [&reader.id, &other.id] {
        api.upload(id, &noop()).await.ok();
    }
    let own = text(&api.run(&reader.id, json!([])).await["id"]);
    let foreign = text(&api.run(&other.id, json!([])).await["id"]);
    let get = |path: String| {
        let (api, token) = (&api, &reader.token);
        async move { api.call_as(token, Method::GET, &path, Value::Null).await }
    };
    let ids = |rows: Value| -> Vec<String> {
        rows.as_array().unwrap().iter().map(|row| text(&row["id"])).collect()
    };
    assert_eq!(get(format!("/runs/{own}")).await.ok()["id"], *own);
    assert_eq!(ids(get("/runs".into()).await.ok()), std::slice::from_ref(&own));
    for path in [format!("/runs/{foreign}"), format!("/runs?filter[analysis]={}", other.id)] {
        let (code, message) = get(path.clone()).await.refused(401);
        assert_eq!(code, "denied", "{path}");
        assert!(message.contains("`access`") && message.contains("`analysis`"), "{message}");
    }
    policy(&api, &reader.id, "allow", &["access"], json!(["analysis", "id", other.id])).await;
    assert_eq!(get(format!("/runs/{foreign}")).await.ok()["id"], *foreign);
    let listed = get(format!("/runs?filter[analysis]={}", other.id)).await.ok();
    assert_eq!(ids(listed), [foreign]);
    assert_eq!(ids(get("/runs".into()).await.ok()), [own]);
}

#[tokio::test]
async fn no_policy_gives_an_analysis_what_is_reserved_to_administrators() {
    let world = World::new().await;
    let api = &world.api;
    let all = guest(api, "all", json!([])).await;
    for resource in ["secrets", "analysis", "access_management", "device"] {
        policy(api, &all.id, "allow", actions(resource), json!([resource])).await;
    }
    for (method, template) in RESERVED {
        let body = world.body(method, template).unwrap_or(Value::Null);
        let path = world.fill(template);
        let answer = api.call_as(&all.token, method.clone(), &path, body).await;
        let (code, message) = answer.refused(401);
        assert_eq!(code, "denied", "{method} {template}: {message}");
        assert!(message.contains("administrator"), "{method} {template}: {message}");
    }
    // Tags of analyses are what policies target: one that edits its own would grant itself more.
    for id in [&all.id, &world.analysis] {
        let path = format!("/analysis/{id}");
        let change = json!({"tags": tagged("env", "prod")});
        let answer = api.call_as(&all.token, Method::PUT, &path, change).await;
        assert_eq!(answer.refused(401).0, "denied");
        api.call_as(&all.token, Method::PUT, &path, json!({"description": "d"})).await.ok();
    }
}

#[tokio::test]
async fn a_change_of_policy_holds_for_the_very_next_request() {
    let api = Api::open().await;
    let caller = guest(&api, "caller", json!([])).await;
    let secret = api.secret("K", "v", ("env", "prod")).await;
    let path = format!("/secrets/{secret}");
    let status = || async {
        api.call_as(&caller.token, Method::GET, &path, Value::Null).await.status.as_u16()
    };
    for _ in 0..5 {
        assert_eq!(status().await, 401);
        let am = policy(&api, &caller.id, "allow", &["access"], json!(["secrets"])).await;
        assert_eq!(status().await, 200);
        api.put(&format!("/am/{am}"), json!({"active": false})).await.ok();
        assert_eq!(status().await, 401);
        api.put(&format!("/am/{am}"), json!({"active": true})).await.ok();
        assert_eq!(status().await, 200);
        api.delete(&format!("/am/{am}")).await.ok();
    }
}
