//! The original's own SDKs, unmodified, against the real server.

#[cfg(feature = "javascript")]
mod guest;
mod methods;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Place, Server, repository, sample};
use crate::http::world::holds;

/// The folder of the scripts, with the SDKs in it as the lock file says.
fn installed() -> PathBuf {
    packages("tests/sdk")
}

/// This folder of the repository, with the packages in it as its lock file says.
pub fn packages(folder: &str) -> PathBuf {
    let folder = repository().join(folder);
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm.lock"));
    let lock = lock.expect("a lock file");
    // Stories run in several processes.
    lock.lock().expect("the lock");
    let wanted = fs::read(folder.join("package-lock.json")).expect("a lock file of npm");
    let mark = folder.join("node_modules/.installed-lock.json");
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return folder;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    let done = npm.current_dir(&folder).output();
    let done = done.expect("npm is missing; install Node.js 20 or newer with its npm");
    assert!(done.status.success(), "npm ci: {}", String::from_utf8_lossy(&done.stderr));
    fs::write(mark, wanted).expect("the mark");
    folder
}

/// A script that uses an SDK on this server, with an administrator's token.
fn script(program: impl AsRef<OsStr>, server: &Server, token: &str) -> Command {
    let mut script = Command::new(program);
    script.env("NO_PROXY", "127.0.0.1,localhost");
    // One attempt: a failure of the server shall not be hidden by another try.
    script.env("TAGOIO_REQUEST_ATTEMPTS", "1");
    for name in ["T_ANALYSIS_CONTEXT", "TAGOIO_API", "TAGOIO_SSE", "NODE_OPTIONS", "PYTHONPATH"] {
        script.env_remove(name);
    }
    script.env("RUNNER_URL", &server.url).env("RUNNER_TOKEN", token.trim());
    script
}

#[test]
fn the_unmodified_sdk_of_the_original_tells_the_whole_story() {
    let folder = installed();
    let module = sample("verify-webhook");
    let samples = repository().join("sample-analyses/verify-webhook");
    let read = |name: &str| fs::read_to_string(samples.join(name)).expect("a file of the sample");
    let secrets: serde_json::Value = serde_json::from_str(&read("secrets.json")).expect("JSON");
    let value = secrets[0]["value"].as_str().expect("a value");

    let place = Place::new();
    let server = place.serve();
    let token = place.run(["token", "create", "--role", "administrator"]).ok();
    let mut story = script("node", &server, &token);
    story.arg("story.mjs").current_dir(&folder);
    story.env("RUNNER_MODULE", &module).env("RUNNER_SCOPE", read("scope.json"));
    story.env("RUNNER_SECRET", value);
    let told = story.output().expect("node is missing; install Node.js 20 or newer");
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{said}{}", String::from_utf8_lossy(&told.stderr));
    let answers: u32 = said.trim().parse().expect("the number of answers");
    assert!(answers > 90, "{answers}");
    // Nor does it stand in a file, while the server runs and after.
    assert!(!holds(&place.data(), value.as_bytes()));
    server.stop();
    assert!(!holds(&place.data(), value.as_bytes()));
    let in_files = place.store().is_none();
    assert_eq!(
        holds(&place.data(), b"UNRELATED"),
        in_files,
        "the search finds what is kept as text"
    );
}
