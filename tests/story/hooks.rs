//! Webhooks: requests from outside that start runs, and those that must start nothing.

use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, KeyInit, Mac};
use runner::clock::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use super::by_hand;
use super::cli::path;
use super::harness::{Answer, Api, Place, text};
use super::hostile::Watch;

/// GitHub's own example, from "Validating webhook deliveries".
pub const KEY: &str = "It's a Secret to Everybody";
pub const BODY: &str = "Hello, World!";
pub const SIGNATURE: &str =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

pub const HEADER: &str = "x-hub-signature-256";

/// A profile with an analysis that gives its scope back, and a webhook that starts it.
pub struct Scene {
    pub api: Api,
    pub analysis: String,
    /// The id of the secret whose value is [`KEY`].
    pub secret: String,
    pub action: String,
}

/// An action with one webhook as its trigger.
pub fn webhook(analysis: &str, trigger: &Value) -> Value {
    json!({
        "name": "delivery",
        "type": "webhook",
        "trigger": [trigger],
        "action": {"type": "script", "script": [analysis]},
    })
}

impl Scene {
    /// `trigger` is completed by the secret, unless it is unsigned.
    pub async fn new(trigger: Value) -> Self {
        Self::on(Api::open().await, trigger).await
    }

    /// As [`Self::new`], with a store in the data directory.
    pub async fn alone(trigger: Value) -> Self {
        Self::on(Api::alone().await, trigger).await
    }

    async fn on(api: Api, mut trigger: Value) -> Self {
        let analysis = api.analysis("echo", &by_hand::echo()).await;
        let secret = api.secret("HOOK_KEY", KEY, ("team", "web")).await;
        if trigger.get("unsigned").is_none() {
            trigger["secret"] = json!(secret);
        }
        let made = api.post("/action", webhook(&analysis, &trigger)).await.ok();
        let action = text(&made["action"]);
        assert_eq!(made["hook"], format!("/hook/{action}"));
        Self { api, analysis, secret, action }
    }

    pub async fn post(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let request = Request::post(format!("/hook/{}", self.action));
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.api.send(request.body(body.into()).expect("a request")).await
    }

    /// The run that an answer names, when it has ended.
    #[track_caller]
    fn only_run(answer: &Value) -> String {
        let runs = answer["runs"].as_array().expect("a list");
        assert_eq!(runs.len(), 1, "{answer}");
        text(&runs[0])
    }

    async fn ended(&self, answer: &Value) -> Value {
        self.api.get(&format!("/runs/{}?wait=50", Self::only_run(answer))).await.ok()
    }

    pub async fn runs(&self) -> usize {
        self.api.get("/runs?amount=100").await.ok().as_array().expect("a list").len()
    }

    pub async fn shown(&self) -> Value {
        self.api.get(&format!("/action/{}", self.action)).await.ok()
    }

    pub async fn edit(&self, change: Value) {
        self.api.put(&format!("/action/{}", self.action), change).await.ok();
    }
}

fn sign(key: &str, text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
    let bytes = mac.chain_update(text).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn github(key: &str, body: &str) -> String {
    format!("sha256={}", sign(key, body))
}

/// A timestamped signature of this many seconds from now.
fn timestamped(key: &str, body: &str, seconds: i64) -> String {
    let at = Timestamp::now().as_millis() / 1000 + seconds;
    format!("t={at},v1={}", sign(key, &format!("{at}.{body}")))
}

#[tokio::test]
async fn githubs_documented_delivery_starts_a_run_with_its_body() {
    let scene = Scene::new(json!({"form": "github"})).await;
    let answer = scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
    assert!(answer.get("duplicate").is_none(), "{answer}");
    let run = scene.ended(&answer).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("succeeded"), &json!([{"body": BODY}])));
    assert_eq!(run["cause"]["kind"], "webhook");
    assert_eq!(run["cause"]["by"], format!("action:{}", scene.action));
    assert_eq!(run["cause"]["action"], scene.action.as_str());

    let document = r#"{"payload": "as it is", "n": 1}"#;
    let signature = github(KEY, document);
    let answer = scene.post(&[("X-Hub-Signature-256", &signature)], document).await.ok();
    let run = scene.ended(&answer).await;
    assert_eq!(run["result"], json!({"payload": "as it is", "n": 1}));
}

