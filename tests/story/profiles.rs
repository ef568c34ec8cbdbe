//! Several profiles in one server: nothing of one is seen, reached or started from another.

use axum::http::Method;
use runner::api::{PROFILE_HEADER, Trusted};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::harness::{Answer, Api, Place, text, wat};
use crate::http::trusted;
use crate::http::world::{OF_GUESTS, SENTINEL, World, noop, operations};
use crate::secrets::database;

/// An id that nothing has.
const UNKNOWN: &str = "ffffffffffffffffffffffff";

/// A new profile; answers its id and an administrator's token.
async fn profile(api: &Api, name: &str) -> (String, String) {
    let id = text(&api.post("/profile", json!({"name": name})).await.ok()["id"]);
    let new = json!({"name": "administrator", "permission": "full"});
    let made = api.post(&format!("/profile/{id}/token"), new).await.ok();
    (id, text(&made["token"]))
}

/// What a refusal says, without the ids that were asked for.
fn said(answer: &Answer, ids: &[&str]) -> (u16, String) {
    let mut body = answer.body.to_string();
    for id in ids {
        body = body.replace(id, "ID");
    }
    (answer.status.as_u16(), body)
}

#[tokio::test]
async fn every_route_answers_for_what_is_anothers_as_for_what_is_not_there() {
    let world = World::new().await;
    let api = &world.api;
    let own = text(&api.get("/profile/current").await.ok()["info"]["id"]);
    let (_, other) = profile(api, "other").await;
    let mut theirs = vec![
        &world.secret,
        &world.analysis,
        &world.policy,
        &world.action,
        &world.hook,
        &world.token,
        &world.run,
        &world.long_run,
        &world.device,
        &own,
    ];
    theirs.sort();
    let mut tried = 0;
    for (method, template) in operations() {
        // A signature or a link decides about these, and no token.
        if template == "/hook/{id}" || template == "/analysis/{id}/module" || template == OF_GUESTS
        {
            continue;
        }
        let body = world.body(&method, &template);
        let names = body.as_ref().is_some_and(|body| {
            let body = body.to_string();
            theirs.iter().any(|id| body.contains(id.as_str()))
        });
        if !template.contains("{id}") && !names {
            continue;
        }
        let id = match template.split('/').nth(1) {
            Some("profile") => &own,
            _ if template.contains("{id}") => world.id_for(&template),
            _ => "",
        };
        let place = format!("{method} {template}");
        let mut answers = Vec::new();
        for unknown in [false, true] {
            let filled = template.replace("{token}", &world.token);
            let mut path = filled.replace("{id}", if unknown { UNKNOWN } else { id });
            if (&method, template.as_str()) == (&Method::DELETE, "/device/token/{id}") {
                let token = if unknown {
                    format!("d-{}", "x".repeat(34))
                } else {
                    world.device_token.clone()
                };
                path = format!("/device/token/{token}");
            }
            let mut body = body.clone().unwrap_or(Value::Null).to_string();
            if unknown {
                for id in &theirs {
                    body = body.replace(id.as_str(), UNKNOWN);
                }
            }
            let body = serde_json::from_str(&body).expect("JSON");
            let answer = api.call_as(&other, method.clone(), &path, body).await;
            let ids: Vec<&str> = theirs.iter().map(|id| id.as_str()).chain([UNKNOWN]).collect();
            if template.contains("{id}") {
                assert!(answer.status.is_client_error(), "{place}: {answer:?}");
            }
            let said = said(&answer, &ids);
            // What was made differs by its id and its token.
            answers.push(if answer.status.is_success() { (said.0, String::new()) } else { said });
        }
        assert_eq!(answers[0], answers[1], "{place}");
        tried += 1;
    }
    assert!(tried >= 40, "only {tried} operations were tried");
    // A token of another profile is not to be had through one's own either.
    for token in [&world.token, &world.administrator] {
        let path = format!("/profile/current/token/{token}");
        let (code, _) = api.call_as(&other, Method::DELETE, &path, Value::Null).await.refused(404);
        assert_eq!(code, "not_found");
    }
    // All of it is still there.
    api.call_as(&world.administrator, Method::GET, "/info", Value::Null).await.ok();
    for path in [
        format!("/secrets/{}", world.secret),
        format!("/analysis/{}", world.analysis),
        format!("/am/{}", world.policy),
        format!("/action/{}", world.action),
        format!("/runs/{}", world.run),
        format!("/device/{}", world.device),
    ] {
        api.get(&path).await.ok();
    }
    assert_eq!(api.get(&format!("/runs/{}", world.long_run)).await.ok()["state"], "running");
}

