//! For every field of every body, everything that it is not.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use super::{Watch, check, send};
use crate::harness::text;
use crate::http::world::{OF_GUESTS, SENTINEL, World, operations};

/// How deep the deepest values are nested.
const DEPTH: usize = 10_000;

/// Stands in a body where the hostile value goes.
pub const HERE: &str = "@@HERE@@";

/// What is sent in the place of each field: a name, and JSON text or what is not even that.
fn hostile() -> Vec<(&'static str, String)> {
    let deep = |open: &str, inside: &str, close: &str| {
        format!("{}{inside}{}", open.repeat(DEPTH), close.repeat(DEPTH))
    };
    vec![
        ("null", "null".into()),
        ("true", "true".into()),
        ("zero", "0".into()),
        ("negative", "-1".into()),
        ("fraction", "1.5".into()),
        ("two to the 64th", "18446744073709551616".into()),
        ("out of range", "1e999".into()),
        ("empty", r#""""#.into()),
        ("word", r#""word""#.into()),
        ("long", format!("\"{}\"", "a".repeat(100_000))),
        ("nul", r#""a\u0000b""#.into()),
        ("newline", r#""a\nb""#.into()),
        ("lone surrogate", r#""\ud800""#.into()),
        ("surrogates in the wrong order", r#""\udc00\ud800""#.into()),
        ("bad escape", r#""\x41""#.into()),
        ("raw control character", "\"\u{1}\"".into()),
        ("list", "[]".into()),
        ("list of null", "[null]".into()),
        ("list of words", r#"["word"]"#.into()),
        ("list of lists", "[[]]".into()),
        ("list of objects", "[{}]".into()),
        ("object", "{}".into()),
        ("object of a word", r#"{"word":"word"}"#.into()),
        ("deep list", deep("[", "", "]")),
        ("deep object", deep(r#"{"a":"#, "1", "}")),
        ("unclosed deep list", "[".repeat(DEPTH)),
        ("NaN", "NaN".into()),
        ("nothing", String::new()),
        ("two values", "1 2".into()),
        ("a comment", "/* */ 1".into()),
        ("trailing comma", "[1,]".into()),
    ]
}

/// Text that no JSON reader takes.
const BROKEN: &[&str] = &[
    "bad escape",
    "raw control character",
    "unclosed deep list",
    "NaN",
    "nothing",
    "two values",
    "a comment",
    "trailing comma",
];

/// The JSON pointers of every value in a body, the body itself included.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.into());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| pointers(field, &format!("{at}/{name}"), found))
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found))
        }
        _ => {}
    }
}

/// Which of the hostile values a field takes all the same, because to that field they are in
/// order. Everything else must be refused.
fn taken(method: &Method, template: &str, pointer: &str) -> &'static [&'static str] {
    const ABSENT: &[&str] = &["null"];
    const TEXT: &[&str] = &["word"];
    const OPTIONAL_TEXT: &[&str] = &["null", "empty", "word", "newline"];
    const FLAG: &[&str] = &["null", "true"];
    // What clients send back as they read it is not looked at.
    const IGNORED: &[&str] = &[
        "null",
        "true",
        "zero",
        "negative",
        "fraction",
        "two to the 64th",
        "empty",
        "word",
        "long",
        "nul",
        "newline",
        "list",
        "list of null",
        "list of words",
        "list of lists",
        "list of objects",
        "object",
        "object of a word",
    ];
    // Anything, as long as the whole has a bound of its own.
    const SHORT: &[&str] = &[
        "null",
        "true",
        "zero",
        "negative",
        "fraction",
        "two to the 64th",
        "empty",
        "word",
        "nul",
        "newline",
        "list",
        "list of null",
        "list of words",
        "list of lists",
        "list of objects",
        "object",
        "object of a word",
    ];
    // A scope is any JSON, and stays text until the guest reads it.
    const ANY: &[&str] = &[
        "null",
        "true",
        "zero",
        "negative",
        "fraction",
        "two to the 64th",
        "out of range",
        "empty",
        "word",
        "long",
        "nul",
        "newline",
        "lone surrogate",
        "surrogates in the wrong order",
        "list",
        "list of null",
        "list of words",
        "list of lists",
        "list of objects",
        "object",
        "object of a word",
        "deep list",
        "deep object",
    ];
    let path: Vec<&str> = pointer.split('/').skip(1).collect();
    match (method.as_str(), template, &path[..]) {
        // The body itself: no body stands for an empty object.
        (
            "PUT",
            "/secrets/{id}" | "/analysis/{id}" | "/am/{id}" | "/device/{id}" | "/profile/{id}"
            | "/users/{id}",
            [],
        ) => &["object", "nothing"],
        ("POST", "/analysis/{id}/run" | "/analysis/{id}/exec", []) => &["object", "nothing"],
        ("PUT", "/action/{id}", []) => &["object", "nothing"],
        ("POST" | "PUT", _, []) => &[],

        ("POST" | "PUT", "/action" | "/action/{id}", path) => match path {
            ["name"] if method == Method::POST => TEXT,
            ["name"] => &["null", "word"],
            ["description"] => OPTIONAL_TEXT,
            ["active" | "lock" | "trigger_when_unlock"] => FLAG,
            ["tags"] => &["null", "list"],
            ["tags", "0", "key" | "value"] => TEXT,
            ["type" | "trigger" | "action"] if method == Method::PUT => ABSENT,
            ["misfire" | "catch_up_limit" | "overlap" | "concurrency"] => &["null", "empty"],
            ["spread_seconds"] => &["null", "empty", "zero"],
            ["tags" | "type" | "trigger" | "action", ..] => &[],
            _ => IGNORED,
        },

        ("POST" | "PUT", "/analysis" | "/analysis/{id}", path) => match path {
            ["name"] if method == Method::POST => TEXT,
            ["name"] => &["null", "word"],
            ["description" | "runtime"] => OPTIONAL_TEXT,
            ["active" | "external"] => FLAG,
            ["run_on"] => ABSENT,
            ["tags" | "variables"] => &["null", "list"],
            ["limits"] => &["null", "object"],
            // No scratch directory.
            ["limits", "scratch_bytes"] => &["null", "zero"],
            ["limits", _] => ABSENT,
            ["retry"] => &["null", "object"],
            ["retry", "faults"] => &["list"],
            ["retry", ..] => &[],
            ["interval"] => ABSENT,
            ["variables", "0", "value"] => &[
                "true",
                "zero",
                "negative",
                "fraction",
                "two to the 64th",
                "empty",
                "word",
                "newline",
            ],
            ["variables", "0", "key"] | ["tags", "0", "key" | "value"] => TEXT,
            ["tags" | "variables", "0"] => &[],
            _ => IGNORED,
        },
        ("POST" | "PUT", "/device" | "/device/{id}", path) => match path {
            ["name"] if method == Method::POST => TEXT,
            ["name"] => &["null", "word"],
            ["description" | "payload_decoder"] => OPTIONAL_TEXT,
            ["network" | "connector" | "serie_number"] => &["null", "empty", "word"],
            ["active" | "visible"] => FLAG,
            ["tags" | "configuration_params"] => &["null", "list"],
            ["type" | "chunk_period"] => ABSENT,
            ["chunk_retention"] => &["null", "zero"],
            ["tags", "0", "key" | "value"] => TEXT,
            ["tags", "0"] => &[],
            _ => IGNORED,
        },
        ("POST", "/device/token", ["name"]) => TEXT,
        ("POST", "/device/token", ["expire_time"]) => ABSENT,
        ("POST", "/device/{id}/data", path) => match path {
            ["variable"] => TEXT,
            ["value"] => &[
                "null",
                "true",
                "zero",
                "negative",
                "fraction",
                "two to the 64th",
                "empty",
                "word",
                "nul",
                "newline",
            ],
            ["unit"] => &["null", "word"],
            // They must not differ.
            ["group" | "serie"] => ABSENT,
            ["time" | "location"] => ABSENT,
            ["location", _] => &["zero", "negative", "fraction"],
            ["metadata"] => &["null", "object", "object of a word"],
            ["metadata", _] => SHORT,
            _ => IGNORED,
        },
        ("POST", "/secrets", ["value"]) => &["word", "newline"],
        ("PUT", "/secrets/{id}", ["value"]) => &["null", "word", "newline"],
        ("PUT", "/secrets/{id}", ["tags"]) => ABSENT,
        (_, "/secrets" | "/secrets/{id}", ["exposure"]) => ABSENT,
        (_, "/secrets" | "/secrets/{id}", ["hosts" | "places" | "algorithms"]) => &["null", "list"],
        (_, "/secrets" | "/secrets/{id}", ["tags", "0", "key" | "value"]) => TEXT,
        ("POST", "/secrets", ["key"]) => TEXT,

        ("POST", "/analysis/{id}/upload", ["file_name"]) => &["null", "empty", "word"],
        // Only the bytes count.
        ("POST", "/analysis/{id}/upload", ["language"]) => {
            &["null", "empty", "word", "nul", "newline"]
        }
        ("POST", "/analysis/{id}/upload", ["file"]) => &[],
        ("POST", "/analysis/{id}/activate", ["version"]) => &[],
        ("POST", "/analysis/{id}/approve", ["version"]) => &[],
        ("POST", "/analysis/{id}/approve", ["digest"]) => ABSENT,

        (_, _, ["scope", ..]) => ANY,
        ("POST", "/analysis/{id}/exec", ["module" | "wall_time_ms"]) => ABSENT,
        ("POST", "/analysis/{id}/exec", ["environment"]) => &["list"],
        ("POST", "/analysis/{id}/exec", ["environment", "0", "key"]) => TEXT,
        ("POST", "/analysis/{id}/exec", ["environment", "0", "value"]) => {
            &["true", "zero", "negative", "fraction", "two to the 64th", "empty", "word", "newline"]
        }

        ("POST", "/am", ["active"]) | ("PUT", "/am/{id}", ["active"]) => FLAG,
        ("POST", "/am", ["name"]) => TEXT,
        ("PUT", "/am/{id}", ["name"]) => &["null", "word"],
        ("POST", "/am", ["tags"]) => &["list"],
        ("PUT", "/am/{id}", ["tags"]) => &["null", "list"],
        ("PUT", "/am/{id}", ["targets" | "permissions"]) => ABSENT,
        (_, "/am" | "/am/{id}", ["tags", "0", "key" | "value"]) => TEXT,
        // The key and the value of a selector.
        (_, "/am" | "/am/{id}", ["permissions", "0", "resource", "2" | "4"]) => TEXT,
        ("PUT", "/am/{id}", ["id" | "profile" | "created_at" | "updated_at"]) => IGNORED,

        ("POST", "/am/preview", ["id"]) => ABSENT,
        ("POST", "/am/preview", ["active"]) => FLAG,
        ("POST", "/am/preview", ["name"]) => &["null", "word"],
        ("POST", "/am/preview", ["permissions", "0", "resource", "2" | "4"]) => TEXT,

        ("POST", "/tokens", ["name"]) | ("PUT", "/tokens/{id}", ["name"]) => TEXT,
        ("POST", "/tokens", ["expire_time"]) => ABSENT,
        ("POST", "/profile" | "/profile/{id}/token", ["name"]) => TEXT,
        ("POST", "/profile/{id}/token", ["role" | "expire_time"]) => ABSENT,
        ("PUT", "/profile/{id}", ["name"]) => &["null", "word"],
        ("PUT", "/profile/{id}", ["approve_uploads"]) => FLAG,
        ("POST", "/users", ["name"]) => TEXT,
        ("PUT", "/users/{id}", ["name"]) => &["null", "word"],
        ("PUT", "/users/{id}", ["role" | "password"]) => ABSENT,
        _ => &[],
    }
}

/// Field names that can only be there once, so that the second request would be refused for that.
fn unique(body: &mut Value, template: &str, number: usize) {
    if template == "/secrets" {
        body["key"] = json!(format!("K{number}"));
    }
    if template == "/profile" {
        body["name"] = json!(format!("profile {number}"));
    }
    if template == "/users" {
        body["name"] = json!(format!("user {number}"));
    }
}

/// Removes what was made, so that the sweep leaves the world as it was.
async fn remove(world: &World, template: &str, answer: &Value) {
    let id = match template {
        "/am" => &answer["result"]["am_id"],
        "/action" => &answer["result"]["action"],
        "/device" => &answer["result"]["device_id"],
        "/device/token" => &answer["result"]["token"],
        "/secrets" | "/analysis" | "/tokens" | "/profile" | "/users" | "/profile/{id}/token" => {
            &answer["result"]["id"]
        }
        _ => return,
    };
    world.api.delete(&format!("{}/{}", world.fill(template), text(id))).await.ok();
}

/// One operation, every field, every hostile value.
async fn sweep(method: Method, template: &str) {
    let world = World::alone().await;
    let before = witness(&world).await;
    let mut watch = Watch::on(&world.api).await;
    let path = world.fill(template);
    let right = world.body(&method, template).expect("a body");
    let mut places = Vec::new();
    pointers(&right, "", &mut places);
    let mut number = 0;
    for pointer in &places {
        let allowed = taken(&method, template, pointer);
        for (name, value) in hostile() {
            if name == "nothing" && pointer.ends_with(|c: char| c.is_ascii_digit()) {
                // Without its only item a list is in order.
                continue;
            }
            number += 1;
            let mut body = right.clone();
            unique(&mut body, template, number);
            if template == "/secrets" && pointer == "/key" && name == "word" {
                // It would be taken a second time.
                continue;
            }
            *body.pointer_mut(pointer).expect("it is there") = json!(HERE);
            let body = body.to_string().replace(&format!("\"{HERE}\""), &value);
            let place = format!("{method} {template} with {name} at {pointer:?}");
            let version = watch.version().await;
            let raw = send(&world.api, &method, &path, body).await;
            let answer = check(&raw, &place);
            let shown = String::from_utf8_lossy(&raw.body).into_owned();
            assert!(!shown.contains(SENTINEL), "{place} repeats a value: {shown}");
            let is_taken = raw.status.is_success();
            assert_eq!(is_taken, allowed.contains(&name), "{place}: {}: {shown:.300}", raw.status);
            if is_taken {
                remove(&world, template, &answer).await;
            } else {
                assert_eq!(raw.status.as_u16(), 400, "{place}: {shown}");
                assert_eq!(watch.version().await, version, "{place} was refused and wrote");
            }
            assert!(!is_taken || !BROKEN.contains(&name) || pointer.is_empty(), "{place}: {shown}");
        }
    }
    assert!(number >= places.len() * 29);
    // Everything that was there and not the subject is as it was, and the API works.
    assert_eq!(witness(&world).await, before);
    works(&world).await;
}

/// All that a sweep has no business with.
async fn witness(world: &World) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in [
        "/secrets?fields=key&fields=version",
        "/am?fields=name",
        "/tokens?fields=name",
        "/analysis?fields=name",
        "/device?fields=name",
        "/users?fields=name",
    ] {
        let rows = world.api.get(path).await.ok();
        let mut rows = rows.as_array().expect("rows").clone();
        // The subject itself may have been edited.
        rows.retain(|row| {
            let World { secret, policy, analysis, token, device, user, .. } = world;
            ![secret, policy, analysis, token, device, user].iter().any(|id| row["id"] == **id)
        });
        seen.extend(rows);
    }
    seen
}

/// The whole story once more, with new things.
async fn works(world: &World) {
    let api = &world.api;
    let analysis = api.analysis("after", &crate::http::world::noop()).await;
    let secret = api.secret("AFTER", "v", ("after", "all")).await;
    api.grant(&analysis, "allow", ("after", "all")).await;
    let run = api.run(&analysis, json!([])).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let entries = run["environment"].as_array().expect("entries");
    assert!(entries.iter().any(|entry| entry["secret"] == *secret), "{run}");
}

macro_rules! sweeps {
    ($($name:ident: $method:ident $path:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            sweep(Method::$method, $path).await;
        })*

        #[test]
        fn every_operation_with_a_body_is_swept() {
            let swept: BTreeSet<_> =
                [$((Method::$method.to_string(), $path.to_owned())),*].into_iter().collect();
            let described = operations().into_iter();
            let described = described.map(|(method, path)| (method.to_string(), path));
            let described: BTreeSet<_> =
                described.filter(|(method, path)| {
                    // /data reads what /device/{id}/data reads; a guest's message is swept by none.
                    let bare = [
                        "/runs/{id}/cancel", "/runs/{id}/rerun", "/data", "/hook/{id}", OF_GUESTS,
                    ];
                    let bare = bare.contains(&path.as_str());
                    (method == "POST" && !bare) || method == "PUT"
                }).collect();
            assert_eq!(swept, described);
        }
    };
}

sweeps! {
    a_secret_to_be_made_is_swept: POST "/secrets";
    a_secret_to_be_edited_is_swept: PUT "/secrets/{id}";
    an_analysis_to_be_made_is_swept: POST "/analysis";
    an_analysis_to_be_edited_is_swept: PUT "/analysis/{id}";
    an_upload_is_swept: POST "/analysis/{id}/upload";
    an_activation_is_swept: POST "/analysis/{id}/activate";
    an_approval_is_swept: POST "/analysis/{id}/approve";
    a_run_to_be_started_is_swept: POST "/analysis/{id}/run";
    an_execution_is_swept: POST "/analysis/{id}/exec";
    a_policy_to_be_made_is_swept: POST "/am";
    a_policy_to_be_edited_is_swept: PUT "/am/{id}";
    a_policy_to_be_looked_at_is_swept: POST "/am/preview";
    a_device_to_be_made_is_swept: POST "/device";
    a_device_to_be_edited_is_swept: PUT "/device/{id}";
    a_token_of_a_device_to_be_made_is_swept: POST "/device/token";
    a_record_to_be_sent_is_swept: POST "/device/{id}/data";
    an_action_to_be_made_is_swept: POST "/action";
    an_action_to_be_edited_is_swept: PUT "/action/{id}";
    a_token_to_be_made_is_swept: POST "/tokens";
    a_token_to_be_edited_is_swept: PUT "/tokens/{id}";
    a_profile_to_be_made_is_swept: POST "/profile";
    a_profile_to_be_edited_is_swept: PUT "/profile/{id}";
    a_token_of_a_profile_to_be_made_is_swept: POST "/profile/{id}/token";
    a_user_to_be_made_is_swept: POST "/users";
    a_user_to_be_edited_is_swept: PUT "/users/{id}";
}

#[tokio::test]
async fn the_sweep_knows_every_field_of_the_description() {
    let world = World::new().await;
    let description = serde_json::to_value(runner::api::description()).expect("JSON");
    let mut fields = 0;
    for (method, template) in operations() {
        let Some(body) = world.body(&method, &template) else { continue };
        let operation = &description["paths"][&template][method.as_str().to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        // The upload is read as it streams and described by hand.
        let Some(name) = schema.as_str().and_then(|name| name.rsplit('/').next()) else {
            assert_eq!(template, "/analysis/{id}/upload", "{method} describes no body");
            continue;
        };
        let properties = description["components"]["schemas"][name]["properties"].as_object();
        for field in properties.expect("properties").keys() {
            assert!(body.get(field).is_some(), "{method} {template}: {field} is not swept");
            fields += 1;
        }
    }
    assert!(fields > 60, "only {fields} fields are described");
}
