//! Scripts that mean harm: each is uploaded as its source, ends with its fault and its words, and
//! everything around it is as before.
#![cfg_attr(not(feature = "javascript"), expect(dead_code, reason = "only their names are shown"))]

use serde_json::{Value, json};

/// What becomes of a script.
enum Ends {
    /// It is not built, and these words say why.
    Refused(&'static str),
    /// It runs, and ends with this fault, whose message holds these words.
    Fault(&'static str, &'static str),
    /// It runs well every time, and this holds for its runs, in words and in code.
    Well(&'static str, fn(&Value) -> bool),
}
use Ends::{Fault, Refused, Well};

/// One script.
struct Case {
    name: &'static str,
    script: String,
    limits: Value,
    ends: Ends,
}

/// A script whose function does this.
fn handler(body: &str) -> String {
    format!(
        "import {{ Analysis }} from 'runner';\nAnalysis.use(async (context, scope) => {{ {body} }});\n"
    )
}

fn cases() -> Vec<Case> {
    let short = || json!({"wall_time_ms": 200});
    let small = || json!({"memory_bytes": 16 << 20});
    let none = || json!({});
    let mut cases = Vec::new();
    let mut case = |name, script, limits, ends| cases.push(Case { name, script, limits, ends });

    // What a script changes for itself.
    let prototypes = "const clean = !('changed' in Object.prototype) && [].key === undefined;
        Object.prototype.changed = true;
        Array.prototype.key = 'changed';
        Object.defineProperty(Object.prototype, 'token', { set() {}, get: () => 'changed' });
        return clean;";
    case(
        "script: prototypes changed in a run",
        handler(prototypes),
        none(),
        Well("succeeds; the next run finds them as they were", |run| run["result"] == true),
    );
    let forged = "for (const name of ['analysis_id', 'key', 'environment']) {
            Object.defineProperty(Object.prototype, name, { get: () => 'forged', set() {} });
        }";
    case(
        "script: prototypes changed before the context is made",
        format!(
            "{forged}\n{}",
            handler("return [context.analysis_id, context.environment[0].key];")
        ),
        none(),
        Well("succeeds; the context is what the runner gave", |run| {
            run["result"][0] == run["analysis"] && run["result"][1] == "_analysis_id"
        }),
    );
    let globals = "globalThis.JSON.stringify = () => '{\"forged\":';
        globalThis.Promise = globalThis.fetch = globalThis.console = undefined;";
    case(
        "script: `globalThis` changed before `Analysis.use`",
        format!("{globals}\n{}", handler("return 1;")),
        none(),
        Fault("invalid_result", "not JSON"),
    );

    // Time.
    let promises = handler("for (;;) await null;");
    case("script: promises without end", promises, short(), Fault("time_limit", "200 ms"));
    let pattern = handler("return /^(a+)+$/.test('a'.repeat(50) + 'b');");
    case(
        "script: regular expression that tries everything",
        pattern,
        short(),
        Fault("time_limit", "200 ms"),
    );
    let timer = "await new Promise((done) => setTimeout(done, 1e9));";
    case("script: top level that sleeps", timer.into(), short(), Fault("time_limit", "200 ms"));
    let never = "await new Promise(() => {});";
    case(
        "script: top level that never settles",
        never.into(),
        none(),
        Refused("awaits something that never happens"),
    );
    let never = format!("process.env.KEY;\n{never}");
    case(
        "script: top level that never settles in a run",
        never,
        none(),
        Fault("error", "awaits something that never happens"),
    );

    // Memory and the stack.
    let array = handler("const all = []; for (;;) all.push(new Array(10_000).fill(1.5));");
    case("script: arrays without end", array, small(), Fault("memory_limit", "16777216 bytes"));
    let text = handler("let text = 'x'; for (;;) text += text + text.length;");
    case("script: text without end", text, small(), Fault("error", "string too long"));
    let bytes = handler("return new Uint8Array(1 << 30).length;");
    case("script: 1 GiB at once", bytes, small(), Fault("memory_limit", "16777216 bytes"));
    let deep = handler("const f = () => f() + 1; return f();");
    case("script: recursion", deep, none(), Fault("error", "Maximum call stack size exceeded"));

    // Output.
    let flood = handler("for (let i = 0; i < 20_000; i++) console.log(i, 'x'.repeat(100));");
    case(
        "script: console flood",
        flood,
        json!({"console_bytes": 2_000}),
        Well("succeeds; the console is cut at its limit, with a mark", |run| {
            run["console_truncated"] == true && run["console"].to_string().len() < 10_000
        }),
    );
    let parsed = handler("return JSON.parse('['.repeat(1e6) + ']'.repeat(1e6));");
    case(
        "script: JSON nested 1,000,000 deep",
        parsed,
        none(),
        Fault("trap", "calls itself too deeply"),
    );
    cases
}

/// The cases for people: the name, and what is asserted.
pub fn table() -> impl Iterator<Item = (String, String)> {
    let row = |case: Case| {
        let ends = match case.ends {
            Refused(words) => format!("refused with `invalid_script`: “{words}”"),
            Fault(code, words) => format!("fault `{code}`: “{words}”"),
            Well(what, _) => what.to_owned(),
        };
        (case.name.to_owned(), ends)
    };
    cases().into_iter().map(row)
}

#[cfg(feature = "javascript")]
#[tokio::test]
async fn each_hostile_script_ends_with_its_fault_and_harms_nobody() {
    use super::scene::Scene;

    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    for Case { name, script, limits, ends } in cases() {
        let id = scene.analysis(name, &limits).await;
        let answer = scene.api.upload_script(&id, "hostile.js", script.as_bytes()).await;
        if let Refused(words) = ends {
            let (code, message) = answer.refused(400);
            if code != "invalid_script" || !message.contains(words) {
                wrong.push(format!("{name}: {code} {message}"));
            }
            continue;
        }
        answer.ok();
        // A second run finds nothing of the first.
        for _ in 0..2 {
            let run = scene.run(&id, json!([])).await;
            let right = match ends {
                Fault(code, words) => {
                    let message = run["fault"]["message"].as_str().unwrap_or_default();
                    run["state"] == "failed"
                        && run["fault"]["code"] == code
                        && run["fault"]["blame"] == "analysis"
                        && message.contains(words)
                }
                Well(_, holds) => run["state"] == "succeeded" && holds(&run),
                Refused(_) => false,
            };
            if !right {
                wrong.push(format!("{name}: {:.1000}", run.to_string()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
