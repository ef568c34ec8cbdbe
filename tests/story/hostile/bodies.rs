//! Bodies as a whole: cut, doubled, too large, not text, of another type; and what is said then.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use super::{Watch, check, send};
use crate::http::world::{OF_GUESTS, SENTINEL, World, operations};
use crate::http::{exchange, trusted};

/// The longest body of a request that uploads no module.
const MAX_BODY: usize = 2 << 20;

/// Refuses to see any eight characters of the sentinel.
#[track_caller]
fn check_silence(text: &str, place: &str) {
    let parts = SENTINEL.as_bytes().windows(8);
    for part in parts.map(|part| std::str::from_utf8(part).expect("ASCII")) {
        assert!(!text.contains(part), "{place} repeats {part:?} of a value: {text}");
    }
}

/// Every operation with a body, and a right one.
fn with_bodies(world: &World) -> Vec<(Method, String, String)> {
    let all = operations().into_iter().filter_map(|(method, template)| {
        // Only a device's own token opens the one, and only a guest the other.
        let apart = ["/data", OF_GUESTS].contains(&template.as_str());
        let body = world.body(&method, &template).filter(|_| !apart)?;
        Some((method, template, body.to_string()))
    });
    all.collect()
}

#[tokio::test]
async fn a_body_that_is_cut_anywhere_is_refused_and_not_repeated() {
    let world = World::alone().await;
    let mut watch = Watch::on(&world.api).await;
    for (method, template, body) in with_bodies(&world) {
        let path = world.fill(&template);
        // What the house does by itself each minute may write once in between, but not twice.
        let mut wrote = 0;
        for _ in 0..2 {
            let version = watch.version().await;
            for end in 1..body.len() {
                let raw = send(&world.api, &method, &path, body.as_bytes()[..end].to_vec()).await;
                let place = format!("{method} {template} cut after {end}");
                let answer = check(&raw, &place);
                assert_eq!(raw.status.as_u16(), 400, "{place}");
                check_silence(&answer.to_string(), &place);
            }
            if watch.version().await == version {
                break;
            }
            wrote += 1;
        }
        assert!(wrote < 2, "{method} {template}: a cut body wrote");
    }
}

