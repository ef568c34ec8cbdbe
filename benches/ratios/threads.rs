//! The runs of the overhead bench on two threads, against one.

use std::sync::Arc;

use criterion::Criterion;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::overhead::Measured;
use super::rounds::{Side, compare, ratio};

/// How many runs both sides make together in one repetition.
const RUNS: usize = 400;

/// Measures, and answers the line to print.
pub fn measure(criterion: &mut Criterion, _: &Runtime) -> String {
    let two = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let two = two.expect("a runtime of two threads");
    let measured = Arc::new(two.block_on(Measured::new()));
    let spread = async |tasks: usize| {
        let mut workers = JoinSet::new();
        for _ in 0..tasks {
            let measured = Arc::clone(&measured);
            workers.spawn(async move {
                for _ in 0..RUNS / tasks {
                    measured.run().await;
                }
            });
        }
        workers.join_all().await;
    };
    let sides = (
        Side { name: "one thread", repeat: 1, work: async || spread(1).await },
        Side { name: "two threads", repeat: 1, work: async || spread(2).await },
    );
    let (one, two) = compare(criterion, &two, "threads", 100, sides);
    eprintln!("{RUNS} runs on one thread {one:?}, on two {two:?}");
    format!("threads: {:.2}", ratio(one, two))
}
