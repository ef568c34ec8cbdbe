//! `Analysis.use` of the original's own SDKs, unmodified, against the real server.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::delivery::SECRET;
use crate::harness::{Place, Server, repository, text};
use crate::sdk::packages;

/// How long a listener, or a run, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of the listeners.
const FOLDER: &str = "tests/story/external/clients";

/// A listener in Node with this SDK.
fn node(sdk: &str) -> Command {
    let mut command = Command::new("node");
    command.arg("listen.mjs").current_dir(packages(FOLDER)).env("LISTENER_SDK", sdk);
    command
}

/// A listener in Python.
fn python() -> Command {
    let tool = Command::new(repository().join("scripts/tool")).arg("tagoio-sdk").output();
    let tool = tool.expect("scripts/tool starts");
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
    let programs = PathBuf::from(String::from_utf8(tool.stdout).expect("a path").trim());
    let mut command = Command::new(programs.join("python"));
    command.arg("-u").arg(repository().join(FOLDER).join("listen.py"));
    command
}

/// A listener that is connected; it is killed when dropped.
struct Listener(Child);

impl Listener {
    fn start(mut command: Command, url: &str, token: &str) -> Self {
        for name in ["T_ANALYSIS_CONTEXT", "T_ANALYSIS_TOKEN", "TAGOIO_API", "TAGOIO_SSE"] {
            command.env_remove(name);
        }
        command.env("NO_PROXY", "127.0.0.1,localhost").env("TAGOIO_REQUEST_ATTEMPTS", "1");
        command.env("LISTENER_URL", url).env("LISTENER_TOKEN", token);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("Node.js or Python is missing");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            // It says more than anybody waits for.
            output.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        let listener = Self(child);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = said.recv_timeout(left).expect("the listener says that it waits");
            if line.contains("Waiting for analysis trigger") {
                return listener;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An analysis outside with its environment, made with the command; answers id and token.
fn outside(place: &Place) -> (String, String) {
    let made = place.run(["analysis", "create", "outside", "--json", "--tag", "env=prod"]).ok();
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let id = text(&made["id"]);
    let edit = ["analysis", "edit", "outside", "--run-on", "external", "--external", "true"];
    let edited = place.run(edit);
    assert!(edited.stderr().contains("runner analysis token outside"), "{}", edited.stderr());
    edited.ok();
    let token = place.run(["analysis", "token", "outside"]).ok();
    for (key, value) in [("PLAIN", "plain"), ("BOTH", "of the variable")] {
        let set = format!("{key}={value}");
        place.run(["analysis", "variable", "set", "outside", &set]).ok();
    }
    let secret = ["secret", "create", "--tag", "env=prod", "--value-stdin"];
    for (key, value) in [("KEY", SECRET), ("BOTH", "of the secret")] {
        place.run_with([&secret[..], &[key]].concat(), value).ok();
    }
    let sent = [&secret[..], &["SENT", "--egress", "--host", "api.example.com"]].concat();
    place.run_with(sent, "sent-and-never-read").ok();
    place.run(["policy", "grant", "outside", "--tag", "env=prod"]).ok();
    (id, token.trim().to_owned())
}

/// Starts a run by this node's command, and answers it once its listener has printed.
fn delivered(place: &Place) -> Value {
    let started = place.run(["run", "start", "outside", "--scope", r#"[{"a":1}]"#]);
    let said = started.stderr();
    started.ok();
    assert!(said.contains("[delivered to 127.0.0.1:"), "{said}");
    let shown = place.run(["run", "list", "--state", "delivered", "--json"]).ok();
    let runs: Value = serde_json::from_str(&shown).expect("JSON");
    let run = text(&runs[0]["id"]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = place.run(["run", "show", &run, "--json"]).ok();
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        if shown["console"].as_array().is_some_and(|lines| lines.len() > 1) {
            return shown;
        }
        assert!(Instant::now() < deadline, "its lines did not come: {shown}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn tells(listener: Command, from: &Place, server: &Server) {
    let (id, token) = outside(from);
    let _listener = Listener::start(listener, &server.url, &token);
    for _ in 0..2 {
        let run = delivered(from);
        let lines = run["console"].as_array().expect("lines").iter();
        let lines: Vec<_> = lines.map(|line| text(&line["text"])).collect();
        let expected = [
            &format!("analysis {id}"),
            r#"scope [{"a":1}]"#,
            "plain plain",
            "both of the variable",
            &format!("key [secret KEY] of {}", SECRET.len()),
            "sent absent",
        ];
        assert_eq!(lines[1..], expected, "{run}");
    }
}

#[test]
fn the_sdk_12_0_0_for_node_listens_is_triggered_and_prints() {
    let place = Place::alone();
    let server = place.serve();
    tells(node("sdk-12.0.0"), &place, &server);
}

#[test]
fn the_newest_sdk_for_node_listens_is_triggered_and_prints() {
    let place = Place::alone();
    let server = place.serve();
    tells(node("sdk-newest"), &place, &server);
}

#[test]
fn the_sdk_for_python_listens_is_triggered_and_prints() {
    let place = Place::alone();
    let server = place.serve();
    tells(python(), &place, &server);
}

#[test]
fn a_listener_on_one_node_executes_what_is_started_on_another() {
    let place = Place::shared();
    let first = place.serve();
    let other = Place::node_of(&place);
    let second = other.serve();
    tells(node("sdk-12.0.0"), &place, &second);
    first.stop();
    second.stop();
}
