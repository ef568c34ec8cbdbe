//! Queued runs, durable from request to outcome: many at once, against one by one.

use std::sync::Arc;
use std::time::Instant;

use criterion::Criterion;
use runner::cause::{Cause, CauseKind};
use runner::id::Id;
use runner::run::State;
use runner::store::{Filter, Page};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::house::{Analysis, House, module, tag};
use super::rounds::median;

/// How many clients ask for a run, each again as soon as its last one is acknowledged.
const CLIENTS: usize = 1_024;

/// How many runs make a round, with many at once and one by one.
const MANY: usize = 8_192;
const FEW: usize = 256;

const ROUNDS: usize = 5;

/// Measures, and answers the line to print.
pub fn measure(_: &mut Criterion, runtime: &Runtime) -> String {
    runtime.block_on(async {
        let house = Arc::new(House::open().await);
        let analysis = house.analysis(tag("name", "durable"), &[], module("bench-guest")).await;
        let worker = house.runner.start_worker();
        let (mut at_once, mut one_by_one) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            at_once.push(many(&house, &analysis).await);
            one_by_one.push(few(&house, &analysis).await);
        }
        eprintln!("durable rounds: {at_once:.0?}, one by one {one_by_one:.0?}");
        all_succeeded(&house).await;
        worker.stop(std::time::Duration::from_secs(10)).await;
        let (at_once, one_by_one) = (median(at_once), median(one_by_one));
        format!("durable runs per second: {at_once:.0} (one-by-one floor: {one_by_one:.0})")
    })
}

async fn enqueue(house: &House, analysis: &Analysis) -> Id {
    let cause = Cause::new(CauseKind::Api, "bench");
    house.runner.enqueue(&house.tenant, analysis.id, "[]", cause).await.expect("it is queued")
}

async fn ended(house: &House, run: Id) {
    let waiting = house.runner.watch().wait_for(run);
    let check = async || house.tenant.run(run).await.expect("the run").run.state.is_final();
    waiting.until(check).await;
}

/// Runs per second with many under way.
async fn many(house: &Arc<House>, analysis: &Analysis) -> f64 {
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (house, analysis) = (Arc::clone(house), analysis.clone());
        clients.spawn(async move {
            let mut last = None;
            for _ in 0..MANY / CLIENTS {
                last = last.max(Some(enqueue(&house, &analysis).await));
            }
            last
        });
    }
    // Runs are claimed in the order of their ids, so all but the last few have ended before the
    // last one does.
    let mut last: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    last.sort_unstable();
    for run in last {
        ended(house, run).await;
    }
    MANY as f64 / started.elapsed().as_secs_f64()
}

/// Runs per second when each waits for the outcome of the one before.
async fn few(house: &House, analysis: &Analysis) -> f64 {
    let started = Instant::now();
    for _ in 0..FEW {
        let run = enqueue(house, analysis).await;
        ended(house, run).await;
    }
    FEW as f64 / started.elapsed().as_secs_f64()
}

async fn all_succeeded(house: &House) {
    let filter = Filter { state: Some(State::Succeeded), ..Filter::default() };
    let succeeded = house.tenant.runs(&filter, Page::ALL).await.expect("the runs").len();
    assert_eq!(succeeded, ROUNDS * (MANY + FEW));
}
