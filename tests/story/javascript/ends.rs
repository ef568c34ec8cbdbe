//! How runs of scripts end: with their promise, by themselves, or with an error that says where.

use std::time::{Duration, Instant};

use super::super::harness::{Ended, Place};

/// Runs a script, whose lines begin at its first, with a variable in its environment.
fn exec(place: &Place, script: &str) -> Ended {
    let path = place.file("a.js", script);
    place.run(["exec", path.to_str().expect("a path of text"), "--env", "KEY=v"])
}

/// A script around the body of its function, which begins in line 3.
fn handler(body: &str) -> String {
    format!(
        "import {{ Analysis }} from 'runner';\nAnalysis.use(async (context, scope) => {{\n{body}\n}});\n"
    )
}

#[test]
fn a_run_ends_with_its_promise_whatever_is_still_under_way() {
    let place = Place::alone();
    let begun = Instant::now();
    let pending = "setTimeout(() => console.log('never'), 60_000); setInterval(() => {}, 60_000);
        (async () => { for (;;) await null; })();
        return { ended: true };";
    let ended = exec(&place, &handler(pending));
    assert_eq!((ended.stderr().as_str(), ended.ok().as_str()), ("", "{\"ended\":true}\n"));
    assert!(begun.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_script_without_a_function_ends_when_nothing_holds_it() {
    let place = Place::alone();
    let script = "const scope = JSON.parse(process.env.T_ANALYSIS_DATA);
        console.log(scope, process.env.KEY);
        setTimeout(() => console.log('later'), 20);
        AbortSignal.timeout(60_000);
        setTimeout(() => console.log('never'), 60_000).unref();";
    let ended = exec(&place, script);
    assert_eq!(ended.stderr(), "[] v\nlater\n");
    assert_eq!(ended.ok(), "");
}

#[test]
fn what_ends_a_run_badly_is_said_with_its_place() {
    let place = Place::alone();
    for (body, said) in [
        (
            "await null;\ncontext.missing.property;",
            "cannot read property 'property' of undefined\n    at <anonymous> (a.js:4:",
        ),
        ("throw 'Authorization Denied';", "Authorization Denied"),
        ("throw { code: 'TIMEOUT', status: -1 };", "{ code: 'TIMEOUT', status: -1 }"),
        (
            "throw new Error('outer', { cause: new RangeError('inner') });",
            "Error: outer\ncaused by RangeError: inner\n    at <anonymous> (a.js:3:",
        ),
        (
            "setTimeout(() => { Promise.reject(new RangeError('unheard')); }, 1); await new Promise((r) => setTimeout(r, 5000));",
            "RangeError: unheard\n    at <anonymous> (a.js:3:",
        ),
        (
            "await new Promise(() => setTimeout(() => { throw new Error('in a timer'); }, 1));",
            "Error: in a timer\n    at <anonymous> (a.js:3:",
        ),
        ("await new Promise(() => {});", "awaits something that never happens"),
        ("return 10n;", "the result of the analysis cannot be written as JSON"),
        ("return () => {};", "the result of the analysis is a function"),
        ("try { process.exit(3); } catch { console.log('caught'); }", "process.exit(3)"),
        (
            "const f = () => f() + 1; f();",
            "RangeError: Maximum call stack size exceeded\n    at f (a.js:3:",
        ),
        ("const name = 'node:fs'; await import(name);", "there is no module node:fs in a sandbox"),
    ] {
        let ended = exec(&place, &handler(body));
        assert_ne!(ended.code(), 0, "{body}");
        // The command line sets what follows the first line further in.
        let message = ended.stderr().replace("\n  ", "\n");
        assert!(message.contains(said), "{body}: {message}");
        assert!(!ended.stderr().contains("caught"), "{body}");
        assert!(!ended.stderr().contains("(runner:"), "{body}: {}", ended.stderr());
    }
}

#[test]
fn every_run_of_one_module_has_chance_and_time_of_its_own() {
    let place = Place::alone();
    let source = place.file(
        "a.js",
        handler("return [Math.random(), crypto.randomUUID(), Date.now(), performance.timeOrigin];"),
    );
    let built = place.run(["build", source.to_str().expect("text"), "--json"]).ok();
    assert!(
        built.contains("\"evaluated\":true") || built.contains("\"evaluated\": true"),
        "{built}"
    );
    let module = source.with_extension("wasm");
    let run = || place.run(["exec", module.to_str().expect("text")]).ok();
    let (first, second): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&run()).expect("JSON"), serde_json::from_str(&run()).expect("JSON"));
    for part in 0..4 {
        assert_ne!(first[part], second[part], "{first} {second}");
    }
    assert!(first[2].as_f64().is_some_and(|time| time > 1.7e12), "{first}");
}

#[test]
fn what_a_top_level_touches_is_found_by_any_way_to_it() {
    let place = Place::alone();
    for (script, kind) in [
        ("const { KEY } = process.env;", "environment"),
        ("Object.keys(process.env);", "environment"),
        ("new Date();", "clock"),
        ("Date();", "clock"),
        ("performance.now();", "clock"),
        ("const { random } = Math; [3, 1, 2].sort(() => random());", "random"),
        ("new Map([[crypto.randomUUID(), 1]]);", "random"),
        ("console.log(1);", "console"),
        ("fetch('http://a.b').catch(() => {});", "network"),
        ("setTimeout(() => {}, 1);", "timer"),
        ("if (!process.env.NEVER_SET) throw new Error('missing');", "environment"),
        (
            "process.on('unhandledRejection', () => crypto.randomUUID()); Promise.reject(1);",
            "random",
        ),
        ("const end = Date.now() + 1e9; while (Date.now() < end);", "clock"),
    ] {
        let path = place.file("a.js", script);
        let said = place.run(["build", path.to_str().expect("text"), "--json"]);
        let said: serde_json::Value = serde_json::from_str(&said.ok()).expect("JSON");
        assert_eq!(said["evaluated"], false, "{script}");
        let touched = said["touched"][0].as_str().unwrap_or_default();
        assert!(touched.starts_with("a.js:1:") && touched.contains(kind), "{script}: {touched}");
    }
    for script in ["const { env } = process; new Date(5);", "Math.max(1); new Map().set(1, 2);"] {
        let path = place.file("a.js", script);
        let said = place.run(["build", path.to_str().expect("text"), "--json"]).ok();
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(said["evaluated"], true, "{script}: {said}");
    }
}
