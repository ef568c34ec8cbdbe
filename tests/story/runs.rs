//! Runs through router and store: how they fail, within which limits, and what is recorded.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::by_hand;
use super::cli::{configure, make};
use super::harness::{Api, Place, text};

/// Makes an analysis with these limits and a module, and answers its id.
async fn analysis(api: &Api, name: &str, limits: Value, module: &[u8]) -> String {
    let made = api.post("/analysis", json!({"name": name, "limits": limits})).await.ok();
    let id = text(&made["id"]);
    api.upload(&id, module).await.ok();
    id
}

fn console(run: &Value) -> Vec<String> {
    run["console"].as_array().expect("a console").iter().map(|line| text(&line["text"])).collect()
}

/// The fields of an object.
#[track_caller]
fn fields(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn each_way_to_fail_has_its_code_and_its_words() {
    let api = Api::open().await;
    let short = json!({"wall_time_ms": 200});
    let none = json!({});
    let hog = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let answer = |tag: u32, length: u32| {
        format!("(call $answer (i32.const {tag}) (i32.const 100) (i32.const {length}))")
    };
    let component = |text: &str, body: String| by_hand::component(text, 2, &body);
    let table = [
        ("a loop", by_hand::loops(), &short, "time_limit", "within 200 ms"),
        ("asleep", by_hand::sleeps(3_600_000), &short, "time_limit", "asleep"),
        (
            "a hog",
            by_hand::command(hog),
            &json!({"memory_bytes": 1 << 20}),
            "memory_limit",
            "1048576 bytes",
        ),
        (
            "unreachable",
            by_hand::command("unreachable"),
            &none,
            "trap",
            "`unreachable` instruction executed, in `start`",
        ),
        ("recursion", by_hand::command("(call $start)"), &none, "trap", "too deeply"),
        (
            "out of bounds",
            by_hand::command("(drop (i32.load (i32.const -1)))"),
            &none,
            "trap",
            "out of bounds",
        ),
        ("exit", by_hand::command("(call $exit (i32.const 3))"), &none, "exit", "exit code 3"),
        (
            "a large result",
            component("[1, 2, 3]", answer(0, 9)),
            &json!({"result_bytes": 8}),
            "result_limit",
            "9 bytes",
        ),
        ("no JSON", component("[1, 2, 3", answer(0, 8)), &none, "invalid_result", "not JSON"),
        ("an error", component("no such order", answer(1, 13)), &none, "error", "no such order"),
        ("a silent error", component(" ", answer(1, 1)), &none, "error", "without a message"),
    ];
    for (name, module, limits, code, words) in table {
        let id = analysis(&api, name, limits.clone(), &module).await;
        let run = api.run(&id, json!([])).await;
        assert_eq!(run["state"], "failed", "{name}: {run}");
        assert_eq!(run["fault"]["code"], code, "{name}: {run}");
        assert_eq!(run["fault"]["blame"], "analysis", "{name}: {run}");
        assert!(text(&run["fault"]["message"]).contains(words), "{name}: {run}");
        assert_eq!((&run["attempts"], &run["result"]), (&json!(1), &Value::Null), "{name}: {run}");
    }
}

#[tokio::test]
async fn a_guest_that_failed_leaves_room_for_the_next() {
    let api = Api::open().await;
    let limits = json!({"wall_time_ms": 50});
    let loops = analysis(&api, "loops", limits, &by_hand::loops()).await;
    let quiet = api.analysis("quiet", &by_hand::quiet(1)).await;
    // More than there are slots for guests.
    for _ in 0..12 {
        assert_eq!(api.run(&loops, json!([])).await["fault"]["code"], "time_limit");
    }
    assert_eq!(api.run(&quiet, json!([])).await["state"], "succeeded");
}

#[tokio::test]
async fn an_environment_of_more_than_1000_keys_is_a_fault_and_of_1000_is_none() {
    let api = Arc::new(Api::open().await);
    let id = api.analysis("greedy", &by_hand::quiet(1)).await;
    api.grant(&id, "allow", ("team", "a")).await;
    // The runner itself sets three.
    let mut making = JoinSet::new();
    for number in 0..998 {
        let api = Arc::clone(&api);
        making.spawn(async move { api.secret(&format!("K{number}"), "v", ("team", "a")).await });
    }
    let secrets = making.join_all().await;
    let run = api.run(&id, json!([])).await;
    assert_eq!(
        (&run["state"], &run["fault"]["code"]),
        (&json!("failed"), &json!("environment_limit"))
    );
    assert_eq!(run["fault"]["blame"], "analysis");
    assert!(text(&run["fault"]["message"]).contains("1001 keys"), "{run}");
    api.delete(&format!("/secrets/{}", secrets[0])).await.ok();
    let run = api.run(&id, json!([])).await;
    assert_eq!(run["state"], "succeeded", "{}", run["fault"]);
    assert_eq!(run["environment"].as_array().map(Vec::len), Some(1000));
}

#[tokio::test]
async fn an_environment_of_more_than_a_mebibyte_is_a_fault() {
    let api = Api::open().await;
    let id = api.analysis("greedy", &by_hand::quiet(1)).await;
    api.grant(&id, "allow", ("team", "a")).await;
    // 2048 characters of 4 bytes each.
    let value = "🔑".repeat(2048);
    for number in 0..128 {
        api.secret(&format!("K{number}"), &value, ("team", "a")).await;
    }
    let run = api.run(&id, json!([])).await;
    assert_eq!(run["fault"]["code"], "environment_limit", "{run}");
    assert!(text(&run["fault"]["message"]).contains("1048576"), "{run}");
}

#[tokio::test]
async fn a_log_flood_is_cut_with_a_mark_and_the_run_goes_on() {
    let api = Api::open().await;
    let flood = by_hand::floods(5_000);
    let id = analysis(&api, "flood", json!({"console_bytes": 1_000}), &flood).await;
    let run = api.run(&id, json!([])).await;
    assert_eq!((&run["state"], &run["console_truncated"]), (&json!("succeeded"), &json!(true)));
    let lines = console(&run);
    assert_eq!(
        lines.last().map(String::as_str),
        Some("[console cut: limit of 1000 bytes reached]")
    );
    assert!(lines.iter().map(String::len).sum::<usize>() <= 1_100, "{} lines", lines.len());
    assert!(lines[..lines.len() - 2].iter().all(|line| line == "xxxxxxx"), "{lines:?}");
    // Below the limit nothing is cut.
    let id = api.analysis("brook", &by_hand::floods(40)).await;
    let run = api.run(&id, json!([])).await;
    assert_eq!((console(&run).len(), &run["console_truncated"]), (40, &json!(false)));
}

#[tokio::test]
async fn limits_are_kept_per_analysis_and_none_passes_the_hosts_caps() {
    let api = Api::open().await;
    let caps = api.runner.settings().sandbox.caps;
    let caps = serde_json::to_value(caps).expect("JSON");
    for (name, cap) in caps.as_object().expect("an object") {
        let cap = cap.as_u64().expect("a number");
        // Without a scratch directory a run is whole; without time or memory it is none.
        let zero = (name != "scratch_bytes").then_some(0);
        for wrong in zero.into_iter().chain([cap + 1]) {
            let body = json!({"name": "greedy", "limits": {name.as_str(): wrong}});
            let (code, message) = api.post("/analysis", body).await.refused(400);
            assert_eq!(code, "invalid_request");
            assert!(message.contains(name) && message.contains(&cap.to_string()), "{message}");
        }
    }
    let (_, message) =
        api.post("/analysis", json!({"name": "x", "limits": {"wall_time": 5}})).await.refused(400);
    assert!(message.contains("wall_time"), "{message}");
    let id = analysis(&api, "x", json!({"wall_time_ms": 100}), &by_hand::sleeps(400)).await;
    assert_eq!(api.run(&id, json!([])).await["fault"]["code"], "time_limit");
    // An edit changes those limits that it names.
    let path = format!("/analysis/{id}");
    api.put(&path, json!({"limits": {"wall_time_ms": 30_000}})).await.ok();
    api.put(&path, json!({"limits": {"console_bytes": 500}})).await.ok();
    let limits = api.get(&path).await.ok()["limits"].clone();
    assert_eq!((&limits["wall_time_ms"], &limits["console_bytes"]), (&json!(30_000), &json!(500)));
    assert_eq!(api.run(&id, json!([])).await["state"], "succeeded");
}

#[test]
fn a_cap_that_was_lowered_holds_for_analyses_that_were_allowed_more() {
    let place = Place::new();
    make(&place, "slow", by_hand::loops());
    configure(&place, "wall_time_cap_ms = 150\n");
    let ended = place.run(["run", "start", "slow"]);
    assert_eq!(ended.code(), 1);
    let stderr = ended.stderr();
    assert!(stderr.contains("time_limit") && stderr.contains("within 150 ms"), "{stderr}");
}

#[tokio::test]
async fn a_run_finds_the_runners_own_entries_and_nobody_can_set_them() {
    let api = Api::open().await;
    let id = api.analysis("prints", &by_hand::prints_its_environment()).await;
    let path = format!("/analysis/{id}");
    for key in ["_run_id", "_attempt", "_x", "T_ANALYSIS_ID", "T_ANALYSIS_X", "TAGOIO_API"] {
        let variables = json!([{"key": key, "value": "forged"}]);
        let (code, _) = api.put(&path, json!({"variables": variables})).await.refused(400);
        assert_eq!(code, "invalid_request", "{key}");
        let exec = api.post(&format!("{path}/exec"), json!({"environment": variables})).await;
        assert_eq!(exec.refused(400).0, "invalid_request", "{key}");
        let tags = json!([{"key": "team", "value": "a"}]);
        let secret = api.post("/secrets", json!({"key": key, "value": "forged", "tags": tags}));
        assert_eq!(secret.await.refused(400).0, "invalid_request", "{key}");
    }
    let variables = json!([{"key": "MODE", "value": "live"}, {"key": "N", "value": 7}]);
    api.put(&path, json!({"variables": variables})).await.ok();
    let run = api.run(&id, json!({"month": 7})).await;
    let lines = console(&run);
    let expected = [
        "MODE=live".to_owned(),
        "N=7".to_owned(),
        format!("_analysis_id={id}"),
        "_attempt=1".to_owned(),
        format!("_run_id={}", text(&run["id"])),
        "T_ANALYSIS_CONTEXT=tago-io".to_owned(),
        format!("T_ANALYSIS_ID={id}"),
        r#"T_ANALYSIS_DATA={"month":7}"#.to_owned(),
        r#"{"month":7}"#.to_owned(),
    ];
    for line in &expected {
        assert!(lines.contains(line), "{line} is not in {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("forged")), "{lines:#?}");
    let origins: Vec<_> = run["environment"].as_array().expect("a list").iter().collect();
    let origins: Vec<_> = origins.iter().map(|e| (text(&e["key"]), text(&e["origin"]))).collect();
    let origins: Vec<_> = origins.iter().map(|(k, o)| (k.as_str(), o.as_str())).collect();
    let (variable, system) = ("variable", "system");
    let expected = [
        ("MODE", variable),
        ("N", variable),
        ("_analysis_id", system),
        ("_attempt", system),
        ("_run_id", system),
    ];
    assert_eq!(origins, expected);
}

#[tokio::test]
async fn what_cannot_run_is_not_queued() {
    let api = Api::open().await;
    let made = api.post("/analysis", json!({"name": "empty"})).await.ok();
    let empty = text(&made["id"]);
    let off = api.analysis("off", &by_hand::quiet(1)).await;
    api.put(&format!("/analysis/{off}"), json!({"active": false})).await.ok();
    let none = "0123456789abcdef01234567";
    for way in ["run", "exec"] {
        for (id, code, words) in [
            (empty.as_str(), "no_module", "upload one first"),
            (off.as_str(), "inactive_analysis", "switch it on"),
            (none, "analysis_not_found", "can't be found"),
        ] {
            let answer = api.post(&format!("/analysis/{id}/{way}"), json!({})).await;
            let (found, message) = answer.refused(400);
            assert_eq!(found, code, "{way}");
            assert!(message.contains(words), "{way}: {message}");
        }
    }
    assert_eq!(api.get("/runs").await.ok(), json!([]));
    api.put(&format!("/analysis/{off}"), json!({"active": true})).await.ok();
    assert_eq!(api.run(&off, json!([])).await["state"], "succeeded");
}

#[tokio::test]
async fn a_run_is_shown_with_exactly_the_documented_fields_and_nothing_null() {
    const ALWAYS: [&str; 13] = [
        "id",
        "analysis",
        "module",
        "version",
        "state",
        "cause",
        "scope",
        "environment",
        "created_at",
        "attempts",
        "console_truncated",
        "uses",
        "console",
    ];
    const ENDED: [&str; 4] = ["started_at", "finished_at", "duration_us", "peak_memory_bytes"];
    fn assert_nothing_is_null(value: &Value) {
        match value {
            Value::Null => panic!("null"),
            Value::Array(values) => values.iter().for_each(assert_nothing_is_null),
            Value::Object(values) => values.values().for_each(assert_nothing_is_null),
            _ => {}
        }
    }
    let api = Api::open().await;
    let echo = api.analysis("echo", &by_hand::echo()).await;
    let quiet = api.analysis("quiet", &by_hand::quiet(1)).await;
    let fails = api.analysis("fails", &by_hand::command("unreachable")).await;
    api.grant(&echo, "allow", ("team", "a")).await;
    let secret = api.secret("KEY", "hush-hush", ("team", "a")).await;

    let run = api.run(&echo, json!({"month": 7})).await;
    let always: BTreeSet<_> = ALWAYS.into_iter().chain(ENDED).collect();
    let mut expected = always.clone();
    expected.insert("result");
    assert_eq!(fields(&run), expected);
    assert_nothing_is_null(&run);
    assert_eq!(run["cause"], json!({"kind": "api", "by": "local:1"}));
    assert_eq!((&run["scope"], &run["result"]), (&json!({"month": 7}), &json!({"month": 7})));
    assert_eq!((&run["version"], &run["attempts"]), (&json!(1), &json!(1)));
    assert_eq!(run["module"].as_str().map(str::len), Some(64));
    let entry = &run["environment"][0];
    let expected = ["key", "origin", "secret", "version", "policy", "permission"];
    assert_eq!(fields(entry), BTreeSet::from(expected));
    assert_eq!((&entry["secret"], &entry["version"]), (&json!(secret), &json!(1)));
    assert_eq!(fields(&run["environment"][1]), BTreeSet::from(["key", "origin"]));
    let line = &run["console"][0];
    assert_eq!(fields(line), BTreeSet::from(["time", "stream", "level", "text"]));
    assert_eq!((&line["stream"], &line["level"]), (&json!("console"), &json!("info")));

    let run = api.run(&quiet, json!([])).await;
    assert_eq!(fields(&run), always, "a run without a result");
    let run = api.run(&fails, json!([])).await;
    let mut expected = always.clone();
    expected.insert("fault");
    assert_eq!(fields(&run), expected);
    assert_nothing_is_null(&run);
    assert_eq!(fields(&run["fault"]), BTreeSet::from(["blame", "code", "message"]));

    let exec = json!({"module": base64(&by_hand::quiet(2)), "scope": 1.50});
    let run = api.post(&format!("/analysis/{echo}/exec"), exec).await.ok();
    let mut expected = always.clone();
    expected.remove("version");
    assert_eq!(fields(&run), expected, "a module that came with the request has no version");
    assert_eq!(run["cause"]["kind"], "exec");

    let mut expected = always;
    expected.remove("console");
    let listed = api.get(&format!("/runs?filter[analysis]={quiet}")).await.ok();
    let listed: Vec<_> = listed.as_array().expect("a list").iter().collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(fields(listed[0]), expected, "a list is without consoles");
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_run_that_waits_says_so_and_knows_nothing_of_its_end() {
    let place = Place::new();
    make(&place, "quiet", by_hand::quiet(1));
    let id = place.run(["run", "start", "quiet", "--detach"]).ok();
    let shown = place.run(["run", "show", id.trim(), "--json"]).ok();
    let run: Value = serde_json::from_str(&shown).expect("JSON");
    let expected = [
        "id",
        "analysis",
        "module",
        "version",
        "state",
        "cause",
        "scope",
        "environment",
        "created_at",
        "attempts",
        "console_truncated",
        "uses",
        "console",
    ];
    assert_eq!(fields(&run), BTreeSet::from(expected));
    assert_eq!((&run["state"], &run["attempts"]), (&json!("queued"), &json!(0)));
    assert_eq!((&run["environment"], &run["scope"]), (&json!([]), &json!([])));
    let refused = place.run(["run", "delete", id.trim()]);
    assert_eq!(refused.code(), 3);
    assert!(refused.stderr().contains("only a finished run"), "{}", refused.stderr());
}
