//! `runner exec`, and what runs are given by flags: variables, scope, time.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::by_hand;
use super::cli::{finish, make, path};
use super::harness::{Place, text};

#[test]
fn exec_of_a_module_opens_no_data_directory() {
    let place = Place::new();
    let module = place.file("echo.wasm", by_hand::echo());
    let ended = place.run(["exec", path(&module), "--scope", "{\"n\": 1.50}"]);
    assert_eq!((ended.code(), ended.stderr().as_str()), (0, "a word\n"));
    assert_eq!(ended.stdout(), "{\"n\": 1.50}\n");
    assert!(!place.data().exists(), "a data directory was made");
    assert!(!place.root_key().exists(), "a root key was made");
    // Nor is one that is there looked at, or waited for.
    let _server = place.serve();
    place.run(["exec", path(&module)]).ok();
}

#[test]
fn exec_of_a_module_shows_it_the_given_variables_and_nothing_else() {
    let place = Place::new();
    let module = place.file("prints.wasm", by_hand::prints_its_environment());
    let file = place.file("local.env", "B=file\nC='from # file'\n");
    let line = ["exec", path(&module), "--env", "A=flag", "--env", "B=flag=x", "--env-file"];
    let mut command = place.command([&line[..], &[path(&file)]].concat());
    command.env("SECRET_OF_THE_HOST", "hush").env("T_ANALYSIS_X", "hush");
    let ended = finish(command, "");
    assert_eq!(ended.stdout(), "", "a command has no result");
    let printed = ended.stderr();
    let own: Vec<_> = printed.lines().take_while(|line| !line.starts_with("T_ANALYSIS")).collect();
    assert_eq!(own, ["A=flag", "B=flag=x", "C=from # file"]);
    assert!(!printed.contains("hush") && !printed.contains("HOME="), "{printed}");
    assert!(printed.contains("T_ANALYSIS_DATA=[]\n") && printed.ends_with("\n[]\n"), "{printed}");
    for wrong in [&["--env", "A"][..], &["--env", "_x=1"], &["--env", "A=1", "--env", "A=2"]] {
        assert_eq!(place.run([&["exec", path(&module)], wrong].concat()).code(), 2, "{wrong:?}");
    }
}

#[test]
fn the_env_flag_beats_the_file_which_beats_variables_which_beat_secrets() {
    let place = Place::new();
    make(&place, "prints", by_hand::prints_its_environment());
    for key in ["A", "B", "C", "D"] {
        let line = ["secret", "create", key, "--tag", "team=x", "--value-stdin"];
        place.run_with(line, "from-the-secret").ok();
    }
    place.run(["policy", "grant", "prints", "--tag", "team=x"]).ok();
    let set = ["analysis", "variable", "set", "prints", "A=variable", "B=variable", "C=variable"];
    place.run(set).ok();
    let file = place.file("local.env", "A=file\nB=file\n");
    let exec = ["exec", "--analysis", "prints", "--env", "A=flag", "--env-file", path(&file)];
    let ended = place.run(exec);
    assert_eq!((ended.code(), ended.stdout().as_str()), (0, ""));
    let printed = ended.stderr();
    let seen: Vec<_> = printed.lines().take(4).collect();
    assert_eq!(seen, ["A=flag", "B=file", "C=variable", "D=[secret D]"], "{printed}");
    // The record says where each came from.
    let run = place.run(["run", "list", "--limit", "1", "--json"]).ok();
    let run: Value = serde_json::from_str(&run).expect("JSON");
    let origins: Vec<_> = run[0]["environment"].as_array().expect("a list").iter().collect();
    let origins: Vec<_> = origins.iter().take(4).map(|entry| text(&entry["origin"])).collect();
    assert_eq!(origins, ["variable", "variable", "variable", "secret"]);
    // Nothing of it stays.
    let listed = place.run(["analysis", "variable", "list", "prints"]).ok();
    assert!(!listed.contains("flag") && !listed.contains("file"), "{listed}");
}

#[test]
fn a_scope_is_text_a_file_or_stdin_and_keeps_its_digits() {
    let place = Place::new();
    let module = place.file("echo.wasm", by_hand::echo());
    make(&place, "echo", by_hand::echo());
    let file = place.file("scope.json", " {\"n\": 12345678901234567890.10} \n");
    let at_file = format!("@{}", path(&file));
    for start in
        [&["exec", path(&module)][..], &["run", "start", "echo"], &["exec", "--analysis", "echo"]]
    {
        let result =
            |scope: &[&str], stdin: &str| place.run_with([start, scope].concat(), stdin).ok();
        assert_eq!(result(&[], ""), "[]\n", "{start:?}");
        assert_eq!(result(&["--scope", "-1"], ""), "-1\n");
        assert_eq!(result(&["--scope", "{\"a\": \"ü\"}"], ""), "{\"a\": \"ü\"}\n");
        assert_eq!(result(&["--scope", &at_file], ""), "{\"n\": 12345678901234567890.10}\n");
        assert_eq!(result(&["--scope", "-"], "[1e400]"), "[1e400]\n");
        for (scope, stdin) in [("{'a': 1}", ""), ("@nowhere", ""), ("-", "{"), ("-", "")] {
            let ended = place.run_with([start, &["--scope", scope]].concat(), stdin);
            assert_eq!((ended.code(), ended.stdout().as_str()), (2, ""), "{scope} {stdin}");
        }
    }
}

#[test]
fn a_timeout_stops_a_run_and_never_prolongs_it() {
    let place = Place::new();
    let module = place.file("loops.wasm", by_hand::loops());
    make(&place, "loops", by_hand::loops());
    for run in [&["exec", path(&module)][..], &["exec", "--analysis", "loops"]] {
        let started = Instant::now();
        let ended = place.run([run, &["--timeout", "0.3"]].concat());
        assert_eq!((ended.code(), ended.stdout().as_str()), (1, ""), "{}", ended.stderr());
        assert!(ended.stderr().contains("within 300 ms"), "{}", ended.stderr());
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        for wrong in ["0", "-1", "soon", "inf"] {
            assert_eq!(place.run([run, &["--timeout", wrong]].concat()).code(), 2, "{wrong}");
        }
    }
    place.run(["analysis", "edit", "loops", "--limit", "wall_time_ms=200"]).ok();
    let ended = place.run(["exec", "--analysis", "loops", "--timeout", "5"]);
    assert!(ended.stderr().contains("within 200 ms"), "{}", ended.stderr());
}
