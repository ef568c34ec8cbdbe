//! A run with very many secrets and policies stored, against one with few.

use criterion::Criterion;
use runner::audit::{Entry, Event};
use runner::auth::Principal;
use runner::store::AnalysisEdit;
use serde_json::json;
use tokio::runtime::Runtime;

use super::house::{Analysis, House, module, tag};
use super::overhead::{MEASURED, SECRETS, secrets, variables};
use super::rounds::{Side, compare, median, ratio};

const MANY_SECRETS: usize = 100_000;
const MANY_POLICIES: usize = 10_000;

/// How often each house is made to load what it knows about the analysis anew.
const RELOADS: usize = 200;

/// A house in which ten policies grant ten secrets to one analysis; all others concern others.
async fn furnish(all_secrets: usize, all_policies: usize) -> (House, Analysis) {
    let house = House::open().await;
    let service = |number| tag("service", format!("service {number}"));
    let own = secrets().enumerate().map(|(number, (key, value))| (key, value, service(number)));
    house.secrets(own).await;
    // Ten secrets of each service, as many services as policies.
    let others = (SECRETS..all_secrets).map(|number| {
        (format!("OTHER_{number}"), format!("value {number}"), service(SECRETS + number / 10))
    });
    house.secrets(others).await;
    let policies = (0..all_policies).map(|number| {
        let name = if number < SECRETS { MEASURED.into() } else { format!("analysis {number}") };
        (tag("name", name), service(number))
    });
    house.policies(policies).await;
    let analysis = house.analysis(tag("name", MEASURED), &variables(), module("bench-guest")).await;
    (house, analysis)
}

/// From the request, which asks the store for the present generation, to the outcome.
async fn run((house, analysis): &(House, Analysis)) {
    let snapshot = house.snapshot(analysis).await;
    let result = house.run(analysis, snapshot, "[]").await;
    assert_eq!(result.as_deref(), Some("30"));
}

/// Milliseconds of the first request after a change, which reads everything again.
async fn reload((house, analysis): &(House, Analysis)) -> f64 {
    let principal = Principal::Local { uid: 0 };
    let entry = Entry::new(&principal, Event::AnalysisEdit, analysis.id, &json!({}));
    let edited = house.tenant.edit_analysis(analysis.id, AnalysisEdit::default(), entry);
    edited.await.expect("an edit");
    let started = std::time::Instant::now();
    house.snapshot(analysis).await;
    started.elapsed().as_secs_f64() * 1e3
}

/// Measures, and answers the line to print.
pub fn measure(criterion: &mut Criterion, runtime: &Runtime) -> String {
    let few = runtime.block_on(furnish(SECRETS, SECRETS));
    let many = runtime.block_on(furnish(MANY_SECRETS, MANY_POLICIES));
    let sides = (
        Side { name: "many", repeat: 20, work: async || run(&many).await },
        Side { name: "few", repeat: 20, work: async || run(&few).await },
    );
    let (in_many, in_few) = compare(criterion, runtime, "scale", 1_000, sides);
    let (mut reloads_many, mut reloads_few) = (Vec::new(), Vec::new());
    for _ in 0..RELOADS {
        reloads_many.push(runtime.block_on(reload(&many)));
        reloads_few.push(runtime.block_on(reload(&few)));
    }
    let (many, few) = (median(reloads_many), median(reloads_few));
    eprintln!(
        "many {in_many:?}, few {in_few:?}; the first run after a change reads for {many:.3} ms and {few:.3} ms, ratio {:.2}",
        many / few
    );
    format!("scale ratio: {:.2}", ratio(in_many, in_few))
}