#[tokio::test]
async fn a_request_that_is_not_signed_is_refused_and_writes_nothing() {
    let scene = Scene::alone(json!({"form": "github"})).await;
    let mut watch = Watch::on(&scene.api).await;
    let version = watch.version().await;
    let wrong_key = github("another key", BODY);
    let other_body = github(KEY, "Hello, world!");
    let short = &SIGNATURE[..SIGNATURE.len() - 1];
    for (headers, said) in [
        (&[][..], "the header x-hub-signature-256 with the signature is missing"),
        (&[("x-hub-signature", SIGNATURE)], "is missing"),
        (&[(HEADER, "")], "is malformed; it has the form sha256=<64 hexadecimal digits>"),
        (&[(HEADER, "\u{e9}")], "is malformed"),
        (&[(HEADER, short)], "is malformed"),
        (&[(HEADER, &wrong_key)], "the signature does not match"),
        (&[(HEADER, &other_body)], "the signature does not match"),
    ] {
        let (code, message) = scene.post(headers, BODY).await.refused(401);
        assert_eq!(code, "invalid_signature", "{headers:?}");
        assert!(message.contains(said), "{headers:?}: {message}");
    }
    assert_eq!(watch.version().await, version, "a forged request wrote");
    assert_eq!(scene.runs().await, 0);
    // It is the signature that was wrong.
    scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
}

#[tokio::test]
async fn a_repeated_delivery_is_answered_with_the_runs_of_the_first() {
    let scene = Scene::new(json!({"form": "github"})).await;
    let first = scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
    for _ in 0..2 {
        let again = scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
        assert_eq!(again, json!({"runs": first["runs"], "duplicate": true}));
    }
    assert_eq!(scene.runs().await, 1);
    // The sender's own key is not signed, and does not make a new request of it.
    let headers = [(HEADER, SIGNATURE), ("idempotency-key", "new")];
    assert_eq!(scene.post(&headers, BODY).await.ok()["duplicate"], true);
}

#[tokio::test]
async fn many_equal_deliveries_at_once_start_one_run() {
    let scene = Scene::new(json!({"form": "timestamped"})).await;
    let signature = timestamped(KEY, BODY, 0);
    let headers = [("runner-signature", signature.as_str())];
    let post = || scene.post(&headers, BODY);
    let (a, b, c, d) = tokio::join!(post(), post(), post(), post());
    let answers = [a, b, c, d].map(Answer::ok);
    let first = Scene::only_run(&answers[0]);
    assert!(answers.iter().all(|answer| Scene::only_run(answer) == first), "{answers:?}");
    let duplicates = answers.iter().filter(|answer| answer["duplicate"] == true).count();
    assert_eq!((duplicates, scene.runs().await), (3, 1));
}

#[tokio::test]
async fn a_signed_time_must_be_near() {
    let scene = Scene::new(json!({"form": "timestamped", "tolerance_seconds": 60})).await;
    for (seconds, said) in [(-70, "more than 60 seconds ago"), (70, "in the future")] {
        let signature = timestamped(KEY, BODY, seconds);
        let refused = scene.post(&[("runner-signature", &signature)], BODY).await;
        let (code, message) = refused.refused(401);
        assert_eq!(code, "invalid_signature");
        assert!(message.contains(said), "{message}");
    }
    // Another time with the signature of this one is no way around it.
    let signature = timestamped(KEY, BODY, -70);
    let now = Timestamp::now().as_millis() / 1000;
    let (_, tail) = signature.split_once(',').expect("two parts");
    let refused = scene.post(&[("runner-signature", &format!("t={now},{tail}"))], BODY).await;
    assert!(refused.refused(401).1.contains("does not match"));
    let signature = timestamped(KEY, BODY, -30);
    scene.post(&[("runner-signature", &signature)], BODY).await.ok();
}

