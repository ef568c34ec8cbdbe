//! The house keeps its floors: a module imports only modules of lower rank.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::repository;

/// The modules from the lowest rank to the highest; those on one line have the same rank and may
/// import each other only within the words at the bottom.
const RANKS: &[&[&str]] = &[
    &["id", "clock", "tag", "cause", "fault", "host", "words", "metrics"],
    &["analysis"],
    &["device"],
    &["vault"],
    &["policy"],
    &["environment"],
    &["run"],
    &["action"],
    &["auth"],
    &["audit"],
    &["outbound"],
    &["sandbox"],
    &["script"],
    &["store"],
    &["pipeline"],
    &["api"],
    &["admin"],
    &["config"],
    &["shutdown"],
    &["telemetry"],
    &["cli"],
];

/// Which folder alone may name a library's types.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("wasmtime", &["sandbox"]),
    ("wasmtime_wasi", &["sandbox"]),
    ("wasmtime_wasi_http", &["sandbox"]),
    ("wasmtime_wizer", &["sandbox"]),
    ("oxc_allocator", &["script"]),
    ("oxc_ast", &["script"]),
    ("oxc_codegen", &["script"]),
    ("oxc_parser", &["script"]),
    ("oxc_semantic", &["script"]),
    ("oxc_span", &["script"]),
    ("oxc_transformer", &["script"]),
    ("aes_gcm", &["vault"]),
    ("hkdf", &["vault"]),
    ("axum", &["admin", "api", "cli"]),
    ("askama", &["admin"]),
    ("argon2", &["auth"]),
    ("utoipa", &["api"]),
    ("clap", &["cli"]),
    ("croner", &["action"]),
    ("rumqttc", &["pipeline"]),
];

/// Edges that the ranks would allow and the design forbids.
const FORBIDDEN: &[(&str, &str)] =
    &[("policy", "vault"), ("sandbox", "vault"), ("sandbox", "policy"), ("environment", "vault")];

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The top module of a source file.
fn module_of(path: &Path) -> String {
    let below = path.strip_prefix(repository().join("src")).expect("a source");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn modules_import_only_lower_ranks_and_libraries_stay_at_home() {
    let mut checked = 0;
    for path in sources(&repository().join("src")) {
        let module = module_of(&path);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let own = rank(&module).unwrap_or_else(|| panic!("{module} has no rank"));
        let text = fs::read_to_string(&path).expect("a source");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in code.enumerate() {
            let place = format!("{}: line {} of code: {line}", path.display(), number + 1);
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                let names: Vec<&str> = match rest.strip_prefix('{') {
                    Some(list) => list.split([',', '}']).map(str::trim).collect(),
                    None => vec![rest],
                };
                for name in names {
                    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                    let name = &name[..end.unwrap_or(name.len())];
                    let Some(other) = rank(name) else { continue };
                    let lower = other < own || (other == own && own == 0) || name == module;
                    assert!(lower, "{module} must not import {name}: {place}");
                    assert!(!FORBIDDEN.contains(&(&module, name)), "forbidden: {place}");
                    checked += 1;
                }
            }
            for (library, homes) in HOMES {
                let named = line.contains(&format!("use {library}::"))
                    || line.contains(&format!(" {library}::"));
                assert!(!named || homes.contains(&module.as_str()), "{library}: {place}");
            }
        }
    }
    assert!(checked > 100, "only {checked} imports were found: does the test still see them?");
}
