//! Runs and `exec` against a scripted API.

use serde_json::{Value, json};

use super::fake::Fake;
use crate::fault::FaultCode;

const ID: &str = "0123456789abcdef01234567";
const RUN: &str = "00ff00ff00ff00ff00ff00ff";

fn run(state: &str, more: Value) -> Value {
    let mut run = json!({"id": RUN, "analysis": ID, "state": state, "attempts": 1,
        "cause": {"kind": "api", "by": "token:1"}, "created_at": "2026-01-31T08:00:00.007Z"});
    let run_fields = run.as_object_mut().unwrap();
    run_fields.extend(more.as_object().unwrap().clone());
    run
}

fn lines(texts: &[&str]) -> Value {
    let line = |text| {
        json!({"time": "2026-01-31T08:00:00.007Z", "stream": "stdout",
        "level": "info", "text": text})
    };
    json!({ "console": texts.iter().map(line).collect::<Vec<_>>() })
}

fn with(mut value: Value, key: &str, more: Value) -> Value {
    value[key] = more;
    value
}

#[tokio::test]
async fn start_waits_shows_each_line_once_and_prints_the_result_alone() {
    let started = json!({"analysis_token": "a-x", "run": run("running", lines(&["one"]))});
    let done = run("succeeded", with(lines(&["one", "two\n"]), "result", json!({"valid": true})));
    let fake = Fake::new()
        .answer("GET", "/analysis", json!([{"id": ID, "name": "x"}]))
        .answer("POST", &format!("/analysis/{ID}/run"), started)
        .answer("GET", &format!("/runs/{RUN}"), run("running", lines(&["one"])))
        .answer("GET", &format!("/runs/{RUN}"), done);
    let ended = fake.command(&["run", "start", "x", "--scope", "{\"n\": 1}"]).await;
    assert_eq!(ended.stdout, "{\"valid\":true}\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (0, "one\ntwo\n"));
    assert_eq!(fake.body(&format!("POST /analysis/{ID}/run")), json!({"scope": {"n": 1}}));
    for asked in &fake.requests()[1..] {
        assert_eq!(asked.query, [("wait".into(), "50".into())], "{}", asked.line);
    }
}

#[tokio::test]
async fn a_finished_run_without_its_console_is_asked_for_once_more() {
    let started = json!({"analysis_token": "a-x", "run": run("succeeded", json!({}))});
    let fake = Fake::new().answer("POST", &format!("/analysis/{ID}/run"), started).answer(
        "GET",
        &format!("/runs/{RUN}"),
        run("succeeded", lines(&["late"])),
    );
    let ended = fake.command(&["run", "start", ID]).await;
    let seen = (ended.code, ended.stdout.as_str(), ended.stderr.as_str());
    assert_eq!(seen, (0, "", "late\n"));
    assert_eq!(fake.body(&format!("POST /analysis/{ID}/run")), json!({}));
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn detach_prints_the_id_and_asks_nothing_more() {
    let fake = Fake::new().answer(
        "POST",
        &format!("/analysis/{ID}/run"),
        json!({"analysis_token": "a-x", "run": RUN}),
    );
    let ended = fake.command(&["run", "start", ID, "--detach"]).await;
    assert_eq!((ended.stdout, fake.requests().len()), (format!("{RUN}\n"), 1));
    assert!(fake.requests()[0].query.is_empty());
}

#[tokio::test]
async fn each_fault_becomes_its_exit_code_and_one_line() {
    for code in FaultCode::ALL {
        let fault = json!({"blame": code.blame(), "code": code, "message": "said so"});
        let failed = run("failed", with(lines(&[]), "fault", fault));
        let fake = Fake::new().answer("POST", &format!("/analysis/{ID}/exec"), failed);
        let ended = fake.command(&["exec", "--analysis", ID]).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (code.exit_code(), ""), "{code}");
        assert_eq!(ended.stderr, format!("error: the run failed ({code}): said so\n"));
    }
    for (blame, code) in [("analysis", 1), ("policy", 3), ("store", 5), ("host", 70), ("?", 70)] {
        let fault = json!({"blame": blame, "code": "from_the_future", "message": "said so"});
        let failed = run("failed", with(lines(&[]), "fault", fault));
        let fake = Fake::new().answer("POST", &format!("/analysis/{ID}/exec"), failed);
        assert_eq!(fake.command(&["exec", "--analysis", ID]).await.code, code, "{blame}");
    }
    for (state, code) in [("failed", 70), ("cancelled", 1)] {
        let ended = run(state, lines(&[]));
        let fake = Fake::new().answer("POST", &format!("/analysis/{ID}/exec"), ended);
        assert_eq!(fake.command(&["exec", "--analysis", ID]).await.code, code, "{state}");
    }
}

#[tokio::test]
async fn with_json_a_failed_run_is_still_printed_whole() {
    let fault = json!({"blame": "analysis", "code": "trap", "message": "unreachable"});
    let failed = run("failed", with(lines(&["before"]), "fault", fault));
    let fake = Fake::new().answer("POST", &format!("/analysis/{ID}/exec"), failed.clone());
    let ended = fake.command(&["--json", "exec", "--analysis", ID]).await;
    assert_eq!(ended.code, 1);
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout).unwrap(), failed);
    assert_eq!(ended.stderr, "before\nerror: the run failed (trap): unreachable\n");
}

