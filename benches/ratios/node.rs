//! A fresh isolated run of the smallest sample, against a fresh process that does nothing.

use std::fs;
use std::process::{Command, Stdio};

use criterion::Criterion;
use runner::tag::Tag;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::house::{House, module, sample_folder, tag};
use super::rounds::{Side, compare, ratio};

const SAMPLE: &str = "stock-alert";

/// Measures, and answers the line to print.
pub fn measure(criterion: &mut Criterion, runtime: &Runtime) -> String {
    let house = runtime.block_on(House::open());
    let file = |name: &str| fs::read_to_string(sample_folder(SAMPLE).join(name)).expect("a file");
    let list = |name: &str| -> Vec<Value> { serde_json::from_str(&file(name)).expect("a list") };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let pair = |entry: &Value| (text(&entry["key"]), text(&entry["value"]));
    let sample: Tag = tag("sample", SAMPLE);
    let secrets: Vec<_> = list("secrets.json").iter().map(pair).collect();
    let variables: Vec<_> = list("variables.json").iter().map(pair).collect();
    let scope = file("scope.json");
    let analysis = runtime.block_on(async {
        let secrets = secrets.into_iter().map(|(key, value)| (key, value, sample.clone()));
        house.secrets(secrets).await;
        house.policies([(sample.clone(), sample.clone())]).await;
        house.analysis(sample.clone(), &variables, module(SAMPLE)).await
    });
    let snapshot = runtime.block_on(house.snapshot(&analysis));
    let run = async || {
        house.run(&analysis, snapshot.clone(), &scope).await;
    };
    let node = async || {
        let mut node = Command::new("node");
        node.args(["-e", "0"]).stdin(Stdio::null()).stdout(Stdio::null());
        assert!(node.status().expect("node starts").success());
    };
    let sides = (
        Side { name: "node -e 0", repeat: 1, work: node },
        Side { name: SAMPLE, repeat: 100, work: run },
    );
    let (node, run) = compare(criterion, runtime, "node", 30, sides);
    eprintln!("node {node:?}, {SAMPLE} {run:?}");
    format!("run against node: {:.0}", ratio(node, run))
}
