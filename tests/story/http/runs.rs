//! Runs: started with and without waiting, read by id or prefix, and deleted.

use axum::http::Method;
use serde_json::{Value, json};

use super::exchange;
use super::trusted;
use super::world::{World, endless, noop};
use crate::harness::{Api, text};

/// An analysis that runs for this long and is then stopped.
async fn slow(api: &Api, wall_time_ms: u64) -> String {
    let id = api.analysis("slow", &endless()).await;
    let limits = json!({"limits": {"wall_time_ms": wall_time_ms}});
    api.put(&format!("/analysis/{id}"), limits).await.ok();
    id
}

#[tokio::test]
async fn a_run_is_acknowledged_at_once_and_waited_for_later() {
    let api = Api::open().await;
    let id = slow(&api, 3_000).await;
    // No scope at all is what the official client sends without one.
    let made = api.post(&format!("/analysis/{id}/run"), json!({})).await.ok();
    let names: Vec<_> = made.as_object().unwrap().keys().collect();
    assert_eq!(names, ["analysis_token", "run"]);
    let (run, token) = (text(&made["run"]), text(&made["analysis_token"]));
    assert!(token.starts_with("a-") && token.len() == 36, "{token}");
    let path = format!("/runs/{run}");
    for query in ["", "?wait=0"] {
        let now = api.get(&format!("{path}{query}")).await.ok();
        assert!(["queued", "running"].contains(&&*text(&now["state"])), "{now}");
        assert!(now.get("finished_at").is_none() && now.get("fault").is_none(), "{now}");
    }
    // The token of the run is enough to wait for it.
    let ended =
        api.call_as(&token, Method::GET, &format!("{path}?wait=50"), Value::Null).await.ok();
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["fault"]["code"], "time_limit");
    assert_eq!(ended["fault"]["blame"], "analysis");
    assert_eq!(ended["scope"], json!([]));
    assert_eq!(ended["cause"], json!({"kind": "api", "by": "local:1"}));
    assert_eq!(ended["analysis"], *id);
    assert_eq!((&ended["version"], &ended["attempts"]), (&json!(1), &json!(1)));
    for name in ["created_at", "started_at", "finished_at"] {
        let _: jiff::Timestamp = text(&ended[name]).parse().expect(name);
    }
    assert!(ended["duration_us"].as_u64().unwrap() >= 3_000_000, "{ended}");
}

#[tokio::test]
async fn a_wait_ends_with_the_run_or_after_its_seconds() {
    let api = Api::open().await;
    let quick = api.analysis("quick", &noop()).await;
    let path = format!("/analysis/{quick}/run?wait=50");
    let ended = api.post(&path, json!({"scope": {"a": 1}})).await.ok();
    assert_eq!(ended["run"]["state"], "succeeded");
    assert_eq!(ended["run"]["scope"], json!({"a": 1}));
    assert_eq!(ended["run"]["console"], json!([]));
    // A wait that is over answers the run as it is.
    let slow = slow(&api, 4_000).await;
    let waited = api.post(&format!("/analysis/{slow}/run?wait=1"), json!({})).await.ok();
    assert!(waited["run"].get("finished_at").is_none(), "{waited}");
    let run = text(&waited["run"]["id"]);
    let ended = api.get(&format!("/runs/{run}?wait=50")).await.ok();
    assert_eq!(ended["fault"]["code"], "time_limit");
}

#[tokio::test]
async fn a_wait_is_a_whole_number_of_seconds_up_to_fifty() {
    let World { api, analysis, run, .. } = World::new().await;
    for (method, path) in
        [(Method::POST, format!("/analysis/{analysis}/run")), (Method::GET, format!("/runs/{run}"))]
    {
        for wait in
            ["51", "60", "-1", "1.5", "", "x", "true", "1e1", "0x10", "18446744073709551616"]
        {
            let path = format!("{path}?wait={wait}");
            let (code, message) = api.call(method.clone(), &path, json!({})).await.refused(400);
            assert_eq!(code, "invalid_request", "{path}");
            assert!(message.contains("up to 50"), "{message}");
        }
        for wait in ["0", "1", "50"] {
            api.call(method.clone(), &format!("{path}?wait={wait}"), json!({})).await.ok();
        }
    }
    // A wait that was refused has started nothing.
    let runs = api.get(&format!("/runs?filter[analysis]={analysis}")).await.ok();
    assert_eq!(runs.as_array().unwrap().len(), 1 + 3);
}