#[tokio::test]
async fn exec_lays_flags_over_the_file_and_sends_module_scope_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (env_file, module) = (write("x.env", b"A=file\nB=file\n"), write("x.wasm", b"\0asm"));
    let result = with(lines(&[]), "result", json!("ok"));
    let fake =
        Fake::new().answer("POST", &format!("/analysis/{ID}/exec"), run("succeeded", result));
    let flags = ["--env", "A=flag", "--env", "C=c=c", "--env-file", &env_file];
    let rest = ["--scope", "-", "--timeout", "1.5"];
    let line = [&["exec", module.as_str(), "--analysis", ID][..], &flags, &rest].concat();
    let ended = fake.command_with(&line, "[1]").await;
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "\"ok\"\n"), "{ended:?}");
    let environment = json!([
        {"key": "B", "value": "file"},
        {"key": "A", "value": "flag"},
        {"key": "C", "value": "c=c"},
    ]);
    let expected = json!({"module": "AGFzbQ==", "scope": [1], "environment": environment,
        "wall_time_ms": 1500});
    assert_eq!(fake.body(&format!("POST /analysis/{ID}/exec")), expected);
    // Stored variables are the weakest: what is not given is not sent, and the API adds them.
    fake.command(&["exec", "--analysis", ID]).await;
    assert_eq!(fake.body(&format!("POST /analysis/{ID}/exec")), json!({}));
}

#[tokio::test]
async fn a_hostile_console_cannot_drive_the_terminal() {
    let done = run("succeeded", lines(&["\u{1b}]0;owned\u{7}"]));
    let lines = done["console"].clone();
    let fake = Fake::new().answer("POST", &format!("/analysis/{ID}/exec"), done).answer(
        "GET",
        "/runs/00ff/console",
        lines,
    );
    let ended = fake.command(&["exec", "--analysis", ID]).await;
    assert_eq!(ended.stderr, "\\u{1b}]0;owned\\u{7}\n");
    let ended = fake.command(&["run", "console", "00ff"]).await;
    assert_eq!(ended.stdout, "2026-01-31T08:00:00.007Z stdout  info  \\u{1b}]0;owned\\u{7}\n");
}

#[tokio::test]
async fn following_prints_each_line_and_ends_well_however_the_run_ended() {
    let line = &lines(&["one"])["console"][0];
    let at = format!("/runs/{RUN}/console");
    let follow = ["run", "console", RUN, "--follow"];
    let stream = format!("id: 1\ndata: {line}\n\nevent: end\ndata: {{\"state\":\"failed\"}}\n\n");
    let fake = Fake::new().put("GET", &at, 200, stream);
    let ended = fake.command(&follow).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout, "2026-01-31T08:00:00.007Z stdout  info  one\n");
    assert_eq!(fake.requests()[0].query, [("follow".into(), "true".into())]);
    let ended = fake.command(&[&follow[..], &["--json"]].concat()).await;
    assert_eq!(ended.stdout, format!("{line}\n"));

    let refused = json!({"status": false, "message": "gone", "code": "not_found"});
    let stream = format!("event: failure\ndata: {refused}\n\n");
    let ended = Fake::new().put("GET", &at, 200, stream).command(&follow).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (3, "error: gone\n"));
    let ended = Fake::new().put("GET", &at, 200, ": \n\n").command(&follow).await;
    assert_eq!(ended.code, 6, "{ended:?}");
    let ended = Fake::new().command(&follow).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (3, "error: not scripted\n"));
}

#[tokio::test]
async fn a_list_is_filtered_and_says_the_outcome() {
    let fault = json!({"blame": "analysis", "code": "trap", "message": "m"});
    let rows = json!([
        run("succeeded", json!({"duration_us": 1_840})),
        run("failed", json!({"fault": fault})),
    ]);
    let fake = Fake::new().answer("GET", "/runs", rows);
    let line = ["run", "list", "--analysis", ID, "--state", "failed", "--limit", "2"];
    let ended = fake.command(&line).await;
    let cells: Vec<Vec<&str>> =
        ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[1], [RUN, ID, "succeeded", "api", "2026-01-31T08:00:00Z", "1.84", "ms"]);
    assert_eq!(cells[2][2], "trap");
    let query = &fake.requests()[0].query;
    assert!(query.contains(&("filter[analysis]".into(), ID.into())), "{query:?}");
    assert!(query.contains(&("filter[state]".into(), "failed".into())), "{query:?}");
}

#[tokio::test]
async fn a_run_is_shown_and_deleted_by_the_beginning_of_its_id() {
    let environment = json!([{"key": "K", "origin": "secret", "version": 2},
        {"key": "_run_id", "origin": "system"}]);
    let shown = run("succeeded", json!({"environment": environment, "result": [1]}));
    let fake = Fake::new().answer("GET", "/runs/00ff", shown).answer(
        "DELETE",
        &format!("/runs/{RUN}"),
        json!("Successfully Removed"),
    );
    let ended = fake.command(&["run", "show", "00FF"]).await;
    assert!(ended.stdout.contains("environment  K (secret v2), _run_id (system)\n"), "{ended:?}");
    assert!(ended.stdout.contains("result       [1]\n"), "{ended:?}");
    let ended = fake.command(&["run", "delete", "00ff"]).await;
    assert_eq!(ended.stdout, format!("run {RUN} deleted\n"));
}
