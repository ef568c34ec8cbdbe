//! The modules that a script may import, and what to do about the others.

/// What the engine's own SDK is called.
const SDK: [&str; 2] = ["runner", "@tago-io/sdk"];

/// The modules of Node.js that the engine has, each also without `node:`.
const NODE: [&str; 12] = [
    "assert",
    "assert/strict",
    "buffer",
    "crypto",
    "events",
    "path",
    "process",
    "querystring",
    "timers",
    "timers/promises",
    "url",
    "util",
];

/// The other modules of Node.js, and why an analysis has none of them.
const NONE: [(&[&str], &str); 9] = [
    (
        &["fs", "fs/promises"],
        "an analysis sees no files; give it what it needs in the scope, or let it fetch it",
    ),
    (&["http", "https", "http2"], "use fetch, which is there without an import"),
    (&["net", "tls", "dgram", "dns", "dns/promises"], "an analysis has no sockets; use fetch"),
    (
        &["child_process", "cluster", "worker_threads"],
        "an analysis starts no processes and threads; start another analysis instead",
    ),
    (
        &["os", "v8", "perf_hooks", "inspector", "diagnostics_channel", "trace_events"],
        "an analysis sees nothing of the machine that it runs on",
    ),
    (
        &["readline", "readline/promises", "tty", "repl"],
        "nobody sits before an analysis; its input is the scope",
    ),
    (
        &["vm", "module", "wasi", "sea", "test"],
        "an analysis loads no code while it runs; put it into the script",
    ),
    (
        &["stream", "stream/promises", "stream/web", "zlib", "async_hooks", "sqlite"],
        "the engine has no such module; use a package that is written for browsers",
    ),
    (
        &["util/types", "string_decoder", "punycode", "constants", "sys", "domain"],
        "the engine has no such module; use the standard functions of JavaScript and the web",
    ),
];

/// All modules that a bundler shall leave to the engine.
pub(super) fn modules() -> impl Iterator<Item = &'static str> {
    let none = NONE.iter().flat_map(|(names, _)| names.iter().copied());
    ["runner", "node:*"].into_iter().chain(NODE).chain(none)
}

/// Why a module that a script imports is not there, and what to do; nothing where it is.
pub(super) fn missing(specifier: &str) -> Option<String> {
    if SDK.contains(&specifier) || of_deno(specifier).is_some_and(|name| SDK.contains(&&*name)) {
        return None;
    }
    let bare = specifier.strip_prefix("node:");
    let name = bare.unwrap_or(specifier);
    if NODE.contains(&name) {
        return None;
    }
    let of_node = NONE.iter().find(|(names, _)| names.contains(&name)).map(|(_, why)| *why);
    if let Some(why) = of_node {
        return Some(format!("there is no node:{name} here: {why}"));
    }
    if bare.is_some() {
        let known: Vec<_> = NODE.iter().map(|name| format!("node:{name}")).collect();
        return Some(format!(
            "there is no node:{name} here; of the modules of Node.js there are {}",
            known.join(", ")
        ));
    }
    if ["./", "../", "/"].iter().any(|start| name.starts_with(start)) || [".", ".."].contains(&name)
    {
        return Some(format!(
            "{name:?} is another file, and a script is built from one. {}",
            bundle(None)
        ));
    }
    if let Some((scheme, _)) = name.split_once(':').filter(|(scheme, _)| *scheme != "npm") {
        return Some(format!(
            "nothing is loaded over {scheme:?}; {}",
            "add the package with npm and import it by its name"
        ));
    }
    Some(format!("{name:?} is an npm package. {}", bundle(Some(package(name)))))
}

/// How a script becomes one file with all that it imports.
fn bundle(package: Option<&str>) -> String {
    let install = package.map(|package| format!(" && npm install {package}")).unwrap_or_default();
    format!(
        "In the script's folder run `npm init -y{install} && npm install --save-dev esbuild`, and \
         then `runner build` bundles all into one module"
    )
}

/// What npm calls a package that Deno calls `npm:NAME@VERSION/PATH`.
pub(super) fn of_deno(specifier: &str) -> Option<String> {
    let name = specifier.strip_prefix("npm:")?;
    let package = package(specifier);
    let version = &name[package.len()..];
    let path = version.find('/').map_or("", |at| &version[at..]);
    Some(format!("{package}{path}"))
}