#[tokio::test]
async fn lists_hold_nothing_of_another_profile() {
    let world = World::new().await;
    let api = &world.api;
    let (id, other) = profile(api, "other").await;
    for list in ["/secrets", "/analysis", "/am", "/action", "/device", "/runs"] {
        let rows = api.call_as(&other, Method::GET, list, Value::Null).await.ok();
        assert_eq!(rows, json!([]), "{list}");
    }
    let rows = api.call_as(&other, Method::GET, "/tokens", Value::Null).await.ok();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    let rows = api.call_as(&other, Method::GET, "/profile", Value::Null).await.ok();
    assert_eq!((rows[0]["id"].as_str(), rows.as_array().map(Vec::len)), (Some(&*id), Some(1)));
    // On the machine itself all profiles are seen.
    let names = api.get("/profile?fields=name").await.ok();
    let names: Vec<_> = names.as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["default", "empty", "other"]);
    // The beginning of a run's id finds no other's run.
    let path = format!("/runs/{}", &world.run[..8]);
    assert_eq!(
        api.call_as(&other, Method::GET, &path, Value::Null).await.refused(404).0,
        "not_found"
    );
    // What all profiles do together is told to the host's own alone.
    let (code, message) =
        api.call_as(&other, Method::GET, "/metrics", Value::Null).await.refused(401);
    assert_eq!(code, "denied");
    assert!(message.contains("first profile"), "{message}");
}

#[tokio::test]
async fn the_same_keys_names_and_idempotency_keys_stand_beside_each_other() {
    let api = Api::open().await;
    let (_, other) = profile(&api, "other").await;
    let tags = json!([{"key": "a", "value": "b"}]);
    let secret = json!({"key": "K", "value": SENTINEL, "tags": tags});
    api.post("/secrets", secret.clone()).await.ok();
    api.call_as(&other, Method::POST, "/secrets", secret).await.ok();
    // A policy for all analyses gives those of its own profile, and no other, its secrets.
    let analysis = text(&api.post("/analysis", json!({"name": "n"})).await.ok()["id"]);
    api.upload(&analysis, &noop()).await.ok();
    let policy = json!({
        "name": "all", "targets": [["analysis"]],
        "permissions": [{"effect": "allow", "action": ["access"], "resource": ["secrets"]}],
    });
    api.call_as(&other, Method::POST, "/am", policy).await.ok();
    let run = api.run(&analysis, json!([])).await;
    let entries = run["environment"].as_array().expect("entries");
    assert!(entries.iter().all(|entry| entry["origin"] == "system"), "{run}");
}

#[tokio::test]
async fn a_module_that_two_profiles_uploaded_outlives_its_deletion_in_one() {
    let api = Api::open().await;
    let (_, other) = profile(&api, "other").await;
    let made = api.call_as(&other, Method::POST, "/analysis", json!({"name": "n"})).await.ok();
    let theirs = text(&made["id"]);
    let file = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, noop());
    let body = json!({"file": file, "file_name": "x.wasm"});
    let path = format!("/analysis/{theirs}/upload");
    api.call_as(&other, Method::POST, &path, body).await.ok();
    let ours = api.analysis("n", &noop()).await;
    api.delete(&format!("/analysis/{ours}")).await.ok();
    let path = format!("/analysis/{theirs}/run?wait=50");
    let run = api.call_as(&other, Method::POST, &path, json!({})).await.ok();
    assert_eq!(run["run"]["state"], "succeeded", "{run}");
}

#[tokio::test]
async fn a_profile_hears_only_topics_that_begin_with_its_id() {
    let api = Api::open().await;
    let (id, other) = profile(&api, "other").await;
    let made = api.call_as(&other, Method::POST, "/analysis", json!({"name": "n"})).await.ok();
    let script = json!({"type": "script", "script": [made["id"]]});
    let create = async |topic: &str| {
        let new = json!({
            "name": "m", "type": "mqtt_topic", "trigger": [{"topic": topic}], "action": script,
            "active": false,
        });
        api.call_as(&other, Method::POST, "/action", new).await
    };
    for topic in ["#", "sensors/+", &format!("{id}x/a"), &format!("+/{id}")] {
        let (_, message) = create(topic).await.refused(400);
        assert!(message.contains(&format!("begin with {id}/")), "{message}");
    }
    create(&format!("{id}/sensors/#")).await.ok();
}

