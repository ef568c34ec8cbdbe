//! What starts by itself, what starts once, what is tried again and what is called off.

use std::time::{Duration, Instant};

use axum::http::Method;
use runner::pipeline::Runner;
use serde_json::{Value, json};

use super::by_hand;
use super::cli::{configure, make};
use super::harness::{Api, Place, settings, text};

/// How long a story waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is an answer.
pub async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn action(api: &Api, body: Value) -> String {
    text(&api.post("/action", body).await.ok()["action"])
}

pub fn interval(analysis: &str, every: &str) -> Value {
    json!({
        "name": "again",
        "type": "interval",
        "trigger": [{"interval": every}],
        "action": {"type": "script", "script": [analysis]},
    })
}

pub async fn slots(api: &Api, action: &str) -> Vec<Value> {
    let slots = api.get(&format!("/action/{action}/slots?amount=100")).await.ok();
    slots.as_array().expect("a list").clone()
}

async fn runs(api: &Api, analysis: &str) -> Vec<Value> {
    let path = format!("/runs?amount=100&filter[analysis]={analysis}&fields=cause&fields=state");
    api.get(&path).await.ok().as_array().expect("a list").clone()
}

#[tokio::test]
async fn an_interval_starts_runs_and_each_instant_has_one_slot() {
    let api = Api::open().await;
    let analysis = api.analysis("quick", &by_hand::prints_its_environment()).await;
    let action = action(&api, interval(&analysis, "1 second")).await;
    let slots = wait_for("two slots", async || {
        let slots = slots(&api, &action).await;
        (slots.len() >= 2).then_some(slots)
    });
    let slots = slots.await;
    for slot in &slots {
        assert_eq!((&slot["outcome"], &slot["analysis"]), (&json!("ran"), &json!(analysis)));
        let run = api.get(&format!("/runs/{}?wait=20", text(&slot["run"]))).await.ok();
        assert_eq!(run["state"], "succeeded", "{run}");
        assert_eq!(run["cause"]["kind"], "interval");
        assert_eq!(run["cause"]["action"], *action);
        let entries = run["environment"].as_array().expect("entries");
        let said = json!({"key": "_action_id", "origin": "system"});
        assert!(entries.contains(&said), "{run}");
        let console = run["console"].to_string();
        for entry in [format!("_action_id={action}"), "_action_type=interval".into()] {
            assert!(console.contains(&entry), "{entry} is not in {console}");
        }
    }
    let shown = api.get(&format!("/action/{action}")).await.ok();
    assert!(shown["last_triggered"].is_string(), "{shown}");
    assert_eq!(shown["next"].as_array().expect("instants").len(), 5, "{shown}");
}

#[tokio::test]
async fn instants_that_passed_while_nothing_ran_are_made_up_for_once_and_the_rest_is_missed() {
    let api = Api::open().await;
    let analysis = api.analysis("quick", &by_hand::quiet(1)).await;
    let mut often = interval(&analysis, "1 second");
    // A run that the end of the first process cut off must not keep later ones from starting.
    often["overlap"] = json!("allow");
    let action = action(&api, often).await;
    wait_for("a slot", async || (!slots(&api, &action).await.is_empty()).then_some(())).await;
    let place = api.close().await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    let api = Api::open_at(place).await;
    let caught_up = wait_for("a slot that is caught up", async || {
        let slots = slots(&api, &action).await;
        slots.iter().any(|slot| slot["outcome"] == "caught_up").then_some(slots)
    });
    let slots = caught_up.await;
    let caught_up = slots.iter().filter(|slot| slot["outcome"] == "caught_up").count();
    assert_eq!(caught_up, 1, "{slots:?}");
    let missed: Vec<_> = slots.iter().filter(|slot| slot["outcome"] == "missed").collect();
    assert_eq!(missed.len(), 1, "missed ones that follow each other are one row: {slots:?}");
    assert!(missed[0]["instants"].as_u64().expect("a number") >= 2, "{missed:?}");
}