#[tokio::test]
async fn any_json_is_a_scope_and_comes_back_as_it_was_sent() {
    let api = Api::open().await;
    let id = api.analysis("n", &noop()).await;
    for scope in [
        "[]",
        "{}",
        "0",
        "false",
        r#""text""#,
        "null",
        r#"[{"variable":"t","value":1.10,"time":null}]"#,
        "123456789012345678901234567890.5e3",
        r#"{"b":1,"a":2,"b":3}"#,
        r#""é\u00e9\ud83d\ude00""#,
    ] {
        let body = format!(r#"{{"scope": {scope} }}"#);
        let path = format!("/analysis/{id}/run?wait=50");
        let raw = exchange(&api, trusted(Method::POST, &path, body)).await;
        let answer = String::from_utf8(raw.body).expect("text");
        assert!(raw.status.is_success(), "{scope}: {answer}");
        assert!(answer.contains(&format!(r#""scope":{scope}"#)), "{scope}: {answer}");
    }
}

#[tokio::test]
async fn a_scope_that_only_some_readers_understand_breaks_no_list() {
    let api = Api::open().await;
    let id = api.analysis("n", &noop()).await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for scope in [deep.as_str(), r#""\ud800""#, "1e999", "-1e999999999"] {
        let body = format!(r#"{{"scope":{scope}}}"#);
        let path = format!("/analysis/{id}/run?wait=50");
        let raw = exchange(&api, trusted(Method::POST, &path, body)).await;
        let place = &scope[..scope.len().min(20)];
        assert!(raw.status.is_success(), "{place}");
        let list = exchange(&api, trusted(Method::GET, "/runs?amount=1", String::new())).await;
        assert!(list.status.is_success(), "{place}");
        let list = String::from_utf8(list.body).expect("text");
        assert!(list.contains(r#""state":"succeeded""#), "{place}: {list:.200}");
        assert!(list.contains(&format!(r#""scope":{scope}"#)), "{place}: {list:.200}");
    }
}

#[tokio::test]
async fn runs_are_listed_the_newest_first_by_analysis_and_state() {
    let api = Api::open().await;
    let (good, bad) = (api.analysis("good", &noop()).await, slow(&api, 100).await);
    let mut made = Vec::new();
    for id in [&good, &bad, &good] {
        made.push(text(&api.run(id, json!([])).await["id"]));
    }
    let ids = |query: &str| {
        let (api, path) = (&api, format!("/runs{query}"));
        async move {
            let rows = api.get(&path).await.ok();
            let rows = rows.as_array().unwrap().clone();
            assert!(rows.iter().all(|row| row.get("console").is_none()));
            rows.iter().map(|row| text(&row["id"])).collect::<Vec<_>>()
        }
    };
    let [first, second, third] = [0, 1, 2].map(|index| made[index].as_str());
    assert_eq!(ids("").await, [third, second, first]);
    assert_eq!(ids("?amount=1&page=2").await, [second]);
    assert_eq!(ids(&format!("?filter[analysis]={good}")).await, [third, first]);
    assert_eq!(ids("?filter[state]=failed").await, [second]);
    assert_eq!(ids("?filter[state]=queued").await, [""; 0]);
    assert_eq!(ids(&format!("?filter[analysis]={good}&filter[state]=failed")).await, [""; 0]);
}

#[tokio::test]
async fn a_run_is_named_by_a_prefix_that_is_its_own() {
    let api = Api::open().await;
    let id = api.analysis("n", &noop()).await;
    let first = text(&api.run(&id, json!([])).await["id"]);
    let second = text(&api.run(&id, json!([])).await["id"]);
    // Ids begin with the time; these two have the day in common and not the milliseconds.
    let common = first.bytes().zip(second.bytes()).take_while(|(a, b)| a == b).count();
    assert!((4..23).contains(&common), "{first} {second}");
    for run in [&first, &second] {
        for length in [common + 1, 23, 24] {
            let read = api.get(&format!("/runs/{}", &run[..length])).await.ok();
            assert_eq!(read["id"], **run);
            let upper = run[..length].to_uppercase();
            assert_eq!(api.get(&format!("/runs/{upper}")).await.ok()["id"], **run);
        }
    }
    let (code, message) = api.get(&format!("/runs/{}", &first[..common])).await.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("several runs"), "{message}");
    let zeros = "0".repeat(23);
    for wrong in [&first[..3], "zzzz", "ffff", &*zeros, "12345%", "0123_", &format!("{first}0")] {
        assert_eq!(api.get(&format!("/runs/{wrong}")).await.refused(404).0, "not_found", "{wrong}");
    }
    api.delete(&format!("/runs/{}", &first[..common + 1])).await.ok();
    assert_eq!(api.get(&format!("/runs/{first}")).await.refused(404).0, "not_found");
    // What was in common names the one that is left.
    assert_eq!(api.get(&format!("/runs/{}", &first[..common])).await.ok()["id"], *second);
}

#[tokio::test]
async fn only_a_finished_run_can_be_deleted() {
    let api = Api::open().await;
    let id = slow(&api, 3_000).await;
    let run = text(&api.post(&format!("/analysis/{id}/run"), json!({})).await.ok()["run"]);
    let path = format!("/runs/{run}");
    let (code, message) = api.delete(&path).await.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("only a finished run"), "{message}");
    api.get(&format!("{path}?wait=50")).await.ok();
    api.delete(&path).await.ok();
    assert_eq!(api.get(&path).await.refused(404).0, "not_found");
    assert_eq!(api.delete(&path).await.refused(404).0, "not_found");
    assert_eq!(api.get("/runs").await.ok(), json!([]));
}

#[tokio::test]
async fn runs_outlive_their_analysis() {
    let World { api, analysis, run, .. } = World::new().await;
    api.delete(&format!("/analysis/{analysis}")).await.ok();
    let read = api.get(&format!("/runs/{run}")).await.ok();
    assert_eq!((&read["analysis"], &read["state"]), (&json!(analysis), &json!("succeeded")));
    let runs = api.get(&format!("/runs?filter[analysis]={analysis}")).await.ok();
    assert_eq!(runs[0]["id"], *run);
    api.delete(&format!("/runs/{run}")).await.ok();
}