#[tokio::test]
async fn only_the_machine_makes_and_deletes_profiles() {
    let World { api, administrator, .. } = World::new().await;
    let (id, _) = profile(&api, "other").await;
    let path = format!("/profile/{id}");
    let made = api.call_as(&administrator, Method::POST, "/profile", json!({"name": "x"})).await;
    let deleted = api.call_as(&administrator, Method::DELETE, &path, Value::Null).await;
    for answer in [made, deleted] {
        let (code, message) = answer.refused(401);
        assert_eq!(code, "denied");
        assert!(message.contains("`runner profile`"), "{message}");
    }
    for (name, code) in [("other", "already_exists"), ("default", "already_exists")] {
        let answer = api.post("/profile", json!({"name": name})).await;
        assert_eq!(answer.refused(409).0, code);
    }
    for name in ["", "current", UNKNOWN, "a\nb"] {
        let answer = api.post("/profile", json!({"name": name})).await;
        assert_eq!(answer.refused(400).0, "invalid_request", "{name}");
    }
    api.put(&path, json!({"name": "renamed"})).await.ok();
    assert_eq!(api.get(&path).await.ok()["info"]["name"], "renamed");
    assert_eq!(api.put(&path, json!({"name": "default"})).await.refused(409).0, "already_exists");
}

#[tokio::test]
async fn the_machine_chooses_the_profile_that_it_works_in() {
    let api = Api::open().await;
    let (id, other) = profile(&api, "Überseehafen").await;
    api.call_as(&other, Method::POST, "/analysis", json!({"name": "theirs"})).await.ok();
    let list = async |named: Option<&str>| {
        let mut request = trusted(Method::GET, "/analysis", "");
        if let Some(name) = named {
            let name = axum::http::HeaderValue::from_bytes(name.as_bytes()).expect("a value");
            request.headers_mut().insert(PROFILE_HEADER, name);
        }
        assert!(request.extensions().get::<Trusted>().is_some());
        api.send(request).await
    };
    assert_eq!(list(None).await.ok(), json!([]));
    for name in ["Überseehafen", &id] {
        assert_eq!(list(Some(name)).await.ok()[0]["name"], "theirs", "{name}");
    }
    for name in ["nobody", UNKNOWN] {
        let (code, message) = list(Some(name)).await.refused(404);
        assert_eq!(code, "not_found");
        assert!(message.contains("runner profile list"), "{message}");
    }
}

