//! Links libFuzzer, where `run` has built it.

fn main() {
    println!("cargo::rerun-if-env-changed=RUNNER_LIBFUZZER");
    let folder = std::env::var("RUNNER_LIBFUZZER").unwrap_or_default();
    println!("cargo::rustc-link-search=native={folder}");
    println!("cargo::rustc-link-lib=static=fuzzer");
    println!("cargo::rustc-link-lib=stdc++");
}
