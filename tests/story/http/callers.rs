//! Tokens: how they are sent, what ends them, and that they are shown once.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::world::{World, holds, operations};
use crate::harness::{Api, text};

/// GET /info with these headers, and nothing else that says who calls.
async fn info_with(api: &Api, headers: &[(&str, String)]) -> crate::harness::Answer {
    let mut request = Request::get("/info");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    api.send(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn a_token_is_taken_from_every_header_that_clients_send() {
    let world = World::new().await;
    let token = &world.administrator;
    for name in [
        "token",
        "Token",
        "TOKEN",
        "authorization",
        "Authorization",
        "Account-Token",
        "account-token",
        "Profile-Token",
        "Analysis-Token",
        "Device-Token",
        "Network-Token",
        "Middleware-Token",
    ] {
        let info = info_with(&world.api, &[(name, token.clone())]).await.ok();
        assert_eq!(info["id"], *world.token, "{name}");
    }
    for scheme in ["Bearer ", "bearer ", "BEARER ", "Bearer  "] {
        let value = format!("{scheme}{token}");
        let info = info_with(&world.api, &[("Authorization", value)]).await.ok();
        assert_eq!(info["id"], *world.token, "{scheme:?}");
    }
    // The header of the official clients goes before the others.
    let both = [("authorization", world.analysis_token.clone()), ("token", token.clone())];
    assert_eq!(info_with(&world.api, &both).await.ok()["id"], *world.token);
}

#[tokio::test]
async fn no_token_and_wrong_tokens_are_unauthenticated_everywhere() {
    let world = World::new().await;
    let token = &world.administrator;
    let mut longer = token.clone();
    longer.push('x');
    let changed: String = token[..35].to_owned() + if token.ends_with('0') { "1" } else { "0" };
    let wrong = [
        None,
        Some(String::new()),
        Some(" ".into()),
        Some("Bearer".into()),
        Some("p-".into()),
        Some(longer),
        Some(changed),
        Some(token[..35].to_owned()),
        Some(token.to_uppercase()),
        Some("a-0000000000000000000000000000000000".into()),
        Some(format!("{}…{}", &token[..2], &token[32..])),
    ];
    for (method, template) in operations() {
        if ["/status", "/health", "/analysis/{id}/module", "/hook/{id}"]
            .contains(&template.as_str())
        {
            continue;
        }
        let body = world.body(&method, &template).unwrap_or(Value::Null).to_string();
        for token in &wrong {
            let mut request = Request::builder().method(method.clone()).uri(world.fill(&template));
            if let Some(token) = token {
                request = request.header("token", token);
            }
            let request = request.body(Body::from(body.clone())).expect("a request");
            let (code, message) = world.api.send(request).await.refused(401);
            assert_eq!(code, "unauthenticated", "{method} {template} {token:?}: {message}");
        }
    }
    // The words the original's clients show.
    let unknown = info_with(&world.api, &[("token", "p-unknown".into())]).await;
    assert!(unknown.refused(401).1.starts_with("Invalid token"));
}

#[tokio::test]
async fn a_token_ends_when_its_time_comes() {
    let api = Api::open().await;
    // In whole milliseconds, as it is kept.
    let until = jiff::Timestamp::now().as_millisecond() + 3_000;
    let until = jiff::Timestamp::from_millisecond(until).expect("a time");
    let new = json!({"name": "t", "role": "administrator", "expire_time": until.to_string()});
    let token = text(&api.post("/tokens", new).await.ok()["token"]);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut worked = false;
    loop {
        let answer = api.call_as(&token, Method::GET, "/info", Value::Null).await;
        if !answer.status.is_success() {
            let (code, message) = answer.refused(401);
            assert_eq!(code, "unauthenticated");
            assert!(message.contains("expired"), "{message}");
            break;
        }
        worked = true;
        assert!(Instant::now() < deadline, "it never ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(worked && jiff::Timestamp::now() >= until, "it did not work until its time");
    for wrong in ["yesterday", "2020-01-01T00:00:00Z", "", "2027-01-31"] {
        let new = json!({"name": "t", "role": "administrator", "expire_time": wrong});
        assert_eq!(api.post("/tokens", new).await.refused(400).0, "invalid_request", "{wrong}");
    }
}

#[tokio::test]
async fn a_deleted_token_and_the_token_of_what_was_deleted_open_nothing() {
    let world = World::new().await;
    let World { api, token, administrator, analysis, analysis_token, run, run_token, .. } = &world;
    for (token, path) in [
        (&world.device_token, format!("/device/{}", world.device)),
        (administrator, format!("/tokens/{token}")),
        (run_token, format!("/runs/{run}")),
        (analysis_token, format!("/analysis/{analysis}")),
    ] {
        api.call_as(token, Method::GET, "/info", Value::Null).await.ok();
        api.delete(&path).await.ok();
        let (code, _) = api.call_as(token, Method::GET, "/info", Value::Null).await.refused(401);
        assert_eq!(code, "unauthenticated", "{path}");
    }
}

#[tokio::test]
async fn info_says_whose_the_token_is_and_status_needs_none() {
    let world = World::new().await;
    let info = |token: String| {
        let api = &world.api;
        async move { api.call_as(&token, Method::GET, "/info", Value::Null).await.ok() }
    };
    let administrator = info(world.administrator.clone()).await;
    assert_eq!(administrator["id"], *world.token);
    assert_eq!(administrator["type"], "profile");
    assert_eq!(administrator["role"], "administrator");
    assert_eq!(administrator["expire_time"], "never");
    // What an SDK in external mode looks at before it starts.
    let analysis = info(world.analysis_token.clone()).await;
    assert_eq!(analysis["id"], *world.analysis);
    assert_eq!(analysis["name"], "world");
    assert_eq!(analysis["active"], true);
    assert_eq!(analysis["run_on"], "tago");
    let run = info(world.run_token.clone()).await;
    assert_eq!((&run["type"], &run["ref_id"]), (&json!("run"), &json!(world.run)));

    let device = info(world.device_token.clone()).await;
    assert_eq!((&device["id"], &device["active"]), (&json!(world.device), &json!(true)));

    let status = Request::get("/status").body(Body::empty()).unwrap();
    let version = world.api.send(status).await.ok();
    assert_eq!(version, json!({"version": env!("CARGO_PKG_VERSION")}));
}

#[tokio::test]
async fn rotating_the_token_of_an_analysis_ends_the_one_before() {
    let World { api, analysis, analysis_token, .. } = World::new().await;
    let path = format!("/analysis/{analysis}/token");
    // GET, as in the original.
    let rotated = api.get(&path).await.ok();
    let next = text(&rotated["analysis_token"]);
    assert!(next.starts_with("a-") && next.len() == 36 && next != analysis_token, "{next}");
    let info = api.call_as(&next, Method::GET, "/info", Value::Null).await.ok();
    assert_eq!(info["id"], *analysis);
    let old = api.call_as(&analysis_token, Method::GET, "/info", Value::Null).await;
    assert_eq!(old.refused(401).0, "unauthenticated");
    let shown = text(&api.get(&format!("/analysis/{analysis}")).await.ok()["token"]);
    assert_eq!(shown, format!("a-…{}", &next[32..]));
}

#[tokio::test]
async fn tokens_are_shown_once_and_kept_only_as_a_hint() {
    let world = World::alone().await;
    let World { api, token, administrator, analysis, analysis_token, run_token, .. } = &world;
    let rotated = api.get(&format!("/analysis/{analysis}/token")).await.ok();
    let rotated = text(&rotated["analysis_token"]);
    let secrets = [administrator, analysis_token, run_token, &rotated, &world.device_token];

    let shown = api.get(&format!("/tokens/{token}")).await.ok();
    let hint = format!("p-…{}", &administrator[32..]);
    assert_eq!(shown["hint"], *hint);
    let named = api.get("/tokens?filter[name]=world&fields=hint").await.ok();
    assert_eq!(named[0]["hint"], *hint);
    for (method, template) in operations() {
        let path = world.fill(&template);
        // The first of these makes another, and shows that; the others open with other tokens.
        let apart =
            ["/token", "/module", "/metrics", "/events"].iter().any(|end| template.ends_with(end));
        if method != Method::GET || apart || template == "/data" {
            continue;
        }
        let answer = api.get(&path).await.ok().to_string();
        for secret in secrets {
            assert!(!answer.contains(&secret[2..]), "{path} shows a token: {answer}");
        }
    }
    let data = api.place().data();
    for secret in secrets {
        assert!(!holds(&data, &secret.as_bytes()[2..]), "a token is kept as text");
    }
    // The search finds what is kept as text.
    assert!(holds(&data, hint.as_bytes()));
}

#[tokio::test]
async fn a_run_token_reads_its_run_and_nothing_else() {
    let world = World::new().await;
    let World { api, analysis, run, run_token, .. } = &world;
    let other = text(&api.run(analysis, json!([])).await["id"]);
    let own = api.call_as(run_token, Method::GET, &format!("/runs/{run}"), Value::Null).await;
    assert_eq!(own.ok()["id"], *run);
    let (code, message) = api
        .call_as(run_token, Method::GET, &format!("/runs/{other}"), Value::Null)
        .await
        .refused(401);
    assert_eq!(code, "denied");
    assert!(message.contains("reads its run and nothing else"), "{message}");
    let mut refused = 0;
    for (method, template) in operations() {
        let readable = ["/status", "/health", "/info", "/hook/{id}"].contains(&template.as_str());
        let link = template.ends_with("/module");
        let own = method == Method::GET && template.starts_with("/runs/{id}");
        if readable || link || own {
            continue;
        }
        let path = world.fill(&template);
        let body = world.body(&method, &template).unwrap_or(Value::Null);
        let answer = api.call_as(run_token, method.clone(), &path, body).await;
        let (code, message) = answer.refused(401);
        assert_eq!(code, "denied", "{method} {template}: {message}");
        refused += 1;
    }
    assert!(refused > 25, "only {refused} operations were tried");
    api.get(&format!("/runs/{run}")).await.ok();
}

#[tokio::test]
async fn a_run_token_cannot_be_made_from_another() {
    let World { api, analysis, run_token, .. } = World::new().await;
    let made = api.post(&format!("/analysis/{analysis}/run"), json!({})).await.ok();
    let (other, other_token) = (text(&made["run"]), text(&made["analysis_token"]));
    // The id of one run with the proof of the other.
    let spliced = format!("{}{}", &other_token[..19], &run_token[19..]);
    let path = format!("/runs/{other}");
    let answer = api.call_as(&spliced, Method::GET, &path, Value::Null).await;
    assert_eq!(answer.refused(401).0, "unauthenticated");
    api.call_as(&other_token, Method::GET, &path, Value::Null).await.ok();
}