/// The package of a specifier: `@a/b` of `@a/b/c`, `a` of `a/b`, without what Deno adds to it.
fn package(specifier: &str) -> &str {
    let name = specifier.strip_prefix("npm:").unwrap_or(specifier);
    let parts = if name.starts_with('@') { 2 } else { 1 };
    let end = name.match_indices('/').nth(parts - 1).map_or(name.len(), |(at, _)| at);
    let name = &name[..end];
    match name.char_indices().skip(1).find(|(_, c)| *c == '@') {
        Some((version, _)) => &name[..version],
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The engine's lists of modules, which are compiled for another machine.
    const BUILTINS: &str = include_str!("../../runtime/js/engine/src/builtins.rs");

    /// The texts in quotes between two parts of the engine's lists.
    fn quoted(from: &str, to: &str) -> impl Iterator<Item = &'static str> {
        let (_, after) = BUILTINS.split_once(from).unwrap();
        let (part, _) = after.split_once(to).unwrap();
        part.split('"').skip(1).step_by(2)
    }

    #[test]
    fn each_missing_module_says_what_to_do() {
        for (specifier, said) in [
            ("node:fs", "there is no node:fs here: an analysis sees no files"),
            ("https", "use fetch"),
            ("node:nonsense", "there are node:assert"),
            ("./util.js", "is another file"),
            ("..", "is another file"),
            ("https://deno.land/x/a.ts", "nothing is loaded over \"https\""),
            ("axios", "npm install axios && npm install --save-dev esbuild"),
            ("npm:@a/b@1/c", "npm install @a/b &&"),
            ("lodash/fp", "npm install lodash &&"),
        ] {
            let message = missing(specifier).unwrap();
            assert!(message.contains(said), "{specifier}: {message}");
        }
    }

    #[test]
    fn the_engine_lists_the_same_modules_of_node() {
        let has: BTreeSet<_> = quoted("= sources! {", "};")
            .filter_map(|name| name.strip_prefix("node:"))
            // Another name of the same module.
            .chain(["assert/strict"])
            .collect();
        assert_eq!(has, NODE.into_iter().collect());
        // What is said about them has spaces.
        let lacks: BTreeSet<_> =
            quoted("fn instead", "_ => return None").filter(|name| !name.contains(' ')).collect();
        assert_eq!(lacks, NONE.iter().flat_map(|(names, _)| names.iter().copied()).collect());
    }

    /// What is said to be there, the engine must have.
    #[cfg(feature = "javascript")]
    #[test]
    fn the_engine_has_what_is_not_missing() {
        let names = SDK.iter().copied().chain(NODE);
        let line = |(i, name)| format!("import * as a{i} from \"{name}\";\nrequire(\"{name}\");\n");
        let script: String = names.enumerate().map(line).collect();
        let engine = super::super::engine::ENGINE.unwrap();
        let bounds = crate::sandbox::InitBounds::default();
        crate::sandbox::snapshot(engine, "a.js", &script, &bounds).unwrap();
    }

    #[test]
    fn what_the_engine_has_is_not_missing() {
        let of_deno = ["npm:@tago-io/sdk", "npm:@tago-io/sdk@12.0.0"];
        for specifier in ["runner", "@tago-io/sdk", "node:util", "crypto"].iter().chain(&of_deno) {
            assert_eq!(missing(specifier), None);
        }
    }

    #[test]
    fn a_package_as_deno_writes_it_has_a_name_in_npm() {
        for (specifier, name) in [
            ("npm:dayjs", Some("dayjs")),
            ("npm:dayjs@1", Some("dayjs")),
            ("npm:lodash@^4.17/fp", Some("lodash/fp")),
            ("npm:@a/b@1/c/d", Some("@a/b/c/d")),
            ("npm:@a/b", Some("@a/b")),
            ("npm:", Some("")),
            ("dayjs", None),
        ] {
            assert_eq!(of_deno(specifier).as_deref(), name, "{specifier}");
        }
    }
}