#[tokio::test]
async fn a_field_that_stands_twice_is_refused() {
    let world = World::alone().await;
    let mut watch = Watch::on(&world.api).await;
    let mut seen = 0;
    for (method, template, body) in with_bodies(&world) {
        let path = world.fill(&template);
        let version = watch.version().await;
        let fields: Value = serde_json::from_str(&body).expect("JSON");
        for (name, value) in fields.as_object().expect("an object") {
            for again in [value.to_string(), "null".into()] {
                let doubled = format!("{},\"{name}\":{again}}}", &body[..body.len() - 1]);
                let raw = send(&world.api, &method, &path, doubled).await;
                let place = format!("{method} {template} with {name} twice");
                let answer = check(&raw, &place);
                assert_eq!(raw.status.as_u16(), 400, "{place}: {answer}");
                check_silence(&answer.to_string(), &place);
                seen += 1;
            }
        }
        assert_eq!(watch.version().await, version, "{method} {template}: it wrote");
    }
    assert!(seen > 100, "only {seen}");
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_refused() {
    let world = World::new().await;
    for (method, template, body) in with_bodies(&world) {
        let path = world.fill(&template);
        for name in ["surprise", "__proto__", "constructor", "VALUE", "Name", "", "\\u0000"] {
            let more = format!("{},\"{name}\":{{}}}}", &body[..body.len() - 1]);
            let raw = send(&world.api, &method, &path, more).await;
            let place = format!("{method} {template} with the field {name:?}");
            let answer = check(&raw, &place);
            assert_eq!(raw.status.as_u16(), 400, "{place}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read_whole() {
    let world = World::alone().await;
    let mut watch = Watch::on(&world.api).await;
    for (method, template, body) in with_bodies(&world) {
        // These take modules, whose bounds are elsewhere.
        if template.ends_with("/upload") || template.ends_with("/exec") {
            continue;
        }
        let path = world.fill(&template);
        let version = watch.version().await;
        let padded = |size: usize| format!("{body}{}", " ".repeat(size - body.len()));
        let raw = send(&world.api, &method, &path, padded(MAX_BODY + 1)).await;
        let answer = check(&raw, &template);
        assert_eq!(raw.status.as_u16(), 413, "{method} {template}: {answer}");
        assert_eq!(answer["code"], "too_large");
        assert_eq!(watch.version().await, version, "{method} {template}: it wrote");
        let raw = send(&world.api, &method, &path, padded(MAX_BODY)).await;
        let answer = check(&raw, &template);
        assert!(raw.status.is_success(), "{method} {template}: {answer}");
    }
    let huge = format!(r#"{{"module":"{}"}}"#, "A".repeat(100 << 20));
    let path = format!("/analysis/{}/exec", world.analysis);
    let raw = send(&world.api, &Method::POST, &path, huge).await;
    check(&raw, "exec");
    assert_eq!(raw.status.as_u16(), 413);
}

#[tokio::test]
async fn bodies_that_are_not_text_or_not_objects_are_refused() {
    let world = World::alone().await;
    let mut watch = Watch::on(&world.api).await;
    for (method, template, body) in with_bodies(&world) {
        let path = world.fill(&template);
        let version = watch.version().await;
        let mut latin = body.clone().into_bytes();
        let quote = latin.iter().position(|byte| *byte == b'"').expect("a string") + 1;
        latin.insert(quote, 0xe9);
        let utf16: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bodies: &[&[u8]] = &[
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            &latin,
            &utf16,
            b"\0",
            b"\0\0\0\0",
            b"null",
            b"[]",
            b"\"{}\"",
            b"{}{}",
            b"{'a':1}",
            b"name=n&value=v",
            b"<?xml version=\"1.0\"?><a/>",
            b"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--x--\r\n",
            b"\x1f\x8b\x08\x00",
        ];
        for body in bodies {
            let raw = send(&world.api, &method, &path, body.to_vec()).await;
            let place = format!("{method} {template} with {:?}", String::from_utf8_lossy(body));
            let answer = check(&raw, &place);
            assert_eq!(raw.status.as_u16(), 400, "{place}: {answer}");
            check_silence(&answer.to_string(), &place);
        }
        assert_eq!(watch.version().await, version, "{method} {template}: it wrote");
    }
}

#[tokio::test]
async fn no_body_stands_for_an_empty_object() {
    let world = World::new().await;
    for (method, template, _) in with_bodies(&world) {
        let path = world.fill(&template);
        let none = send(&world.api, &method, &path, Body::empty()).await;
        let empty = send(&world.api, &method, &path, "{}").await;
        check(&none, &template);
        assert_eq!(none.status, empty.status, "{method} {template}");
        let optional = method == Method::PUT && template != "/tokens/{id}"
            || template.ends_with("/run")
            || template.ends_with("/exec");
        assert_eq!(none.status.is_success(), optional, "{method} {template}");
    }
}

#[tokio::test]
async fn the_content_type_decides_nothing_but_the_form_of_an_upload() {
    let world = World::new().await;
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/json; charset=utf-16"),
        Some("application/octet-stream"),
        Some("*/*"),
        Some(""),
        Some("\u{e9}"),
    ] {
        for (method, template, body) in with_bodies(&world) {
            let mut request = trusted(method.clone(), &world.fill(&template), body);
            if let Some(kind) = kind {
                let kind = axum::http::HeaderValue::from_bytes(kind.as_bytes()).expect("a value");
                request.headers_mut().insert("content-type", kind);
            }
            let raw = exchange(&world.api, request).await;
            let place = format!("{method} {template} as {kind:?}");
            let answer = check(&raw, &place);
            let named =
                ["/secrets", "/device/token", "/profile", "/users"].contains(&template.as_str());
            let again = named && raw.status.as_u16() == 409;
            // The original takes raw payloads by this type; it is said that they are not.
            let payload = template.ends_with("/data") && kind == Some("text/plain");
            assert!(raw.status.is_success() || again || payload, "{place}: {answer}");
        }
    }
    // A JSON text is no module, whatever is in it.
    let body = world.body(&Method::POST, "/analysis/{id}/upload").expect("a body").to_string();
    let path = format!("/analysis/{}/upload", world.analysis);
    let mut request = trusted(Method::POST, &path, body);
    request.headers_mut().insert("content-type", "application/wasm".parse().unwrap());
    let raw = exchange(&world.api, request).await;
    assert_eq!(check(&raw, "JSON as a module")["code"], "invalid_module");
}

#[tokio::test]
async fn a_refusal_never_repeats_the_value_that_was_sent() {
    let world = World::new().await;
    let api = &world.api;
    let tags = json!([{"key": "env", "value": "prod"}]);
    let long = SENTINEL.repeat(100);
    let nul = format!("{SENTINEL}\0");
    let deep = format!("{}\"{SENTINEL}\"{}", "[".repeat(200), "]".repeat(200));
    let mut values: Vec<String> = [
        json!(long),
        json!(nul),
        json!([SENTINEL]),
        json!({"value": SENTINEL}),
        json!({SENTINEL: 1}),
        json!([[{"a": SENTINEL}]]),
        json!(314159265358979_u64),
        json!(31415.9265358979),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    values.push(deep);
    values.push(format!("\"{SENTINEL}\\ud800\""));
    values.push(format!("\"{SENTINEL}\u{1}\""));
    values.push(format!("\"{SENTINEL}"));
    values.push(format!("\"{SENTINEL}\" \"{SENTINEL}\""));
    values.push(SENTINEL.into());
    let new = format!("/analysis/{}", world.analysis);
    let variables = format!("[{{\"key\":\"PLAIN\",\"value\":{}}}]", super::values::HERE);
    let bodies = [
        (
            Method::POST,
            "/secrets".into(),
            format!(r#"{{"key":"NEW","tags":{tags},"value":@@HERE@@}}"#),
        ),
        (Method::PUT, format!("/secrets/{}", world.secret), r#"{"value":@@HERE@@}"#.into()),
        // A value in a place that is not for one.
        (
            Method::POST,
            "/secrets".into(),
            format!(r#"{{"key":"NEW","tags":{tags},"value":"v","exposure":@@HERE@@}}"#),
        ),
        (Method::PUT, new.clone(), r#"{"limits":{"wall_time_ms":@@HERE@@}}"#.into()),
        (Method::PUT, new.clone(), r#"{"active":@@HERE@@}"#.into()),
        (
            Method::POST,
            format!("{new}/exec"),
            format!(r#"{{"environment":{variables},"wall_time_ms":0}}"#),
        ),
        (Method::POST, format!("{new}/exec"), r#"{"module":@@HERE@@}"#.into()),
        (Method::POST, format!("{new}/upload"), r#"{"file":@@HERE@@}"#.into()),
        (Method::POST, format!("{new}/activate"), r#"{"version":@@HERE@@}"#.into()),
        // The variable is in order; another one is not.
        (
            Method::PUT,
            new.clone(),
            r#"{"variables":[{"key":"A","value":@@HERE@@},{"key":"_","value":"v"}]}"#.into(),
        ),
    ];
    for (method, path, body) in &bodies {
        for value in values.iter().chain([&format!("\"{SENTINEL}\"")]) {
            let body = body.replace(super::values::HERE, value);
            let raw = send(api, method, path, body.clone()).await;
            let place = format!("{method} {path} {body:.200}");
            let answer = check(&raw, &place).to_string();
            check_silence(&answer, &place);
            // A number that is out of bounds may be named where a number belongs.
            let digits = ["314159265", "31415.9265"].iter().any(|part| answer.contains(part));
            assert!(
                !digits || body.contains("_ms") || body.contains("version"),
                "{place}: {answer}"
            );
            if raw.status.as_u16() == 201 {
                let id = serde_json::from_str::<Value>(&answer).unwrap()["result"]["id"].clone();
                api.delete(&format!("/secrets/{}", crate::harness::text(&id))).await.ok();
            }
        }
    }
}