#[tokio::test]
async fn a_deleted_profile_leaves_nothing_but_its_audit() {
    let api = Api::alone().await;
    let (id, token) = profile(&api, "other").await;
    let call = async |method: Method, path: &str, body: Value| {
        api.call_as(&token, method, path, body).await
    };
    let tags = json!([{"key": "a", "value": "b"}]);
    let secret = json!({"key": "K", "value": "v", "tags": tags});
    call(Method::POST, "/secrets", secret).await.ok();
    let analysis = json!({"name": "n", "tags": tags});
    let analysis = text(&call(Method::POST, "/analysis", analysis).await.ok()["id"]);
    let module = wat(r#"(module (memory (export "memory") 1) (func (export "_start") nop))"#);
    let file = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, module);
    let body = json!({"file": file, "file_name": "x.wasm"});
    call(Method::POST, &format!("/analysis/{analysis}/upload"), body).await.ok();
    call(Method::POST, &format!("/analysis/{analysis}/run?wait=50"), json!({})).await.ok();
    let device = call(Method::POST, "/device", json!({"name": "d", "tags": tags})).await.ok();
    let device_token = text(&device["token"]);
    let record = json!({"variable": "v", "value": 1});
    api.call_as(&device_token, Method::POST, "/data", record).await.ok();
    let policy = json!({
        "name": "p", "targets": [["analysis"]],
        "permissions": [{"effect": "allow", "action": ["access"], "resource": ["secrets"]}],
    });
    call(Method::POST, "/am", policy).await.ok();
    let script = json!({"type": "script", "script": [analysis]});
    let action = json!({"name": "i", "type": "interval", "trigger": [{"interval": "1 day"}],
        "action": script});
    call(Method::POST, "/action", action).await.ok();

    let path = format!("/profile/{id}");
    let (_, message) = api.delete(&path).await.refused(400);
    assert!(
        message.contains("1 analyses, 1 secrets, 1 policies, 1 actions, 1 devices"),
        "{message}"
    );
    let (_, message) = api.delete(&format!("{path}?force=another")).await.refused(400);
    assert!(message.contains("the name of the profile"), "{message}");
    call(Method::GET, "/info", Value::Null).await.ok();
    api.delete(&format!("{path}?force=other")).await.ok();
    for token in [&token, &device_token] {
        let (code, _) = api.call_as(token, Method::GET, "/info", Value::Null).await.refused(401);
        assert_eq!(code, "unauthenticated");
    }
    assert_eq!(api.get(&path).await.refused(404).0, "not_found");
    let mut store = database(api.place()).await;
    for table in [
        "secret",
        "analysis",
        "module_version",
        "approval",
        "run",
        "device",
        "device_token",
        "device_record",
        "policy",
        "policy_target",
        "action",
        "action_trigger",
        "tag",
        "token",
        "wrapped_key",
        "tombstone",
    ] {
        let count = format!("SELECT count(*) AS n FROM {table} WHERE profile_id = '{id}'");
        let row = sqlx::query(AssertSqlSafe(count)).fetch_one(&mut store).await.expect("a count");
        assert_eq!(row.get::<i64, _>("n"), 0, "{table}");
    }
    for table in ["attempt", "console_chunk", "run_scope"] {
        let count = format!("SELECT count(*) AS n FROM {table}");
        let row = sqlx::query(AssertSqlSafe(count)).fetch_one(&mut store).await.expect("a count");
        assert_eq!(row.get::<i64, _>("n"), 0, "{table}");
    }
    let told = format!("SELECT count(*) AS n FROM audit WHERE profile_id = '{id}'");
    let row = sqlx::query(AssertSqlSafe(told)).fetch_one(&mut store).await.expect("a count");
    assert!(row.get::<i64, _>("n") > 5);
    store.close().await.expect("it closes");
    // Its name is free again, and the first profile stays.
    profile(&api, "other").await;
    let first = text(&api.get("/profile/current").await.ok()["info"]["id"]);
    let (_, message) = api.delete(&format!("/profile/{first}?force=default")).await.refused(400);
    assert!(message.contains("first profile"), "{message}");
    // A store with several profiles opens again.
    let api = Api::open_at(api.close().await).await;
    assert_eq!(api.get("/profile").await.ok().as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn uploads_need_no_approval_where_the_setting_is_off() {
    let api = Api::open().await;
    let analysis = api.analysis("a", &noop()).await;
    api.secret("K", "v", ("a", "b")).await;
    api.grant(&analysis, "allow", ("a", "b")).await;
    let new = json!({"name": "developer", "role": "developer"});
    let developer = text(&api.post("/tokens", new).await.ok()["token"]);
    let module = wat(r#"(module (memory (export "memory") 1) (func (export "_start") nop))"#);
    let file = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, module);
    let body = json!({"file": file, "file_name": "x.wasm"});
    let path = format!("/analysis/{analysis}/upload");
    api.call_as(&developer, Method::POST, &path, body).await.ok();
    let withheld = async || {
        let run = api.run(&analysis, json!([])).await;
        run.get("withheld").is_some()
    };
    let setting = async || api.get("/profile/current").await.ok()["approve_uploads"].clone();
    assert!(withheld().await && setting().await == true);
    api.put("/profile/current", json!({"approve_uploads": false})).await.ok();
    assert!(!withheld().await && setting().await == false);
    api.put("/profile/current", json!({"approve_uploads": true})).await.ok();
    assert!(withheld().await && setting().await == true);
    let change = json!({"approve_uploads": false});
    let own = api.call_as(&developer, Method::PUT, "/profile/current", change).await;
    assert_eq!(own.refused(401).0, "denied");
}

#[tokio::test]
async fn clients_of_the_original_find_profile_tokens_and_account() {
    let World { api, administrator, .. } = World::new().await;
    let call = async |method: Method, path: &str, body: Value| {
        api.call_as(&administrator, method, path, body).await
    };
    let info = call(Method::GET, "/profile/current", Value::Null).await.ok();
    let id = text(&info["info"]["id"]);
    assert_eq!(info["info"]["name"], "default");
    assert_eq!(call(Method::GET, &format!("/profile/{id}"), Value::Null).await.ok(), info);
    let new = json!({"name": "ci", "permission": "write", "expire_time": "never"});
    let made = call(Method::POST, &format!("/profile/{id}/token"), new).await.ok();
    assert_eq!((&made["role"], &made["expire_date"]), (&json!("developer"), &json!("never")));
    let token = text(&made["token"]);
    assert_eq!(
        api.call_as(&token, Method::GET, "/info", Value::Null).await.ok()["permission"],
        "write"
    );
    let rows =
        call(Method::GET, "/profile/current/token?orderBy=created_at,desc", Value::Null).await.ok();
    assert_eq!(rows[0]["permission"], "write", "{rows}");
    assert!(!rows.to_string().contains(&token[2..]), "{rows}");
    let path = format!("/profile/current/token/{token}");
    call(Method::DELETE, &path, Value::Null).await.ok();
    api.call_as(&token, Method::GET, "/info", Value::Null).await.refused(401);
    call(Method::DELETE, &path, Value::Null).await.refused(404);
    for wrong in [
        json!({"name": "x"}),
        json!({"name": "x", "permission": "all"}),
        json!({"name": "x", "permission": "full", "role": "viewer"}),
    ] {
        call(Method::POST, "/profile/current/token", wrong).await.refused(400);
    }
    let account = call(Method::GET, "/account", Value::Null).await.ok();
    assert_eq!((&account["name"], &account["role"]), (&json!("world"), &json!("administrator")));
    assert_eq!(account["profiles"][0]["id"], *id);
    for path in ["/account/login", "/account/profile/token"] {
        let body = json!({"email": "a@example.com", "password": "x"});
        let (_, message) = call(Method::POST, path, body).await.refused(400);
        assert!(message.contains("`runner token create`"), "{message}");
    }
}

#[tokio::test]
async fn another_node_knows_a_new_profile_at_once() {
    if std::env::var_os("RUNNER_TEST_POSTGRES").is_none() {
        eprintln!("skipped: RUNNER_TEST_POSTGRES names no server; see scripts/with-servers");
        return;
    }
    let one = Api::open_at(Place::shared()).await;
    let node = Place::node_of(one.place());
    let two = Api::open_at(node).await;
    let (_, token) = profile(&one, "other").await;
    let tags = json!([{"key": "a", "value": "b"}]);
    let secret = json!({"key": "K", "value": "v", "tags": tags});
    two.call_as(&token, Method::POST, "/secrets", secret).await.ok();
    assert_eq!(one.call_as(&token, Method::GET, "/secrets", Value::Null).await.ok()[0]["key"], "K");
}

#[test]
fn commands_work_in_the_profile_that_they_name() {
    let place = Place::new();
    place.run(["profile", "create", "acme"]).ok();
    place.run(["analysis", "create", "theirs", "--profile", "acme"]).ok();
    assert!(!place.run(["analysis", "list"]).ok().contains("theirs"));
    assert!(place.run(["analysis", "list", "--profile", "acme"]).ok().contains("theirs"));
    let listed = place.run(["profile", "list"]).ok();
    assert!(listed.contains("acme") && listed.contains("default"), "{listed}");
    place.run(["profile", "edit", "--approve-uploads", "false", "--profile", "acme"]).ok();
    assert!(place.run(["profile", "show", "acme"]).ok().contains("no"));
    assert!(place.run(["profile", "show"]).ok().contains("yes"));
    let refused = place.run(["profile", "delete", "acme"]);
    assert_eq!(refused.code(), 3);
    assert!(refused.stderr().contains("1 analyses"), "{}", refused.stderr());
    place.run(["profile", "delete", "acme", "--force", "acme"]).ok();
    assert_eq!(place.run(["analysis", "list", "--profile", "acme"]).code(), 3);
    let remote = ["secret", "list", "--profile", "acme", "--server", "http://127.0.0.1:1"];
    assert_eq!(place.run(remote).code(), 2);
}