#[tokio::test]
async fn an_unsigned_hook_takes_any_body_and_the_senders_own_key() {
    let scene = Scene::new(json!({"unsigned": true})).await;
    for (body, scope) in [
        (&b""[..], json!([])),
        (b"[1, {\"a\": null}]", json!([1, {"a": null}])),
        (b"a=1&b=2", json!([{"body": "a=1&b=2"}])),
        (b"\xff", json!([{"body_base64": "/w=="}])),
    ] {
        let answer = scene.post(&[], body.to_vec()).await.ok();
        assert_eq!(scene.ended(&answer).await["result"], scope);
    }
    let key = [("idempotency-key", "order-7")];
    let first = scene.post(&key, "{}").await.ok();
    let again = scene.post(&key, "{}").await.ok();
    assert_eq!(again, json!({"runs": first["runs"], "duplicate": true}));
    assert_eq!(scene.post(&key, "[]").await.refused(422).0, "idempotency_key_reused");
    assert_eq!(
        scene.post(&[("idempotency-key", "")], "{}").await.refused(400).0,
        "invalid_request"
    );
    assert_eq!(scene.runs().await, 5);
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_refused() {
    let scene = Scene::new(json!({"form": "github"})).await;
    let longest = "x".repeat(1 << 20);
    let over = format!("{longest}x");
    let signature = github(KEY, &over);
    let refused = scene.post(&[(HEADER, &signature)], over).await;
    assert_eq!(refused.refused(413).0, "too_large");
    let signature = github(KEY, &longest);
    scene.post(&[(HEADER, &signature)], longest).await.ok();
}

#[tokio::test]
async fn what_is_no_hook_is_told_in_one_way() {
    let scene = Scene::new(json!({"form": "github"})).await;
    let interval = json!({
        "name": "not a hook",
        "type": "interval",
        "trigger": [{"interval": "1 hour"}],
        "action": {"type": "script", "script": [scene.analysis]},
    });
    let other = text(&scene.api.post("/action", interval).await.ok()["action"]);
    scene.edit(json!({"active": false})).await;
    let mut answers = Vec::new();
    for id in [&other, &scene.action, "ffffffffffffffffffffffff", "no-id"] {
        let request = Request::post(format!("/hook/{id}")).header(HEADER, SIGNATURE);
        let answer = scene.api.send(request.body(BODY.into()).expect("a request")).await;
        answers.push(answer.refused(404));
    }
    let expected = ("not_found".to_owned(), "there is no such hook".to_owned());
    assert!(answers.iter().all(|answer| *answer == expected), "{answers:?}");
    let got = scene.api.get(&format!("/hook/{}", scene.action)).await;
    assert_eq!(got.refused(405).0, "method_not_allowed");
    scene.edit(json!({"active": true})).await;
    scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
}

#[tokio::test]
async fn a_delivery_that_could_start_nothing_may_come_again() {
    let scene = Scene::new(json!({"form": "github"})).await;
    let analysis = format!("/analysis/{}", scene.analysis);
    scene.api.put(&analysis, json!({"active": false})).await.ok();
    let (code, message) = scene.post(&[(HEADER, SIGNATURE)], BODY).await.refused(503);
    assert_eq!(code, "unavailable");
    assert!(!message.contains(&scene.analysis), "{message}");
    assert_eq!(scene.shown().await["fault"]["code"], "inactive_analysis");
    scene.api.put(&analysis, json!({"active": true})).await.ok();
    let answer = scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
    assert!(answer.get("duplicate").is_none(), "{answer}");
    assert_eq!(scene.ended(&answer).await["state"], "succeeded");
    assert!(scene.shown().await.get("fault").is_none());
}

#[tokio::test]
async fn of_two_analyses_the_one_that_can_start_is_what_a_repetition_is_answered_with() {
    let scene = Scene::new(json!({"form": "github"})).await;
    let empty = text(&scene.api.post("/analysis", json!({"name": "empty"})).await.ok()["id"]);
    let script = json!({"type": "script", "script": [empty, scene.analysis]});
    scene.edit(json!({"action": script})).await;
    let first = scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
    assert_eq!(scene.ended(&first).await["analysis"], scene.analysis.as_str());
    let again = scene.post(&[(HEADER, SIGNATURE)], BODY).await.ok();
    assert_eq!(again, json!({"runs": first["runs"], "duplicate": true}));
}

#[test]
fn a_server_takes_a_delivery_without_a_token() {
    let place = Place::new();
    let module = place.file("echo.wasm", by_hand::echo());
    place.run(["analysis", "create", "echo", "--module", path(&module)]).ok();
    let secret = ["secret", "create", "HOOK_KEY", "--tag", "a=b", "--value-stdin"];
    place.run_with(secret, KEY).ok();
    let id = |command: &str| {
        let listed: Value = serde_json::from_str(&place.run([command, "list", "--json"]).ok())
            .expect("the list is JSON");
        text(&listed[0]["id"])
    };
    let trigger = json!({"secret": id("secret"), "form": "github"});
    let action = webhook(&id("analysis"), &trigger);
    let server = place.serve();
    let token = place.run(["token", "create", "--role", "administrator"]).ok();
    let post = |path: &str, headers: &str, body: &str| {
        super::queue::exchange(&server.url, "POST", path, headers, body).expect("an answer")
    };
    let token = format!("token: {}\r\ncontent-type: application/json\r\n", token.trim());
    let made = post("/action", &token, &action.to_string());
    let hook = text(&made["result"]["hook"]);
    let forged = post(&hook, "", BODY);
    assert_eq!(forged["code"], "invalid_signature", "{forged}");
    let taken = post(&hook, &format!("{HEADER}: {SIGNATURE}\r\n"), BODY);
    let run = Scene::only_run(&taken["result"]);
    let shown = place.run(["run", "show", &run, "--json"]).ok();
    assert!(shown.contains(r#""webhook""#), "{shown}");
    server.stop();
}
