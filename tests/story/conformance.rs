//! The API answers as it describes itself, whatever it is asked: schemathesis asks, with right
//! requests for everything there is, with what follows from the description, and with what does not.

use std::fs;
use std::path::Path;
use std::process::Command;

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Ended, text, tool};
use crate::http::world::{OF_GUESTS, World, operations};

/// What must hold for each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,response_schema_conformance,\
     content_type_conformance";

/// How many requests are made up for each operation beside those that cover its description.
const MADE_UP: &str = "10";

/// Operations that nobody can have succeed from outside, or whose answer has no end.
const OF_OTHERS: [&str; 3] = [OF_GUESTS, "/analysis/{id}/module", ENDLESS];

/// The one whose answer goes on for ever, so that no trial of it ends.
const ENDLESS: &str = "/events";

/// The description with a right request for each operation as its examples.
fn with_examples(world: &World) -> Value {
    let mut description = serde_json::to_value(runner::api::description()).expect("it is JSON");
    for (method, template) in operations() {
        let operation = &mut description["paths"][&template][method.as_str().to_lowercase()];
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let example = match parameter["name"].as_str() {
                Some("id") if template == "/device/token/{id}" && method == Method::DELETE => {
                    json!(world.device_token)
                }
                Some("id") => json!(world.id_for(&template)),
                Some("token") => json!(world.spare_token),
                Some("type") => json!("secrets"),
                Some("query") => json!("last_item"),
                // A schema says enough about the others.
                _ => continue,
            };
            parameter["example"] = example;
        }
        if let Some(body) = world.body(&method, &template) {
            operation["requestBody"]["content"]["application/json"]["example"] = body;
        }
    }
    description
}

/// Lets schemathesis loose on the operations with these methods, and answers what it said.
fn try_all(folder: &Path, url: &str, token: &str, methods: &[&str]) -> String {
    let mut trial = Command::new(tool("schemathesis").join("st"));
    trial.args(["--no-color", "run", "description.json", "--url", url, "--checks", CHECKS]);
    trial.args(["--header", &format!("token: {token}"), "--seed", "1"]);
    trial.args(["--phases", "examples,coverage,fuzzing", "--max-examples", MADE_UP]);
    trial.args(["--warnings", "off", "--suppress-health-check", "all", "--no-shrink"]);
    trial.args(["--continue-on-failure", "--request-timeout", "60", "--exclude-path", ENDLESS]);
    trial.args(methods).current_dir(folder).env("NO_PROXY", "127.0.0.1").env_remove("PYTHONPATH");
    let ended = Ended(trial.output().expect("schemathesis starts"));
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout(), ended.stderr());
    ended.stdout()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_undocumented_and_none_is_a_failure_of_the_server() {
    let world = World::new().await;
    let url = format!("http://{}", world.api.listen().await);
    // Not the world's own administrator, whose token is among what is deleted.
    let new = json!({"name": "trial", "role": "administrator"});
    let token = text(&world.api.post("/tokens", new).await.ok()["token"]);
    let folder = tempfile::tempdir().expect("a folder");
    let description = with_examples(&world).to_string();
    fs::write(folder.path().join("description.json"), description).expect("a file");
    // Only the token of a device opens these.
    let device = format!(
        "[[operations]]\ninclude-path = \"/data\"\nheaders = {{ token = \"{}\" }}\n",
        world.device_token
    );
    fs::write(folder.path().join("schemathesis.toml"), device).expect("a file");
    let trials = tokio::task::spawn_blocking(move || {
        // What deletes comes last: the others need what is deleted.
        let made = try_all(folder.path(), &url, &token, &["--exclude-method", "DELETE"]);
        let deleted = try_all(folder.path(), &url, &token, &["--include-method", "DELETE"]);
        [made, deleted]
    });
    for said in trials.await.expect("both trials end") {
        let counted = said.lines().find(|line| line.contains("generated"));
        println!("schemathesis: {}", counted.unwrap_or(&said).trim());
    }
    // Refusals alone would prove little.
    let metrics = world.api.runner.metrics().text(&[]).expect("metrics");
    for (method, template) in operations() {
        let succeeded =
            |status: &str| metrics.contains(&format!("route=\"{template}\",status=\"{status}\""));
        let any = ["200", "201"].into_iter().any(succeeded);
        assert!(any || OF_OTHERS.contains(&&*template), "{method} {template} never succeeded");
    }
}