#[tokio::test]
async fn a_start_is_skipped_while_the_run_before_it_goes_on() {
    let api = Api::open().await;
    let analysis = api.analysis("slow", &by_hand::sleeps(60_000)).await;
    let action = action(&api, interval(&analysis, "1 second")).await;
    let slots = wait_for("a skipped slot", async || {
        let slots = slots(&api, &action).await;
        slots.iter().any(|slot| slot["outcome"] == "skipped").then_some(slots)
    });
    let slots = slots.await;
    assert_eq!(slots.iter().filter(|slot| slot["outcome"] == "ran").count(), 1, "{slots:?}");
    assert_eq!(runs(&api, &analysis).await.len(), 1);
    api.put(&format!("/action/{action}"), json!({"overlap": "cancel_previous"})).await.ok();
    wait_for("a cancelled run", async || {
        runs(&api, &analysis).await.iter().any(|run| run["state"] == "cancelled").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rotated_secret_starts_an_analysis_and_other_secrets_do_not() {
    let api = Api::open().await;
    let analysis = api.analysis("rotated", &by_hand::prints_its_environment()).await;
    let action = action(
        &api,
        json!({
            "name": "rotation",
            "type": "resource",
            "trigger": [{
                "resource": "secrets", "when": "update", "tag_key": "env", "tag_value": "prod",
            }],
            "action": {"type": "script", "script": [analysis]},
        }),
    )
    .await;
    let prod = api.secret("PROD", "one", ("env", "prod")).await;
    let dev = api.secret("DEV", "one", ("env", "dev")).await;
    for secret in [&dev, &prod] {
        api.put(&format!("/secrets/{secret}"), json!({"value": "two"})).await.ok();
    }
    let run = wait_for("a run", async || runs(&api, &analysis).await.pop()).await;
    let run = api.get(&format!("/runs/{}?wait=20", text(&run["id"]))).await.ok();
    assert_eq!(run["cause"]["kind"], "resource");
    assert_eq!(run["scope"][0]["id"], *prod);
    assert!(run["console"].to_string().contains("_action_when=update"), "{run}");
    // The event of a deletion knows the tags that the secret had.
    let change = json!({"trigger": [{
        "resource": "secrets", "when": "delete", "tag_key": "env", "tag_value": "prod",
    }]});
    api.put(&format!("/action/{action}"), change).await.ok();
    for secret in [&dev, &prod] {
        api.delete(&format!("/secrets/{secret}")).await.ok();
    }
    wait_for("a second run", async || (runs(&api, &analysis).await.len() == 2).then_some(())).await;
}

#[tokio::test]
async fn an_action_that_cannot_start_says_why_and_recovers() {
    let api = Api::open().await;
    let made = api.post("/analysis", json!({"name": "empty"})).await.ok();
    let analysis = text(&made["id"]);
    let action = action(&api, interval(&analysis, "1 second")).await;
    let path = format!("/action/{action}");
    let fault = wait_for("a fault", async || {
        let shown = api.get(&path).await.ok();
        shown.get("fault").cloned()
    });
    let fault = fault.await;
    assert_eq!(fault["code"], "no_module");
    let slot = slots(&api, &action).await.pop().expect("a slot");
    assert_eq!(slot["outcome"], "failed");
    assert!(text(&slot["reason"]).contains("has no module"), "{slot}");
    api.upload(&analysis, &by_hand::quiet(1)).await.ok();
    wait_for("no fault", async || api.get(&path).await.ok().get("fault").is_none().then_some(()))
        .await;
}

#[tokio::test]
async fn the_same_idempotency_key_is_one_run_and_survives_it() {
    let api = Api::open().await;
    let analysis = api.analysis("once", &by_hand::quiet(1)).await;
    let path = format!("/analysis/{analysis}/run");
    let send = async |key: &str, scope: Value| {
        let request = axum::http::Request::post(&path)
            .header("idempotency-key", key)
            .header("content-type", "application/json")
            .extension(runner::api::Trusted::local(1))
            .body(axum::body::Body::from(json!({"scope": scope}).to_string()));
        api.send(request.expect("a request")).await
    };
    let first = text(&send("a", json!([1])).await.ok()["run"]);
    assert_eq!(text(&send("a", json!([1])).await.ok()["run"]), first);
    assert_eq!(send("a", json!([2])).await.refused(422).0, "idempotency_key_reused");
    assert_ne!(text(&send("b", json!([1])).await.ok()["run"]), first);
    assert_eq!(send("", json!([1])).await.refused(400).0, "invalid_request");
    api.get(&format!("/runs/{first}?wait=20")).await.ok();
    api.delete(&format!("/runs/{first}")).await.ok();
    assert_eq!(text(&send("a", json!([1])).await.ok()["run"]), first, "the key outlives the run");
}

#[tokio::test]
async fn a_fault_that_is_tried_again_ends_dead_and_can_be_run_again() {
    let api = Api::open().await;
    let analysis = api.analysis("fails", &by_hand::command("unreachable")).await;
    let retry = json!({"retry": {
        "attempts": 3, "backoff_ms": 10, "max_backoff_ms": 20, "faults": ["trap"],
    }});
    api.put(&format!("/analysis/{analysis}"), retry).await.ok();
    let run = api.run(&analysis, json!({"a": 1})).await;
    assert_eq!((&run["state"], &run["attempts"]), (&json!("dead"), &json!(3)), "{run}");
    assert_eq!(run["fault"]["code"], "trap");
    let again = api.post(&format!("/runs/{}/rerun", text(&run["id"])), json!({})).await.ok();
    let again = api.get(&format!("/runs/{}?wait=20", text(&again["run"]))).await.ok();
    assert_eq!((&again["rerun_of"], &again["scope"]), (&run["id"], &json!({"a": 1})));
    let dead = api.get("/runs?filter[state]=dead").await.ok();
    assert_eq!(dead.as_array().expect("a list").len(), 2, "{dead}");
}

#[tokio::test]
async fn a_run_is_called_off_at_once_whether_it_waits_or_runs() {
    let api = Api::open().await;
    let analysis = api.analysis("loops", &by_hand::loops()).await;
    let limits = json!({"limits": {"concurrency": 1}});
    api.put(&format!("/analysis/{analysis}"), limits).await.ok();
    let start = async || {
        let made = api.post(&format!("/analysis/{analysis}/run"), json!({})).await.ok();
        text(&made["run"])
    };
    let (first, second) = (start().await, start().await);
    let state = async |run: &str| text(&api.get(&format!("/runs/{run}")).await.ok()["state"]);
    wait_for("a run", async || (state(&first).await == "running").then_some(())).await;
    assert_eq!(state(&second).await, "queued", "one at a time");
    let cancelled = api.post(&format!("/runs/{second}/cancel"), json!({})).await.ok();
    assert_eq!(cancelled["state"], "cancelled");
    let asked = Instant::now();
    let cancelled = api.post(&format!("/runs/{first}/cancel?wait=5"), json!({})).await.ok();
    assert_eq!(cancelled["state"], "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let run = api.get(&format!("/runs/{first}")).await.ok();
    assert_eq!(run["fault"]["code"], "cancelled", "{run}");
    let again = api.post(&format!("/runs/{first}/cancel"), json!({})).await;
    assert!(again.refused(400).1.contains("cancelled already"));
}

#[tokio::test]
async fn a_full_queue_of_one_analysis_is_refused_and_hinders_no_other() {
    let api = Api::open().await;
    let slow = api.analysis("slow", &by_hand::sleeps(60_000)).await;
    let quick = api.analysis("quick", &by_hand::quiet(1)).await;
    let limits = json!({"limits": {"concurrency": 1, "queued_runs": 3}});
    api.put(&format!("/analysis/{slow}"), limits).await.ok();
    let path = format!("/analysis/{slow}/run");
    let mut refused = 0;
    for _ in 0..8 {
        let answer = api.post(&path, json!({})).await;
        if !answer.status.is_success() {
            assert_eq!(answer.refused(429).0, "queue_full");
            refused += 1;
        }
    }
    assert!((4..=5).contains(&refused), "{refused} were refused");
    assert_eq!(api.run(&quick, json!([])).await["state"], "succeeded");
}

#[tokio::test]
async fn a_storm_of_one_analysis_does_not_delay_another_one() {
    let api = Api::open().await;
    let storm = api.analysis("storm", &by_hand::sleeps(500)).await;
    let calm = api.analysis("calm", &by_hand::quiet(1)).await;
    for _ in 0..300 {
        api.post(&format!("/analysis/{storm}/run"), json!({})).await.ok();
    }
    // In the order of asking, this one would come after all of the storm.
    let run = api.run(&calm, json!([])).await;
    let waiting = format!("/runs?amount=100&filter[analysis]={storm}&filter[state]=queued");
    let waiting = api.get(&waiting).await.ok().as_array().expect("a list").len();
    assert_eq!(run["state"], "succeeded");
    assert!(waiting > 50, "only {waiting} runs of the storm still waited");
}

#[tokio::test]
async fn what_can_never_fire_or_does_not_exist_is_refused_with_what_to_write() {
    let api = Api::open().await;
    let analysis = api.analysis("a", &by_hand::quiet(1)).await;
    let script = json!({"type": "script", "script": [analysis]});
    let schedule = |cron: &str| json!([{"cron": cron, "timezone": "Europe/London"}]);
    let cases = [
        ("schedule", schedule("0 0 30 2 *"), script.clone(), "never"),
        ("schedule", schedule("@daily"), script.clone(), "0 0 * * *"),
        ("schedule", json!([{"cron": "0 8 * * *", "timezone": "Mars"}]), script.clone(), "Mars"),
        ("interval", json!([{"interval": "0 seconds"}]), script.clone(), "interval"),
        ("usage_alert", json!([{}]), script.clone(), "webhook"),
        ("schedule", schedule("0 8 * * *"), json!({"type": "email"}), "script"),
    ];
    for (kind, trigger, action, word) in cases {
        let body = json!({"name": "n", "type": kind, "trigger": trigger, "action": action});
        let (code, message) = api.post("/action", body).await.refused(400);
        assert_eq!(code, "invalid_request");
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    let unknown = json!({"type": "script", "script": ["0123456789abcdef01234567"]});
    let body = json!({
        "name": "n", "type": "schedule", "trigger": schedule("0 8 * * *"), "action": unknown,
    });
    assert_eq!(api.post("/action", body).await.refused(400).0, "analysis_not_found");
}

#[tokio::test]
async fn a_chain_of_runs_that_cause_runs_ends() {
    let api = Api::open().await;
    let secret = api.secret("LOOP", "0", ("env", "loop")).await;
    let made = api.post("/analysis", json!({"name": "loop"})).await.ok();
    let (analysis, token) = (text(&made["id"]), text(&made["token"]));
    api.upload(&analysis, &by_hand::sleeps(3_600_000)).await.ok();
    let edits = json!([{"effect": "allow", "action": ["edit"], "resource": ["secrets"]}]);
    let targets = json!([["analysis", "id", analysis]]);
    let policy = json!({"name": "edits", "targets": targets, "permissions": edits});
    api.post("/am", policy).await.ok();
    let action = action(
        &api,
        json!({
            "name": "loop",
            "type": "resource",
            "trigger": [{"resource": "secrets", "when": "update"}],
            "action": {"type": "script", "script": [analysis]},
        }),
    )
    .await;
    api.post(&format!("/analysis/{analysis}/run"), json!({})).await.ok();
    // Each run edits the secret, which starts the next one.
    let edit = async |number: usize| {
        let change = json!({"value": number.to_string()});
        let path = format!("/secrets/{secret}");
        api.call_as(&token, Method::PUT, &path, change).await.ok();
    };
    for depth in 1..=16 {
        edit(depth).await;
        let caused = wait_for("the next run", async || {
            let runs = runs(&api, &analysis).await;
            (runs.len() == depth + 1).then(|| runs[0]["cause"].clone())
        });
        assert_eq!(caused.await["depth"], depth);
    }
    edit(17).await;
    let fault = wait_for("the fault", async || {
        api.get(&format!("/action/{action}")).await.ok().get("fault").cloned()
    });
    assert_eq!(fault.await["code"], "chain_too_deep");
    assert_eq!(runs(&api, &analysis).await.len(), 17);
}

#[test]
fn a_run_that_outlasts_the_drain_goes_back_to_the_queue_and_ends_later() {
    let place = Place::new();
    configure(&place, "drain_seconds = 0\n");
    make(&place, "slow", by_hand::sleeps_in_its_first_attempt());
    let server = place.serve();
    let run = place.run(["run", "start", "slow", "--detach"]).ok().trim().to_owned();
    let shown = || -> Value {
        let shown = place.run(["run", "show", &run, "--json"]).ok();
        serde_json::from_str(&shown).expect("JSON")
    };
    let started = Instant::now();
    while shown()["state"] != "running" {
        assert!(started.elapsed() < PATIENCE, "it does not start");
    }
    server.stop();
    assert_eq!(shown()["state"], "queued", "{}", shown());
    let server = place.serve();
    while shown()["state"] != "succeeded" {
        assert!(started.elapsed() < PATIENCE, "it does not end: {}", shown());
    }
    assert_eq!(shown()["attempts"], 2);
    server.stop();
}

#[tokio::test]
async fn of_two_that_begin_one_store_at_the_same_time_each_opens_it_or_says_why() {
    // With the same root key, all of them open it: one founds it, the others find it.
    let key = Place::new();
    key.run(["secret", "list"]).ok();
    let first = Place::shared();
    std::fs::copy(key.root_key(), first.root_key()).expect("the root key");
    let (second, third) = (Place::node_of(&first), Place::node_of(&first));
    let opened = tokio::join!(
        Runner::open(settings(&first)),
        Runner::open(settings(&second)),
        Runner::open(settings(&third)),
    );
    let profiles = [opened.0, opened.1, opened.2].map(|runner| match runner {
        Ok(runner) => runner.profile(),
        Err(error) => panic!("a node does not open: {error}"),
    });
    assert!(profiles.iter().all(|profile| *profile == profiles[0]), "{profiles:?}");
    // Where there is a store, no root key is made.
    let stranger = Place::node_of(&first);
    std::fs::remove_file(stranger.root_key()).expect("it was copied");
    assert!(Runner::open(settings(&stranger)).await.is_err());
    assert!(!stranger.root_key().exists());
}

#[tokio::test]
async fn two_nodes_share_a_store_and_fire_each_instant_once() {
    let place = Place::shared();
    let other = async {
        let first = Api::open_at(place).await;
        let second = Api::open_at(Place::node_of(first.place())).await;
        (first, second)
    };
    let (first, second) = other.await;
    let analysis = first.analysis("quick", &by_hand::sleeps(20)).await;
    let action = action(&first, interval(&analysis, "1 second")).await;
    // The second node runs what the first one was given: the module comes out of the store.
    for number in 0..20 {
        let run = second.run(&analysis, json!({"number": number})).await;
        assert_eq!(run["state"], "succeeded", "{run}");
    }
    let seen = wait_for("slots", async || {
        let slots = slots(&second, &action).await;
        (slots.len() >= 3).then_some(slots)
    });
    let mut instants: Vec<_> = seen.await.iter().map(|slot| text(&slot["instant"])).collect();
    let all = instants.len();
    instants.dedup();
    assert_eq!(instants.len(), all, "no instant twice");
    // A run on either node is called off from the other.
    let slow = first.analysis("slow", &by_hand::sleeps(60_000)).await;
    for _ in 0..4 {
        let made = first.post(&format!("/analysis/{slow}/run"), json!({})).await.ok();
        let run = text(&made["run"]);
        let state = async |run: &str| text(&first.get(&format!("/runs/{run}")).await.ok()["state"]);
        wait_for("a run", async || (state(&run).await == "running").then_some(())).await;
        let path = format!("/runs/{run}/cancel?wait=10");
        let cancelled = second.call(Method::POST, &path, Value::Null).await.ok();
        assert_eq!(cancelled["state"], "cancelled");
    }
}
