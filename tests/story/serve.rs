//! `runner serve`, the data directory that it holds, and the settings of every command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::cli::{finish, path};
use super::harness::{Place, RUNNER, text};

#[test]
fn serve_says_where_it_listens_and_refuses_what_others_can_reach() {
    let place = Place::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let refused = place.run(["serve", "--listen", address]);
        assert_eq!(refused.code(), 2, "{address}");
        assert!(refused.stderr().contains("--insecure-http"), "{}", refused.stderr());
    }
    assert!(!place.data().exists(), "a refused server opened its data directory");
    let server = place.serve();
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    let socket = fs::metadata(place.data().join("runner.sock")).expect("the socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    assert_eq!(place.run(["token", "list", "--json"]).ok(), "[]\n", "no token is made by itself");
    let status = place.run(["secret", "list", "--server", "http://192.0.2.1:80"]);
    assert_eq!(status.code(), 2, "plain HTTP to another machine");
    assert!(status.stderr().contains("--insecure-http"), "{}", status.stderr());
    server.stop();
    assert!(!place.data().join("runner.sock").exists(), "the socket stays behind");
}

#[test]
fn a_second_server_on_the_same_data_directory_is_refused() {
    let place = Place::new();
    let server = place.serve();
    let second = place.run(["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!((second.code(), second.stdout().as_str()), (6, ""));
    let stderr = second.stderr();
    assert!(stderr.contains("in use by another process"), "{stderr}");
    assert!(stderr.contains(path(&place.data())), "{stderr}");
    // The first one is none the worse for it.
    place.run(["secret", "list"]).ok();
    server.kill();
    // One that was killed leaves its socket behind, and that is in nobody's way.
    assert!(place.data().join("runner.sock").exists());
    place.run(["secret", "list"]).ok();
    place.serve().stop();
}

#[test]
fn commands_at_the_same_time_wait_for_each_other() {
    let place = Place::new();
    let children: Vec<_> = (0..6)
        .map(|number| {
            let name = format!("analysis-{number}");
            let mut command = place.command(["analysis", "create", &name]);
            command.stdout(std::process::Stdio::null()).spawn().expect("the binary starts")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    assert_eq!(place.run(["analysis", "list"]).ok().lines().count(), 7);
}

#[test]
fn settings_come_from_defaults_the_file_variables_and_flags() {
    let place = Place::new();
    let show = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = place.command([&["config", "--json"], args].concat());
        command.envs(variables.iter().copied());
        let Output { stdout, stderr, status } = command.output().expect("the command runs");
        let stderr = String::from_utf8(stderr).expect("text");
        let settings = serde_json::from_slice::<Value>(&stdout).unwrap_or_default();
        (status.code(), settings, stderr)
    };
    let (_, settings, _) = show(&[], &[]);
    assert_eq!(
        settings["guests"],
        json!({
            "value": "64", "origin": "default", "about": "guests that run at the same time",
        })
    );
    assert_eq!(settings["data"]["origin"], "RUNNER_DATA");
    assert_eq!(settings["data"]["value"], path(&place.data()));

    let file =
        place.file("runner.toml", "guests = 3\nlisten = \"127.0.0.1:1\"\nmax_variables = 5\n");
    let config = ["--config", path(&file)];
    let variables = [("RUNNER_LISTEN", "127.0.0.1:2"), ("RUNNER_GUESTS", "")];
    let (_, settings, _) = show(&[&config[..], &["--data", "/from/flag"]].concat(), &variables);
    let shown = |name: &str| (text(&settings[name]["value"]), text(&settings[name]["origin"]));
    assert_eq!(shown("guests"), ("3".into(), path(&file).into()), "an empty variable is none");
    assert_eq!(shown("listen"), ("127.0.0.1:2".into(), "RUNNER_LISTEN".into()));
    assert_eq!(shown("data"), ("/from/flag".into(), "flag".into()));
    let (_, settings, _) = show(&[], &[("RUNNER_CONFIG", path(&file))]);
    assert_eq!(settings["max_variables"]["value"], "5");
    let table = place.run([&["config"], &config[..]].concat()).ok();
    assert!(table.starts_with("SETTING") && table.contains("guests"), "{table}");
    assert!(!place.data().exists(), "showing settings opens nothing");

    for (content, words) in [
        ("gusets = 3", "unknown setting \"gusets\""),
        ("[guests]\nx = 1", "guests"),
        ("guests = 0", "from 1 to 4096"),
        ("guests = ", "not TOML"),
    ] {
        fs::write(&file, content).expect("written");
        for command in [&["config"][..], &["secret", "list"], &["serve"]] {
            let refused = place.run([command, &config[..]].concat());
            assert_eq!(refused.code(), 2, "{content}: {command:?}");
            assert!(refused.stderr().contains(words), "{content}: {}", refused.stderr());
        }
    }
    let (code, _, stderr) = show(&[], &[("RUNNER_GUESTS", "many")]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("RUNNER_GUESTS") && stderr.contains("\"many\""), "{stderr}");
    assert_eq!(show(&["--config", "/nowhere"], &[]).0, Some(2));
    let inside = place.data().join("root.key");
    let (code, _, stderr) = show(&["--root-key", path(&inside)], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("inside the data directory"), "{stderr}");
}

#[test]
fn the_data_directory_is_found_by_flag_variable_and_home() {
    let place = Place::new();
    let home = place.data().with_file_name("home");
    let run = |args: &[&str], variables: &[(&str, &Path)]| {
        let mut command = Command::new(RUNNER);
        command.args(["secret", "list"]).args(args).env_clear();
        command.envs(variables.iter().copied());
        finish(command, "")
    };
    run(&[], &[("HOME", &home)]).ok();
    assert!(home.join(".local/share/runner/runner.db").is_file());
    assert!(home.join(".config/runner/root.key").is_file());
    let (data, config) = (home.join("x"), home.join("c"));
    run(&[], &[("HOME", &home), ("XDG_DATA_HOME", &data), ("XDG_CONFIG_HOME", &config)]).ok();
    assert!(data.join("runner/runner.db").is_file() && config.join("runner/root.key").is_file());
    let flag = home.join("flag");
    run(&["--data", path(&flag)], &[("HOME", &home), ("RUNNER_DATA", &data)]).code();
    assert!(flag.exists() && !data.join("runner.db").exists(), "the flag beats the variable");
    let mode = fs::metadata(home.join(".local/share/runner")).expect("the folder").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
    let nowhere = run(&[], &[]);
    assert_eq!(nowhere.code(), 2);
    assert!(nowhere.stderr().contains("set HOME"), "{}", nowhere.stderr());
}

#[test]
fn a_newer_data_directory_is_left_alone() {
    let place = Place::new();
    place.run(["secret", "list"]).ok();
    fs::write(place.data().join("FORMAT"), "999\n").expect("written");
    let refused = place.run(["secret", "list"]);
    assert_eq!(refused.code(), 5);
    assert!(refused.stderr().contains("999"), "{}", refused.stderr());
    let refused = place.run(["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code(), 5);
}
