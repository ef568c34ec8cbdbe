//! Finds the JavaScript engine that the feature `javascript` puts into the binary.

use std::path::PathBuf;

const VARIABLE: &str = "RUNNER_JAVASCRIPT_ENGINE";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    if std::env::var_os("CARGO_FEATURE_JAVASCRIPT").is_none() {
        return;
    }
    let given = std::env::var_os(VARIABLE).map(PathBuf::from);
    let path = given.unwrap_or_else(|| "target/guests/javascript-engine.wasm".into());
    // What is relative is so to this file's folder, where Cargo runs it.
    let path = std::path::absolute(&path).unwrap_or(path);
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_file() {
        println!("cargo::rustc-env={VARIABLE}={}", path.display());
    } else {
        println!(
            "cargo::error=the feature `javascript` needs the engine {}, which is not there: build it \
             with runtime/js/build, or name another file in {VARIABLE}",
            path.display()
        );
    }
}
