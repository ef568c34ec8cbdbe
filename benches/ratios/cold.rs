//! The first run of a stored module after a restart: its artefact is read, authenticated, loaded
//! and linked, and its environment decided and opened.

use std::time::Instant;

use criterion::Criterion;
use tokio::runtime::Runtime;

use super::house::{House, tag};
use super::javascript;
use super::rounds::median;

/// How often the runner is opened anew.
const RESTARTS: usize = 30;

/// Measures, and answers the line to print.
pub fn measure(_: &mut Criterion, runtime: &Runtime) -> String {
    runtime.block_on(async {
        let mut house = House::open().await;
        let module = javascript::build(javascript::SCRIPT).await;
        let analysis = house.analysis(tag("name", "cold"), &[], module).await;
        let mut times = Vec::with_capacity(RESTARTS);
        for _ in 0..RESTARTS {
            house = house.restart().await;
            let started = Instant::now();
            let snapshot = house.snapshot(&analysis).await;
            house.run(&analysis, snapshot, javascript::SCOPE).await;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        format!("cold module: {:.1} ms", median(times))
    })
}
