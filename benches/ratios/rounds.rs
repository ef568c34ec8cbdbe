//! Taking turns: the sides of a comparison are measured in short rounds, one after the other.

use std::time::{Duration, Instant};

use criterion::Criterion;
use tokio::runtime::Runtime;

/// One side of a comparison: an asynchronous piece of work to be repeated.
pub struct Side<'a, F> {
    /// What criterion calls it.
    pub name: &'a str,
    /// How often it is repeated in one round.
    pub repeat: u32,
    /// The work.
    pub work: F,
}

/// Samples both sides with criterion, then measures them in `rounds` turns. Answers the median
/// time of one repetition of each.
pub fn compare<A: AsyncFn(), B: AsyncFn()>(
    criterion: &mut Criterion,
    runtime: &Runtime,
    group: &str,
    rounds: usize,
    (a, b): (Side<'_, A>, Side<'_, B>),
) -> (Duration, Duration) {
    let mut samples = criterion.benchmark_group(group);
    samples.bench_function(a.name, |bencher| bencher.to_async(runtime).iter(|| (a.work)()));
    samples.bench_function(b.name, |bencher| bencher.to_async(runtime).iter(|| (b.work)()));
    samples.finish();
    let mut times = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for _ in 0..rounds {
        times.0.push(runtime.block_on(round(&a)));
        times.1.push(runtime.block_on(round(&b)));
    }
    (median(times.0), median(times.1))
}

async fn round<F: AsyncFn()>(side: &Side<'_, F>) -> Duration {
    let started = Instant::now();
    for _ in 0..side.repeat {
        (side.work)().await;
    }
    started.elapsed() / side.repeat
}

/// The middle one.
pub fn median<T: Copy + PartialOrd>(mut measured: Vec<T>) -> T {
    measured.sort_by(|a, b| a.partial_cmp(b).expect("times and rates have an order"));
    measured[measured.len() / 2]
}

/// How often `b` fits into `a`.
pub fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}
