//! A fresh run of an analysis in JavaScript, against a fresh process of node that does the same;
//! and the memory of instances that are alive at the same time.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use runner::sandbox::{Compiler, Settings};
use runner::script::{Builder, Language, Script};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::house::{Analysis, House, tag};
use super::rounds::{Side, compare, ratio};

/// The analysis. Its top level touches nothing, so its evaluated heap is in the snapshot.
pub const SCRIPT: &str = r#"import { Analysis } from "runner";
Analysis.use(async (context, scope) => {
  const sum = scope.reduce((sum, record) => sum + record.value, 0);
  console.log(`${scope.length} records, sum ${sum}`);
  return { sum };
});
"#;

/// What it is run with.
pub const SCOPE: &str = r#"[{"value":1},{"value":2.5},{"value":39}]"#;

/// The same for node, which finds the scope in its environment.
const NODE: &str = r#"const scope = JSON.parse(process.env.T_ANALYSIS_DATA);
const sum = scope.reduce((sum, record) => sum + record.value, 0);
console.log(`${scope.length} records, sum ${sum}`);
"#;

/// How many instances are alive at the same time.
const ALIVE: u64 = 32;

/// How long each of them lives.
const LIFE: Duration = Duration::from_secs(4);

/// The module of a script.
pub async fn build(text: &str) -> Vec<u8> {
    let script = Script::new("analysis.js", Language::JavaScript, text.into()).expect("a script");
    let settings = Settings { compiler: Compiler::Here, ..Default::default() };
    Builder::new(&settings).build(&script).await.expect("the script builds").module
}

async fn furnish(house: &House, name: &str, text: &str) -> Analysis {
    house.analysis(tag("name", name), &[], build(text).await).await
}

/// Measures, and answers the lines to print.
pub fn measure(criterion: &mut Criterion, runtime: &Runtime) -> String {
    let house = Arc::new(runtime.block_on(House::open()));
    let touching = format!("const zone = process.env.ZONE;\n{SCRIPT}");
    let (evaluated, per_run) = runtime.block_on(async {
        (furnish(&house, "js", SCRIPT).await, furnish(&house, "per-run", &touching).await)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("analysis.cjs");
    fs::write(&program, NODE).expect("a program");
    let node = async || {
        let mut node = Command::new("node");
        node.arg(&program).env("T_ANALYSIS_DATA", SCOPE);
        node.stdin(Stdio::null()).stdout(Stdio::null());
        assert!(node.status().expect("node starts").success());
    };
    let mut against = |name: &str, analysis: &Analysis| {
        let snapshot = runtime.block_on(house.snapshot(analysis));
        let run = async || {
            house.run(analysis, snapshot.clone(), SCOPE).await;
        };
        let sides =
            (Side { name: "node", repeat: 1, work: node }, Side { name, repeat: 50, work: run });
        let (node, run) = compare(criterion, runtime, name, 30, sides);
        eprintln!("node {node:?}, {name} {run:?}");
        ratio(node, run)
    };
    let evaluated = against("js", &evaluated);
    let per_run = against("js with its top level in each run", &per_run);
    let memory = runtime.block_on(memory(&house));
    format!(
        "js against node: {evaluated:.0} (top level per run: {per_run:.0})\n\
         js memory per instance: {memory} KiB"
    )
}

/// KiB of private memory that one more live instance takes.
async fn memory(house: &Arc<House>) -> u64 {
    let waiting = format!(
        "import {{ Analysis }} from \"runner\";\nAnalysis.use(async (context, scope) => {{\n\
         console.log(scope.length);\n\
         await new Promise((done) => setTimeout(done, {}));\n}});\n",
        LIFE.as_millis()
    );
    let analysis = furnish(house, "waiting", &waiting).await;
    let snapshot = house.snapshot(&analysis).await;
    // What the first run alone brings is not of an instance.
    house.run(&analysis, snapshot.clone(), SCOPE).await;
    let before = private();
    let mut alive = JoinSet::new();
    for _ in 0..ALIVE {
        let (house, analysis, snapshot) = (Arc::clone(house), analysis.clone(), snapshot.clone());
        alive.spawn(async move { house.run(&analysis, snapshot, SCOPE).await });
    }
    tokio::time::sleep(LIFE / 2).await;
    let during = private();
    alive.join_all().await;
    during.saturating_sub(before) / ALIVE
}

/// KiB of this process that it shares with nobody and wrote itself.
fn private() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = rollup.lines().find(|line| line.starts_with("Private_Dirty:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
